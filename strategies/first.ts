import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

/** Which strategy picked, and what it left for itself. */
interface Left {
  readonly by: number;
  readonly note: unknown;
}

/**
 * A chain: asks each strategy in turn, and takes the first pick; the next one is asked where one declines. So a
 * strategy that knows only some requests, by their cookie or header, stands before one that knows all.
 *
 * Each hears only of the attempts that it picked, with the note that it left. What is full may be picked by those that
 * may (`picksFull`).
 *
 * What it cannot know: more than its parts. Cost of a pick: that of those asked, and one small object for the note.
 */
export function first<C extends Candidate = Upstream>(...strategies: readonly Strategy<C>[]): Strategy<C> {
  if (strategies.length === 0) throw new RangeError('first needs at least one strategy, e.g. first(sticky(a), b)');
  return {
    name: `first(${strategies.map(({ name }) => name).join(', ')})`,
    picksFull: strategies.some(({ picksFull }) => picksFull === true),
    pick(candidates, context) {
      for (let by = 0; by < strategies.length; by++) {
        const strategy = strategies[by];
        // Only one that asked for it is asked when all are full.
        if (candidates.length === 0 && strategy?.picksFull !== true) continue;
        context.note = undefined;
        const picked = strategy?.pick(candidates, context);
        if (picked === undefined) continue;
        context.note = { by, note: context.note } satisfies Left;
        return picked;
      }
      return undefined;
    },
    answered(candidate, head) {
      const { by, note } = head.note as Left;
      strategies[by]?.answered?.(candidate, {
        status: head.status, latencyMs: head.latencyMs, now: head.now, note, header: (name) => head.header(name),
      });
    },
    settled(candidate, outcome) {
      const { by, note } = outcome.note as Left;
      strategies[by]?.settled?.(candidate, { ...outcome, note });
    },
    changed(candidates, members) {
      for (const strategy of strategies) strategy.changed?.(candidates, members);
    },
  };
}
