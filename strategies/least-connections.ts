import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface LeastConnectionsOptions {
  /** Source of randomness for ties: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Weighted least connections: picks the candidate with the fewest attempts in flight relative to its weight. Ties, such
 * as all idle, are drawn by weight, so a weight of 3 gets three times as much as a weight of 1, both idle and loaded.
 *
 * In between, an idle candidate is picked before a busy one, whatever their weights: with few requests at a time, the
 * shares become more equal. The other common measure, (inFlight + 1) / weight, errs the other way, and further: beside
 * a weight of 99, a weight of 1 would get nothing until 98 attempts are in flight.
 *
 * What it cannot know: what balancers other than its `peers` have in flight at the same upstream, and why an attempt
 * takes long: an open tunnel counts like a request that is being served. A candidate that fails fast looks idle and
 * attracts requests until it is ejected.
 *
 * With more than 64 candidates, a pick compares 16 drawn at random, possibly with repeats. Among 1,000 equally busy
 * candidates, the fullest then has one attempt more than if a pick compared all. But whatever its weight, no candidate
 * gets more than 16 times the average.
 *
 * Cost of a pick: O(n) up to 64 candidates, with one draw per tie; O(1) beyond, with one more draw per candidate
 * compared. No allocation. Source: nginx's `least_conn` and IPVS's `wlc` compare the same ratio (HAProxy's `leastconn`
 * also prefers idle servers); ties by weighted reservoir sampling of one item (Chao, Biometrika 69(3), 1982); the power
 * of d choices (Mitzenmacher, IEEE Transactions on Parallel and Distributed Systems 12(10), 2001).
 */
export function leastConnections<C extends Candidate = Upstream>(
  { rng = Math.random }: LeastConnectionsOptions = {},
): Strategy<C> {
  return {
    name: 'least-connections',
    pick(candidates) {
      let best: C | undefined;
      let least = Infinity;
      let tied = 0; // the sum of the weights that share the least load so far
      const { length } = candidates;
      const all = length <= MANY;
      const looks = all ? length : LOOKS;
      for (let look = 0; look < looks; look++) {
        const candidate = candidates[all ? look : Math.floor(rng() * length)];
        if (candidate === undefined) break;
        const { inFlight, weight } = candidate;
        const load = inFlight > 0 ? inFlight / weight : 0; // exact for ties: 1/3 and 2/6 round alike
        if (load < least) {
          best = candidate;
          least = load;
          tied = weight;
        } else if (load === least) {
          tied += weight;
          if (rng() * tied < weight) best = candidate;
        }
      }
      return best;
    },
  };
}

/** Up to this many candidates, a pick compares all of them. */
const MANY = 64;
/** How many it compares of more. In a simulation, 64 do not lower the count of the fullest candidate. */
const LOOKS = 16;
