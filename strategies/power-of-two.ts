import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface PowerOfTwoOptions {
  /** Source of randomness: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Power of two choices: draws two different candidates by weight and picks the one with fewer attempts in flight
 * relative to its weight; if they are equal, the first. An idle pool thus gets shares by weight, as with `random`.
 *
 * Two choices avoid what comparing all does with several balancers: each sees the same idle candidate, and they flood
 * it together. They hold up when counts are old: see the scenario `stale-board` of the lab.
 *
 * What it cannot know: how long attempts take, and what balancers other than its `peers` have in flight. A candidate
 * that fails fast looks idle and attracts requests until it is ejected.
 *
 * Cost of a pick: two draws, no allocation. O(1) if all weights are equal, otherwise O(log n), in the array of the last
 * `changed`; O(n) in any other array, such as a retry's. Source: Mitzenmacher, "The Power of Two Choices in Randomized
 * Load Balancing", IEEE Transactions on Parallel and Distributed Systems 12(10), 2001; drawing without replacement, as
 * the published tables have it.
 */
export function powerOfTwo<C extends Candidate = Upstream>({ rng = Math.random }: PowerOfTwoOptions = {}): Strategy<C> {
  // The array of the last `changed`: only compared, never read; its cumulative weights, and whether they are equal.
  let told: readonly C[] | undefined;
  let sums: Float64Array | undefined;
  return {
    name: 'power-of-two',
    pick(candidates) {
      const { length } = candidates;
      if (length < 2) return candidates[0];
      const known = candidates === told;
      const weights = known ? sums : summed(candidates);
      let first: number;
      let second: number;
      if (weights === undefined) {
        first = Math.floor(rng() * length);
        second = Math.floor(rng() * (length - 1));
        if (second >= first) second++;
      } else {
        const total = weights[length - 1] ?? 0;
        first = indexOf(weights, rng() * total);
        const start = first === 0 ? 0 : weights[first - 1] ?? 0;
        const own = (weights[first] ?? 0) - start;
        // As if the first were not there.
        const draw = rng() * (total - own);
        second = indexOf(weights, draw < start ? draw : draw + own);
        // Rounding, beside a weight that dwarfs all others.
        if (second === first) second = first === length - 1 ? first - 1 : first + 1;
      }
      const one = candidates[first];
      const other = candidates[second];
      if (one === undefined || other === undefined) return one ?? other;
      return relative(other) < relative(one) ? other : one;
    },
    changed(candidates) {
      told = candidates;
      sums = summed(candidates);
    },
  };
}

/** What is in flight, relative to the weight; a count is never below 0. */
function relative({ inFlight, weight }: Candidate): number {
  return inFlight > 0 ? inFlight / weight : 0;
}

/** The cumulative weights; undefined if all weights are equal. */
function summed(candidates: readonly Candidate[]): Float64Array | undefined {
  const first = candidates[0]?.weight;
  if (candidates.every(({ weight }) => weight === first)) return undefined;
  const sums = new Float64Array(candidates.length);
  let total = 0;
  for (let at = 0; at < sums.length; at++) sums[at] = total += candidates[at]?.weight ?? 0;
  return sums;
}

/** The first index whose sum is above `draw`. */
function indexOf(sums: Float64Array, draw: number): number {
  let low = 0;
  let high = sums.length - 1; // also for a draw that rounds up to the total
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sums[middle] ?? 0) > draw) high = middle;
    else low = middle + 1;
  }
  return low;
}
