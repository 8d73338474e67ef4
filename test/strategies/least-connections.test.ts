import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate, Strategy } from '../../src/strategy.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { random } from '../../strategies/random.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { conformance } from '../../src/testing/conformance.ts';

conformance('least-connections', ({ rng }) => leastConnections({ rng }), {
  weighted: true, leastLoaded: true,
});

const context = pickContext();

/** Like a candidate of the core, but the test keeps its count. */
interface Busy extends Candidate {
  inFlight: number;
}

test('least-connections picks the least loaded in every order of loads', () => {
  const strategy = leastConnections<Busy>({ rng: seededRandom(1) });
  for (const loads of permutations([0, 1, 2, 3, 4, 5])) {
    let left = loads.map((inFlight) => busy(inFlight));
    for (const expected of [0, 1, 2, 3, 4, 5]) {
      const picked = strategy.pick(left, context);
      assert.equal(picked?.inFlight, expected, `loads ${loads.join(', ')}`);
      left = left.filter((candidate) => candidate !== picked);
    }
  }
});

describe('least-connections counts load in proportion to weight, in every order', () => {
  const table: [expected: string, ...candidates: [inFlight: number, weight: number][]][] = [
    ['1/1', [1, 1], [4, 3]],
    ['2/3', [1, 1], [2, 3]],
    ['0/1', [0, 1], [1, 100]],
    ['0/0.5', [0, 0.5], [1, 1], [2, 4]],
    ['7/10', [7, 10], [3, 4], [1, 1], [8, 11]],
    ['100/1000000000', [100, 1e9], [1, 1]],
  ];
  for (const [expected, ...loads] of table) {
    test(`${expected} of ${loads.map((load) => load.join('/')).join(', ')}`, () => {
      const strategy = leastConnections<Busy>({ rng: seededRandom(1) });
      for (const order of permutations(loads)) {
        const picked = strategy.pick(order.map(([inFlight, weight]) => busy(inFlight, weight)), context);
        assert.equal(`${String(picked?.inFlight)}/${String(picked?.weight)}`, expected);
      }
    });
  }
});

describe('least-connections draws ties by weight, over 100,000 picks', () => {
  const table: [title: string, candidates: Busy[], shares: number[]][] = [
    ['all idle', [busy(0), busy(0), busy(0)], [1 / 3, 1 / 3, 1 / 3]],
    ['all equally busy', [busy(2), busy(2), busy(2), busy(2)], [1 / 4, 1 / 4, 1 / 4, 1 / 4]],
    ['some busier', [busy(1), busy(0), busy(2), busy(0), busy(0)], [0, 1 / 3, 0, 1 / 3, 1 / 3]],
    ['idle, of different weights', [busy(0, 3), busy(0, 1)], [3 / 4, 1 / 4]],
    ['idle, the light one first', [busy(0, 1), busy(0, 3)], [1 / 4, 3 / 4]],
    ['busy in proportion', [busy(3, 3), busy(1, 1), busy(2, 1)], [3 / 4, 1 / 4, 0]],
    ['thirds', [busy(1, 3), busy(2, 6)], [1 / 3, 2 / 3]],
  ];
  for (const [title, candidates, shares] of table) {
    test(title, () => {
      const strategy = leastConnections<Busy>({ rng: seededRandom(1) });
      const picks = Array.from({ length: 100_000 }, () => strategy.pick(candidates, context));
      candidates.forEach((candidate, i) => {
        const got = picks.filter((picked) => picked === candidate).length / picks.length;
        const due = shares[i] ?? 0;
        assert.ok(Math.abs(got - due) <= due * 0.02, `candidate ${String(i)} got ${String(got)} of ${String(due)}`);
      });
    });
  }
});

test('least-connections fills up in proportion to weight, whatever the order and the draws', () => {
  for (const weights of permutations([5, 3, 2])) {
    for (let seed = 0; seed < 20; seed++) {
      const strategy = leastConnections<Busy>({ rng: seededRandom(seed) });
      const candidates = weights.map((weight) => busy(0, weight));
      for (let i = 0; i < 40; i++) begin(strategy, candidates);
      assert.deepEqual(candidates.map(({ inFlight }) => inFlight), weights.map((weight) => 4 * weight));
    }
  }
});

test('least-connections gives a light candidate its share when requests come one by one', () => {
  const strategy = leastConnections<Busy>({ rng: seededRandom(1) });
  const light = busy(0, 1);
  const picks = Array.from({ length: 100_000 }, () => strategy.pick([busy(0, 99), light], context));
  const got = picks.filter((picked) => picked === light).length;
  assert.ok(got > 900 && got < 1100, `${String(got)} of 1000`);
});

test('least-connections finds the least loaded of 64, wherever it is', () => {
  const candidates = Array.from({ length: 64 }, () => busy(3));
  for (const candidate of candidates) {
    candidate.inFlight = 2;
    assert.equal(leastConnections<Busy>({ rng: seededRandom(1) }).pick(candidates, context), candidate);
    candidate.inFlight = 3;
  }
});

