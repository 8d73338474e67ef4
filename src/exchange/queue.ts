/**
 * Requests that wait for an upstream to have room, first come first served.
 */

/** One that waits. */
export interface Waiting {
  /** Whether it could go on now. */
  readonly ready: boolean;
  /** Whether it has tried some already and waits for one of the others: who comes behind it may find room before. */
  readonly particular: boolean;
  /** It has waited enough. */
  proceed(): void;
}

export class Queue {
  readonly #max: number;
  /** In the order of their coming: a Set keeps it, and lets go in constant time. */
  readonly #waiting = new Set<Waiting>();
  #waking = false;
  /** Whether something got room while we were waking. */
  #again = false;

  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** Whether one more may wait. */
  get hasRoom(): boolean {
    return this.#waiting.size < this.#max;
  }

  /** Waits at the end. Returns false where there is no room to wait. */
  enter(waiting: Waiting): boolean {
    if (!this.hasRoom) return false;
    this.#waiting.add(waiting);
    return true;
  }

  /** Waits no more. */
  leave(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }

  /** Something has room again: as many as find some go on, in their order. Then nobody waits who could go on. */
  wake(): void {
    if (this.#waiting.size === 0) return;
    this.#again = true;
    // Who goes on may settle at once and wake us again: one loop does for all.
    if (this.#waking) return;
    this.#waking = true;
    while (this.#again) {
      this.#again = false;
      this.#wakeSome();
    }
    this.#waking = false;
  }

  #wakeSome(): void {
    for (const waiting of this.#waiting) {
      if (waiting.ready) {
        this.#waiting.delete(waiting);
        waiting.proceed();
      } else if (!waiting.particular) return;
    }
  }
}
