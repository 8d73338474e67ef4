/**
 * The copies of requests under way: how many there may be, and the sweep of their deadlines.
 */
import type { BalancerEvents } from '../events.ts';
import type { Mirror } from './mirror.ts';

/** Why a copy was dropped. */
export type DropReason = BalancerEvents['mirrorDropped']['reason'];

/** Those of one balancer. An array in which each knows its index, as `Downstreams` is. */
export class Mirrors {
  readonly #max: number;
  readonly #all: Mirror[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether one more may be sent. */
  get hasRoom(): boolean {
    return this.#all.length < this.#max;
  }

  add(mirror: Mirror): void {
    mirror.place = this.#all.push(mirror) - 1;
  }

  /** Removes a copy, if it is still there. */
  remove(mirror: Mirror): void {
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
