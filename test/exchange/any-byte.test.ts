/**
 * Either side may go away at any byte, cleanly or by a reset: nothing stays in flight, no socket stays open, and no
 * truncated response passes for a complete one.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { random } from '../../strategies/random.ts';
import { createBalancer } from '../../src/index.ts';
import type { Balancer, Outcome, Strategy } from '../../src/index.ts';

const REQUEST = 'POST /upload HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n' +
  '5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n';
const RESPONSES = {
  'in chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' +
    '5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n',
  'of known length': 'HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello world',
};
const LEAVE: Record<string, (socket: Socket) => void> = {
  'in order': (socket) => {
    socket.end(() => socket.destroy());
  },
  'by a reset': (socket) => {
    socket.resetAndDestroy();
  },
};
const FRONTS: Record<string, (balancer: Balancer) => Promise<{ port: number; close: () => Promise<unknown> }>> = {
  socket: async (balancer) => {
    const { port } = await balancer.listen({ port: 0, host: '127.0.0.1' }) as AddressInfo;
    return { port, close: () => Promise.resolve() };
  },
  'node:http': async (balancer) => {
    const server = http.createServer(balancer.handle);
    const port = await listening(server);
    return { port, close: () => closed(server) };
  },
};

for (const [front, start] of Object.entries(FRONTS)) {
  for (const [how, leave] of Object.entries(LEAVE)) {
    describe(`through ${front}, ${how}`, () => {
      test('a downstream that goes away after any byte of its request', async () => {
        const upstream = net.createServer((socket) => {
          socket.on('data', () => undefined).on('error', () => undefined);
        });
        const counts = { picks: 0, settled: [] as Outcome[] };
        const balancer = createBalancer({
          upstreams: [`http://127.0.0.1:${await listening(upstream)}`], strategy: counting(counts),
        });
        const { port, close } = await start(balancer);
        for (let length = 0; length <= REQUEST.length; length++) {
          const socket = await connect(port);
          const over = once(socket, 'close');
          if (length === 0) leave(socket);
          else socket.write(REQUEST.slice(0, length), () => { leave(socket); });
          await over;
        }
        await close();
        assert.deepEqual(await balancer.close(), { cut: 0 });
        assert.equal(counts.settled.length, counts.picks);
        assert.deepEqual(counts.settled.filter(({ ok }) => !ok), [], 'none of it is the fault of the upstream');
        await closed(upstream);
      });

      for (const [framing, response] of Object.entries(RESPONSES)) {
        test(`an upstream that goes away after any byte of a response ${framing}`, async () => {
          let length = 0;
          const upstream = net.createServer((socket) => {
            socket.on('error', () => undefined);
            socket.once('data', () => {
              if (length === 0) leave(socket);
              else socket.write(response.slice(0, length), () => { leave(socket); });
            });
          });
          const counts = { picks: 0, settled: [] as Outcome[] };
          const balancer = createBalancer({
            upstreams: [`http://127.0.0.1:${await listening(upstream)}`],
            strategy: counting(counts),
            onReport: () => undefined,
          });
          const { port, close } = await start(balancer);
          for (; length <= response.length; length++) {
            const socket = await connect(port);
            let got = '';
            socket.on('data', (bytes: Buffer) => {
              got += bytes.toString('latin1');
            });
            const over = once(socket, 'close');
            socket.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
            await over;
            const whole = got.startsWith('HTTP/1.1 200') && isWhole(got);
            // A reset can overtake the last bytes; without one, what was sent whole arrives whole.
            const sent = length === response.length;
            if (sent && how === 'in order') assert.ok(whole, `${length} bytes, all of them, came as ${got}`);
            else if (!sent) assert.ok(!whole, `${length} bytes passed for a whole response: ${got}`);
            if (got.startsWith('HTTP/1.1 502')) assert.match(got, /\r\nProxy-Status: equipoise; error=\w+\r\n/i);
          }
          await close();
          assert.deepEqual(await balancer.close(), { cut: 0 });
          assert.equal(counts.settled.length, counts.picks);
          assert.ok(counts.picks >= response.length, 'each length was tried');
          await closed(upstream);
        });
      }
    });
  }
}

function counting(counts: { picks: number; settled: Outcome[] }): Strategy {
  const inner = random();
  return {
    name: 'counting',
    pick: (candidates, context) => {
      counts.picks++;
      return inner.pick(candidates, context);
    },
    settled: (_, outcome) => {
      counts.settled.push(outcome);
    },
  };
}

/** Whether a response is complete, by its last chunk or its length. */
function isWhole(response: string): boolean {
  if (/\r\ntransfer-encoding: chunked\r\n/i.test(response)) return /\r\n0\r\n(?:.+\r\n)*\r\n$/.test(response);
  const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(response)?.[1] ?? NaN);
  return response.length - response.indexOf('\r\n\r\n') - 4 === length;
}

async function connect(port: number): Promise<Socket> {
  const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Closes; resolves when no connection is left. */
async function closed(server: Server): Promise<void> {
  const over = once(server, 'close');
  server.close();
  await over;
}
