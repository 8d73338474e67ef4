/**
 * Limits of single exchanges: those of a hook, else those of the route, else those of the pool.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ExchangeLimits, HookExchange } from '../../src/hooks.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { answering } from '../support/replies.ts';
import { refusingOrigin, request, startUpstream, when } from '../support/upstream.ts';
import { gate, turns } from '../support/wait.ts';
import { WAYS } from '../support/ways.ts';

/** Each has a different length, so that a test knows which of them fired. */
const POOL = { connectTimeoutMs: 9_000, responseTimeoutMs: 8_000, minBodyBytesPerSecond: 0 } as const;

/** What is wrong, and what the message says of it. */
const WRONG: readonly (readonly [limits: unknown, message: RegExp])[] = [
  [undefined, /^exchange\.limits: must be an object such as \{ totalTimeoutMs: 2000, .* \(got undefined\)$/],
  [5, /^exchange\.limits: must be an object .* \(got 5\)$/],
  [[], /^exchange\.limits: must be an object .* \(got \[\]\)$/],
  [{ maxAttempts: 0 }, /^exchange\.limits\.maxAttempts: must be an integer ≥ 1 \(got 0\); leave it out for that of/],
  [{ maxAttempts: '1' }, /^exchange\.limits\.maxAttempts: must be an integer ≥ 1 \(got "1"\)/],
  [{ idleTimeoutMs: Infinity }, /^exchange\.limits\.idleTimeoutMs: must be an integer ≥ 1 \(got Infinity\)/],
  [{ totalTimeoutMs: 2 ** 31 }, /^exchange\.limits\.totalTimeoutMs: must be an integer from 1 to 2147483647 \(got/],
  [{ maxReplayBytes: -1 }, /^exchange\.limits\.maxReplayBytes: must be an integer ≥ 0 \(got -1\)/],
  [{ retryOn: 503 }, /^exchange\.limits\.retryOn: must be a list of statuses, each 429 or .* \(got 503\)$/],
  [{ retryOn: [404] }, /^exchange\.limits\.retryOn: must be a list of statuses/],
  [{ maxInFlight: 1 }, /^exchange\.limits\.maxInFlight: unknown option; known here: connectTimeoutMs, /],
  [{ totalTimeout: 1, maxAttempts: 0 }, /totalTimeout: unknown option; did you mean totalTimeoutMs\?.*; exchange\./],
];

for (const way of WAYS) {
  describe(`limits of one exchange through ${way.name}`, () => {
    test('a hook shortens the wait for a response; the next exchange has the time of the pool', async (t) => {
      const upstream = await startUpstream(t, [[request], [request]]);
      const { under, begin } = await way.start(t, {
        upstreams: [upstream], ...POOL,
        onRequest(exchange) {
          if (exchange.request.target === '/short') exchange.limits = { responseTimeoutMs: 300 };
        },
      });
      const short = await begin({ target: '/short' });
      await upstream.sawAnywhere('GET /short');
      await under.advance(299);
      assert.equal(under.outcomes.length, 0);
      await under.advance(1);
      assert.equal((await short.answer).status, 504);
      const long = await begin({ target: '/long' });
      await upstream.sawAnywhere('GET /long');
      await under.advance(POOL.responseTimeoutMs - 1);
      assert.equal(under.outcomes.length, 1);
      await under.advance(1);
      assert.equal((await long.answer).status, 504);
      assert.deepEqual(under.outcomes.map(({ error, durationMs }) => [error, durationMs]), [
        ['RESPONSE_TIMEOUT', 300], ['RESPONSE_TIMEOUT', POOL.responseTimeoutMs],
      ]);
    });

    test('a route limits its requests, and a hook has the last word on what it names', async (t) => {
      const upstream = await startUpstream(t, [[request], [request], [request]]);
      const { under, begin } = await way.start(t, {
        upstreams: [upstream], ...POOL,
        routes: [{ path: '/routed', limits: { totalTimeoutMs: 500, responseTimeoutMs: 700 } }, {}],
        onRequest(exchange) {
          if (exchange.request.target === '/routed/hooked') exchange.limits = { totalTimeoutMs: Infinity };
        },
      });
      const late = async (target: string, ms: number): Promise<void> => {
        const settled = under.outcomes.length;
        const asking = await begin({ target });
        await upstream.sawAnywhere(`GET ${target}`);
        await under.advance(ms - 1);
        assert.equal(under.outcomes.length, settled, target);
        await under.advance(1);
        assert.equal((await asking.answer).status, 504, target);
      };
      await late('/routed', 500);
      await late('/routed/hooked', 700);
      await late('/other', POOL.responseTimeoutMs);
      assert.deepEqual(under.outcomes.map(({ error }) => error), [
        'TOTAL_TIMEOUT', 'RESPONSE_TIMEOUT', 'RESPONSE_TIMEOUT',
      ]);
    });

    test('without hooks, a route limits its requests too', async (t) => {
      const busy = await startUpstream(t, answering(503));
      const { under, ask } = await way.start(t, {
        upstreams: [busy, refusingOrigin(1), refusingOrigin(2)], retryOn: [503], ejectAfter: 0,
        routes: [{ path: '/once', limits: { maxAttempts: 1 } }, { path: '/quiet', limits: { retryOn: [] } }, {}],
      });
      for (const target of ['/once', '/quiet', '/other']) await ask({ target });
      assert.deepEqual(under.picks.map(({ attempt }) => attempt), [1, 1, 1, 2, 3]);
    });

    test('retry rules: more attempts, other statuses, a body kept for them', async (t) => {
      const busy = await startUpstream(t, answering(503));
      const other = await startUpstream(t, answering(200));
      const { under, ask } = await way.start(t, {
        upstreams: [busy, other], maxAttempts: 1, ejectAfter: 0,
        onRequest(exchange) {
          if (exchange.request.target !== '/plain') {
            exchange.limits = { maxAttempts: 2, retryOn: [503], maxReplayBytes: 10 };
          }
        },
      });
      const put = { method: 'PUT', body: '0123456789' };
      assert.equal((await ask({ target: '/plain', ...put })).status, 503);
      assert.equal((await ask({ target: '/limited', ...put })).status, 200);
      assert.equal(other.requests[0]?.body.bytes.toString(), '0123456789');
      assert.equal((await ask({ target: '/limited', ...put, body: '0123456789+' })).status, 503);
      assert.equal(under.picks.length, 4);
    });

    test('they are kept where the hook chooses another pool, whose own rules fill the gaps', async (t) => {
      const upstream = await startUpstream(t, [[request], [request]]);
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin()], ...POOL,
        pools: { slow: { upstreams: [upstream.origin], responseTimeoutMs: 4_000 } },
        routes: [{ path: '/limited', limits: { responseTimeoutMs: 600 } }, {}],
        onRequest(exchange) {
          exchange.pool = 'slow';
        },
      });
      const settled: [error: string | undefined, durationMs: number][] = [];
      under.balancer.on('settled', ({ outcome: { error, durationMs } }) => settled.push([error, durationMs]));
      for (const [target, ms] of [['/limited', 600], ['/other', 4_000]] as const) {
        const { answer } = await begin({ target });
        await upstream.sawAnywhere(`GET ${target}`);
        await under.advance(ms);
        assert.equal((await answer).status, 504);
      }
      assert.deepEqual(settled, [['RESPONSE_TIMEOUT', 600], ['RESPONSE_TIMEOUT', 4_000]]);
    });

    test('the time limit of all attempts runs from the head, through a slow hook', async (t) => {
      const upstream = await startUpstream(t, [[request]]);
      const { opened, open } = gate();
      const { under, begin } = await way.start(t, {
        upstreams: [upstream], ...POOL,
        async onRequest(exchange) {
          await opened;
          exchange.limits = { totalTimeoutMs: 1_000 };
        },
      });
      const { answer } = await begin();
      await turns(5);
      await under.advance(900);
      open();
      await upstream.saw('1 GET /');
      await under.advance(99);
      assert.equal(under.outcomes.length, 0);
      await under.advance(1);
      assert.equal((await answer).status, 504);
      assert.deepEqual(under.reports, [`TOTAL_TIMEOUT at ${upstream.origin}`]);
    });

    test('what is wrong throws at its line, and changes nothing', async (t) => {
      const upstream = await startUpstream(t, answering(200));
      let kept: HookExchange | undefined;
      const { ask } = await way.start(t, {
        upstreams: [upstream], routes: [{ limits: { maxAttempts: 2, retryOn: [503] } }],
        onRequest(exchange) {
          kept = exchange;
          const before = exchange.limits;
          assert.deepEqual(before, { maxAttempts: 2, retryOn: [503] });
          for (const [limits, message] of WRONG) {
            assert.throws(() => {
              exchange.limits = limits as ExchangeLimits;
            }, (error) => error instanceof TypeError && message.test(error.message), JSON.stringify(limits));
          }
          assert.deepEqual(exchange.limits, before);
          assert.throws(() => {
            (exchange.limits as { maxAttempts: number }).maxAttempts = 5;
          }, TypeError);
          exchange.limits = { maxAttempts: 1, totalTimeoutMs: 5 };
          assert.deepEqual(exchange.limits, { maxAttempts: 1, totalTimeoutMs: 5, retryOn: [503] });
          exchange.limits = {};
          assert.deepEqual(exchange.limits, before, 'a second time it starts from the route again');
        },
        onResponse(exchange) {
          assert.throws(() => {
            exchange.limits = {};
          }, /exchange\.limits cannot be used: the request was sent/);
        },
      });
      assert.equal((await ask()).status, 200);
      assert.throws(() => {
        if (kept !== undefined) kept.limits = {};
      }, /exchange\.limits cannot be used: the exchange is over/);
    });
  });
}

test('upgrades: the idle time of a tunnel', async (t) => {
  const { opened } = gate();
  const upstream = await startUpstream(t, [[
    request, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n', when(opened),
  ]]);
  const under = await startBalancer(t, {
    upstreams: [upstream],
    onRequest(exchange) {
      exchange.limits = { tunnelIdleTimeoutMs: 70 };
    },
  });
  const client = await under.connect();
  client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
  assert.equal((await client.response()).status, 101);
  await under.advance(69);
  assert.equal(under.outcomes.length, 0);
  await under.advance(1);
  await client.over();
  await under.settled(1);
});
