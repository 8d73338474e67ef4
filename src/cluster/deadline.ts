/**
 * How long a drain may take: a time limit that can be shortened while it runs.
 */
import type { TimeSource } from '../loop/clock.ts';

/** What a drain is given. */
export interface DrainLimit {
  /** How long it may take, in milliseconds. It may be told to hurry later: see `signal`. */
  readonly timeoutMs: number;
  /** Aborts when the time is over: what is still in flight then is to be cut. */
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
      this.#look();
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** At most `ms` are left from now on, whatever there was before. */
  hurry(ms: number): void {
    this.#at = Math.min(this.#at, this.#time.now() + ms);
    this.#look();
  }

  /** Nothing is to be cut any more. */
  stop(): void {
    this.#stop();
  }

  #look(): void {
    if (this.#time.now() < this.#at) return;
    this.#stop();
    this.#controller.abort();
  }
}

const TICK_MS = 50;
