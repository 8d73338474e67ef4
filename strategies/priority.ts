import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface PriorityOptions<C extends Candidate = Upstream> {
  /** The tier of a candidate: lower ones are used first. E.g. `({ tags }) => Number(tags.tier ?? 0)`. */
  readonly tier: (candidate: C) => number;
  /**
   * A tier takes all requests as long as its healthy share times this is at least 1; default 1.4: up to 28% of it may
   * be out.
   */
  readonly factor?: number;
  /** Source of randomness: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/** One tier. */
interface Tier<C extends Candidate> {
  readonly candidates: readonly C[];
  /** Those that are ejected included. */
  readonly members: readonly C[];
  readonly strategy: Strategy<C>;
  /** The cumulative share of requests. */
  readonly until: number;
}

/**
 * Tiers: requests go to the first tier as long as enough of it is healthy, and spill over to the next in proportion to
 * what is missing. Within a tier, an inner strategy picks. With zones as tiers, it keeps requests in the zone.
 *
 * The share of a tier is its healthy part times the factor, 1 at most, of what the tiers before it left; where all
 * tiers together have less than 1, the shares are scaled up. Those that are ejected count as ill. With a factor of 1.4
 * and 50% of the first tier healthy, it gets 70%.
 *
 * `inner` makes the strategy of each tier: a function, so that each has tables and counts of its own.
 *
 * What it cannot know: load. A tier that is slow, but answers, keeps its requests.
 *
 * Cost of a pick: one draw, and that of the inner strategy; in an array other than that of the last `changed`, such as
 * a retry's, O(n) in addition. Source: Envoy, "Priority levels".
 */
export function priority<C extends Candidate = Upstream>(
  inner: Strategy<C> | (() => Strategy<C>), { tier, factor = 1.4, rng = Math.random }: PriorityOptions<C>,
): Strategy<C> {
  const make = typeof inner === 'function' ? inner : (): Strategy<C> => inner;
  const shared = typeof inner === 'function' ? undefined : inner;
  const { name } = shared ?? make();
  const strategies = new Map<number, Strategy<C>>();
  let told: readonly C[] | undefined;
  let tiers: readonly Tier<C>[] = [];
  const strategyOf = (number: number): Strategy<C> => {
    let strategy = strategies.get(number);
    if (strategy === undefined) strategies.set(number, strategy = make());
    return strategy;
  };
  const tiersOf = (candidates: readonly C[], members: readonly C[]): readonly Tier<C>[] => {
    const all = grouped(members, tier);
    const well = grouped(candidates, tier);
    const numbers = [...all.keys()].sort((one, other) => one - other);
    const healths = numbers.map((number) => {
      return Math.min(1, factor * (well.get(number)?.length ?? 0) / (all.get(number)?.length ?? 1));
    });
    const total = Math.min(1, healths.reduce((sum, health) => sum + health, 0));
    let left = 1;
    let until = 0;
    return numbers.map((number, at) => {
      const share = total === 0 ? 0 : Math.min(left, (healths[at] ?? 0) / total);
      left -= share;
      until += share;
      const candidates = well.get(number) ?? [];
      return { candidates, members: all.get(number) ?? [], strategy: strategyOf(number), until };
    });
  };
  return {
    name: `priority(${name})`,
    pick(candidates, context) {
      const known = candidates === told;
      const among = known ? tiers : tiersOf(candidates, candidates);
      const draw = rng();
      const at = among.findIndex(({ until, candidates: own }) => draw < until && own.length > 0);
      // Rounding, or a tier whose share fell to those that have no candidate.
      const chosen = among[at] ?? among.find(({ candidates: own }) => own.length > 0);
      return chosen?.strategy.pick(chosen.candidates, context);
    },
    answered(candidate, head) {
      strategyOf(tier(candidate)).answered?.(candidate, head);
    },
    settled(candidate, outcome) {
      strategyOf(tier(candidate)).settled?.(candidate, outcome);
    },
    changed(candidates, members = candidates) {
      told = candidates;
      tiers = tiersOf(candidates, members);
      if (shared !== undefined) shared.changed?.(candidates, members);
      else for (const each of tiers) each.strategy.changed?.(each.candidates, each.members);
    },
  };
}

function grouped<C>(candidates: readonly C[], tier: (candidate: C) => number): Map<number, C[]> {
  const groups = new Map<number, C[]>();
  for (const candidate of candidates) {
    const number = tier(candidate);
    const group = groups.get(number);
    if (group === undefined) groups.set(number, [candidate]);
    else group.push(candidate);
  }
  return groups;
}
