/**
 * The tracing channels: what any tracer of the process hears of exchanges and attempts, and what it may do.
 */
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel, type TracingChannel } from 'node:diagnostics_channel';
import { after, describe, test, type TestContext } from 'node:test';
import type { AttemptTrace, ExchangeTrace } from '../../src/tracing.ts';
import { startBalancer } from '../support/balancer.ts';
import { close, echo, refusingOrigin, request, response, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';
import { WAYS } from '../support/ways.ts';

const EXCHANGE = tracingChannel<ExchangeTrace, ExchangeTrace>('equipoise.exchange');
const ATTEMPT = tracingChannel<AttemptTrace, AttemptTrace>('equipoise.attempt');
const NAMES = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** Subscribes until the test ends. */
function hear<T extends object>(
  t: TestContext, channel: TracingChannel<T, T>, each: (name: string, message: T) => void,
): void {
  const subscribers = Object.fromEntries(NAMES.map((name) => [name, (message: unknown) => {
    each(name, message as T);
  }]));
  channel.subscribe(subscribers as never);
  t.after(() => {
    channel.unsubscribe(subscribers as never);
  });
}

after(() => {
  for (const { start } of [EXCHANGE, ATTEMPT]) assert.ok(!start.hasSubscribers);
});

for (const way of WAYS) {
  describe(`tracing channels through ${way.name}`, () => {
    test('tell an exchange and each of its attempts, in order, with one object each', async (t) => {
      const upstream = await startUpstream(t, [[request, response('hello', '', '201 Created')]]);
      const told: string[] = [];
      const exchanges = new Set<ExchangeTrace>();
      const attempts = new Set<AttemptTrace>();
      hear(t, EXCHANGE, (name, message) => {
        told.push(`exchange ${name}`);
        exchanges.add(message);
        assert.equal(message.result !== undefined, name.startsWith('async'));
      });
      hear(t, ATTEMPT, (name, message) => {
        told.push(`attempt ${message.number} ${name}`);
        attempts.add(message);
      });
      const { under, ask } = await way.start(t, { upstreams: [refusingOrigin(), upstream] });
      await ask({ target: '/a?b', headers: { 'x-sent': '1' } });
      await turns(2);
      assert.deepEqual(told.filter((line) => line !== 'exchange end'), [
        'exchange start', 'attempt 1 start', 'attempt 1 end', 'attempt 1 error', 'attempt 1 asyncStart',
        'attempt 1 asyncEnd', 'attempt 2 start', 'attempt 2 end', 'attempt 2 asyncStart', 'attempt 2 asyncEnd',
        'exchange asyncStart', 'exchange asyncEnd',
      ]);
      assert.ok(told.includes('exchange end'));
      const [exchange, ...others] = exchanges;
      assert.ok(exchange !== undefined && others.length === 0);
      assert.equal(exchange.balancer, under.balancer);
      const { method, target, headers, remoteAddress, scheme } = exchange.request;
      assert.deepEqual({ method, target, remoteAddress, scheme },
        { method: 'GET', target: '/a?b', remoteAddress: '127.0.0.1', scheme: 'http' });
      assert.equal(headers.get('X-Sent'), '1');
      assert.equal(exchange.result?.status, 201);
      assert.equal(exchange.result.attempts, 2);
      assert.equal(exchange.complete, true);
      assert.equal(exchange.error, undefined);
      const [first, second] = attempts;
      assert.equal(attempts.size, 2);
      assert.equal(first?.error?.code, 'CONNECT_REFUSED');
      assert.match((first.error.cause as Error).message, /ECONNREFUSED/);
      assert.equal(second?.status, 201);
      assert.equal(second.upstream.origin, upstream.origin);
      assert.equal(second.exchange, exchange);
    });

    test('tell why an exchange failed, with the cause', async (t) => {
      const errors: unknown[] = [];
      hear(t, EXCHANGE, (name, { error, complete, result }) => {
        if (name === 'error') errors.push([error?.code, (error?.cause as Error).message, complete, result?.status]);
      });
      const { ask } = await way.start(t, { upstreams: [refusingOrigin()], maxAttempts: 1 });
      await ask();
      assert.equal(errors.length, 1);
      assert.match(String(errors[0]), /^CONNECT_REFUSED,.*ECONNREFUSED.*,true,502$/);
    });

    test('a tracer may set headers of one attempt, which go in place of those that came', async (t) => {
      const first = await startUpstream(t, [[request, close]]);
      const second = await startUpstream(t, [[request, response('hello')]]);
      hear(t, ATTEMPT, (name, { headers, number }) => {
        if (name !== 'start') return;
        if (number === 1) headers.set('x-first', 'yes');
        headers.set('x-span', `s${number}`);
        headers.delete('x-gone');
        assert.throws(() => {
          headers.set('content-length', '9');
        }, /cannot be changed/);
      });
      let kept: AttemptTrace | undefined;
      hear(t, ATTEMPT, (_, message) => {
        kept = message;
      });
      const { ask } = await way.start(t, { upstreams: [first, second] });
      await ask({ headers: { 'x-span': 'came', 'x-gone': '1', 'x-kept': '1' } });
      const heads = [first, second].map(({ peers: [peer] }) => peer?.requests[0]?.head);
      assert.deepEqual(heads.map((head) => head?.get('x-span')), ['s1', 's2']);
      assert.deepEqual(heads.map((head) => head?.get('x-first')), ['yes', undefined]);
      for (const head of heads) {
        assert.equal(head?.text.match(/^x-span:/gim)?.length, 1);
        assert.equal(head.get('x-gone'), undefined);
        assert.equal(head.get('x-kept'), '1');
      }
      assert.throws(() => {
        kept?.headers.set('x-late', '1');
      }, /cannot be changed/);
    });

    test('a tracer may choose the context of hooks; where it fails to, they run all the same, once', async (t) => {
      const upstream = await startUpstream(t, echo);
      const storage = new AsyncLocalStorage<string>();
      const seen: unknown[] = [];
      let mode: 'runs' | 'throws' | 'forgets' | 'repeats' = 'runs';
      hear(t, EXCHANGE, (name, message) => {
        if (name !== 'start') return;
        message.run = (hook) => {
          if (mode === 'throws') throw new Error('broken');
          if (mode === 'forgets') return undefined as never;
          if (mode === 'repeats') hook();
          return storage.run(message.request.target, hook);
        };
      });
      const { under, ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest: async () => {
          await turns(1);
          seen.push(['request', storage.getStore()]);
        },
        onResponse: () => {
          seen.push(['response', storage.getStore()]);
        },
      });
      for (mode of ['runs', 'throws', 'forgets', 'repeats'] as const) {
        const answer = await ask({ target: `/${mode}` });
        assert.equal(answer.status, 200);
      }
      assert.deepEqual(seen, [
        ['request', '/runs'], ['response', '/runs'], ['request', undefined], ['response', undefined],
        ['request', undefined], ['response', undefined], ['request', undefined], ['response', undefined],
      ]);
      assert.deepEqual(under.reports, ['HOOK_FAILED', 'HOOK_FAILED']);
      assert.match(under.errors[0]?.message ?? '', /^a tracer threw: broken, in run$/);
    });
  });
}

test('the name of a route is told, and an exchange that no route takes', async (t) => {
  const upstream = await startUpstream(t, echo);
  const seen: unknown[] = [];
  hear(t, EXCHANGE, (name, { route, result, error }) => {
    if (name === 'asyncEnd') seen.push([route, result?.pool, error?.code]);
  });
  const under = await startBalancer(t, {
    upstreams: [upstream],
    routes: [{ path: '/api', pool: 'default' }, { path: '/', host: 'a.example', pool: 'default' }],
  });
  const client = await under.connect();
  for (const head of ['GET /api/x HTTP/1.1\r\nHost: b\r\n\r\n', 'GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n',
    'GET /x HTTP/1.1\r\nHost: b\r\n\r\n']) await client.exchange(head);
  assert.deepEqual(seen, [
    ['/api/*', 'default', undefined], [undefined, 'default', undefined], [undefined, undefined, 'NO_ROUTE'],
  ]);
});
