import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate, LoadReport } from '../../src/strategy.ts';
import { conformance } from '../../src/testing/conformance.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { weightedByLoad, type WeightedByLoadOptions } from '../../strategies/weighted-by-load.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { serve, startUpstream } from '../support/upstream.ts';

type Reporting = Candidate & { load: LoadReport | undefined };
const seed = testSeed();

function report(at: number, rps: number | undefined, utilisation: number | undefined, eps = 0): LoadReport {
  return {
    at, rps, eps, applicationUtilization: utilisation, cpuUtilization: undefined, memUtilization: undefined,
    utilization: {}, namedMetrics: {},
  };
}

/** Candidates of these weights, and a strategy that knows them. */
function start(weights: readonly number[], options: WeightedByLoadOptions = {}): {
  readonly all: readonly Reporting[];
  /** Each reports this: rate, utilisation and rate of errors. */
  report(now: number, ...reports: (readonly [rps: number, utilisation: number, eps?: number] | undefined)[]): void;
  /** How many of so many picks each gets. */
  picks(count: number, now: number): readonly number[];
} {
  const all = weights.map((weight, at): Reporting => ({ id: `${at}`, weight, inFlight: 0, load: undefined }));
  const strategy = weightedByLoad<Reporting>({ rng: seededRandom(seed), ...options });
  strategy.changed?.(all);
  return {
    all,
    report(now, ...reports) {
      for (const [at, each] of all.entries()) {
        const said = reports[at];
        if (said !== undefined) each.load = report(now, ...said);
      }
    },
    picks(count, now) {
      const got = all.map(() => 0);
      for (let i = 0; i < count; i++) {
        const picked = strategy.pick(all, pickContext({ now }));
        assert.ok(picked !== undefined);
        const at = all.indexOf(picked);
        got[at] = (got[at] ?? 0) + 1;
      }
      return got;
    },
  };
}

/** Reports twice, so that the blackout is over at 20,000. */
function reported(...reports: (readonly [rps: number, utilisation: number, eps?: number])[]): ReturnType<typeof start> {
  const under = start(reports.map(() => 1));
  under.report(0, ...reports);
  under.picks(1, 0);
  under.report(20_000, ...reports);
  // The cycle in which the weights change is a mixed one.
  under.picks(100, 20_000);
  return under;
}

/** Within one of these: a cycle may begin anywhere. */
function assertNear(got: readonly number[], wanted: readonly number[]): void {
  const off = got.map((count, at) => Math.abs(count - (wanted[at] ?? 0)));
  assert.ok(Math.max(...off) <= 1, `got ${got.join(', ')}, not ${wanted.join(', ')}`);
}

