import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS, type FrontKind, serve, SOCKET } from '../support/fronts.ts';
import { halfClose, head, request, response, startUpstream } from '../support/upstream.ts';
import { atRest, turns } from '../support/wait.ts';

for (const front of FRONTS) {
  describe(`a downstream through ${front.name} that sends FIN`, () => {
    test('after a whole request counts as gone: that is how a killed client looks', async (t) => {
      const upstream = await startUpstream(t, [[request]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get());
      await upstream.read(1);
      client.end();
      await under.settled(1);
      assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_GONE');
      await upstream.gone(1);
    });

    test('in the middle of a head counts as gone', async (t) => {
      const under = await startBalancer(t, { upstreams: [], front });
      const client = await under.connect();
      client.send('GET / HTTP/1.1\r\nHost: a');
      client.end();
      await client.over();
      assert.equal(under.picks.length, 0);
    });

    test('in the middle of a body: the upstream gets no whole request', async (t) => {
      for (const fields of ['Content-Length: 10\r\n', 'Transfer-Encoding: chunked\r\n']) {
        const upstream = await startUpstream(t, [[request]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(`${get('/', fields, 'POST')}5\r\nhello`);
        await upstream.saw('1 POST /');
        client.end();
        await upstream.gone(1);
        assert.equal(upstream.requests.length, 0);
        await under.settled(1);
      }
    });
  });
}

/** A front whose sockets the test can inspect. */
function accepting(sockets: Socket[]): FrontKind {
  return {
    name: 'accept',
    open: (balancer) => serve(net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.push(socket);
      balancer.accept(socket);
    })),
  };
}

/**
 * A response that is complete except for its last bytes, waiting in the balancer for a downstream that does not read.
 * Small pieces stay below the limit at which a stream stops its writer: the exchange itself may be over.
 */
async function withheld(t: TestContext, version: '1.0' | '1.1') {
  const piece = Buffer.alloc(8_000, 'x');
  const sockets: Socket[] = [];
  let total = 0;
  const upstream = await startUpstream(t, [[head, 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n', async (peer) => {
    // Until the downstream takes no more, a moment later too.
    const held = (): number => sockets[0]?.writableLength ?? 0;
    while (held() === 0) {
      await peer.push(piece);
      total += piece.length;
      await turns(4);
      if (held() > 0) await atRest(held);
    }
  }, halfClose]]);
  const under = await startBalancer(t, { upstreams: [upstream], front: accepting(sockets) });
  const client = await under.connect();
  client.send(`GET / HTTP/${version}\r\nHost: a\r\nConnection: close\r\n\r\n`);
  await upstream.gone(1);
  assert.ok((sockets[0]?.writableLength ?? 0) > 0, 'nothing is withheld');
  return { under, client, sockets, total };
}

describe('the end of a connection on a socket of our own', () => {
  test('does not overtake the answer to an unread upload', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: SOCKET });
    const client = await under.connect();
    client.send(get('/', `Content-Length: ${8 << 20}\r\n`, 'POST')).send(Buffer.alloc(8 << 20));
    const answer = await client.response();
    assert.equal(answer.status, 503);
    assert.equal(answer.head.get('connection'), 'close');
    assert.equal(await client.over(), 'end');
  });

  test('does not wait forever for a downstream that does not close', async (t) => {
    const sockets: Socket[] = [];
    const under = await startBalancer(t, { upstreams: [], front: accepting(sockets) });
    const client = await under.connect();
    await client.exchange(get('/', 'Connection: close\r\n'));
    assert.equal(await client.over(), 'end');
    assert.equal(sockets[0]?.destroyed, false);
    await under.advance(2_000);
    assert.equal(sockets[0].destroyed, true);
  });

  test('is not sent before the last bytes of a response until close', async (t) => {
    const { under, client, total } = await withheld(t, '1.0');
    // Less than the idle timeout, more than any grace at the end.
    for (let i = 0; i < 10; i++) await under.advance(1_999);
    const answer = await client.response();
    assert.equal(answer.bytes.length, total);
    assert.equal(await client.over(), 'end');
  });

  test('is not sent before the last bytes of a response in chunks', async (t) => {
    const { under, client, total } = await withheld(t, '1.1');
    for (let i = 0; i < 10; i++) await under.advance(1_999);
    const answer = await client.response();
    assert.equal(answer.bytes.length, total);
    assert.equal(await client.over(), 'end');
  });

  for (const version of ['1.0', '1.1'] as const) {
    test(`tells a downstream that sent FIN early whether it has read all: HTTP/${version}`, async (t) => {
      const { under, client, total } = await withheld(t, version);
      client.end();
      for (let i = 0; i < 10; i++) await under.advance(0);
      const answer = await client.response().catch((cause: unknown) => cause as Error);
      if (answer instanceof Error) {
        assert.equal(answer.name, 'Broken');
        return;
      }
      // libuv shows a reset behind unread data as an end; but only a reset throws away what the kernel had to send.
      const { length } = answer.bytes;
      assert.ok(length === total || length < total - 100_000, `${length} of ${total} bytes`);
    });
  }

  test('is a reset where the last bytes of a response until close cannot leave at all', async (t) => {
    const { under, client, total, sockets } = await withheld(t, '1.0');
    for (let i = 0; i < 50; i++) await under.advance(2_000);
    assert.equal(sockets[0]?.destroyed, true);
    await client.inbox.until('\r\n\r\n');
    const got = await client.inbox.rest().catch(() => Buffer.alloc(0));
    // libuv shows a reset behind unread data as an end; but only a reset throws away what the kernel still had to send.
    assert.ok(got.length < total - 100_000, `${got.length} of ${total} bytes`);
  });

  test('comes for a slow reader once it has read everything, if it reads at all', async (t) => {
    const length = 16 << 20;
    const upstream = await startUpstream(t, [[request, response('x'.repeat(length), 'Connection: close\r\n')]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(get('/', 'Connection: close\r\n'));
    await client.inbox.until('\r\n\r\n');
    for (let at = 0; at < length; at += length / 16) {
      await client.inbox.skip(length / 16);
      await under.advance(1_999);
    }
    assert.equal(await client.over(), 'end');
    assert.equal(under.outcomes[0]?.ok, true);
  });
});
