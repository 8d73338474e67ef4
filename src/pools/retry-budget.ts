/**
 * Limits retries (after Finagle's RetryBudget) to a share of the requests in a window, plus a fixed minimum. When
 * everything fails, unlimited retries would multiply the load on what is failing.
 */

export class RetryBudget {
  #share = 0;
  #always = 0;
  /** Requests and retries per second; `#second` modulo the window is the current slot. */
  readonly #requests = new Float64Array(WINDOW_SECONDS);
  readonly #retries = new Float64Array(WINDOW_SECONDS);
  #second = 0;
  #windowRequests = 0;
  #windowRetries = 0;
  /** Requests since the last sweep. */
  #begun = 0;

  constructor(percent: number, perSecond: number, now: number) {
    this.change(percent, perSecond);
    this.#second = Math.floor(now / 1000);
  }

  /** Changes what is allowed. What was counted stays. */
  change(percent: number, perSecond: number): void {
    this.#share = percent / 100;
    this.#always = perSecond * WINDOW_SECONDS;
  }

  /** Counts a request. */
  begun(): void {
    this.#begun++;
  }

  /** Takes one retry from the budget. Returns false if none is left. */
  take(): boolean {
    const allowed = this.#always + this.#share * (this.#windowRequests + this.#begun);
    if (this.#windowRetries + 1 > allowed) return false;
    this.#windowRetries++;
    this.#count(this.#retries, 1);
    return true;
  }

  /** Drops what is older than the window. */
  sweep(now: number): void {
    this.#count(this.#requests, this.#begun);
    this.#windowRequests += this.#begun;
    this.#begun = 0;
    const second = Math.floor(now / 1000);
    for (let gone = Math.min(second - this.#second, WINDOW_SECONDS); gone > 0; gone--) {
      const slot = ++this.#second % WINDOW_SECONDS;
      this.#windowRequests -= this.#requests[slot] ?? 0;
      this.#windowRetries -= this.#retries[slot] ?? 0;
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
