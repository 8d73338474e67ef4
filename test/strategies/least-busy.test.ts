import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate, Strategy } from '../../src/strategy.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { leastBusy } from '../../strategies/least-busy.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { conformance } from '../../src/testing/conformance.ts';

conformance('least-busy', ({ rng }) => leastBusy({ rng }));

const context = pickContext();

/** Like a worker of the launcher, but the test keeps its count and its load. */
interface Worker extends Candidate {
  inFlight: number;
  load: number;
}

describe('least-busy draws among the idle by weight and the fourth power of spare capacity, over 100,000 picks', () => {
  const table: [title: string, candidates: Worker[], shares: number[]][] = [
    ['all idle', [worker(0), worker(0), worker(0)], [1 / 3, 1 / 3, 1 / 3]],
    ['one busy half of the time', [worker(0.5), worker(0), worker(0)], [1 / 33, 16 / 33, 16 / 33]],
    ['the busy one last', [worker(0), worker(0.5)], [16 / 17, 1 / 17]],
    ['all busy, one of them less', [worker(0.8), worker(0.6), worker(0.8)], [1 / 18, 16 / 18, 1 / 18]],
    ['all blocked', [worker(1), worker(1), worker(1), worker(1)], [1 / 4, 1 / 4, 1 / 4, 1 / 4]],
    ['all nearly blocked', [worker(0.999), worker(1), worker(0.95)], [1 / 3, 1 / 3, 1 / 3]],
    ['weights', [worker(0, 3), worker(0, 1)], [3 / 4, 1 / 4]],
    ['weights of the busy', [worker(0.5, 3), worker(0, 1)], [3 / 19, 16 / 19]],
    ['loads of NaN, as without loads', [worker(NaN, 3), worker(NaN, 1)], [3 / 4, 1 / 4]],
  ];
  for (const [title, candidates, shares] of table) {
    test(title, () => {
      const strategy = leastBusy<Worker>({ rng: seededRandom(1) });
      const picks = Array.from({ length: 100_000 }, () => strategy.pick(candidates, context));
      candidates.forEach((candidate, i) => {
        const got = picks.filter((picked) => picked === candidate).length / picks.length;
        const due = shares[i] ?? 0;
        assert.ok(Math.abs(got - due) <= due * 0.05, `candidate ${String(i)} got ${String(got)} of ${String(due)}`);
      });
    });
  }
});

describe('least-busy fills up in proportion to weight and spare capacity, whatever the order and the draws', () => {
  const table: [title: string, candidates: [load: number, weight: number, due: number][]][] = [
    ['half busy', [[0, 1, 20], [0.5, 1, 10], [0.5, 1, 10]]],
    ['blocked', [[0, 1, 20], [1, 1, 2]]],
    ['all blocked', [[1, 1, 12], [1, 2, 24]]],
    ['weights', [[0, 1, 10], [0.5, 3, 15], [0.75, 2, 5]]],
  ];
  for (const [title, rows] of table) {
    test(title, () => {
      for (const order of permutations(rows)) {
        for (let seed = 0; seed < 20; seed++) {
          const strategy = leastBusy<Worker>({ rng: seededRandom(seed) });
          const candidates = order.map(([load, weight]) => worker(load, weight));
          for (let left = order.reduce((sum, [, , due]) => sum + due, 0); left > 0; left--) begin(strategy, candidates);
          assert.deepEqual(candidates.map(({ inFlight }) => inFlight), order.map(([, , due]) => due));
        }
      }
    });
  }
});

test('least-busy spares a blocked worker while others are idle', () => {
  const strategy = leastBusy<Worker>({ rng: seededRandom(1) });
  const candidates = [worker(0), worker(1), worker(0.2)];
  const picks = Array.from({ length: 10_000 }, () => strategy.pick(candidates, context));
  const caught = picks.filter((picked) => picked?.load === 1).length;
  assert.ok(caught < 10, `${String(caught)} of 10,000`);
});

test('least-busy goes by the count first: a worker that finishes nothing gets nothing, whatever its load', () => {
  const strategy = leastBusy<Worker>({ rng: seededRandom(1) });
  const stuck = worker(0);
  const others = [worker(0.9), worker(0.9)];
  begin(strategy, [stuck]);
  for (let i = 0; i < 1000; i++) begin(strategy, [...others, stuck]).inFlight--;
  assert.equal(stuck.inFlight, 1);
});

test('least-busy does not send all connections between two reports to one worker', () => {
  // One worker looks idle, the others half busy, for as long as these 120 come. It gets twice their share, not all.
  const strategy = leastBusy<Worker>({ rng: seededRandom(1) });
  const candidates = [worker(0.5), worker(0), worker(0.5), worker(0.5)];
  for (let i = 0; i < 120; i++) begin(strategy, candidates);
  assert.deepEqual(candidates.map(({ inFlight }) => inFlight), [24, 48, 24, 24]);
});

