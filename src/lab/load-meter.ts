/**
 * What a simulated server reports of its load with its responses.
 */

/** What is metered. */
export interface Metered {
  /** For how long it was busy until now, summed over all that it serves at a time. */
  busyMs(now: number): number;
}

/**
 * Measures in windows of the same length, as servers do, and reports the last one that is over: the part of what it can
 * do that was in use, requests and errors a second. There is no report before the end of the first window. A window
 * ends with the first response after its time; one without responses is longer.
 */
export class LoadMeter {
  readonly #server: Metered;
  readonly #concurrency: number;
  readonly #windowMs: number;
  #since = 0;
  #busyAt = 0;
  #requests = 0;
  #errors = 0;
  #report: string | undefined;

  constructor(server: Metered, concurrency: number, windowMs: number) {
    this.#server = server;
    this.#concurrency = concurrency;
    this.#windowMs = windowMs;
  }

  /** A response leaves. Returns its header `endpoint-load-metrics`; undefined if it has none. */
  answered(status: number, now: number): string | undefined {
    this.#requests++;
    if (status >= 500) this.#errors++;
    if (now - this.#since >= this.#windowMs) this.#end(now);
    return this.#report;
  }

  #end(now: number): void {
    const elapsedMs = now - this.#since;
    const busyMs = this.#server.busyMs(now);
    const metrics = [
      `rps_fractional=${figure(1_000 * this.#requests / elapsedMs)}`, `eps=${figure(1_000 * this.#errors / elapsedMs)}`,
    ];
    // What never fills up has no part in use.
    if (this.#concurrency < Infinity) {
      metrics.push(`application_utilization=${figure((busyMs - this.#busyAt) / (elapsedMs * this.#concurrency))}`);
    }
    this.#report = `TEXT ${metrics.join(',')}`;
    this.#since = now;
    this.#busyAt = busyMs;
    this.#requests = this.#errors = 0;
  }
}

function figure(value: number): string {
  return String(Number(value.toPrecision(6)));
}
