/**
 * Requests that wait for an upstream to have room, first come first served.
 */

/** An entry of the queue. The queue sets the links: start them with undefined. */
export interface Waiting {
  /** The entries before and behind it. */
  ahead: Waiting | undefined;
  behind: Waiting | undefined;
  /** Whether it could go on now. */
  readonly ready: boolean;
  /** Whether it waits for certain upstreams only: entries behind it may find room on others sooner. */
  readonly particular: boolean;
  /** Resumes it. If it enters the queue again during this call, it keeps its place. */
  proceed(): void;
}

/**
 * A linked list through the entries themselves, so that any of them can leave in constant time and entering allocates
 * nothing. Links are cleared when an entry leaves: a Map or Set that churns with requests, or a stale link, keeps
 * garbage alive until the next full collection (see `Downstreams`).
 */
export class Queue {
  /** How many may wait. If it is lowered, those that are waiting stay. */
  max: number;
  readonly #onFault: (cause: unknown) => void;
  #first: Waiting | undefined;
  #last: Waiting | undefined;
  #length = 0;
  #waking = false;
  /** Whether something got room during a wake. */
  #again = false;
  /** The entry to look at next during a wake. */
  #next: Waiting | undefined;
  /** The entry that is being resumed, and whether it wants its place back. */
  #proceeding: Waiting | undefined;
  #stays = false;

  /** `onFault` is called with what an entry's `proceed` threw; the others are resumed all the same. */
  constructor(max: number, onFault: (cause: unknown) => void) {
    this.max = max;
    this.#onFault = onFault;
  }

  get length(): number {
    return this.#length;
  }

  /** Whether one more may wait. The place of an entry that is being resumed is kept. */
  get hasRoom(): boolean {
    return this.#length < this.max || this.#proceeding !== undefined;
  }

  /** Enters at the end, or keeps its place if it is being resumed. Returns false if the queue is full. */
  enter(waiting: Waiting): boolean {
    if (waiting === this.#proceeding) {
      this.#stays = true;
      return true;
    }
    if (this.#length >= this.max) return false;
    this.#length++;
    waiting.ahead = this.#last;
    if (this.#last === undefined) this.#first = waiting;
    else this.#last.behind = waiting;
    this.#last = waiting;
    // If the wake had reached the end, it continues here.
    if (this.#waking) this.#next ??= waiting;
    return true;
  }

  /** Leaves the queue. */
  leave(waiting: Waiting): void {
    if (waiting === this.#proceeding) this.#stays = false;
    else if (waiting.ahead !== undefined || this.#first === waiting) this.#unlink(waiting);
  }

  /** Something has room again: resumes all that can go on, in order. */
  wake(): void {
    if (this.#length === 0) return;
    this.#again = true;
    // A resumed entry may settle at once and call this again: one loop serves all.
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
