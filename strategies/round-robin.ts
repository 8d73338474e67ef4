import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface RoundRobinOptions {
  /** Source of randomness for where a cycle starts: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/** Candidates of equal weight, which simply take turns. The group's weight is the sum of theirs. */
interface Group<C> {
  readonly members: C[];
  readonly weight: number;
  cursor: number;
  credit: number;
}

/**
 * Smooth weighted round-robin: candidates take turns. While the candidates stay the same and their weights are
 * integers, any series of picks as long as the sum of the weights gives each exactly its weight. The turns of a heavy
 * candidate are spread out: weights 5, 1, 1 give, for example, a a b a c a a, never a a a a a b c. `changed` starts a
 * new cycle. A retry counts as a turn.
 *
 * A cycle starts at a random place, so that workers and balancers that start together do not all pick one upstream.
 *
 * What it cannot know: the turns of other workers and balancers, and load. A slow candidate gets as much as a fast one.
 *
 * Cost of a pick: in the array of the last `changed`, O(d) for d different weights, so O(1) if all are equal, without
 * allocation. In any other array, such as a retry's, O(n), and allocation only at a candidate's first pick. Source:
 * nginx, "Upstream: smooth weighted round-robin balancing" (commit 52327e0627f4, 2012), with a random start, applied to
 * groups of equal weights: the turns of a group are spread out, and so are those of its members.
 */
export function roundRobin<C extends Candidate = Upstream>({ rng = Math.random }: RoundRobinOptions = {}): Strategy<C> {
  // The array of the last `changed`: only compared, never read.
  let told: readonly C[] | undefined;
  let groups: readonly Group<C>[] = [];
  // The credit of each candidate in other arrays. Weak, so that candidates that are gone can be collected even if
  // `changed` is never called.
  let credits = new WeakMap<C, number>();
  return {
    name: 'round-robin',
    pick(candidates) {
      if (candidates === told) return nextOf(groups);
      let best: C | undefined;
      let most = -Infinity;
      let total = 0;
      for (const candidate of candidates) {
        const { weight } = candidate;
        // Cycles are exact despite the random start: it takes less than its weight from each credit, so less than a
        // cycle's total in sum. The average credit at a pick stays above 0, and a candidate that has had its share of
        // the first cycle is at 0 or below.
        const credit = (credits.get(candidate) ?? -rng() * weight) + weight;
        credits.set(candidate, credit);
        total += weight;
        if (credit > most) [best, most] = [candidate, credit];
      }
      if (best) credits.set(best, most - total);
      return best;
    },
    changed(candidates) {
      // Credit from one set could be worth many turns in a row in another.
      credits = new WeakMap();
      told = candidates;
      groups = grouped(candidates, rng);
    },
  };
}

/** The same algorithm, among groups. */
function nextOf<C>(groups: readonly Group<C>[]): C | undefined {
  let best = groups[0];
  if (best === undefined) return undefined;
  if (groups.length > 1) {
    let total = 0;
    for (const group of groups) {
      total += group.weight;
      group.credit += group.weight;
      if (group.credit > best.credit) best = group;
    }
    best.credit -= total;
  }
  best.cursor = (best.cursor + 1) % best.members.length;
  return best.members[best.cursor];
}

function grouped<C extends Candidate>(candidates: readonly C[], rng: () => number): readonly Group<C>[] {
  const byWeight = new Map<number, C[]>();
  for (const candidate of candidates) {
    const members = byWeight.get(candidate.weight);
    if (members === undefined) byWeight.set(candidate.weight, [candidate]);
    else members.push(candidate);
  }
  return [...byWeight].map(([each, members]) => {
    const weight = each * members.length;
    return { members, weight, cursor: Math.floor(rng() * members.length), credit: -rng() * weight };
  });
}
