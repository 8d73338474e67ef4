/**
 * Time without pauses. When a stopped process or a blocked event loop resumes, deadlines are over that nobody had a
 * chance to meet: the answers lie unread, or the other side was paused as well. So the lateness of a tick does not
 * count as time if it exceeds what is normal for a busy process.
 */
import type { TimeSource } from './time-source.ts';

/** The time of another source, without the pauses. */
export class SteadyTime implements TimeSource {
  readonly #source: TimeSource;
  readonly #pauseMs: number;
  /** When the next tick is due, in the source's time; Infinity if none is. */
  #due = Infinity;
  #timers = 0;
  /** All that was left out, and the part of it that `pausedMs` has not returned yet. */
  #leftOutMs = 0;
  #untoldMs = 0;

  /** A tick that is late by more than `pauseMs` means that the process was paused. */
  constructor(source: TimeSource, pauseMs: number) {
    this.#source = source;
    this.#pauseMs = pauseMs;
  }

  /** Notices a pause without a tick: in a turn of the loop, what was read is handled before the tick. */
  now(): number {
    const now = this.#source.now();
    const lateMs = now - this.#due;
    if (lateMs > this.#pauseMs) {
      this.#leftOutMs += lateMs;
      this.#untoldMs += lateMs;
      this.#due = now;
    }
    return now - this.#leftOutMs;
  }

  epoch(): number {
    return this.#source.epoch();
  }

  every(ms: number, tick: () => void): () => void {
    this.#timers++;
    this.#expect(ms);
    const stop = this.#source.every(ms, () => {
      this.now();
      this.#expect(ms);
      tick();
    });
    let stopped = false;
    return () => {
      stop();
      if (stopped) return;
      stopped = true;
      if (--this.#timers === 0) this.#due = Infinity;
    };
  }

  /** The milliseconds left out since the last call. */
  pausedMs(): number {
    const ms = this.#untoldMs;
    this.#untoldMs = 0;
    return ms;
  }

  /** The next tick of one timer is due in `ms`; that of another may be due later. */
  #expect(ms: number): void {
    const due = this.#source.now() + ms;
    if (this.#due === Infinity || due > this.#due) this.#due = due;
  }
}
