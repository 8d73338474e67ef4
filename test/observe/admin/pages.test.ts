/** Open pages that do not read, and many of them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Pages } from '../../../src/observe/admin/pages.ts';
import { startBalancer } from '../../support/balancer.ts';
import { get } from '../../support/client.ts';
import { atEnd } from '../../support/scope.ts';
import { echo, startUpstream } from '../../support/upstream.ts';
import { turns, within } from '../../support/wait.ts';

/** Pages that show `view`, and the tick of their clock. */
async function opened(t: TestContext, view: () => unknown) {
  const ticks = new Set<() => void>();
  const pages = new Pages({
    time: {
      now: () => 0,
      epoch: () => 0,
      every: (_ms, tick) => {
        ticks.add(tick);
        return () => ticks.delete(tick);
      },
    },
    watch: () => undefined,
    view,
  });
  const server = http.createServer((request, response) => {
    pages.serve(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(t, async () => {
    pages.close();
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  const { port } = server.address() as AddressInfo;
  const open = async (): Promise<Socket> => {
    const before = pages.size;
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    atEnd(t, () => {
      socket.destroy();
    });
    socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const seen = async (): Promise<void> => {
      while (pages.size === before) await turns(1);
    };
    await within(seen(), () => 'a page to be open');
    return socket;
  };
  const tick = (): void => {
    for (const each of [...ticks]) each();
  };
  return { pages, open, tick };
}

test('a page that never reads is dropped, and one that reads stays', async (t) => {
  const { pages, open, tick } = await opened(t, () => 'x'.repeat(100_000));
  (await open()).pause();
  const reading = await open();
  reading.resume();
  for (let i = 0; i < 1_000 && pages.size > 1; i++) {
    const { bytesRead } = reading;
    tick();
    const read = async (): Promise<void> => {
      while (reading.bytesRead < bytesRead + 100_000) await turns(1);
    };
    await within(read(), () => 'the page that reads to get its event');
  }
  assert.equal(pages.size, 1);
  assert.equal(reading.destroyed, false);
});

test('a hundred pages get what is made once for all, and requests are served meanwhile', async (t) => {
  let made = 0;
  const { pages, open, tick } = await opened(t, () => ++made);
  const under = await startBalancer(t, { upstreams: [await startUpstream(t, echo)] });
  const sockets: Socket[] = [];
  for (let i = 0; i < 100; i++) sockets.push(await open());
  tick();
  const before = made;
  const client = await under.connect();
  for (let i = 0; i < 50; i++) {
    tick();
    assert.equal((await client.exchange(get(`/${i}`))).text, `/${i}`);
  }
  assert.deepEqual([made - before, pages.size], [50, 100]);
  for (const socket of sockets) socket.destroy();
  const gone = async (): Promise<void> => {
    while (pages.size > 0) await turns(1);
  };
  await within(gone(), () => 'the pages to be gone');
});
