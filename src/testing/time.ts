/**
 * Time that stands still until a test moves it.
 */
import type { TimeSource } from '../loop/time-source.ts';

export class VirtualTime implements TimeSource {
  #now = 1_000_000;
  readonly #ticks = new Set<() => void>();

  now(): number {
    return this.#now;
  }

  epoch(): number {
    return EPOCH + this.#now;
  }

  every(_ms: number, tick: () => void): () => void {
    const own = (): void => {
      tick();
    };
    this.#ticks.add(own);
    return () => {
      this.#ticks.delete(own);
    };
  }

  /** How many timers are active. */
  get timers(): number {
    return this.#ticks.size;
  }

  /** Advances time, then ticks once: everything due by then happens at the new time. */
  advance(ms: number): void {
    this.#now += ms;
    for (const tick of this.#ticks) tick();
  }
}

/** Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110 §5.6.7. */
const EPOCH = 784_111_777_000;
