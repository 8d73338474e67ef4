import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate, Strategy } from '../../src/strategy.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { random } from '../../strategies/random.ts';
import { seededRandom } from '../../src/testing/random.ts';
import { conformance } from '../../src/testing/conformance.ts';

conformance('random', ({ rng }) => random({ rng }), { weighted: true });

const context = pickContext();
const lowest = 0;
const highest = 1 - 2 ** -53;

describe('random spreads 100,000 picks by weight', () => {
  const table = [
    [1], [1, 1], [1, 1, 1], [7, 7, 7, 7, 7], [3, 1], [1, 3], [5, 1, 1], [0.5, 1.5],
    [1, 2, 3, 4], [9, 1, 1, 9, 1, 1, 2],
  ];
  for (const weights of table) {
    for (const told of [true, false]) {
      test(`weights ${weights.join(', ')}${told ? '' : ', without changed()'}`, () => {
        const candidates = weigh(weights);
        const strategy = random<Candidate>({ rng: seededRandom(1) });
        if (told) strategy.changed?.(candidates);
        const counts = count(strategy, candidates, 100_000);
        const sum = weights.reduce((a, b) => a + b);
        weights.forEach((weight, i) => {
          const ratio = (counts[i] ?? 0) / ((100_000 * weight) / sum);
          assert.ok(Math.abs(ratio - 1) < 0.02, `candidate ${String(i)} got ${String(ratio)} of its share`);
        });
      });
    }
  }
});

describe('random stays in range at both ends of [0, 1)', () => {
  const table = [[1], [1, 1, 1], Array<number>(1000).fill(1), [1, 2, 3], [0.1, 0.2, 0.3, 0.1], [1e9, 1e-9]];
  for (const weights of table) {
    for (const told of [true, false]) {
      test(`${String(weights.length)}: ${weights.slice(0, 4).join(', ')}${told ? '' : ', without changed()'}`, () => {
        const candidates = weigh(weights);
        for (const [value, expected] of [[lowest, candidates[0]], [highest, candidates.at(-1)]] as const) {
          const strategy = random<Candidate>({ rng: () => value });
          if (told) strategy.changed?.(candidates);
          const picked = strategy.pick(candidates, context);
          // Next to a weight of 1e9, the last 1e-9 is below the precision of the draw: any candidate will do.
          if (weights.includes(1e-9)) assert.ok(picked, 'declined');
          else assert.equal(picked, expected);
        }
      });
    }
  }
});

test('random reads no weights if changed() announced the array', () => {
  for (const weights of [[2, 2, 2], [1, 2, 3]]) {
    let reads = 0;
    const candidates = weights.map((weight, i) => ({
      id: String(i),
      inFlight: 0,
      get weight() {
        reads++;
        return weight;
      },
    }));
    const strategy = random<Candidate>({ rng: seededRandom(1) });
    strategy.changed?.(candidates);
    reads = 0;
    count(strategy, candidates, 99);
    assert.equal(reads, 0);
  }
});

test('random picks the same candidate whether changed() announced the array or not', () => {
  const rng = seededRandom(1);
  const candidates = weigh(Array.from({ length: 1000 }, () => 1 + Math.floor(rng() * 8)));
  for (let i = 0; i < 1000; i++) {
    const draw = rng();
    const [told, untold] = [random<Candidate>({ rng: () => draw }), random<Candidate>({ rng: () => draw })];
    told.changed?.(candidates);
    assert.equal(told.pick(candidates, context), untold.pick(candidates, context));
  }
});

test('random draws once per pick', () => {
  for (const weights of [[1, 1, 1], [1, 2, 3]]) {
    let draws = 0;
    const strategy = random<Candidate>({ rng: () => ++draws / 1000 });
    const candidates = weigh(weights);
    strategy.changed?.(candidates);
    count(strategy, candidates, 100);
    assert.equal(draws, 100);
  }
});

test('random follows the weights of an array that changed() did not announce', () => {
  const strategy = random<Candidate>({ rng: seededRandom(1) });
  const equal = weigh([1, 1]);
  strategy.changed?.(equal);
  const [a = 0, b = 0] = count(strategy, weigh([9, 1]), 10_000);
  assert.ok(a > 8800 && b > 800, `${String(a)} to ${String(b)}`);
});

test('random with the same seed picks the same, whatever another one does', () => {
  const candidates = weigh([1, 2, 3]);
  const run = (beside?: Strategy<Candidate>): (Candidate | undefined)[] => {
    const strategy = random<Candidate>({ rng: seededRandom(7) });
    return Array.from({ length: 50 }, () => {
      beside?.pick(candidates, context);
      return strategy.pick(candidates, context);
    });
  };
  assert.deepEqual(run(random()), run());
});

function weigh(weights: readonly number[]): Candidate[] {
  return weights.map((weight, i) => ({ id: String(i), weight, inFlight: 0 }));
}

function count(strategy: Strategy<Candidate>, candidates: readonly Candidate[], picks: number): number[] {
  const counts = new Map<Candidate | undefined, number>(candidates.map((candidate) => [candidate, 0]));
  for (let i = 0; i < picks; i++) {
    const picked = strategy.pick(candidates, context);
    counts.set(picked, (counts.get(picked) ?? 0) + 1);
  }
  assert.equal(counts.get(undefined), undefined, 'declined');
  return [...counts.values()];
}
