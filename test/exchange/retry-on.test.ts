import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { answering, BUSY, SILENT } from '../support/replies.ts';
import {
  bytes, close, echo, head, request, reset, response, serve, type Script, startUpstream,
} from '../support/upstream.ts';

/** What upstreams do, and the statuses to retry on. */
const FAILURES: readonly (readonly [name: string, script: Script, retryOn: readonly number[]])[] = [
  ...[429, 500, 502, 503, 504, 599].map((status) => [`answers ${status}`, answering(status), [status]] as const),
  ['closes without a response', [request, close], [502]],
  ['resets without a response', [request, reset], [502]],
  ['answers nonsense', [request, 'nonsense\r\n\r\n'], [502]],
  ['breaks off its head', [request, 'HTTP/1.1 200 OK\r\nContent-', close], [502]],
];

for (const front of FRONTS) {
  describe(`a request whose upstream fails by a status to retry on, through ${front.name}`, () => {
    for (const [name, script, retryOn] of FAILURES) {
      test(`goes to another upstream: one ${name}`, async (t) => {
        const upstream = await startUpstream(t, [script, echo]);
        const other = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream, other], front, retryOn });
        const client = await under.connect();
        const answer = await client.exchange(get('/a'));
        assert.deepEqual([answer.status, answer.text], [200, '/a']);
        assert.deepEqual(under.picks.map(({ origin, attempt }) => [origin, attempt]), [
          [upstream.origin, 1], [other.origin, 2],
        ]);
        assert.deepEqual(under.balancer.upstreams.map(({ retries }) => retries), [1, 0]);
        // Nothing of the first answer is passed on, and its connection is not reused.
        await upstream.gone(1);
        assert.equal((await client.exchange(get('/b'))).text, '/b');
        assert.equal(upstream.peers.length, 2);
      });

      // An idempotent request whose connection closed without a byte is tried again whatever the statuses.
      if (name.endsWith('without a response')) continue;

      test(`gets its answer where retryOn has another status: one ${name}`, async (t) => {
        const upstream = await startUpstream(t, [script]);
        const other = await startUpstream(t, []);
        const under = await startBalancer(t, { upstreams: [upstream, other], front, retryOn: [501] });
        assert.equal((await (await under.connect()).exchange(get('/a'))).status, retryOn[0]);
      });
    }

    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) {
      test(`${method} is tried again`, async (t) => {
        const upstream = await startUpstream(t, answering(503));
        const other = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream, other], front, retryOn: [503] });
        const client = await under.connect();
        assert.equal((await client.exchange(get('/a', '', method))).status, 200);
        assert.equal((await client.exchange(get('/b'))).text, '/b');
        assert.equal(other.requests[0]?.head.line, `${method} /a HTTP/1.1`);
        assert.equal(other.requests[0].head.text, upstream.requests[0]?.head.text, 'the same request');
      });
    }

    for (const method of ['POST', 'PATCH', 'LOCK', 'LINK']) {
      test(`${method} is not: its answer is passed on`, async (t) => {
        const upstream = await startUpstream(t, serve(() => BUSY));
        const other = await startUpstream(t, []);
        const under = await startBalancer(t, { upstreams: [upstream, other], front, retryOn: [503] });
        const client = await under.connect();
        const answer = await client.exchange(get('/', '', method));
        assert.deepEqual([answer.status, answer.text], [503, 'busy']);
        assert.deepEqual(other.events, []);
      });
    }

    test('is never sent to the same one twice, and gets the answer of the last unchanged', async (t) => {
      const fields = ['X-A: 1\r\n', 'X-A: 2\r\nRetry-After: 7\r\n'];
      const upstreams = await Promise.all(fields.map((field) => (
        startUpstream(t, serve(() => response('busy', field, '503 Busy Indeed'))))));
      const under = await startBalancer(t, { upstreams, front, retryOn: [503], maxAttempts: 9 });
      const answer = await (await under.connect()).exchange(get());
      assert.deepEqual([answer.head.line, answer.text], ['HTTP/1.1 503 Busy Indeed', 'busy']);
      assert.deepEqual([answer.head.get('x-a'), answer.head.get('retry-after')], ['2', '7']);
      assert.equal(answer.head.get('proxy-status'), undefined);
      assert.deepEqual(upstreams.map(({ requests }) => requests.length), [1, 1]);
      assert.deepEqual(under.outcomes.map(({ ok, status }) => [ok, status]), [[true, 503], [true, 503]]);
    });

    test('has maxAttempts attempts', async (t) => {
      const upstreams = [];
      for (let i = 0; i < 4; i++) upstreams.push(await startUpstream(t, serve(() => BUSY)));
      const under = await startBalancer(t, { upstreams, front, retryOn: [503] });
      assert.equal((await (await under.connect()).exchange(get())).status, 503);
      assert.deepEqual(upstreams.map(({ requests }) => requests.length), [1, 1, 1, 0]);
    });

    test('does not wait: where all others are full, the answer is passed on', async (t) => {
      const upstream = await startUpstream(t, serve(() => BUSY));
      const other = await startUpstream(t, [[request]]);
      const under = await startBalancer(t, {
        upstreams: [upstream, { origin: other.origin, maxInFlight: 1 }], front, retryOn: [503], maxQueued: 9,
        strategy: {
          name: 'by target', pick: (candidates, { request: asked }) => candidates.at(asked.target === '/0' ? -1 : 0),
        },
      });
      const holding = await under.connect();
      holding.send(get('/0'));
      await other.read(1);
      assert.equal((await (await under.connect()).exchange(get('/1'))).text, 'busy');
      holding.destroy();
      await under.settled(2);
    });

    test('is reported', async (t) => {
      const upstreams = [await startUpstream(t, serve(() => BUSY)), await startUpstream(t, [[request, close]])];
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [...upstreams, other], front, retryOn: [502, 503] });
      const heard: unknown[] = [];
      under.balancer.on('retried', ({ upstream, ...rest }) => heard.push([upstream.origin, rest]));
      await (await under.connect()).exchange(get());
      assert.deepEqual(heard, [
        [upstreams[0]?.origin, { pool: 'default', attempt: 1, code: undefined, status: 503 }],
        [upstreams[1]?.origin, { pool: 'default', attempt: 2, code: 'UPSTREAM_CLOSED', status: undefined }],
      ]);
    });

    test('drops an answer that never ends: its connection is closed', async (t) => {
      const upstream = await startUpstream(t, [
        [request, 'HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
      ]);
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, retryOn: [503] });
      assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
      await upstream.gone(1);
      assert.equal(under.outcomes.length, 2);
    });

    test('is not tried again once its response has begun', async (t) => {
      const upstream = await startUpstream(t, [[request, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello', close]]);
      const other = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, retryOn: [500, 502, 503, 504] });
      await assert.rejects((await under.connect()).exchange(get()), { name: 'Broken' });
    });
  });

  describe(`a request whose upstream is too slow, through ${front.name}`, () => {
    test('goes to another with 504 in retryOn, each with the whole time', async (t) => {
      const upstreams = [await startUpstream(t, [SILENT]), await startUpstream(t, [SILENT])];
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [...upstreams, other], front, retryOn: [504], responseTimeoutMs: 1_000,
      });
      const client = await under.connect();
      client.send(get('/a'));
      for (const upstream of upstreams) {
        await upstream.read(1);
        await under.advance(999);
        assert.equal(under.picks.at(-1)?.origin, upstream.origin);
        await under.advance(1);
        await upstream.gone(1);
      }
      assert.equal((await client.response()).text, '/a');
      assert.deepEqual(under.reports, upstreams.map(({ origin }) => `RESPONSE_TIMEOUT at ${origin}`));
    });

    test('has totalTimeoutMs over all attempts: 504, and no other upstream is tried', async (t) => {
      const upstreams = [await startUpstream(t, [SILENT]), await startUpstream(t, [SILENT])];
      const other = await startUpstream(t, []);
      const under = await startBalancer(t, {
        upstreams: [...upstreams, other], front, retryOn: [504], responseTimeoutMs: 1_000, totalTimeoutMs: 1_500,
      });
      const client = await under.connect();
      client.send(get('/a'));
      await upstreams[0]?.read(1);
      await under.advance(1_000);
      await upstreams[1]?.read(1);
      await under.advance(499);
      assert.equal(under.outcomes.length, 1);
      await under.advance(1);
      const answer = await client.response();
      assert.deepEqual([answer.status, answer.head.get('proxy-status')], [
        504, 'equipoise; error=http_response_timeout',
      ]);
      // Whose fault it was does not depend on which limit came first.
      assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [
        [false, 'RESPONSE_TIMEOUT'], [false, 'TOTAL_TIMEOUT'],
      ]);
      assert.deepEqual(under.balancer.upstreams.map(({ failures }) => failures), [1, 1, 0]);
      assert.equal(under.reports[1], `TOTAL_TIMEOUT at ${upstreams[1]?.origin ?? ''}`);
    });

    test('has totalTimeoutMs until the head of the response, not for its body', async (t) => {
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.request();
        peer.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe');
        await peer.bytes(1).catch(() => undefined);
      }]);
      const under = await startBalancer(t, { upstreams: [upstream], front, totalTimeoutMs: 1_000 });
      const client = await under.connect();
      client.send(get());
      await client.head();
      await client.inbox.exactly(2);
      await under.advance(30_000);
      upstream.peers[0]?.send('llo');
      assert.equal((await client.inbox.exactly(3)).toString(), 'llo');
    });

    test('an upload that outlasts totalTimeoutMs is its downstream\'s to answer for', async (t) => {
      const upstream = await startUpstream(t, [[head, bytes(3)]]);
      const under = await startBalancer(t, { upstreams: [upstream], front, totalTimeoutMs: 1_000 });
      const client = await under.connect();
      client.send(post('/', 'hello').subarray(0, -2));
      await upstream.saw('1 read hel');
      await under.advance(1_000);
      assert.equal((await client.response()).status, 504);
      assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [[true, 'TOTAL_TIMEOUT']]);
      assert.equal(under.balancer.upstreams[0]?.failures, 0);
    });
  });
}
