/**
 * When a worker that died is replaced: at once, unless workers die again and again.
 */

/** The budget of replacements, and those that have to wait. Pure: time and chance come in. */
export class Respawn {
  readonly #rng: () => number;
  /** Deaths in a row of workers that hardly lived. */
  #streak = 0;
  /** When the replacements of the last window start, oldest first. */
  #starts: number[] = [];
  /** Until when replacements wait, one entry for each. */
  #waiting: number[] = [];

  constructor(rng: () => number) {
    this.#rng = rng;
  }

  /** How many replacements wait at `now`. */
  waiting(now: number): number {
    this.#waiting = this.#waiting.filter((until) => until > now);
    return this.#waiting.length;
  }

  /**
   * Schedules the replacement of a worker that died at `now`, `livedMs` after it was ready (0 if it never was), of
   * `workers` that are wanted. Returns how long it waits.
   *
   * A worker that lived for a while is replaced at once: one that crashes once a minute is replaced for ever. After
   * short lives the delay doubles, give or take a quarter, so that workers that die together do not return together.
   * However long they live, the replacements that start in any window stay within a budget.
   */
  schedule(now: number, livedMs: number, workers: number): number {
    this.#streak = livedMs >= SHORT_LIFE_MS ? 0 : this.#streak + 1;
    const doubled = this.#streak < 2 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.#streak - 2), MAX_DELAY_MS);
    let start = now + doubled * (0.75 + this.#rng() / 2);
    this.#starts = this.#starts.filter((at) => at > now - WINDOW_MS);
    const budget = BUDGET + workers;
    const oldest = this.#starts.at(-budget);
    if (oldest !== undefined) start = Math.max(start, oldest + WINDOW_MS);
    this.#starts.push(start);
    this.#starts.sort((a, b) => a - b);
    if (start > now) this.#waiting.push(start);
    return start - now;
  }
}

/** A worker that dies sooner than this after it was ready is in a crash loop. */
const SHORT_LIFE_MS = 500;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 15_000;
/** 10 and one for each worker in 10 s: neither one death a second nor the death of all workers at once has to wait. */
const WINDOW_MS = 10_000;
const BUDGET = 10;
