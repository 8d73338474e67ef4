/**
 * Coarse time: one timer for all deadlines, instead of one for each request.
 */

/** Where time comes from: the seam that makes it virtual in tests. */
export interface TimeSource {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since the epoch, for the Date field. */
  epoch(): number;
  /** Calls `tick` every `ms` milliseconds until the returned function is called. Must not keep the process alive. */
  every(ms: number, tick: () => void): () => void;
}

/** Reads the time once a tick and has all deadlines looked at. */
export class Clock {
  /** The time of the last tick, in monotonic milliseconds: at most one tick behind. */
  now: number;
  /** The Date value (RFC 9110 §5.6.7) of the last tick. */
  date = '';
  readonly source: TimeSource;
  #second = -1;
  #stop: (() => void) | undefined;

  constructor(source: TimeSource = systemTime) {
    this.source = source;
    this.now = source.now();
    this.#readDate();
  }

  /** Calls `sweep` every `tickMs`: that is how late a deadline may be noticed. */
  start(tickMs: number, sweep: (now: number) => void): void {
    this.#stop = this.source.every(tickMs, () => {
      this.now = this.source.now();
      this.#readDate();
      sweep(this.now);
    });
  }

  stop(): void {
    this.#stop?.();
  }

  #readDate(): void {
    const epoch = this.source.epoch();
    const second = Math.floor(epoch / 1000);
    if (second === this.#second) return;
    this.#second = second;
    this.date = new Date(epoch).toUTCString();
  }
}

/** The machine's chance: numbers in [0, 1). */
export const systemRng = (): number => Math.random();

/** The machine's time. */
export const systemTime: TimeSource = {
  now: () => performance.now(),
  epoch: () => Date.now(),
  every: (ms, tick) => {
    const timer = setInterval(tick, ms);
    timer.unref();
    return () => {
      clearInterval(timer);
    };
  },
};
