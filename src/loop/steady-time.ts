/**
 * Time without pauses. A process that was stopped, or a loop that was blocked, comes back to deadlines that are over,
 * although nobody had a chance to meet them: the answers lie unread, or others were paused as well. So what a tick is
 * late by does not count, beyond what a busy process may be late.
 */
import type { TimeSource } from './time-source.ts';

/** The time of another source, but for its pauses. */
export class SteadyTime implements TimeSource {
  readonly #source: TimeSource;
  readonly #pauseMs: number;
  /** When the next tick is due, in the source's time; Infinity where none is. */
  #due = Infinity;
  #timers = 0;
  /** What was left out in all, and of that what nobody has asked for yet. */
  #leftOutMs = 0;
  #untoldMs = 0;

  /** A tick that is late by more than `pauseMs` was kept from coming. */
  constructor(source: TimeSource, pauseMs: number) {
    this.#source = source;
    this.#pauseMs = pauseMs;
  }

  /** Notices a pause by itself: in a turn of the loop, what was read comes before the tick. */
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

  /** The milliseconds that were left out since this was called last. */
  pausedMs(): number {
    const ms = this.#untoldMs;
    this.#untoldMs = 0;
    return ms;
  }

  /** The next tick of one timer comes in `ms`; that of another may come later. */
  #expect(ms: number): void {
    const due = this.#source.now() + ms;
    if (this.#due === Infinity || due > this.#due) this.#due = due;
  }
}
