/**
 * The intervals of comparisons hold what they promise.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare, type Contender } from '../../src/lab/compare.ts';
import { seededRandom } from '../../src/testing/random.ts';
import { random } from '../../strategies/random.ts';

describe('of 100 comparisons of a strategy with itself, by other draws, few find a difference', () => {
  for (const [what, count, load] of [['batches', 1, 0.8], ['five runs', 5, 0.7]] as const) {
    test(what, () => {
      const found = { mean: 0, p99: 0 };
      for (let round = 0; round < 100; round++) {
        const contender = (name: string, own: number): Contender => ({
          name, create: () => random({ rng: seededRandom(1 + round * 2 + own) }),
        });
        const { variants } = compare({
          strategies: [contender('one', 0), contender('other', 1)],
          options: { upstreams: 5, load, requests: count === 1 ? 8_000 : 1_000 },
          seeds: Array.from({ length: count }, (_, at) => round * count + at),
        });
        for (const { measure, better } of variants[0]?.differences ?? []) {
          if ((measure === 'mean' || measure === 'p99') && better !== undefined) found[measure]++;
        }
      }
      // Binomial with 5%: more than 12 are less likely than 1 in 600.
      assert.ok(found.mean <= 12 && found.p99 <= 12, JSON.stringify(found));
    });
  }
});
