import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface RandomOptions {
  /** Source of randomness: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Weighted random, the default strategy: each pick falls on a candidate with a chance proportional to its weight.
 *
 * Several balancers that do not know of each other still spread evenly, and nothing has to be in step. Over few picks
 * the spread is uneven: n picks over m equal candidates give each about n/m, give or take √(n/m).
 *
 * What it cannot know: anything about load. A slow candidate gets as much as a fast one.
 *
 * Cost of a pick: one draw. O(1) where all weights are equal and `changed` told of the array; else O(n), without
 * allocation. Source: roulette-wheel (fitness-proportionate) selection, by cumulative weights.
 */
export function random<C extends Candidate = Upstream>({ rng = Math.random }: RandomOptions = {}): Strategy<C> {
  // Kept to recognise it, never read: the array of the last `changed`, if its weights were all equal. Every other
  // array (a retry's, or one shortened by in-flight limits) is weighed at the pick.
  let even: readonly C[] | undefined;
  return {
    name: 'random',
    pick(candidates) {
      if (candidates === even) return candidates[Math.floor(rng() * candidates.length)];
      let total = 0;
      for (const candidate of candidates) total += candidate.weight;
      let left = rng() * total;
      for (const candidate of candidates) {
        left -= candidate.weight;
        if (left < 0) return candidate;
      }
      return candidates.at(-1); // rounding can leave a crumb of a draw near 1
    },
    changed(candidates) {
      even = candidates.every(({ weight }) => weight === candidates[0]?.weight) ? candidates : undefined;
    },
  };
}