describe('least-connections samples 1,000, and spreads nearly as evenly as if it looked at them all', () => {
  for (const [title, weighs] of [['equal weights', () => 1], ['mixed weights', (i: number) => 1 + i % 5]] as const) {
    const seed = testSeed();
    test(`${title} (EQUIPOISE_SEED=${String(seed)})`, () => {
      const rng = seededRandom(seed);
      const candidates = Array.from({ length: 1000 }, (_, i) => busy(0, weighs(i)));
      // Four per unit of weight: looking at all would keep each at that. Random ones end, new ones begin.
      const sum = candidates.reduce((all, { weight }) => all + weight, 0);
      const strategy = leastConnections<Busy>({ rng });
      const running = Array.from({ length: 4 * sum }, () => begin(strategy, candidates));
      for (let i = 0; i < 20 * running.length; i++) {
        const at = Math.floor(rng() * running.length);
        const ended = running[at];
        if (ended) ended.inFlight--;
        running[at] = begin(strategy, candidates);
      }
      const loads = candidates.map(({ inFlight, weight }) => inFlight / weight);
      assert.ok(Math.max(...loads) <= 6, `the fullest has ${String(Math.max(...loads))} for its weight, of 4`);
      const variance = loads.reduce((all, load) => all + (load - 4) ** 2, 0) / loads.length;
      assert.ok(variance < 0.5, `variance ${String(variance)}`); // 0.25; by chance alone it would be 4, or 1 to 4
    });
  }

  test('idle ones share by weight', () => {
    const strategy = leastConnections<Busy>({ rng: seededRandom(1) });
    const candidates = Array.from({ length: 1000 }, (_, i) => busy(0, i % 2 === 0 ? 3 : 1));
    const picks = Array.from({ length: 20_000 }, () => strategy.pick(candidates, context));
    const heavy = picks.filter((picked) => picked?.weight === 3).length / picks.length;
    assert.ok(heavy > 0.7 && heavy < 0.77, String(heavy));
  });

  test('an idle one is found in the long run, and the draws reach both ends', () => {
    for (const [draw, at] of [[0, 0], [1 - 2 ** -53, 999]] as const) {
      const candidates = Array.from({ length: 1000 }, () => busy(1));
      assert.equal(leastConnections<Busy>({ rng: () => draw }).pick(candidates, context), candidates[at]);
    }
    const seeded = leastConnections<Busy>({ rng: seededRandom(1) });
    const candidates = Array.from({ length: 1000 }, (_, i) => busy(i === 500 ? 0 : 1));
    const picks = Array.from({ length: 10_000 }, () => seeded.pick(candidates, context));
    const found = picks.filter((picked) => picked === candidates[500]).length;
    assert.ok(found > 100 && found < 220, String(found)); // each pick looks at 16 of 1,000
  });
});

describe('least-connections gives a slow upstream a small share', () => {
  // Two answer in 10 ms, one in 100 ms, so at equal counts it serves 1 of 21. One request every 1 ms, on average.
  const serviceMs = [10, 10, 100];
  for (const seed of [1, 2, 3]) {
    test(`in 20,000 requests of virtual time, seed ${String(seed)}`, () => {
      const [fast = 0, , slow = 0] = simulate(leastConnections({ rng: seededRandom(seed) }), serviceMs, seed);
      assert.ok(slow > 0.02 && slow < 0.08, `slow: ${String(slow)}`);
      assert.ok(fast > 0.45, `fast: ${String(fast)}`);
      const [, , blind = 0] = simulate(random({ rng: seededRandom(seed) }), serviceMs, seed);
      assert.ok(blind > 0.3, `random, for comparison: ${String(blind)}`);
    });
  }
});

/** Shares of 20,000 requests, arriving at random (Poisson), 1 ms apart on average; none is refused or queued. */
function simulate(strategy: Strategy<Busy>, serviceMs: readonly number[], seed: number): number[] {
  const rng = seededRandom(seed + 1000);
  const candidates = serviceMs.map(() => busy(0));
  const picks = candidates.map(() => 0);
  let running: { candidate: Busy; endMs: number }[] = [];
  let nowMs = 0;
  for (let i = 0; i < 20_000; i++) {
    nowMs -= Math.log(1 - rng());
    for (const { candidate, endMs } of running) if (endMs <= nowMs) candidate.inFlight--;
    running = running.filter(({ endMs }) => endMs > nowMs);
    const candidate = begin(strategy, candidates);
    const at = candidates.indexOf(candidate);
    picks[at] = (picks[at] ?? 0) + 1;
    running.push({ candidate, endMs: nowMs + (serviceMs[at] ?? 0) });
  }
  return picks.map((count) => count / 20_000);
}

function begin(strategy: Strategy<Busy>, candidates: readonly Busy[]): Busy {
  const picked = strategy.pick(candidates, context);
  assert.ok(picked, 'declined');
  picked.inFlight++;
  return picked;
}

function busy(inFlight: number, weight = 1): Busy {
  return { id: 'any', weight, inFlight };
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}
