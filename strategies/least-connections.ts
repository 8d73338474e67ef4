import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface LeastConnectionsOptions {
  /** Source of randomness for ties: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Weighted least connections: picks the candidate with the fewest attempts in flight for its weight. Ties, such as
 * all idle, are drawn by weight, so a weight of 3 gets three times a weight of 1 both when idle and when full.
 *
 * In between, an idle candidate goes before a busy one whatever their weights: with few requests at a time, shares
 * lean towards equal. The other usual measure, (inFlight + 1) / weight, leans the other way, and too far: beside a
 * weight of 99, a weight of 1 would get nothing until 98 attempts are in flight.
 *
 * What it cannot know: what others than its balancer's `peers` have in flight at the same upstream, and why an attempt
 * takes long: an open tunnel counts like a request that is being served. A candidate that fails fast looks idle and
 * draws requests until it is ejected.
 *
 * Cost of a pick: O(n), without allocation; one draw per tie. Source: nginx's `least_conn` and IPVS's `wlc` compare the
 * same ratio (HAProxy's `leastconn` puts the idle first too); ties by weighted reservoir sampling (Chao, Biometrika
 * 69(3), 1982) for one item.
 */
export function leastConnections<C extends Candidate = Upstream>(
  { rng = Math.random }: LeastConnectionsOptions = {},
): Strategy<C> {
  return {
    name: 'least-connections',
    pick(candidates) {
      let best: C | undefined;
      let least = Infinity;
      let tied = 0; // the summed weight of those that share the least load so far
      for (const candidate of candidates) {
        const { inFlight, weight } = candidate;
        const load = inFlight / weight; // exact for ties: 1/3 and 2/6 round alike
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
