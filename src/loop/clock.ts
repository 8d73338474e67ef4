/**
 * Coarse time: one timer for all deadlines, instead of one for each request.
 */
import { SteadyTime } from './steady-time.ts';
import type { TimeSource } from './time-source.ts';

/** Reads the time once per tick and has all deadlines checked. */
export class Clock {
  /** The time of the last tick, in monotonic milliseconds: at most one tick behind. */
  now: number;
  /** The Date value (RFC 9110 §5.6.7) of the last tick. */
  date = '';
  /** Precise time, on the same scale. */
  readonly source: TimeSource;
  readonly #steady: SteadyTime | undefined;
  #second = -1;
  #stop: (() => void) | undefined;
  #tickMs = Infinity;
  /** The shortest tick that was asked for by {@link Clock.heed}. */
  #heeded = Infinity;
  #sweep: (now: number, pausedMs: number) => void = () => undefined;

  constructor(source: TimeSource = systemTime) {
    const { pauseMs } = source;
    this.#steady = pauseMs === undefined ? undefined : new SteadyTime(source, pauseMs);
    this.source = this.#steady ?? source;
    this.now = this.source.now();
    this.#readDate();
  }

  /**
   * Calls `sweep` every `tickMs`, which is how late a deadline may be noticed. `pausedMs` is how long the process was
   * paused since the last tick: `now` leaves that out, though time went on for the other side of each connection. May
   * be called again, with another `tickMs`.
   */
  start(tickMs: number, sweep: (now: number, pausedMs: number) => void): void {
    this.#sweep = sweep;
    this.#restart(Math.min(tickMs, this.#heeded));
  }

  /** Ticks often enough, from now on, for timeouts as short as this one. */
  heed(timeoutMs: number): void {
    const tickMs = tickFor(timeoutMs);
    if (tickMs >= this.#tickMs || this.#stop === undefined) return;
    this.#heeded = tickMs;
    this.#restart(tickMs);
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  #restart(tickMs: number): void {
    const before = this.#stop;
    this.#stop = this.#every(tickMs);
    this.#tickMs = tickMs;
    before?.();
  }

  #every(tickMs: number): () => void {
    return this.source.every(tickMs, () => {
      this.now = this.source.now();
      this.#readDate();
      this.#sweep(this.now, this.#steady?.pausedMs() ?? 0);
    });
  }

  #readDate(): void {
    const epoch = this.source.epoch();
    const second = Math.floor(epoch / 1000);
    if (second === this.#second) return;
    this.#second = second;
    this.date = new Date(epoch).toUTCString();
  }
}

/** An eighth of the shortest timeout, so that none is noticed much too late; 10 to 250 ms. */
export function tickFor(shortestMs: number): number {
  return Math.min(250, Math.max(10, Math.floor(shortestMs / 8)));
}

/** The machine's random numbers, in [0, 1). */
export const systemRng = (): number => Math.random();

/** The machine's time. */
export const systemTime: TimeSource = {
  now: () => performance.now(),
  epoch: () => Date.now(),
  every: (ms, tick) => {
    // Timers come first in a turn of the event loop. What has arrived is read before anything is judged late.
    let soon: NodeJS.Immediate | undefined;
    const timer = setInterval(() => {
      soon ??= setImmediate(() => {
        soon = undefined;
        tick();
      });
    }, ms);
    timer.unref();
    return () => {
      clearInterval(timer);
      clearImmediate(soon);
    };
  },
  // Garbage collections and busy turns take less.
  pauseMs: 250,
};
