/**
 * A simulation is reproducible and adds up, and the balancer's own health, retries and queue are at work in it.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { Accounts } from '../../src/lab/accounts.ts';
import { recorded } from '../../src/lab/arrivals.ts';
import type { Fault } from '../../src/lab/faults.ts';
import type { SimulateOptions } from '../../src/lab/options.ts';
import type { SimulationResult } from '../../src/lab/result.ts';
import { deterministic, exponential, replayed } from '../../src/lab/service.ts';
import { simulate } from '../../src/lab/simulate.ts';
import { SimulatedBalancer } from '../../src/lab/simulated-balancer.ts';
import type { Strategy } from '../../src/strategy.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { random } from '../../strategies/random.ts';
import { roundRobin } from '../../strategies/round-robin.ts';

const byRandom: SimulateOptions['strategy'] = ({ rng }) => random({ rng });

/** All that a result says. */
function all(result: SimulationResult): unknown {
  const quantiles = [0.1, 0.5, 0.9, 0.99, 0.999].map((q) => result.quantileMs(q));
  return JSON.parse(JSON.stringify([result, result.mean, quantiles, result.batches(10)]));
}

describe('the same seed gives the same result', () => {
  const options: SimulateOptions = {
    strategy: ({ rng }) => leastConnections({ rng }), upstreams: 5, load: 0.7, service: exponential(20),
    requests: 5_000, balancers: 2, peersDelayMs: 5, seed: 7,
    faults: [
      { server: 1, fromMs: 2_000, toMs: 2_500, everyMs: 3_000, kind: 'down' },
      { server: 2, fromMs: 3_000, toMs: 4_000, kind: 'removed' },
      { server: 2, fromMs: 4_000, kind: 'cold', warmMs: 500, warmRequests: 100 },
      { server: 3, fromMs: 5_000, toMs: 6_000, kind: 'failing', share: 0.5 },
    ],
  };

  test('in one process', () => {
    const once = simulate(options);
    assert.deepEqual(all(simulate(options)), all(once));
    assert.notDeepEqual(all(simulate({ ...options, seed: 8 })), all(once));
  });

  test('in two processes', () => {
    const at = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const program = `
      import { simulate } from ${at('../../src/lab/simulate.ts')};
      import { random } from ${at('../../strategies/random.ts')};
      const { meanMs, durationMs, upstreams } = simulate({
        strategy: ({ rng }) => random({ rng }), upstreams: 3, load: 0.8, requests: 2000, seed: 3,
      });
      console.log(JSON.stringify({ meanMs, durationMs, upstreams }));`;
    const printed = execFileSync(process.execPath,
      ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', program], { encoding: 'utf8' });
    const { meanMs, durationMs, upstreams } = simulate({
      strategy: byRandom, upstreams: 3, load: 0.8, requests: 2_000, seed: 3,
    });
    assert.deepEqual(JSON.parse(printed), JSON.parse(JSON.stringify({ meanMs, durationMs, upstreams })));
  });
});

describe('the books', () => {
  test('a request that gets lost is noticed', (context) => {
    const { request } = SimulatedBalancer.prototype as { request: (this: SimulatedBalancer, ...of: Request) => void };
    type Request = Parameters<SimulatedBalancer['request']>;
    context.mock.method(SimulatedBalancer.prototype, 'request', function skipping(
      this: SimulatedBalancer, ...given: Request
    ) {
      if (given[0] !== 50) request.apply(this, given);
    });
    assert.throws(() => simulate({ strategy: byRandom, upstreams: 2, load: 0.5, requests: 100 }),
      { name: 'RangeError', message: 'the simulation lost requests: 100 were begun and 99 ended' });
  });

  test('so are a wrong latency, and what is left in flight', () => {
    const accounts = new Accounts();
    accounts.begin(0);
    accounts.begin(5);
    accounts.end(10, 10);
    accounts.end(5, 10);
    accounts.check(0);
    assert.throws(() => {
      accounts.check(1);
    }, /left 1 requests in flight/);
    accounts.begin(10);
    accounts.end(3, 12);
    assert.throws(() => {
      accounts.check(0);
    }, /violates Little's law: 17 request-milliseconds in the system, but latencies of 18 ms/);
  });

  test('failures have no latency', () => {
    const result = simulate({
      strategy: () => roundRobin(), upstreams: 2, load: 0.1, service: deterministic(10), requests: 1_000,
      pool: { ejectAfter: 0, maxAttempts: 1 }, faults: [{ server: 0, fromMs: 0, kind: 'failing', afterMs: 1 }],
    });
    assert.equal(result.failed, 500);
    assert.deepEqual(result.codes, { 500: 500 });
    assert.ok(result.meanMs >= 10);
    const none = simulate({
      strategy: () => roundRobin(), upstreams: 1, load: 0.1, requests: 10, pool: { ejectAfter: 0, maxAttempts: 1 },
      faults: [{ server: 0, fromMs: 0, kind: 'down' }],
    });
    assert.equal(none.meanMs, NaN);
  });

  test('recorded requests come as often, and take as long, as they did', () => {
    const result = simulate({
      strategy: () => roundRobin(), upstreams: 1, arrivals: recorded([0, 100, 200]), service: replayed([5, 10, 20]),
    });
    assert.equal(result.requests, 3);
    assert.equal(result.durationMs, 220);
    assert.equal(result.meanMs, 35 / 3);
  });
});

/** Requests every 10 ms to three servers that take 5 ms, while the first has a fault; the picks of each, over time. */
function withFault(fault: Omit<Fault, 'server'> | undefined, pool: SimulateOptions['pool'] = {}): {
  readonly result: SimulationResult;
  readonly picked: readonly { readonly ms: number; readonly server: number; readonly attempt: number }[];
} {
  const picked: { ms: number; server: number; attempt: number }[] = [];
  const noting = (inner: Strategy): Strategy => ({
    ...inner,
    pick(candidates, context) {
      const upstream = inner.pick(candidates, context);
      picked.push({ ms: context.now, server: Number(upstream?.id.slice(-1)) - 1, attempt: context.attempt });
      return upstream;
    },
  });
  const result = simulate({
    strategy: () => noting(roundRobin()), upstreams: 3,
    arrivals: recorded(Array.from({ length: 6_000 }, (_, n) => n * 10)),
    service: deterministic(5), pool, faults: fault === undefined ? [] : [{ ...fault, server: 0 }],
  });
  return { result, picked };
}

describe('faults', () => {
  const between = (
    picked: readonly { readonly ms: number; readonly server: number }[], from: number, to: number,
  ): number => {
    return picked.filter(({ ms, server }) => server === 0 && ms >= from && ms < to).length;
  };

  test('an upstream that refuses connections is retried elsewhere, ejected, tried and readmitted', () => {
    const { result, picked } = withFault({ fromMs: 10_000, toMs: 22_000, kind: 'down' },
      { ejectAfter: 3, ejectMs: 5_000, slowStartMs: 0 });
    assert.equal(result.failed, 0);
    assert.ok(picked.some(({ attempt }) => attempt === 2));
    const ejected = result.marks.filter(({ what }) => what === 'ejected');
    const readmitted = result.marks.filter(({ what }) => what === 'readmitted');
    assert.ok(ejected.length >= 2 && readmitted.length === 1, JSON.stringify(result.marks));
    const first = ejected[0]?.ms ?? 0;
    // Nothing until the ejection is over; then one request as a trial, which fails.
    assert.equal(between(picked, first + 0.001, first + 4_000), 0);
    assert.ok(between(picked, first + 4_000, (ejected[1]?.ms ?? 0) + 0.001) <= 1);
    const back = readmitted[0]?.ms ?? 0;
    assert.ok(back >= 22_000);
    assert.ok(between(picked, back, 60_000) > 0.32 * (60_000 - back) / 10);
  });

  test('a slow start gives a readmitted upstream less at first', () => {
    const { result, picked } = withFault({ fromMs: 1_000, toMs: 3_000, kind: 'down' },
      { ejectAfter: 3, ejectMs: 2_000, slowStartMs: 20_000 });
    const back = result.marks.find(({ what }) => what === 'readmitted')?.ms ?? NaN;
    const [early, late] = [between(picked, back, back + 5_000), between(picked, back + 25_000, back + 30_000)];
    assert.ok(early < 0.6 * late, `${early} and ${late}`);
  });

  test('in a panic, ejected upstreams are tried', () => {
    const result = simulate({
      strategy: byRandom, upstreams: 2, ratePerSecond: 100, requests: 6_000, service: deterministic(5),
      pool: { ejectAfter: 3, ejectMs: 3_600_000, maxEjectMs: 3_600_000, slowStartMs: 0 },
      faults: [0, 1].map((server) => ({ server, fromMs: 10_000, toMs: 20_000, kind: 'down' })),
    });
    // Without it, everything after the outage would fail, too.
    assert.ok(result.failed > 900 && result.failed < 1_100, `${result.failed} failed`);
  });

  test('fast errors eject, and retryOn retries them', () => {
    const fault = { fromMs: 10_000, toMs: 20_000, kind: 'failing', status: 503 } as const;
    const { result } = withFault(fault, { ejectAfter: 3 });
    assert.ok(result.failed >= 3 && result.failed < 20, `${result.failed} failed`);
    assert.deepEqual(Object.keys(result.codes), ['503']);
    assert.ok(result.marks.some(({ what }) => what === 'ejected'));
    assert.equal(withFault(fault, { ejectAfter: 3, retryOn: [503] }).result.failed, 0);
  });

  test('a server that stops answers late; a pause shorter than the timeout fails nothing', () => {
    const { result } = withFault({ fromMs: 10_000, toMs: 10_500, kind: 'stopped' });
    assert.equal(result.failed, 0);
    assert.ok(result.maxMs > 400 && result.maxMs < 600, `${result.maxMs}`);
    const { result: timed } = withFault({ fromMs: 10_000, toMs: 13_000, kind: 'stopped' },
      { responseTimeoutMs: 1_000, maxAttempts: 1 });
    assert.ok((timed.codes['RESPONSE_TIMEOUT'] ?? 0) > 0);
  });

  test('slow and cold work takes longer; a cold server warms up with time, and with requests', () => {
    const { result: slow } = withFault({ fromMs: 10_000, toMs: 20_000, kind: 'slow', factor: 3 });
    assert.equal(slow.maxMs, 15);
    const mean = (fault: Omit<Fault, 'server'>): number => withFault(fault).result.meanMs;
    const whole = mean({ fromMs: 10_000, kind: 'slow', factor: 3 });
    for (const cold of [{ warmMs: 1_000 }, { warmRequests: 30 }]) {
      const { result } = withFault({ fromMs: 10_000, kind: 'cold', factor: 3, ...cold });
      assert.ok(result.maxMs > 14.5 && result.maxMs <= 15, `${result.maxMs}`);
      assert.ok(result.meanMs > 5 && result.meanMs < 5 + (whole - 5) / 10, `${result.meanMs}`);
    }
  });

  test('a removed server gets nothing until it is added again, and a drained one until it is activated', () => {
    for (const kind of ['removed', 'drained'] as const) {
      const { result, picked } = withFault({ fromMs: 10_000, toMs: 20_000, everyMs: 30_000, kind });
      assert.equal(result.failed, 0);
      assert.equal(between(picked, 10_000.001, 20_000), 0, kind);
      assert.equal(between(picked, 40_000.001, 50_000), 0, kind);
      assert.ok(between(picked, 20_000.001, 40_000) > 600, kind);
      assert.equal(result.upstreams[0]?.picks, picked.filter(({ server }) => server === 0).length);
    }
  });

  test('nothing is picked when all are removed', () => {
    const result = simulate({
      strategy: byRandom, upstreams: 1, ratePerSecond: 100, requests: 100,
      faults: [{ server: 0, fromMs: 0, kind: 'removed' }],
    });
    assert.deepEqual(result.codes, { NO_CANDIDATE: 100 });
  });

  test('those that find all at their limits wait in the queue', () => {
    const result = simulate({
      strategy: byRandom, upstreams: 1, concurrency: 10, arrivals: recorded(new Array<number>(10).fill(0)),
      service: deterministic(10), pool: { maxInFlight: 2, maxQueued: 6 },
    });
    assert.deepEqual(result.codes, { OVERLOADED: 2 });
    assert.equal(result.maxMs, 40);
  });
});
