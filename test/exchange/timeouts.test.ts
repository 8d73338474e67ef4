import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { neverConnects } from '../support/streams.ts';
import { bytes, echo, head, request, response, startUpstream, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

/** Each has a different length, so that a test knows which of them fired. */
const TIMES = {
  connectTimeoutMs: 1_000, responseTimeoutMs: 20_000, idleTimeoutMs: 3_000, tunnelIdleTimeoutMs: 400_000,
  minBodyBytesPerSecond: 0,
} as const;
const LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';

for (const front of FRONTS) {
  describe(`time runs out, through ${front.name}`, () => {
    test('for a connect: 504', async (t) => {
      const socket = neverConnects();
      const under = await startBalancer(t, {
        upstreams: ['http://a.test'], front, connect: () => socket, ...TIMES,
      });
      const client = await under.connect();
      client.send(get());
      await under.picked(1);
      await under.advance(TIMES.connectTimeoutMs - 1);
      assert.equal(under.outcomes.length, 0);
      await under.advance(1);
      const answer = await client.response();
      assert.equal(answer.status, 504);
      assert.equal(answer.head.get('proxy-status'), 'equipoise; error=connection_timeout');
      assert.ok(socket.destroyed);
      assert.deepEqual(under.reports, ['CONNECT_TIMEOUT at http://a.test']);
    });

    test('for a connect: another upstream serves, and each attempt has the whole time', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: ['http://a.test', 'http://b.test', upstream],
        front,
        connect: ({ origin }) => origin === upstream.origin ? undefined : neverConnects(),
        ...TIMES,
      });
      const client = await under.connect();
      client.send(get('/a'));
      await under.picked(1);
      await under.advance(TIMES.connectTimeoutMs);
      await under.picked(2);
      await under.advance(TIMES.connectTimeoutMs - 1);
      assert.equal(under.picks.length, 2);
      await under.advance(1);
      assert.equal((await client.response()).text, '/a');
      assert.deepEqual(under.outcomes.map(({ error, durationMs }) => [error, durationMs]), [
        ['CONNECT_TIMEOUT', TIMES.connectTimeoutMs], ['CONNECT_TIMEOUT', TIMES.connectTimeoutMs], [undefined, 0],
      ]);
    });

    test('for a response: 504, and no second try', async (t) => {
      const upstream = await startUpstream(t, [[request]]);
      const other = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, ...TIMES });
      const client = await under.connect();
      client.send(get());
      await upstream.saw('1 GET /');
      await under.advance(TIMES.responseTimeoutMs - 1);
      assert.equal(under.outcomes.length, 0);
      await under.advance(1);
      const answer = await client.response();
      assert.equal(answer.status, 504);
      assert.equal(answer.head.get('proxy-status'), 'equipoise; error=http_response_timeout');
      assert.deepEqual(under.reports, [`RESPONSE_TIMEOUT at ${upstream.origin}`]);
      assert.equal(under.outcomes[0]?.durationMs, TIMES.responseTimeoutMs);
      await upstream.gone(1);
    });

    test('for a response that has begun with half a head: 504', async (t) => {
      const upstream = await startUpstream(t, [[request, 'HTTP/1.1 200 OK\r\n']]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(get());
      await upstream.saw('1 GET /');
      await under.advance(TIMES.responseTimeoutMs);
      assert.equal((await client.response()).status, 504);
    });

    test('for a response: counted from the last byte of the request', async (t) => {
      const upstream = await startUpstream(t, [[head, ...Array.from({ length: 5 }, () => bytes(1))]]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(get('/', 'Content-Length: 5\r\n', 'POST'));
      await upstream.saw('1 POST /');
      for (const letter of 'world') {
        await under.advance(TIMES.idleTimeoutMs - 1);
        client.send(letter);
        await upstream.saw(`1 read ${letter}`);
      }
      await under.advance(TIMES.responseTimeoutMs - 1);
      assert.equal(under.outcomes.length, 0);
      await under.advance(1);
      assert.equal((await client.response()).status, 504);
    });

    test('for a response after hints: each interim response restarts the time', async (t) => {
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.request();
        for (const { opened } of hints) {
          await opened;
          peer.send('HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n');
        }
        await last.opened;
        peer.send(response('done'));
      }]);
      const hints = [gate(), gate()];
      const last = gate();
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(get());
      await upstream.saw('1 GET /');
      for (const { open } of hints) {
        await under.advance(TIMES.responseTimeoutMs - 1);
        open();
        assert.match((await client.head()).line, /103/);
      }
      await under.advance(TIMES.responseTimeoutMs - 1);
      last.open();
      assert.equal((await client.response()).text, 'done');
    });

    for (const [name, sent] of [['a body', `${LENGTH}hello`], ['a body right behind its head', LENGTH]] as const) {
      test(`for ${name}: the response is cut`, async (t) => {
        const upstream = await startUpstream(t, [[request, sent]]);
        const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
        const client = await under.connect();
        client.send(get());
        await client.head();
        await under.advance(TIMES.idleTimeoutMs - 1);
        assert.equal(under.outcomes.length, 0);
        await under.advance(1);
        await assert.rejects(client.inbox.exactly(10), { name: 'Broken' });
        await under.settled(1);
        assert.deepEqual(under.reports, [`RESPONSE_TIMEOUT at ${upstream.origin}`]);
        assert.equal(under.outcomes[0]?.ok, false);
        await upstream.gone(1);
      });
    }

    test('for a body: counted from its last piece', async (t) => {
      const pieces = Array.from('hello wor', (letter) => ({ letter, ...gate() }));
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.request();
        peer.send(LENGTH);
        for (const { letter, opened } of pieces) {
          await opened;
          peer.send(letter);
        }
      }]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(get());
      await client.head();
      for (const { letter, open } of pieces) {
        await under.advance(TIMES.idleTimeoutMs - 1);
        open();
        assert.equal((await client.inbox.exactly(1)).toString(), letter);
      }
      assert.equal(under.outcomes.length, 0);
      await under.advance(TIMES.idleTimeoutMs);
      await assert.rejects(client.inbox.exactly(1), { name: 'Broken' });
    });

    test('for an upload: 408, and not a failure of the upstream', async (t) => {
      const upstream = await startUpstream(t, [[head, bytes(3)]]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(`${get('/', 'Content-Length: 5\r\n', 'POST')}hel`);
      await upstream.saw('1 read hel');
      await under.advance(TIMES.idleTimeoutMs - 1);
      assert.equal(under.outcomes.length, 0);
      await under.advance(1);
      const answer = await client.response();
      assert.equal(answer.status, 408);
      assert.equal(answer.head.get('connection'), 'close');
      assert.equal(answer.head.get('proxy-status'), 'equipoise; error=http_request_error');
      assert.equal(under.outcomes[0]?.ok, true);
      assert.equal(under.outcomes[0].error, 'REQUEST_TIMEOUT');
      await upstream.gone(1);
    });

    test('for an upload that never begins: 408, after the idle time', async (t) => {
      const upstream = await startUpstream(t, [[head]]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(get('/', 'Content-Length: 5\r\n', 'POST'));
      await upstream.saw('1 POST /');
      await under.advance(TIMES.idleTimeoutMs);
      assert.equal((await client.response()).status, 408);
    });

    test('for the rest of an upload whose answer has come: the connection ends without a fault', async (t) => {
      const upstream = await startUpstream(t, [[head, response('early'), bytes(3)]]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(`${get('/', 'Content-Length: 5\r\n', 'POST')}hel`);
      assert.equal((await client.response()).text, 'early');
      await upstream.saw('1 read hel');
      await under.advance(TIMES.idleTimeoutMs - 1);
      assert.equal(under.outcomes.length, 0);
      await under.advance(1);
      await client.over();
      await under.settled(1);
      assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [[true, 'REQUEST_TIMEOUT']]);
      assert.deepEqual(under.reports, []);
      await upstream.gone(1);
    });

    test('for an upstream that does not read an upload: 504, and its failure', async (t) => {
      const upstream = await startUpstream(t, [[head, when(gate().opened)]]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(get('/', `Content-Length: ${64 << 20}\r\n`, 'POST')).send(Buffer.alloc(64 << 20));
      await upstream.saw('1 POST /');
      // Time stands still until the kernel has taken all that it can.
      for (let left = -1; left !== client.socket.writableLength;) {
        left = client.socket.writableLength;
        for (let i = 0; i < 100; i++) await under.advance(0);
      }
      await under.advance(TIMES.idleTimeoutMs);
      await under.settled(1);
      assert.equal(under.outcomes[0]?.error, 'RESPONSE_TIMEOUT');
      assert.equal(under.outcomes[0].ok, false);
      assert.equal((await client.response()).status, 504);
    });

    test('for a downstream that does not read: the response is cut, and the upstream is not at fault', async (t) => {
      const length = 64 << 20;
      const upstream = await startUpstream(t, [
        [request, `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`, Buffer.alloc(length)],
      ]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(get());
      await client.head();
      const peer = upstream.peers[0];
      for (let left = -1; left !== peer?.socket.writableLength;) {
        left = peer?.socket.writableLength ?? 0;
        for (let i = 0; i < 100; i++) await under.advance(0);
      }
      await under.advance(TIMES.idleTimeoutMs);
      await under.settled(1);
      assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_STALLED');
      assert.equal(under.outcomes[0].ok, true);
      assert.deepEqual(under.reports, []);
      await assert.rejects(client.inbox.skip(length), { name: 'Broken' });
      await upstream.gone(1);
    });

    test('for a tunnel: it is closed after its own timeout', async (t) => {
      const upstream = await startUpstream(t, [[head, SWITCH, 'hello']]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      await client.head();
      await client.inbox.exactly(5);
      await under.advance(TIMES.tunnelIdleTimeoutMs - 1);
      assert.equal(under.outcomes.length, 0);
      await under.advance(1);
      await client.over();
      await under.settled(1);
      await upstream.gone(1);
    });

    test('for a tunnel: data in either direction restarts the time', async (t) => {
      const more = gate();
      const upstream = await startUpstream(t, [[head, SWITCH, bytes(2), when(more.opened), 'ho']]);
      const under = await startBalancer(t, { upstreams: [upstream], front, ...TIMES });
      const client = await under.connect();
      client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      await client.head();
      await under.advance(TIMES.tunnelIdleTimeoutMs - 1);
      client.send('hi');
      await upstream.saw('1 read hi');
      await under.advance(TIMES.tunnelIdleTimeoutMs - 1);
      more.open();
      assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
      await under.advance(TIMES.tunnelIdleTimeoutMs - 1);
      assert.equal(under.outcomes.length, 0);
      await under.advance(1);
      await client.over();
    });
  });
}

test('time runs out for a 100 that the downstream waits for: 504, the upstream kept it waiting', async (t) => {
  const upstream = await startUpstream(t, [[head]]);
  const under = await startBalancer(t, { upstreams: [upstream], ...TIMES });
  const client = await under.connect();
  client.send(get('/', 'Content-Length: 5\r\nExpect: 100-continue\r\n', 'POST'));
  await upstream.saw('1 POST /');
  await under.advance(TIMES.responseTimeoutMs);
  const answer = await client.response();
  assert.equal(answer.status, 504);
  assert.equal(answer.head.get('connection'), 'close');
  assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [[false, 'RESPONSE_TIMEOUT']]);
});
