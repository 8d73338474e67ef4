/**
 * Requests that wait for an upstream to have room, first come first served.
 */

/** One that waits. Its place is the queue's to set: start it with undefined. */
export interface Waiting {
  /** Who waits before it and behind it. */
  ahead: Waiting | undefined;
  behind: Waiting | undefined;
  /** Whether it could go on now. */
  readonly ready: boolean;
  /** Whether it waits for some upstreams only: those behind it may find room on others before it does. */
  readonly particular: boolean;
  /** It has waited enough. If it enters the queue again meanwhile, it keeps its place. */
  proceed(): void;
}

/**
 * A list through those who wait, so that any of them can leave in constant time, and nothing is made for one more. Its
 * links are cleared when one leaves: a Map or Set that churns with requests, or a link that stays behind, keeps garbage
 * alive until the next full collection (see `Guests`).
 */
export class Queue {
  readonly #max: number;
  readonly #onFault: (cause: unknown) => void;
  #first: Waiting | undefined;
  #last: Waiting | undefined;
  #length = 0;
  #waking = false;
  /** Whether something got room while we were waking. */
  #again = false;
  /** Who is looked at next while we are waking. */
  #next: Waiting | undefined;
  /** Who is going on, and whether it wants its place back. */
  #proceeding: Waiting | undefined;
  #stays = false;

  /** `onFault` hears what one threw that was to go on: the others go on all the same. */
  constructor(max: number, onFault: (cause: unknown) => void) {
    this.#max = max;
    this.#onFault = onFault;
  }

  get length(): number {
    return this.#length;
  }

  /** Whether one more may wait. For one that is just going on, its place is kept. */
  get hasRoom(): boolean {
    return this.#length < this.#max || this.#proceeding !== undefined;
  }

  /** Waits at the end, or at the place that it had if it is just going on. Returns false where there is no room. */
  enter(waiting: Waiting): boolean {
    if (waiting === this.#proceeding) {
      this.#stays = true;
      return true;
    }
    if (this.#length >= this.#max) return false;
    this.#length++;
    waiting.ahead = this.#last;
    if (this.#last === undefined) this.#first = waiting;
    else this.#last.behind = waiting;
    this.#last = waiting;
    // Whoever was last when they were all looked at has somebody behind it now.
    if (this.#waking) this.#next ??= waiting;
    return true;
  }

  /** Waits no more. */
  leave(waiting: Waiting): void {
    if (waiting === this.#proceeding) this.#stays = false;
    else if (waiting.ahead !== undefined || this.#first === waiting) this.#unlink(waiting);
  }

  /** Something has room again: as many as find some go on, in their order. Then nobody waits who could go on. */
  wake(): void {
    if (this.#length === 0) return;
    this.#again = true;
    // Who goes on may settle at once and wake us again: one loop does for all.
    if (this.#waking) return;
    this.#waking = true;
    try {
      while (this.#again) {
        this.#again = false;
        this.#wakeSome();
      }
    } finally {
      this.#waking = false;
      this.#next = undefined;
    }
  }

  #wakeSome(): void {
    this.#next = this.#first;
    while (this.#next !== undefined) {
      const waiting = this.#next;
      this.#next = waiting.behind;
      if (waiting.ready) this.#proceed(waiting);
      else if (!waiting.particular) return;
    }
  }

  #proceed(waiting: Waiting): void {
    this.#proceeding = waiting;
    this.#stays = false;
    try {
      waiting.proceed();
    } catch (cause) {
      this.#stays = false;
      this.#onFault(cause);
    } finally {
      this.#proceeding = undefined;
      this.#unlinkUnlessStaying(waiting);
    }
  }

  #unlinkUnlessStaying(waiting: Waiting): void {
    if (!this.#stays) this.#unlink(waiting);
  }

  #unlink(waiting: Waiting): void {
    const { ahead, behind } = waiting;
    if (this.#next === waiting) this.#next = behind;
    if (ahead === undefined) this.#first = behind;
    else ahead.behind = behind;
    if (behind === undefined) this.#last = ahead;
    else behind.ahead = ahead;
    waiting.ahead = waiting.behind = undefined;
    this.#length--;
  }
}
