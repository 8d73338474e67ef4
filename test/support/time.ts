/**
 * Time that stands still until a test moves it.
 */
import type { TimeSource } from '../../src/clock.ts';

export class VirtualTime implements TimeSource {
  /** The period that the balancer asked to be ticked at; 0 where nobody wants ticks (any more). */
  periodMs = 0;
  #now = 1_000_000;
  #tick: (() => void) | undefined;

  now(): number {
    return this.#now;
  }

  epoch(): number {
    return EPOCH + this.#now;
  }

  every(ms: number, tick: () => void): () => void {
    this.periodMs = ms;
    this.#tick = tick;
    return () => {
      this.periodMs = 0;
      this.#tick = undefined;
    };
  }

  /** Moves time on and ticks once, at its new value: what is due by then is noticed, and nothing else. */
  advance(ms: number): void {
    this.#now += ms;
    this.#tick?.();
  }
}

/** Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110 §5.6.7. */
const EPOCH = 784_111_777_000;
