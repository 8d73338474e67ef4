import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Candidate, Strategy } from '../../src/strategy.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { roundRobin } from '../../strategies/round-robin.ts';
import { seededRandom } from '../../src/testing/random.ts';
import { conformance } from '../../src/testing/conformance.ts';

conformance('round-robin', ({ rng }) => roundRobin({ rng }), { weighted: true });

const context = pickContext();
const seeds = Array.from({ length: 40 }, (_, seed) => seed);

describe('round-robin gives each candidate exactly its weight in any full cycle', () => {
  const table = [
    [1], [1, 1], [1, 1, 1, 1], [2, 2, 2], [3, 1], [1, 3], [5, 1, 1], [1, 2, 3, 4], [7, 5, 3],
    [40, 1, 1], [2, 1, 2, 1, 3, 1],
  ];
  for (const weights of table) {
    for (const told of [true, false]) {
      test(`weights ${weights.join(', ')}${told ? '' : ', without changed()'}`, () => {
        const cycle = weights.reduce((a, b) => a + b);
        for (const seed of seeds) {
          const candidates = weigh(weights);
          const strategy = roundRobin<Candidate>({ rng: seededRandom(seed) });
          if (told) strategy.changed?.(candidates);
          const picks = sequence(strategy, candidates, 4 * cycle);
          for (let start = 0; start <= 3 * cycle; start++) {
            assert.deepEqual(counts(candidates, picks.slice(start, start + cycle)), weights, `seed ${String(seed)}`);
          }
        }
      });
    }
  }
});

describe('round-robin spreads the turns of a heavy candidate', () => {
  // Without the random part, the start is the same as nginx's. The first sequence is the one in nginx's commit message.
  const table: [weights: number[], sequence: string][] = [
    [[5, 1, 1], 'aabacaa'],
    [[3, 1], 'aaba'],
    [[2, 1], 'aba'],
    [[1, 1, 1], 'abc'],
  ];
  for (const [weights, expected] of table) {
    test(`weights ${weights.join(', ')}: ${expected}`, () => {
      const picks = sequence(roundRobin<Candidate>({ rng: () => 0 }), weigh(weights), 3 * expected.length);
      assert.equal(picks.join(''), expected.repeat(3));
    });
  }

  for (const told of [true, false]) {
    test(`from any start, no candidate is ever two turns ahead or behind${told ? '' : ', without changed()'}`, () => {
      for (const weights of [[5, 1, 1], [10, 3, 1], [1, 2, 3, 4, 5], [100, 1, 1, 1], [3, 1, 3, 1, 1, 2, 2]]) {
        const cycle = weights.reduce((a, b) => a + b);
        for (const seed of seeds) {
          const candidates = weigh(weights);
          const strategy = roundRobin<Candidate>({ rng: seededRandom(seed) });
          if (told) strategy.changed?.(candidates);
          const picks = sequence(strategy, candidates, 2 * cycle);
          for (let length = 1; length <= picks.length; length++) {
            counts(candidates, picks.slice(0, length)).forEach((got, i) => {
              const due = (length * (weights[i] ?? 0)) / cycle;
              assert.ok(Math.abs(got - due) < 2, `${String(got)} of ${String(due)} turns, seed ${String(seed)}`);
            });
          }
        }
      }
    });
  }

  test('takes turns among equal weights: light candidates are spaced far apart', () => {
    for (const seed of seeds) {
      const candidates = weigh([4, 1, 1, 1, 1]);
      const strategy = roundRobin<Candidate>({ rng: seededRandom(seed) });
      strategy.changed?.(candidates);
      const picks = sequence(strategy, candidates, 80);
      assert.match(picks.join(''), /^[b-e]?(?:a[b-e])+a?$/, `seed ${String(seed)}`);
      assert.match(picks.join('').replaceAll('a', ''), /^[b-e]?[b-e]?[b-e]?(?:bcde)+[b-e]?[b-e]?[b-e]?$/);
    }
  });
});

describe('round-robin starts at a random position', () => {
  for (const told of [true, false]) {
    for (const weights of [[1, 1, 1], [3, 2, 1]]) {
      test(`weights ${weights.join(', ')}${told ? '' : ', without changed()'}`, () => {
        const first = seeds.map((seed) => {
          const candidates = weigh(weights);
          const strategy = roundRobin<Candidate>({ rng: seededRandom(seed) });
          if (told) strategy.changed?.(candidates);
          return strategy.pick(candidates, context)?.id;
        });
        assert.deepEqual([...new Set(first)].sort(), ['a', 'b', 'c']);
      });
    }
  }
});

describe('round-robin among changing candidates', () => {
  for (const told of [true, false]) {
    test(`shares the retries of a failing candidate among the others${told ? '' : ', without changed()'}`, () => {
      for (const seed of seeds) {
        const candidates = weigh([1, 1, 1]);
        const strategy = roundRobin<Candidate>({ rng: seededRandom(seed) });
        if (told) strategy.changed?.(candidates);
        const served = Array.from({ length: 300 }, () => {
          const first = strategy.pick(candidates, context);
          return first?.id === 'a' ? strategy.pick(candidates.slice(1), { ...context, attempt: 2 })?.id : first?.id;
        });
        const [, b = 0, c = 0] = counts(candidates, served);
        assert.ok(b + c === 300 && Math.abs(b - c) <= 2, `${String(b)} to ${String(c)}, seed ${String(seed)}`);
      }
    });
  }

  test('is exact from the first pick of a new set, whatever the position in the old cycle', () => {
    for (let stood = 0; stood < 103; stood++) {
      const [a, b, c] = weigh([2, 1, 100]) as [Candidate, Candidate, Candidate];
      const strategy = roundRobin<Candidate>({ rng: seededRandom(stood) });
      strategy.changed?.([a, b, c]);
      sequence(strategy, [a, b, c], stood);
      strategy.changed?.([a, b]);
      assert.deepEqual(counts([a, b], sequence(strategy, [a, b], 3)), [2, 1]);
    }
  });

  test('does not make up for the time that a candidate was away', () => {
    for (const seed of seeds) {
      const candidates = weigh([2, 1, 1]);
      const strategy = roundRobin<Candidate>({ rng: seededRandom(seed) });
      sequence(strategy, candidates, 7);
      sequence(strategy, candidates.slice(0, 2), 1000);
      const [, , back = 0] = counts(candidates, sequence(strategy, candidates, 4));
      assert.ok(back <= 2, `${String(back)} of 4 turns, seed ${String(seed)}`);
    }
  });

  test('forgets candidates that have gone, even without changed()', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const strategy = roundRobin<Candidate>();
    const [gone] = weigh([1]).map((candidate) => {
      strategy.pick([candidate], context);
      return new WeakRef(candidate);
    });
    await setImmediate(); // a WeakRef holds its target until the job that made it ends
    collect();
    assert.equal(gone?.deref(), undefined);
    assert.equal(strategy.pick(weigh([1]), context)?.id, 'a');
  });
});

function weigh(weights: readonly number[]): Candidate[] {
  return weights.map((weight, i) => ({ id: 'abcdefgh'.charAt(i), weight, inFlight: 0 }));
}

function sequence(strategy: Strategy<Candidate>, candidates: readonly Candidate[], length: number): string[] {
  return Array.from({ length }, () => strategy.pick(candidates, context)?.id ?? '-');
}

function counts(candidates: readonly Candidate[], picks: readonly (string | undefined)[]): number[] {
  return candidates.map(({ id }) => picks.filter((pick) => pick === id).length);
}
