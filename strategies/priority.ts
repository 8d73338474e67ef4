import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface PriorityOptions<C extends Candidate = Upstream> {
  /** The tier of a candidate: lower ones are used first, NaN last. E.g. `({ tags }) => Number(tags.tier)`. */
  readonly tier: (candidate: C) => number;
  /**
   * A tier takes all requests as long as its healthy share times this is at least 1; default 1.4: up to 28% of it may
   * be out. At least 1.
   */
  readonly factor?: number;
  /** Source of randomness: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/** One tier. */
interface Tier<C extends Candidate> {
  readonly number: number;
  readonly strategy: Strategy<C>;
  /** Those that may be picked: the healthy ones, or, in a panic, all that are offered. */
  readonly candidates: readonly C[];
  /** Those that are ejected or out of service included. */
  readonly members: readonly C[];
  /** The cumulative share of requests. */
  readonly until: number;
  /** Whether its ejected candidates are used, where the balancer offers them. */
  readonly panic: boolean;
}

/** Which strategy picked, and what it left for itself. */
interface Left<C extends Candidate> {
  readonly by: Strategy<C>;
  readonly note: unknown;
}

/**
 * Tiers: requests go to the first tier as long as enough of it is healthy, and spill over to the next in proportion to
 * what is missing. Within a tier, an inner strategy picks. With zones as tiers, it keeps requests in the zone.
 *
 * The share of a tier is its healthy part times the factor, 1 at most, of what the tiers before it left; where all
 * tiers together have less than 1, the shares are scaled up. Those that are ejected or out of service count as ill.
 * With a factor of 1.4 and 50% of the first tier healthy, it gets 70%. If all tiers together have less than 1, those
 * with less than half of their members healthy panic: they use ejected ones too, if the balancer offers them, as it
 * does in its own panic (`maxEjectedPercent`). Otherwise a tier uses its healthy ones alone, even in that.
 *
 * `inner` is a function that makes the strategy of each tier, so that each has tables and counts of its own. A single
 * strategy is shared by all tiers: it sees arrays other than that of its `changed`, and those of some cost O(n).
 *
 * What it cannot know: load. A tier that is slow, but answers, keeps its requests, unless its upstreams are at their
 * `maxInFlight`; then the next tier that has room gets them.
 *
 * Cost of a pick: one draw, and that of the inner strategy; in an array other than that of the last `changed`, such as
 * a retry's, O(n) in addition. Source: Envoy, "Priority levels" and "Panic threshold".
 */
export function priority<C extends Candidate = Upstream>(
  inner: Strategy<C> | (() => Strategy<C>), { tier, factor = 1.4, rng = Math.random }: PriorityOptions<C>,
): Strategy<C> {
  if (typeof tier as unknown !== 'function') {
    throw new TypeError('priority: tier must be a function, e.g. ({ tags }) => Number(tags.tier)');
  }
  if (!(factor >= 1)) throw new RangeError(`priority: factor must be a number >= 1 (got ${String(factor)})`);
  const make = typeof inner === 'function' ? inner : (): Strategy<C> => inner;
  const shared = typeof inner === 'function' ? undefined : inner;
  // Also tells what the strategies of all tiers do.
  const sample = make();
  let spare: Strategy<C> | undefined = sample;
  let strategies = new Map<number, Strategy<C>>();
  let told: readonly C[] | undefined;
  let tiers: readonly Tier<C>[] = [];

  const numberOf = (candidate: C): number => {
    const number = tier(candidate);
    return Number.isNaN(number) ? Infinity : number;
  };
  const strategyOf = (number: number): Strategy<C> => {
    let strategy = strategies.get(number);
    if (strategy === undefined) {
      strategies.set(number, strategy = spare ?? make());
      spare = undefined;
    }
    return strategy;
  };
  const tiersOf = (candidates: readonly C[], members: readonly C[]): readonly Tier<C>[] => {
    const all = grouped(members, numberOf);
    const offered = grouped(candidates, numberOf);
    for (const [number, each] of offered) if (!all.has(number)) all.set(number, each);
    const numbers = [...all.keys()].sort((one, other) => (one < other ? -1 : 1));
    const parts = numbers.map((number) => {
      const well = offered.get(number)?.filter(isWell) ?? [];
      return { well, part: well.length / Math.max(well.length, all.get(number)?.length ?? 0, 1) };
    });
    const sum = parts.reduce((total, { part }) => total + Math.min(1, factor * part), 0);
    const total = Math.min(1, sum);
    let left = 1;
    return numbers.map((number, at) => {
      const { well, part } = parts[at] ?? { well: [], part: 0 };
      // Where none is well, the first tiers get all: a try is better than none.
      const share = total === 0 ? left : Math.min(left, Math.min(1, factor * part) / total);
      left -= share;
      const panic = sum < 1 && part < PANIC;
      const own = panic ? offered.get(number) ?? [] : well;
      const members = all.get(number) ?? [];
      return { number, strategy: strategyOf(number), candidates: own, members, until: 1 - left, panic };
    });
  };
  /** The tiers with the candidates of another array, such as a retry's; their shares stay. */
  const tiersWith = (candidates: readonly C[]): readonly Tier<C>[] => {
    const offered = grouped(candidates, numberOf);
    if ([...offered.keys()].some((number) => !tiers.some((each) => each.number === number))) {
      return tiersOf(candidates, candidates);
    }
    return tiers.map((each) => {
      const own = offered.get(each.number) ?? [];
      return { ...each, candidates: each.panic ? own : own.filter(isWell) };
    });
  };
  const drawn = (candidates: readonly C[]): Pick<Tier<C>, 'strategy' | 'candidates'> => {
    const among = candidates === told ? tiers : tiersWith(candidates);
    const draw = rng();
    // A tier without candidates passes its share on: to the next one that has some, or to the first.
    const has = ({ candidates: own }: Tier<C>): boolean => own.length > 0;
    const chosen = among.find((each) => draw < each.until && has(each)) ?? among.find(has);
    if (chosen !== undefined) return chosen;
    // All that are left are ejected, or none is left: then any tier may know one that is full or draining.
    const any = among.find(({ until }) => draw < until) ?? among[0];
    return { strategy: any?.strategy ?? sample, candidates };
  };
  const hears = sample.answered !== undefined || sample.settled !== undefined;
  return {
    name: `priority(${sample.name})`,
    ...(sample.picksFull === true && { picksFull: true }),
    pick(candidates, context) {
      const { strategy, candidates: own } = drawn(candidates);
      const picked = strategy.pick(own, context);
      // The tier of a candidate may change before its attempt settles.
      if (picked !== undefined && hears && shared === undefined) {
        context.note = { by: strategy, note: context.note } satisfies Left<C>;
      }
      return picked;
    },
    ...(sample.answered !== undefined && {
      answered(candidate, head): void {
        if (shared !== undefined) {
          shared.answered?.(candidate, head);
          return;
        }
        const { by, note } = head.note as Left<C>;
        const { status, latencyMs, now } = head;
        by.answered?.(candidate, { status, latencyMs, now, note, header: (name) => head.header(name) });
      },
    } satisfies Partial<Strategy<C>>),
    ...(sample.settled !== undefined && {
      settled(candidate, outcome): void {
        if (shared !== undefined) {
          shared.settled?.(candidate, outcome);
          return;
        }
        const { by, note } = outcome.note as Left<C>;
        by.settled?.(candidate, { ...outcome, note });
      },
    } satisfies Partial<Strategy<C>>),
    changed(candidates, members = candidates) {
      const before = strategies;
      told = candidates;
      tiers = tiersOf(candidates, members);
      // Tiers of which nothing is left are forgotten.
      strategies = new Map(tiers.map(({ number, strategy }) => [number, strategy]));
      if (strategies.size === 0) strategies = before;
      if (shared !== undefined) shared.changed?.(candidates, members);
      else for (const each of tiers) each.strategy.changed?.(each.candidates, each.members);
    },
  };
}

/** In a panic of the balancer, ejected upstreams are candidates, too. */
function isWell(candidate: Candidate & { readonly state?: string }): boolean {
  return candidate.state !== 'ejected';
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

/** Below this healthy part, a tier panics: Envoy's default. */
const PANIC = 0.5;
