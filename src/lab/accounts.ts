/**
 * The bookkeeping of a run: nothing is lost or counted twice, and Little's law holds.
 */

export class Accounts {
  #begun = 0;
  #ended = 0;
  /** Requests in the system, summed over time, and the sum of their latencies: by Little's law they are equal. */
  #presence = 0;
  #latencySum = 0;
  #changedAt = 0;

  get begun(): number {
    return this.#begun;
  }

  get ended(): number {
    return this.#ended;
  }

  /** When a request last began or ended. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** A request begins. Returns its number, from 0. */
  begin(now: number): number {
    this.#change(now);
    return this.#begun++;
  }

  end(latencyMs: number, now: number): void {
    this.#change(now);
    this.#ended++;
    this.#latencySum += latencyMs;
  }

  /** Throws RangeError if it does not add up. `inFlight`: what the balancers count at the end. */
  check(inFlight: number): void {
    if (this.#begun !== this.#ended) {
      throw new RangeError(`the simulation lost requests: ${this.#begun} were begun and ${this.#ended} ended`);
    }
    if (inFlight !== 0) throw new RangeError(`the simulation left ${inFlight} requests in flight`);
    if (!(Math.abs(this.#presence - this.#latencySum) <= 1e-6 * Math.max(1, this.#latencySum))) {
      throw new RangeError(
        `the simulation violates Little's law: ${this.#presence} request-milliseconds in the system, but latencies ` +
        `of ${this.#latencySum} ms`);
    }
  }

  #change(now: number): void {
    this.#presence += (this.#begun - this.#ended) * (now - this.#changedAt);
    this.#changedAt = now;
  }
}
