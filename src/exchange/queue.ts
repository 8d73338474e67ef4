/**
 * Requests that wait for an upstream to have room, first come first served.
 */

/** One that waits. */
export interface Waiting {
  /** Whether it could go on now. */
  readonly ready: boolean;
  /** It has waited enough. */
  proceed(): void;
}

export class Queue {
  readonly #max: number;
  /** In the order of their coming: a Set keeps it, and lets go in constant time. */
  readonly #waiting = new Set<Waiting>();
  #waking = false;

  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** Waits at the end. Returns false where there is no room to wait. */
  enter(waiting: Waiting): boolean {
    if (this.#waiting.size >= this.#max) return false;
    this.#waiting.add(waiting);
    return true;
  }

  /** Waits no more. */
  leave(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }

  /** Something has room again: as many as find some go on, in their order. */
  wake(): void {
    // Who goes on may settle at once and wake us again: one loop does for all.
    if (this.#waiting.size === 0 || this.#waking) return;
    this.#waking = true;
    for (const waiting of this.#waiting) {
      if (!waiting.ready) break;
      this.#waiting.delete(waiting);
      waiting.proceed();
    }
    this.#waking = false;
  }
}
