/**
 * The slowest that a downstream may be with a body. An idle timeout alone is reset by every octet: one a minute would
 * hold an exchange, and its upstream, for as long as the attacker likes.
 */

/** What a downstream has in hand before it is too slow, in octets: a bucket that moving fills and waiting empties. */
export class RateFloor {
  readonly #bytesPerSecond: number;
  readonly #most: number;
  #left = 0;
  #moved = 0;
  #at = 0;

  /** The bucket holds what has to move in `behindMs`: who stops altogether has that long. 0 octets: no floor. */
  constructor(bytesPerSecond: number, behindMs: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#most = bytesPerSecond * behindMs / 1000;
  }

  /** Starts with a full bucket. */
  start(now: number): void {
    this.#left = this.#most;
    this.#moved = 0;
    this.#at = now;
  }

  /** That many octets went on. Cheap: the sums are for the sweep. */
  moved(bytes: number): void {
    this.#moved += bytes;
  }

  /** Whether the downstream has been too slow. Time counts against it where it keeps us `waiting`. */
  sweep(now: number, waiting: boolean): boolean {
    if (this.#bytesPerSecond === 0) return false;
    const due = waiting ? (now - this.#at) * this.#bytesPerSecond / 1000 : 0;
    this.#left = Math.min(this.#most, this.#left + this.#moved) - due;
    this.#moved = 0;
    this.#at = now;
    return this.#left < 0;
  }
}
