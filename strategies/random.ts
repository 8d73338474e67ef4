import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface RandomOptions {
  /** Source of randomness: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Weighted random, the default strategy: each candidate is picked with a probability proportional to its weight.
 *
 * Several independent balancers still spread evenly together, and nothing has to be synchronized. Over few picks the
 * spread is uneven: n picks among m equal candidates give each about n/m, plus or minus √(n/m).
 *
 * What it cannot know: anything about load. A slow candidate gets as much as a fast one.
 *
 * Cost of a pick: one draw, no allocation. O(1) if all weights are equal, otherwise O(log n), in the array of the last
 * `changed`; O(n) in any other array, such as a retry's. Source: roulette-wheel (fitness-proportionate) selection by
 * cumulative weights.
 */
export function random<C extends Candidate = Upstream>({ rng = Math.random }: RandomOptions = {}): Strategy<C> {
  // The array of the last `changed`: only compared, never read. Any other array (a retry's, or one shortened by
  // in-flight limits) is weighed at the pick.
  let told: readonly C[] | undefined;
  // The cumulative weights of that array; undefined if all weights are equal.
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

/** The cumulative weights; undefined if all weights are equal. */
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

/** The index that a draw selects: the first whose sum is above it. */
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
  return candidates.at(-1); // rounding can leave a remainder of a draw near 1
}
