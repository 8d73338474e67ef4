import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface RoundRobinOptions {
  /** Source of randomness for where a cycle starts: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/** Candidates of one weight, which simply take turns; among groups, each is worth all that its members weigh. */
interface Group<C> {
  readonly members: C[];
  readonly weight: number;
  cursor: number;
  credit: number;
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
 * Cost of a pick: where `changed` told of the array, O(d) for d different weights, so O(1) where all are equal, without
 * allocation. O(n) in any other array, such as a retry's, without allocation but at a candidate's first pick. Source:
 * nginx, "Upstream: smooth weighted round-robin balancing" (commit 52327e0627f4, 2012), with a random start, among
 * groups of equal weights: a group's turns are spread out, and so are those of its members.
 */
export function roundRobin<C extends Candidate = Upstream>({ rng = Math.random }: RoundRobinOptions = {}): Strategy<C> {
  // Kept to recognise it, never read: the array of the last `changed`.
  let told: readonly C[] | undefined;
  let groups: readonly Group<C>[] = [];
  // What each candidate is owed in other arrays. Weak, so that one that has gone is forgotten even if `changed` is
  // never called.
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
      told = candidates;
      groups = grouped(candidates, rng);
    },
  };
}

/** As above, among groups. */
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
