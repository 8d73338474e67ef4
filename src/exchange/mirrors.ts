/**
 * The copies of requests under way: how many there may be, and the sweep of their deadlines.
 */
import type { BalancerEvents } from '../events.ts';
import { type Placed, Roster } from '../loop/roster.ts';

/** Why a copy was dropped. */
export type DropReason = BalancerEvents['mirrorDropped']['reason'];

/** A copy under way. */
export interface Copy extends Placed {
  /** Ends it if it is past a deadline. */
  sweep(now: number): void;
  /** Gives it up. */
  drop(reason: DropReason): void;
}

/** Those of one balancer. */
export class Mirrors {
  readonly #max: number;
  readonly #sent = new Roster<Copy>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether one more may be sent. */
  get hasRoom(): boolean {
    return this.#sent.entries.length < this.#max;
  }

  add(mirror: Copy): void {
    this.#sent.add(mirror);
  }

  /** Removes a copy, if it is still there. */
  remove(mirror: Copy): void {
    this.#sent.remove(mirror);
  }

  sweep(now: number): void {
    const { entries } = this.#sent;
    if (entries.length > 0) for (const mirror of [...entries]) mirror.sweep(now);
  }

  /** The balancer closes, and waits no longer. */
  cut(): void {
    for (const mirror of [...this.#sent.entries]) mirror.drop('closing');
  }
}
