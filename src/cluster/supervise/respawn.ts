/**
 * When a worker that died is made up for: at once, unless workers die again and again.
 */

/** Says how long to wait before each replacement. Pure: time and chance come in. */
export class Respawn {
  readonly #rng: () => number;
  /** Deaths in a row of workers that had hardly lived. */
  #streak = 0;
  /** When the replacements of the last window start, oldest first. */
  #starts: number[] = [];

  constructor(rng: () => number) {
    this.#rng = rng;
  }

  /**
   * The wait before the replacement of a worker that died at `now`, `livedMs` after it was ready (0 if it never was),
   * where `workers` are wanted.
   *
   * A death after a life of some length is followed at once: whoever crashes once a minute is respawned for ever. Short
   * lives double the wait, a quarter more or less, so that workers that die together do not come back together. And
   * whatever their lives, no more than a budget of replacements starts in any window.
   */
  delayMs(now: number, livedMs: number, workers: number): number {
    this.#streak = livedMs >= SHORT_LIFE_MS ? 0 : this.#streak + 1;
    const doubled = this.#streak < 2 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.#streak - 2), MAX_DELAY_MS);
    let start = now + doubled * (0.75 + this.#rng() / 2);
    this.#starts = this.#starts.filter((at) => at > now - WINDOW_MS);
    const budget = BUDGET + workers;
    const room = this.#starts.at(-budget);
    if (room !== undefined) start = Math.max(start, room + WINDOW_MS);
    this.#starts.push(start);
    this.#starts.sort((a, b) => a - b);
    return start - now;
  }
}

/** A worker that lives less than this after it was ready is in a loop. */
const SHORT_LIFE_MS = 500;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 15_000;
/** 10 and one for each worker in 10 s: neither one death a second is held back, nor that of all workers at once. */
const WINDOW_MS = 10_000;
const BUDGET = 10;