describe('least-busy in 20,000 connections of virtual time, with loads that are up to 200 ms old', () => {
  const seed = testSeed();
  const rng = (): () => number => seededRandom(seed);

  test(`a worker that computes half of the time gets a smaller share, seed ${String(seed)}`, () => {
    const { shares, p99Ms } = simulate(leastBusy({ rng: rng() }), { seed, workers: 4, gapMs: 1, computes: true });
    const [computing = 0, ...others] = shares;
    assert.ok(computing > 0.01 && computing < 0.15, `it got ${String(computing)}`);
    for (const share of others) assert.ok(share > 0.27 && share < 0.36, `another one got ${String(share)}`);
    const counting = simulate(leastConnections({ rng: rng() }), { seed, workers: 4, gapMs: 1, computes: true });
    assert.ok(computing < (counting.shares[0] ?? 0), `by the count alone: ${String(counting.shares[0])}`);
    assert.ok(p99Ms < counting.p99Ms, `p99 ${String(p99Ms)} ms, by the count alone ${String(counting.p99Ms)} ms`);
  });

  test(`equal workers that are 85% busy share evenly, without herding, seed ${String(seed)}`, () => {
    const how = { seed, workers: 8, gapMs: 1 / (8 * 0.85), computes: false };
    const { shares, p99Ms } = simulate(leastBusy({ rng: rng() }), how);
    for (const share of shares) assert.ok(Math.abs(share - 1 / 8) < 0.02, `share ${String(share)}`);
    const counting = simulate(leastConnections({ rng: rng() }), how);
    assert.ok(p99Ms < 1.5 * counting.p99Ms, `p99 ${String(p99Ms)} ms, by the count alone ${String(counting.p99Ms)} ms`);
    // For comparison, what it avoids: picking by the least load alone, equally old.
    const herding = simulate(leastLoad, how);
    assert.ok(herding.p99Ms > 20 * p99Ms, `p99 ${String(p99Ms)} ms, by the load alone ${String(herding.p99Ms)} ms`);
  });
});

const leastLoad: Strategy<Worker> = {
  name: 'least-load',
  pick: (candidates) => candidates.reduce((least, other) => other.load < least.load ? other : least),
};

/** The work of a simulated worker, in the order of its event loop. */
interface Loop {
  readonly worker: Worker;
  /** When it will have done all of its work. */
  freeAt: number;
  /** When each of its connections ends; in order. */
  readonly ends: number[];
  busyMs: number;
}

interface Simulation {
  readonly seed: number;
  readonly workers: number;
  /** Between two connections, on average (Poisson). Each takes 1 ms of work on average (exponential). */
  readonly gapMs: number;
  /** Whether the first worker computes for 50 ms of each 100. */
  readonly computes: boolean;
}

function simulate(strategy: Strategy<Worker>, { seed, workers, gapMs, computes }: Simulation): {
  readonly shares: readonly number[]; readonly p99Ms: number;
} {
  const rng = seededRandom(seed + 1000);
  const exponential = (mean: number): number => -mean * Math.log(1 - rng());
  const loops = Array.from({ length: workers }, (): Loop => ({ worker: worker(0), freeAt: 0, ends: [], busyMs: 0 }));
  const candidates = loops.map((loop) => loop.worker);
  const picks = candidates.map(() => 0);
  const waits: number[] = [];
  let nowMs = 0;
  let computedAt = -100;
  let reportedAt = 0;
  for (let i = 0; i < 20_000; i++) {
    nowMs += exponential(gapMs);
    while (computes && computedAt + 100 <= nowMs) work(loops[0], computedAt += 100, 50);
    while (reportedAt + 200 <= nowMs) report(loops, reportedAt += 200);
    for (const { worker, ends } of loops) {
      while (ends.length > 0 && (ends[0] ?? 0) <= nowMs) {
        ends.shift();
        worker.inFlight--;
      }
    }
    const at = candidates.indexOf(begin(strategy, candidates));
    picks[at] = (picks[at] ?? 0) + 1;
    const end = work(loops[at], nowMs, exponential(1));
    loops[at]?.ends.push(end);
    waits.push(end - nowMs);
  }
  waits.sort((a, b) => a - b);
  return { shares: picks.map((count) => count / 20_000), p99Ms: waits[Math.floor(waits.length * 0.99)] ?? NaN };
}

/** Adds work to a loop. Returns when it will be done. */
function work(loop: Loop | undefined, nowMs: number, ms: number): number {
  assert.ok(loop);
  loop.freeAt = Math.max(loop.freeAt, nowMs) + ms;
  loop.busyMs += ms;
  return loop.freeAt;
}

/** All report their loads over the last 200 ms: the part of their work that they have done. */
function report(loops: readonly Loop[], nowMs: number): void {
  for (const loop of loops) {
    const left = Math.max(0, loop.freeAt - nowMs);
    loop.worker.load = Math.min(1, (loop.busyMs - left) / 200);
    loop.busyMs = left;
  }
}

function begin(strategy: Strategy<Worker>, candidates: readonly Worker[]): Worker {
  const picked = strategy.pick(candidates, context);
  assert.ok(picked, 'declined');
  picked.inFlight++;
  return picked;
}

function worker(load: number, weight = 1): Worker {
  return { id: 'any', weight, inFlight: 0, load };
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}
