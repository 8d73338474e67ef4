/**
 * The copies of requests under way: how many there may be, and the sweep of their deadlines.
 */
import type { BalancerEvents } from '../events.ts';

/** Why a copy was dropped. */
export type DropReason = BalancerEvents['mirrorDropped']['reason'];

/** A copy under way. */
export interface Copy {
  /** Its index in {@link Mirrors}, which sets it; -1 while it is not in there. */
  place: number;
  /** Ends it if it is past a deadline. */
  sweep(now: number): void;
  /** Gives it up. */
  drop(reason: DropReason): void;
}

/** Those of one balancer. An array in which each knows its index, as `Downstreams` is. */
export class Mirrors {
  readonly #max: number;
  readonly #all: Copy[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether one more may be sent. */
  get hasRoom(): boolean {
    return this.#all.length < this.#max;
  }

  add(mirror: Copy): void {
    mirror.place = this.#all.push(mirror) - 1;
  }

  /** Removes a copy, if it is still there. */
  remove(mirror: Copy): void {
    const { place } = mirror;
    if (place < 0) return;
    mirror.place = -1;
    const last = this.#all.pop();
    if (last === undefined || last === mirror) return;
    this.#all[place] = last;
    last.place = place;
  }

  sweep(now: number): void {
    // A copy of the array: those that end leave it.
    if (this.#all.length > 0) for (const mirror of [...this.#all]) mirror.sweep(now);
  }

  /** The balancer closes, and waits no longer. */
  cut(): void {
    for (const mirror of [...this.#all]) mirror.drop('closing');
  }
}
