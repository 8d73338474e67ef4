/**
 * How a run went over time, in a bounded number of samples: whenever there are too many, two become one.
 */

/** One stretch of a run. */
export interface Sample {
  /** Its end. */
  readonly ms: number;
  /** Requests that ended in it, those that failed, the sum of their latencies, and the longest. */
  readonly ended: number;
  readonly failed: number;
  readonly latencySum: number;
  readonly latencyMax: number;
  /** What each server had at its end, and how often it was picked during it; of the first servers only. */
  readonly present: readonly number[];
  readonly picks: readonly number[];
}

/** Between {@link MOST} / 2 and that many samples. */
export class Series {
  #everyMs: number;
  #next: number;
  #samples: Sample[] = [];
  #ended = 0;
  #failed = 0;
  #latencySum = 0;
  #latencyMax = 0;

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
    this.#next = everyMs;
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  /** When the next sample is due. */
  get next(): number {
    return this.#next;
  }

  ended(latencyMs: number, failed: boolean): void {
    this.#ended++;
    if (failed) this.#failed++;
    this.#latencySum += latencyMs;
    if (latencyMs > this.#latencyMax) this.#latencyMax = latencyMs;
  }

  /** Takes a sample. `picks` are those since the last one. */
  take(present: readonly number[], picks: readonly number[]): void {
    this.#samples.push({
      ms: this.#next, ended: this.#ended, failed: this.#failed, latencySum: this.#latencySum,
      latencyMax: this.#latencyMax, present, picks,
    });
    this.#ended = this.#failed = this.#latencySum = this.#latencyMax = 0;
    if (this.#samples.length === MOST) this.#halve();
    this.#next += this.#everyMs;
  }

  #halve(): void {
    const halved: Sample[] = [];
    for (let at = 1; at < this.#samples.length; at += 2) {
      const [one, other] = [this.#samples[at - 1], this.#samples[at]];
      if (one !== undefined && other !== undefined) halved.push(joined(one, other));
    }
    this.#samples = halved;
    this.#everyMs *= 2;
  }
}

function joined(one: Sample, other: Sample): Sample {
  return {
    ms: other.ms,
    ended: one.ended + other.ended,
    failed: one.failed + other.failed,
    latencySum: one.latencySum + other.latencySum,
    latencyMax: Math.max(one.latencyMax, other.latencyMax),
    present: other.present,
    picks: other.picks.map((picks, server) => picks + (one.picks[server] ?? 0)),
  };
}

const MOST = 600;
