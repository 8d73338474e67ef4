/**
 * How many retries the traffic may bear (after Finagle's RetryBudget): a share of the requests of a window, and a few
 * always. Where everything fails, unbounded retries would multiply the load on what is failing.
 */

export class RetryBudget {
  readonly #share: number;
  readonly #always: number;
  /** Requests and retries by the second, the current one at the cursor. */
  readonly #requests = new Float64Array(WINDOW_SECONDS);
  readonly #retries = new Float64Array(WINDOW_SECONDS);
  #second = 0;
  #requestsInAll = 0;
  #retriesInAll = 0;
  /** Requests since the last sweep. */
  #begun = 0;

  constructor(percent: number, perSecond: number, now: number) {
    this.#share = percent / 100;
    this.#always = perSecond * WINDOW_SECONDS;
    this.#second = Math.floor(now / 1000);
  }

  /** A request has come. */
  begun(): void {
    this.#begun++;
  }

  /** Takes one retry out of the budget, if there is one. */
  take(): boolean {
    const allowed = this.#always + this.#share * (this.#requestsInAll + this.#begun);
    if (this.#retriesInAll + 1 > allowed) return false;
    this.#retriesInAll++;
    this.#count(this.#retries, 1);
    return true;
  }

  /** Lets time pass: what is older than the window is forgotten. */
  sweep(now: number): void {
    this.#count(this.#requests, this.#begun);
    this.#requestsInAll += this.#begun;
    this.#begun = 0;
    const second = Math.floor(now / 1000);
    for (let gone = Math.min(second - this.#second, WINDOW_SECONDS); gone > 0; gone--) {
      const slot = ++this.#second % WINDOW_SECONDS;
      this.#requestsInAll -= this.#requests[slot] ?? 0;
      this.#retriesInAll -= this.#retries[slot] ?? 0;
      this.#requests[slot] = this.#retries[slot] = 0;
    }
    this.#second = second;
  }

  #count(seconds: Float64Array, by: number): void {
    const slot = this.#second % WINDOW_SECONDS;
    seconds[slot] = (seconds[slot] ?? 0) + by;
  }
}

const WINDOW_SECONDS = 10;
