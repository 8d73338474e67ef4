import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface RoundRobinOptions {
  /** Source of randomness for where a cycle starts: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Smooth weighted round-robin: candidates take turns. While the candidates stay the same and their weights are whole
 * numbers, each gets exactly its weight in any sum-of-weights picks in a row, and a heavy one's turns are spread out:
 * weights 5, 1, 1 give, say, a a b a c a a, and never a a a a a b c. `changed` starts a new cycle. A retry is a turn.
 *
 * A cycle starts at random, so that workers and balancers that start together do not all march on one upstream.
 *
 * What it cannot know: the turns that other workers and balancers give, and load. A slow candidate gets as much as a
 * fast one.
 *
 * Cost of a pick: O(1) where all weights are equal and `changed` told of the array; else O(n), without allocation but
 * at a candidate's first pick. Source: nginx, "Upstream: smooth weighted round-robin balancing" (commit 52327e0627f4,
 * 2012), with a random start.
 */
export function roundRobin<C extends Candidate = Upstream>({ rng = Math.random }: RoundRobinOptions = {}): Strategy<C> {
  // Kept to recognise it, never read: the array of the last `changed`, if its weights were all equal.
  let even: readonly C[] | undefined;
  let cursor = 0;
  // What each candidate is owed. Weak, so that one that has gone is forgotten even if `changed` is never called.
  let credits = new WeakMap<C, number>();
  return {
    name: 'round-robin',
    pick(candidates) {
      if (candidates === even) return candidates[(cursor = (cursor + 1) % candidates.length)];
      let best: C | undefined;
      let most = -Infinity;
      let total = 0;
      for (const candidate of candidates) {
        const { weight } = candidate;
        // Cycles stay exact from such a start: debts below the weights add up to less than a cycle's total. So the
        // average credit at a pick is above 0, and who had its share of the first cycle stands at 0 or less.
        const credit = (credits.get(candidate) ?? -rng() * weight) + weight;
        credits.set(candidate, credit);
        total += weight;
        if (credit > most) [best, most] = [candidate, credit];
      }
      if (best) credits.set(best, most - total);
      return best;
    },
    changed(candidates) {
      // Credit earned in one set can be worth many turns in a row in another.
      credits = new WeakMap();
      even = candidates.every(({ weight }) => weight === candidates[0]?.weight) ? candidates : undefined;
      cursor = Math.floor(rng() * candidates.length);
    },
  };
}
