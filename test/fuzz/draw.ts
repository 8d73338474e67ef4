/**
 * Random draws for one case: the same seed and index draw the same.
 */
import { seededRandom } from '../../src/testing/random.ts';

export class Draw {
  readonly #next: () => number;

  constructor(seed: number, index: number) {
    // Far apart for neighbours: the generator's state moves by a fixed step.
    let mixed = Math.imul(seed ^ (seed >>> 16), 0x85ebca6b) ^ Math.imul(index + 1, 0x9e3779b1);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35);
    this.#next = seededRandom(mixed ^ (mixed >>> 16));
  }

  /** A whole number from 0 to `end` - 1. */
  below(end: number): number {
    return Math.floor(this.#next() * end);
  }

  chance(share: number): boolean {
    return this.#next() < share;
  }

  one<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}
