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
 * Cost of a pick: one draw, without allocation. Where `changed` told of the array, O(1) if all weights are equal, else
 * O(log n); O(n) in any other array, such as a retry's. Source: roulette-wheel (fitness-proportionate) selection, by
 * cumulative weights.
 */
export function random<C extends Candidate = Upstream>({ rng = Math.random }: RandomOptions = {}): Strategy<C> {
  // Kept to recognise it, never read: the array of the last `changed`. Every other array (a retry's, or one shortened
  // by in-flight limits) is weighed at the pick.
  let told: readonly C[] | undefined;
  // The weight of each candidate that was told and of all before it, where they differ.
  let sums: Float64Array | undefined;
  return {
    name: 'random',
    pick(candidates) {
      if (candidates !== told) return weighed(candidates, rng());
      return candidates[sums === undefined ? Math.floor(rng() * candidates.length) : drawn(sums, rng())];
    },
    changed(candidates) {
      told = candidates;
      sums = summed(candidates);
    },
  };
}

/** The cumulative weights; undefined where all weights are equal. */
function summed(candidates: readonly Candidate[]): Float64Array | undefined {
  const sums = new Float64Array(candidates.length);
  const first = candidates[0]?.weight;
  let equal = true;
  let total = 0;
  for (let at = 0; at < candidates.length; at++) {
    const weight = candidates[at]?.weight ?? 0;
    if (weight !== first) equal = false;
    sums[at] = total += weight;
  }
  return equal ? undefined : sums;
}

/** Where a draw falls: on the first whose sum is above it. */
function drawn(sums: Float64Array, draw: number): number {
  let low = 0;
  let high = sums.length - 1; // also for a draw near 1 that rounds up to the total
  const left = draw * (sums[high] ?? 0);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sums[middle] ?? 0) > left) high = middle;
    else low = middle + 1;
  }
  return low;
}

function weighed<C extends Candidate>(candidates: readonly C[], draw: number): C | undefined {
  let total = 0;
  for (const candidate of candidates) total += candidate.weight;
  let left = draw * total;
  for (const candidate of candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate;
  }
  return candidates.at(-1); // rounding can leave a crumb of a draw near 1
}
