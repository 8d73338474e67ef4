/**
 * How often times fell into each range.
 */

/** The upper bounds of the ranges, in seconds, as they are exposed. One more range has none. */
export const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] as const;

/** Times in milliseconds; a time that equals a bound is within it. */
export class Histogram {
  /** One more than the bounds. */
  readonly #counts = new Array<number>(BOUNDS.length + 1).fill(0);
  /** In whole microseconds: sums of integers don't depend on their order, as those of fractions would. */
  #sum = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  observe(ms: number): void {
    let range = 0;
    // Most responses take a few milliseconds: the first comparison is the last.
    while (range < BOUNDS_MS.length && ms > (BOUNDS_MS[range] ?? Infinity)) range++;
    this.#counts[range] = (this.#counts[range] ?? 0) + 1;
    this.#sum += Math.round(ms * 1_000);
    this.#count++;
  }

  /** The sum in microseconds, then the count of each range; begins again from 0. */
  take(): number[] {
    if (this.#count === 0) return [];
    const taken = [this.#sum, ...this.#counts];
    this.#counts.fill(0);
    this.#sum = this.#count = 0;
    return taken;
  }
}

const BOUNDS_MS = BOUNDS.map((seconds) => seconds * 1_000);
