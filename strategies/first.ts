import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

/** Which strategy picked, and what it left for itself. */
interface Left<C extends Candidate> {
  readonly by: Strategy<C>;
  readonly note: unknown;
}

/**
 * A chain: asks each strategy in turn, and takes the first pick. Where one declines, the next is asked. So a strategy
 * that knows only some requests, by their cookie or header, stands before one that knows all.
 *
 * Each hears only of the attempts that it picked, with the note that it left. Those with `picksFull` may pick full
 * upstreams, and are the only ones that are asked when all are full or draining.
 *
 * What it cannot know: whether a part that declines has a reason that holds for the next one too. Cost of a pick: that
 * of the parts that are asked, and one small object for the note where the part hears of its attempts.
 */
export function first<C extends Candidate = Upstream>(...strategies: readonly Strategy<C>[]): Strategy<C> {
  if (strategies.length === 0) throw new RangeError('first: needs at least one strategy, e.g. first(byUser, random())');
  const picksFull = strategies.some((each) => each.picksFull === true);
  return {
    name: `first(${strategies.map(({ name }) => name).join(', ')})`,
    picksFull,
    pick(candidates, context) {
      for (const strategy of strategies) {
        if (candidates.length === 0 && strategy.picksFull !== true) continue;
        context.note = undefined;
        const picked = strategy.pick(candidates, context);
        if (picked === undefined) continue;
        const hears = strategy.answered !== undefined || strategy.settled !== undefined;
        context.note = hears ? { by: strategy, note: context.note } satisfies Left<C> : undefined;
        return picked;
      }
      return undefined;
    },
    ...(strategies.some((each) => each.answered !== undefined) && {
      answered(candidate, head): void {
        const left = head.note as Left<C> | undefined;
        if (left?.by.answered === undefined) return;
        const { status, latencyMs, now } = head;
        left.by.answered(candidate, { status, latencyMs, now, note: left.note, header: (name) => head.header(name) });
      },
    } satisfies Partial<Strategy<C>>),
    ...(strategies.some((each) => each.settled !== undefined) && {
      settled(candidate, outcome): void {
        const left = outcome.note as Left<C> | undefined;
        left?.by.settled?.(candidate, { ...outcome, note: left.note });
      },
    } satisfies Partial<Strategy<C>>),
    changed(candidates, members) {
      for (const strategy of strategies) strategy.changed?.(candidates, members);
    },
  };
}
