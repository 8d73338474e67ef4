import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { echo, response, serve, startUpstream } from '../support/upstream.ts';

const HOST = 'Host: example.test\r\n';

const TABLE: readonly (readonly [name: string, request: string, kept: boolean])[] = [
  ['HTTP/1.1', `GET / HTTP/1.1\r\n${HOST}\r\n`, true],
  ['HTTP/1.1 with close', `GET / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, false],
  ['HTTP/1.1 with close in capitals', `GET / HTTP/1.1\r\n${HOST}CONNECTION: CLOSE\r\n\r\n`, false],
  ['HTTP/1.1 with close among others', `GET / HTTP/1.1\r\n${HOST}Connection: x-a, close , x-b\r\n\r\n`, false],
  ['HTTP/1.1 with close in a second field',
    `GET / HTTP/1.1\r\n${HOST}Connection: x-a\r\nConnection: close\r\n\r\n`, false],
  ['HTTP/1.1 with keep-alive', `GET / HTTP/1.1\r\n${HOST}Connection: keep-alive\r\n\r\n`, true],
  ['HTTP/1.0', `GET / HTTP/1.0\r\n${HOST}\r\n`, false],
  ['HTTP/1.0 with keep-alive', `GET / HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`, true],
  ['HTTP/1.0 with Keep-Alive', `GET / HTTP/1.0\r\n${HOST}Connection: Keep-Alive\r\n\r\n`, true],
  ['HTTP/1.0 with close', `GET / HTTP/1.0\r\n${HOST}Connection: close\r\n\r\n`, false],
];

for (const front of FRONTS) {
  describe(`which connections close, through ${front.name}`, () => {
    for (const [name, request, kept] of TABLE) {
      test(`${name}: ${kept ? 'kept' : 'closed'}`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        const answer = await client.exchange(request);
        assert.equal(answer.text, '/');
        const said = answer.head.get('connection')?.toLowerCase();
        if (kept) {
          assert.notEqual(said, 'close');
          if (request.includes('HTTP/1.0')) assert.equal(said, 'keep-alive');
          assert.equal((await client.exchange(request)).text, '/');
        } else {
          assert.equal(said, 'close');
          assert.equal(await client.over(), 'end');
        }
        // Whether this side keeps its connection says nothing about the other (RFC 9110 §7.6.1).
        assert.ok(upstream.requests.every(({ head }) => head.get('connection') === undefined));
        assert.equal(upstream.peers.length, 1);
      });
    }

    test('HTTP/1.0 with keep-alive is closed where only the close ends a response', async (t) => {
      const bytes = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${String(chunked('hello'))}`;
      const upstream = await startUpstream(t, serve(() => bytes));
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const answer = await client.exchange(`GET / HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`);
      assert.equal(answer.text, 'hello');
      assert.notEqual(answer.head.get('connection')?.toLowerCase(), 'keep-alive');
    });

    test('many requests go over one connection, each side', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      for (let i = 0; i < 200; i++) assert.equal((await client.exchange(get(`/${i}`))).text, `/${i}`);
      assert.equal(upstream.peers.length, 1);
    });

    test('what a downstream says about its connection is not passed on', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      await client.exchange(get('/', 'Connection: keep-alive, X-Mine\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\n'
        + 'Proxy-Connection: keep-alive\r\nX-Yours: 2\r\n'));
      const { fields } = upstream.requests[0]?.head ?? { fields: [] };
      const names = fields.map(([field]) => field.toLowerCase());
      for (const gone of ['connection', 'keep-alive', 'x-mine', 'proxy-connection']) {
        assert.ok(!names.includes(gone), gone);
      }
      assert.ok(names.includes('x-yours'));
    });

    test('what an upstream says about its connection is not passed on', async (t) => {
      const fields = 'Connection: keep-alive, X-Mine\r\nKeep-Alive: timeout=77\r\nX-Mine: 1\r\n';
      const others = 'Proxy-Connection: close\r\nX-Yours: 2\r\n';
      const upstream = await startUpstream(t, serve(() => response('x', fields + others)));
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const { head } = await (await under.connect()).exchange(get());
      assert.equal(head.get('x-mine'), undefined);
      assert.equal(head.get('proxy-connection'), undefined);
      assert.notEqual(head.get('keep-alive'), 'timeout=77');
      assert.equal(head.get('x-yours'), '2');
    });
  });
}

describe('an idle connection on a socket of our own', () => {
  const keepAliveTimeoutMs = 7_000;

  test('is closed when its time is over, and not before', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET, keepAliveTimeoutMs });
    const client = await under.connect();
    for (let i = 0; i < 3; i++) {
      await client.exchange(get());
      await under.advance(keepAliveTimeoutMs - 1);
    }
    await under.advance(1);
    assert.equal(await client.over(), 'end');
  });

  test('is closed when no request ever comes', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: SOCKET, keepAliveTimeoutMs });
    const client = await under.connect();
    // A first answer shows that this connection was accepted, and its neighbour before it.
    await (await under.connect()).exchange(get());
    await under.advance(keepAliveTimeoutMs - 1);
    assert.equal(client.inbox.ended, undefined);
    await under.advance(1);
    assert.equal(await client.over(), 'end', 'closed in order, without a word');
  });

  test('that does not close in response is cut', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET, keepAliveTimeoutMs });
    const client = await under.connect();
    await client.exchange(get());
    await under.advance(keepAliveTimeoutMs);
    assert.equal(await client.over(), 'end');
    await under.advance(2_000);
    // Data for a closed connection is answered with a reset.
    const reset = new Promise((resolve) => {
      client.socket.once('error', resolve);
    });
    client.send(get());
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    client.send(get());
    await reset;
    assert.equal(under.picks.length, 1);
  });

  test('is not closed while a request is in flight, however long', async (t) => {
    const upstream = await startUpstream(t, echo);
    const slow = await startUpstream(t, [async (peer) => {
      await peer.request();
      await late;
      peer.send(response('late'));
    }]);
    let now = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      now = resolve;
    });
    const under = await startBalancer(t, { upstreams: [slow, upstream], front: SOCKET, keepAliveTimeoutMs });
    const client = await under.connect();
    client.send(get());
    await slow.read(1);
    await under.advance(50_000);
    now();
    assert.equal((await client.response()).text, 'late');
  });
});