describe(`weightedByLoad (EQUIPOISE_SEED=${seed})`, () => {
  test('weighs by the rate over the utilisation', () => {
    // 200, 400 and 800.
    const under = reported([100, 0.5], [100, 0.25], [200, 0.25]);
    assertNear(under.picks(700, 20_000), [100, 200, 400]);
  });

  test('adds the share of errors to the utilisation', () => {
    // 100 / (0.5 + 0.5 * 1) and 100 / 0.5.
    const under = reported([100, 0.5, 50], [100, 0.5]);
    assertNear(under.picks(300, 20_000), [100, 200]);
  });

  test('takes the utilisation of the CPU where the application says nothing of its own', () => {
    const under = start([1, 1]);
    for (const now of [0, 20_000]) {
      for (const [at, each] of under.all.entries()) {
        each.load = { ...report(now, 100, 0), cpuUtilization: [0.2, 0.6][at] };
      }
      under.picks(100, now);
    }
    assertNear(under.picks(400, 20_000), [300, 100]);
  });

  test('multiplies the configured weight', () => {
    const under = start([3, 1]);
    for (const now of [0, 20_000]) {
      under.report(now, [100, 0.5], [100, 0.25]);
      under.picks(100, now);
    }
    assertNear(under.picks(500, 20_000), [300, 200]);
  });

  test('has all take turns by configured weight while less than two report, or none for long enough', () => {
    const under = start([1, 1, 2]);
    assertNear(under.picks(400, 0), [100, 100, 200]);
    for (const now of [1_000, 20_000, 40_000]) {
      under.report(now, [100, 0.01]);
      assertNear(under.picks(400, now), [100, 100, 200]);
    }
    const fresh = start([1, 1]);
    fresh.report(0, [100, 0.1], [100, 0.9]);
    assertNear(fresh.picks(100, 0), [50, 50]);
    assertNear(fresh.picks(100, 9_999), [50, 50]);
    // The next reading is due a second later.
    fresh.picks(100, 11_000);
    assertNear(fresh.picks(100, 11_000), [90, 10]);
  });

  test('gives the mean to who does not report, and after three minutes to who no longer does', () => {
    const under = start([1, 1, 1]);
    for (const now of [0, 20_000]) {
      under.report(now, [100, 0.5], [300, 0.5], undefined);
      under.picks(100, now);
    }
    assertNear(under.picks(600, 20_000), [100, 300, 200]);
    // The second goes on; the first has nothing newer to say.
    under.report(200_000, undefined, [300, 0.5], [100, 0.5]);
    under.picks(100, 200_000);
    under.report(211_000, undefined, [300, 0.5], [100, 0.5]);
    under.picks(100, 211_000);
    assertNear(under.picks(600, 211_000), [200, 300, 100]);
  });

  test('keeps a sound report beside a later one that says nothing', () => {
    const under = reported([100, 0.5], [300, 0.5]);
    for (const [rps, utilisation] of [[0, 0.5], [100, 0], [1e9, 1e-320], [undefined, undefined]] as const) {
      for (const each of under.all) each.load = report(25_000, rps, utilisation);
      under.picks(4, 30_000);
      assertNear(under.picks(400, 30_000), [100, 300]);
    }
  });

  test('no report makes more of a candidate than ten times the mean, or less than a tenth', () => {
    const few = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1].map(() => [100, 0.5] as const);
    const under = reported(...few, [1e9, 0.001]);
    // The liar's is 20 times the mean; each other far below a tenth.
    const got = under.picks(10 * (19 * 0.1 + 10), 20_000);
    assertNear(got, [...few.map(() => 1), 100]);
  });

  test('reads reports once in a while, of at most 64 at a pick', () => {
    let reads = 0;
    const all = Array.from({ length: 1_000 }, (_, at) => ({
      id: `${at}`, weight: 1, inFlight: 0,
      get load() {
        reads++;
        return undefined;
      },
    }));
    const strategy = weightedByLoad<Candidate & { readonly load: undefined }>({ rng: seededRandom(seed) });
    strategy.changed?.(all);
    let most = 0;
    for (let i = 0; i < 500; i++) {
      const before = reads;
      strategy.pick(all, pickContext({ now: 0 }));
      most = Math.max(most, reads - before);
    }
    assert.deepEqual([most, reads], [64, 1_000]);
  });

  test('three upstreams that report get what they can do', async (t) => {
    const upstreams = await Promise.all([[40, 0.8], [40, 0.4], [40, 0.2]].map(async ([rps, utilisation]) => {
      return startUpstream(t, serve(() => {
        const said = `TEXT rps_fractional=${rps ?? 0},application_utilization=${utilisation ?? 0}`;
        return `HTTP/1.1 200 OK\r\nendpoint-load-metrics: ${said}\r\nContent-Length: 0\r\n\r\n`;
      }));
    }));
    const strategy = weightedByLoad({ rng: seededRandom(seed), blackoutMs: 2_000 });
    const under = await startBalancer(t, { upstreams, strategy });
    const client = await under.connect();
    const run = async (count: number): Promise<readonly number[]> => {
      const before = under.balancer.upstreams.map(({ picks }) => picks);
      for (let i = 0; i < count; i++) await client.exchange(get());
      return under.balancer.upstreams.map(({ picks }, at) => picks - (before[at] ?? 0));
    };
    assertNear(await run(30), [10, 10, 10]);
    await under.advance(1_000);
    await run(3);
    await under.advance(2_500);
    await run(21);
    assertNear(await run(70), [10, 20, 40]);
  });
});

conformance('weighted-by-load', ({ rng }) => weightedByLoad({ rng }), { weighted: true });
conformance('weighted-by-load, with reports', ({ rng }) => weightedByLoad({ rng }), { weighted: true, reports: true });
