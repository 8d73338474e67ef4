/**
 * Load that is known late: what a strategy sees is in flight comes from a board that is renewed now and then.
 */
import type { Strategy, Upstream } from '../strategy.ts';
import { managedOf } from '../upstreams/managed-upstream.ts';
import { PublicUpstream } from '../upstreams/public-upstream.ts';
import type { Timeline } from './timeline.ts';

/**
 * The strategy, as it decides by a board that is renewed every `everyMs`. It gets a public side of each upstream whose
 * `inFlight` is that of the last renewal; all else is current. What is at its limit (`context.full`) stays as it is.
 */
export function onBoard(strategy: Strategy, timeline: Timeline, everyMs: number): Strategy {
  const board = new Board();
  timeline.every(everyMs, () => {
    board.renew();
  });
  return {
    name: strategy.name,
    ...(strategy.picksFull !== undefined && { picksFull: strategy.picksFull }),
    pick(candidates, context) {
      const picked: unknown = strategy.pick(board.allOf(candidates), context);
      return board.behind(picked);
    },
    ...(strategy.answered && {
      answered(upstream, head) {
        return strategy.answered?.(board.of(upstream), head);
      },
    }),
    ...(strategy.settled && {
      settled(upstream, outcome) {
        return strategy.settled?.(board.of(upstream), outcome);
      },
    }),
    changed(candidates, members) {
      board.keep(candidates, members ?? candidates);
      return strategy.changed?.(board.allOf(candidates), members?.map((member) => board.of(member)));
    },
  };
}

class Board {
  #sides = new Map<Upstream, PublicUpstream>();
  /** The last candidates that a change told of: a strategy may recognise the array. */
  #candidates: readonly Upstream[] = [];
  #shown: readonly Upstream[] = [];

  renew(): void {
    for (const [upstream, side] of this.#sides) PublicUpstream.show(side, upstream.weight, upstream.inFlight);
  }

  /** Weights may have changed, and what has left is forgotten; the counts stay as old as they are. */
  keep(candidates: readonly Upstream[], members: readonly Upstream[]): void {
    const before = this.#sides;
    this.#sides = new Map();
    for (const upstream of [...members, ...candidates]) {
      const side = before.get(upstream) ?? this.of(upstream);
      this.#sides.set(upstream, side);
      PublicUpstream.show(side, upstream.weight, side.inFlight);
    }
    this.#candidates = candidates;
    this.#shown = Object.freeze(candidates.map((upstream) => this.of(upstream)));
  }

  of(upstream: Upstream): Upstream & PublicUpstream {
    const known = this.#sides.get(upstream);
    if (known !== undefined) return known;
    const facts = PublicUpstream.factsOf(upstream);
    if (facts === undefined) throw new RangeError(`a board shows upstreams of a pool (got ${upstream.id})`);
    const side = new PublicUpstream(facts, upstream.weight);
    PublicUpstream.show(side, upstream.weight, upstream.inFlight);
    this.#sides.set(upstream, side);
    return side;
  }

  allOf(candidates: readonly Upstream[]): readonly Upstream[] {
    return candidates === this.#candidates ? this.#shown : candidates.map((upstream) => this.of(upstream));
  }

  /** The upstream behind what a strategy picked; anything else as it is. */
  behind(picked: unknown): Upstream | undefined {
    return managedOf(picked)?.shown ?? picked as Upstream | undefined;
  }
}
