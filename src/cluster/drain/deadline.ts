/**
 * How long a drain may take: a time limit that can be shortened while it runs.
 */
import type { TimeSource } from '../../loop/time-source.ts';

/** What a drain is given. */
export interface DrainLimit {
  /** How long it may take, in milliseconds. `signal` may abort sooner: the drain may be told to hurry. */
  readonly timeoutMs: number;
  /** Aborts when the time is over: then cut what is still in flight. */
  readonly signal: AbortSignal;
}

export class Deadline implements DrainLimit {
  readonly timeoutMs: number;
  readonly #controller = new AbortController();
  readonly #time: TimeSource;
  readonly #stop: () => void;
  #at: number;

  constructor(time: TimeSource, timeoutMs: number) {
    this.timeoutMs = timeoutMs;
    this.#time = time;
    this.#at = time.now() + timeoutMs;
    this.#stop = time.every(TICK_MS, () => {
      this.#check();
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Leaves at most `ms` from now. */
  hurry(ms: number): void {
    this.#at = Math.min(this.#at, this.#time.now() + ms);
    this.#check();
  }

  /** The signal will not abort any more. */
  stop(): void {
    this.#stop();
  }

  #check(): void {
    if (this.#time.now() < this.#at) return;
    this.#stop();
    this.#controller.abort();
  }
}

const TICK_MS = 50;
