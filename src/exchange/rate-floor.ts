/**
 * The slowest that a downstream may be with a body. An idle timeout alone is reset by every octet: one a minute would
 * hold an exchange, and its upstream, for as long as the attacker likes.
 */

/** A bucket of octets: what moves fills it, time spent waiting for the downstream empties it. Empty is too slow. */
export class RateFloor {
  readonly #bytesPerSecond: number;
  #most = 0;
  #left = 0;
  #moved = 0;
  #at = 0;

  /** 0 sets no floor. */
  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Starts with a full bucket: as much as has to move in `behindMs`, so a downstream may stall for that long. */
  start(now: number, behindMs: number): void {
    this.#left = this.#most = this.#bytesPerSecond * behindMs / 1000;
    this.#moved = 0;
    this.#at = now;
  }

  /** That many octets moved. Cheap: the sums are made in the sweep. */
  moved(bytes: number): void {
    this.#moved += bytes;
  }

  /** Whether the downstream has been too slow. Time counts against it while it keeps us `waiting`. */
  sweep(now: number, waiting: boolean): boolean {
    if (this.#bytesPerSecond === 0) return false;
    const due = waiting ? (now - this.#at) * this.#bytesPerSecond / 1000 : 0;
    this.#left = Math.min(this.#most, this.#left + this.#moved) - due;
    this.#moved = 0;
    this.#at = now;
    return this.#left < 0;
  }
}
