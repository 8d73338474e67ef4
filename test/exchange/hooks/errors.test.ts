/**
 * `onError` sees every failure once a request head was read, and may answer in place of the balancer.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Hooks } from '../../../src/hooks.ts';
import { startBalancer, type TestOptions } from '../../support/balancer.ts';
import { get } from '../../support/client.ts';
import { Finished } from '../../support/finished.ts';
import { FRONTS, SOCKET } from '../../support/fronts.ts';
import { neverConnects } from '../../support/streams.ts';
import { close, echo, refusingOrigin, request, response, type Script, startUpstream } from '../../support/upstream.ts';
import { turns } from '../../support/wait.ts';
import { type Asked, WAYS } from '../../support/ways.ts';

interface Row {
  readonly name: string;
  readonly status: number;
  readonly code: string;
  readonly source: 'downstream' | 'upstream' | 'internal';
  /** The message of the cause. */
  readonly cause?: RegExp;
  /** What the upstream does; without it no upstream listens. */
  readonly script?: Script;
  readonly options?: Partial<TestOptions>;
  readonly asked?: Asked;
  /** Time to let pass once the request was sent. */
  readonly passes?: number;
}

const ROWS: readonly Row[] = [
  { name: 'the upstream refuses', status: 502, code: 'CONNECT_REFUSED', source: 'upstream', cause: /ECONNREFUSED/ },
  {
    name: 'the upstream never connects', status: 504, code: 'CONNECT_TIMEOUT', source: 'upstream', passes: 20_000,
    options: { connect: () => neverConnects(), connectTimeoutMs: 5000 },
  },
  {
    name: 'the upstream closes without a response', status: 502, code: 'UPSTREAM_CLOSED', source: 'upstream',
    script: [request, close],
  },
  {
    name: 'the upstream sends garbage', status: 502, code: 'RESPONSE_MALFORMED', source: 'upstream',
    script: [request, 'garbage\r\n\r\n'],
  },
  {
    name: 'the upstream sends too large a head', status: 502, code: 'RESPONSE_HEAD_TOO_LARGE', source: 'upstream',
    script: [request, `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
  },
  {
    name: 'the upstream switches unasked', status: 502, code: 'UPGRADE_UNASKED', source: 'upstream',
    script: [request, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n'],
  },
  {
    name: 'the upstream does not answer', status: 504, code: 'RESPONSE_TIMEOUT', source: 'upstream', passes: 20_000,
    script: [request], options: { responseTimeoutMs: 5000 },
  },
  {
    name: 'all attempts take too long', status: 504, code: 'TOTAL_TIMEOUT', source: 'upstream', passes: 20_000,
    script: [request], options: { totalTimeoutMs: 5000 },
  },
  {
    name: 'no candidate is picked', status: 503, code: 'NO_CANDIDATE', source: 'internal',
    options: { strategy: { name: 'none', pick: () => undefined } },
  },
  {
    name: 'the strategy throws', status: 500, code: 'STRATEGY_FAILED', source: 'internal',
    options: {
      strategy: {
        name: 'bad',
        pick: () => {
          throw new Error('no idea');
        },
      },
    },
  },
  {
    name: 'a body that is too large', status: 413, code: 'REQUEST_BODY_TOO_LARGE', source: 'downstream',
    script: [request], options: { maxBodyBytes: 3 }, asked: { method: 'POST', body: 'hello' },
  },
  {
    name: 'a request that was here before', status: 508, code: 'LOOP_DETECTED', source: 'downstream',
    options: { via: 'me' }, asked: { headers: { via: '1.1 me' } },
  },
  {
    name: 'onRequest throws', status: 500, code: 'HOOK_FAILED', source: 'internal', cause: /^out of order$/,
    options: {
      onRequest: () => {
        throw new Error('out of order');
      },
    },
  },
  {
    name: 'onRequest rejects', status: 500, code: 'HOOK_FAILED', source: 'internal', cause: /^out of order$/,
    options: { onRequest: () => Promise.reject(new Error('out of order')) },
  },
  {
    name: 'onResponse throws', status: 500, code: 'HOOK_FAILED', source: 'internal', cause: /^out of order$/,
    script: [request, response('hello')],
    options: {
      onResponse: () => {
        throw new Error('out of order');
      },
    },
  },
];

for (const way of WAYS) {
  describe(`onError through ${way.name}`, () => {
    for (const { name, status, code, source, cause, script, options, asked, passes } of ROWS) {
      test(`${name}: sees ${code}, and answers`, async (t) => {
        const upstream = script === undefined ? refusingOrigin() : await startUpstream(t, [script]);
        const seen: unknown[] = [];
        const { under, begin } = await way.start(t, {
          upstreams: [upstream],
          maxAttempts: 1,
          ...options,
          onError: (exchange, error) => {
            seen.push([error.status, error.code, error.source, exchange.request.target]);
            if (cause !== undefined) assert.match((error.cause as Error).message, cause);
            assert.throws(() => {
              exchange.request.headers.set('x-late', '1');
            }, /has failed/);
            return new Response('sorry', { status: 599, headers: { 'x-code': error.code } });
          },
        });
        const { answer } = await begin({ target: '/asked', ...asked });
        if (passes !== undefined) {
          await (typeof upstream === 'object' ? upstream.read(1) : under.picked(1));
          await under.advance(passes);
        }
        const { status: got, text, header } = await answer;
        assert.deepEqual(seen, [[status, code, source, '/asked']]);
        assert.equal(got, 599);
        assert.equal(text, 'sorry');
        assert.equal(header('x-code'), code);
      });
    }

    const failing: Record<string, NonNullable<Hooks['onError']>> = {
      'throws': () => {
        throw new Error('worse');
      },
      'rejects': () => Promise.reject(new Error('worse')),
      'returns nonsense': () => 42 as never,
      'returns a promise of nonsense': () => Promise.resolve('text' as never),
      'returns a Response whose body was read': async () => {
        const read = new Response('text');
        await read.text();
        return read;
      },
    };
    for (const [name, onError] of Object.entries(failing)) {
      test(`where it ${name}, our own answer to the first error goes out`, async (t) => {
        const { under, ask } = await way.start(t, { upstreams: [refusingOrigin()], maxAttempts: 1, onError });
        const answer = await ask();
        assert.equal(answer.status, 502);
        assert.equal(answer.text, 'The upstream refused the connection.\n');
        assert.deepEqual(under.reports, [`CONNECT_REFUSED at ${refusingOrigin()}`, 'HOOK_FAILED']);
      });
    }

    test('a pick that was declined is not counted as an attempt, as in the event of the end', async (t) => {
      const upstream = await startUpstream(t, [[request, close]]);
      let asked = 0;
      const seen: number[] = [];
      const { under, ask } = await way.start(t, {
        upstreams: [upstream, refusingOrigin()],
        strategy: { name: 'declines', pick: ([candidate]) => asked++ === 0 ? candidate : undefined },
        onError: ({ attempts }) => {
          seen.push(attempts);
        },
      });
      const finished = new Finished(under);
      const answer = await ask();
      assert.equal(answer.status, 503);
      assert.deepEqual(seen, [1]);
      assert.equal((await finished.one()).attempts, 1);
    });

    test('is not called for what an upstream answers, nor for what it retries', async (t) => {
      const upstream = await startUpstream(t, [[request, response('no', '', '503 Service Unavailable')]]);
      const { ask } = await way.start(t, {
        upstreams: [refusingOrigin(), upstream], onError: () => assert.fail('no failure of ours'),
      });
      const answer = await ask();
      assert.equal(answer.status, 503);
      assert.equal(answer.text, 'no');
    });
  });
}

for (const front of FRONTS) {
  describe(`onError and the connection, through ${front.name}`, () => {
    // A server of node:http answers what its own parser refuses.
    const skip = front !== SOCKET;
    for (const wait of [0, 5]) test(`sees a malformed body, for ${wait} turns`, { skip }, async (t) => {
      const upstream = await startUpstream(t, [(peer) => peer.request()]);
      const seen: string[] = [];
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onError: (_, error) => {
          seen.push(error.code);
          const answer = new Response('sorry', { status: error.status });
          return wait === 0 ? answer : turns(wait).then(() => answer);
        },
      });
      const client = await under.connect();
      client.send(get('/', 'Transfer-Encoding: chunked\r\n', 'POST'));
      await upstream.saw('1 POST /');
      client.send('zz\r\n');
      await turns(2);
      client.send('more\r\n');
      const answer = await client.response();
      assert.deepEqual(seen, ['REQUEST_BODY_MALFORMED']);
      assert.equal(answer.text, 'sorry');
      assert.equal(answer.status, 400);
    });

    for (const wait of [0, 5]) test(`a body that is too large goes on coming, for ${wait} turns`, async (t) => {
      const upstream = await startUpstream(t, [(peer) => peer.request()]);
      let calls = 0;
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        maxBodyBytes: 10,
        onError: (_, { code, status }) => {
          calls++;
          const answer = new Response(code, { status });
          return wait === 0 ? answer : turns(wait).then(() => answer);
        },
      });
      const client = await under.connect();
      client.send(get('/', 'Transfer-Encoding: chunked\r\n', 'POST'));
      await upstream.saw('1 POST /');
      for (let i = 0; i < 8; i++) {
        client.send('5\r\nhello\r\n');
        await turns(1);
      }
      const answer = await client.response();
      assert.equal(answer.status, 413);
      assert.equal(answer.text, 'REQUEST_BODY_TOO_LARGE');
      assert.equal(calls, 1);
    });

    test('sees that an upgrade fails', async (t) => {
      const under = await startBalancer(t, {
        upstreams: [refusingOrigin()],
        front,
        maxAttempts: 1,
        onError: (_, { code, status }) => new Response(code, { status }),
      });
      const client = await under.connect();
      const answer = await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'));
      assert.equal(answer.status, 502);
      assert.equal(answer.text, 'CONNECT_REFUSED');
    });

    test('the connection serves on after its answer', async (t) => {
      const upstream = await startUpstream(t, [[request, 'garbage\r\n\r\n'], echo]);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        maxAttempts: 1,
        ejectAfter: 0,
        onError: () => new Response('sorry', { status: 500 }),
      });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/1'))).text, 'sorry');
      assert.equal((await client.exchange(get('/2'))).text, '/2');
    });

    test('a malformed head is not seen by hooks', async (t) => {
      const under = await startBalancer(t, {
        upstreams: [refusingOrigin()],
        front,
        onRequest: () => assert.fail('no request'),
        onError: () => assert.fail('no request'),
      });
      const client = await under.connect();
      assert.equal((await client.exchange('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')).status, 400);
    });
  });
}
