/**
 * Virtual time: what is due next happens next, and nothing takes time in between.
 */
import type { TimeSource } from '../loop/time-source.ts';

/** Something that happens at a time. One object can be scheduled again and again; once at a time. */
export interface Due {
  /** When, in milliseconds. Set by the timeline. */
  at: number;
  /** Its place among those due at the same time: first come first served. Set by the timeline. */
  turn: number;
  /** Its place in the heap; -1 when it is not scheduled. Set by the timeline; start it with -1. */
  place: number;
  happen(now: number): void;
}

/** The order of events, as a binary heap of what is due. */
export class Timeline implements TimeSource {
  #now = 0;
  #turns = 0;
  readonly #heap: Due[] = [];

  now(): number {
    return this.#now;
  }

  epoch(): number {
    return this.#now;
  }

  every(ms: number, tick: () => void): () => void {
    const timer: Due = {
      at: 0, turn: 0, place: -1,
      happen: (now) => {
        this.schedule(timer, now + ms);
        tick();
      },
    };
    this.schedule(timer, this.#now + ms);
    return () => {
      this.cancel(timer);
    };
  }

  /** Makes `due` happen at a time; if it is scheduled already, then instead of when it was. */
  schedule(due: Due, at: number): void {
    due.at = at;
    due.turn = this.#turns++;
    if (due.place < 0) {
      due.place = this.#heap.length;
      this.#heap.push(due);
      this.#rise(due);
    } else {
      this.#rise(due);
      this.#sink(due);
    }
  }

  /** Takes back what was scheduled; nothing if it was not. */
  cancel(due: Due): void {
    const { place } = due;
    if (place < 0) return;
    due.place = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === due) return;
    this.#put(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  /** Has the next thing happen. Returns false if there is none. */
  step(): boolean {
    const next = this.#heap[0];
    if (next === undefined) return false;
    this.#now = next.at;
    this.cancel(next);
    next.happen(next.at);
    return true;
  }

  #rise(due: Due): void {
    while (due.place > 0) {
      const above = (due.place - 1) >> 1;
      const parent = this.#heap[above];
      if (parent === undefined || before(parent, due)) return;
      this.#put(parent, due.place);
      this.#put(due, above);
    }
  }

  #sink(due: Due): void {
    const heap = this.#heap;
    for (;;) {
      const left = 2 * due.place + 1;
      let child = heap[left];
      if (child === undefined) return;
      const right = heap[left + 1];
      if (right !== undefined && before(right, child)) child = right;
      if (before(due, child)) return;
      const { place } = child;
      this.#put(child, due.place);
      this.#put(due, place);
    }
  }

  #put(due: Due, place: number): void {
    this.#heap[place] = due;
    due.place = place;
  }
}

function before(one: Due, other: Due): boolean {
  return one.at < other.at || (one.at === other.at && one.turn < other.turn);
}
