import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate } from '../../src/strategy.ts';
import { conformance } from '../../src/testing/conformance.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { powerOfTwo } from '../../strategies/power-of-two.ts';

const seed = testSeed();

function candidates(...loads: readonly (readonly [inFlight: number, weight: number])[]): readonly Candidate[] {
  return loads.map(([inFlight, weight], at) => ({ id: `c${at}`, inFlight, weight }));
}

describe(`powerOfTwo (EQUIPOISE_SEED=${seed})`, () => {
  test('of two candidates it picks the one with less in flight for its weight', () => {
    const strategy = powerOfTwo<Candidate>({ rng: seededRandom(seed) });
    for (const [one, other, wanted] of [
      [[1, 1], [0, 1], 'c1'], [[3, 1], [5, 2], 'c1'], [[2, 4], [1, 1], 'c0'], [[7, 1], [6.5, 1], 'c1'],
    ] as const) {
      const both = candidates(one, other);
      for (let i = 0; i < 50; i++) assert.equal(strategy.pick(both, pickContext())?.id, wanted);
    }
  });

  test('the two that it compares are different: the fullest of all is never picked', () => {
    const strategy = powerOfTwo<Candidate>({ rng: seededRandom(seed) });
    for (const told of [true, false]) {
      for (const weights of [[1, 1, 1], [1, 2, 3], [1e-9, 1, 1e9]]) {
        const all = weights.map((weight, at) => ({ id: `c${at}`, weight, inFlight: at === 1 ? 1e12 : 0 }));
        if (told) strategy.changed?.(all);
        for (let i = 0; i < 2_000; i++) assert.notEqual(strategy.pick(all, pickContext())?.id, 'c1');
      }
    }
  });

  test('an idle pool gets shares by weight', () => {
    const strategy = powerOfTwo<Candidate>({ rng: seededRandom(seed) });
    const all = candidates([0, 1], [0, 2], [0, 5]);
    strategy.changed?.(all);
    const picks = new Map<string, number>();
    for (let i = 0; i < 80_000; i++) {
      const id = strategy.pick(all, pickContext())?.id ?? '';
      picks.set(id, (picks.get(id) ?? 0) + 1);
    }
    for (const [id, share] of [['c0', 1 / 8], ['c1', 2 / 8], ['c2', 5 / 8]] as const) {
      const got = (picks.get(id) ?? 0) / 80_000;
      assert.ok(Math.abs(got - share) < 0.01, `${id} got ${got} instead of ${share}`);
    }
  });
});

conformance('power-of-two', ({ rng }) => powerOfTwo({ rng }), {
  weighted: true, leastLoaded: true,
});
