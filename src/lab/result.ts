/**
 * What a run came to.
 */
import { Histogram } from './histogram.ts';
import type { Sample } from './series.ts';
import { type Estimate, estimate } from './statistics.ts';

/** One server in a result. */
export interface ServerResult {
  readonly id: string;
  readonly picks: number;
  /** Its part of all picks. */
  readonly share: number;
  /** The part of the time that it was busy, of all that it can serve at a time; 0 where that is unlimited. */
  readonly utilisation: number;
}

/** Something that happened, for the plots. */
export interface Mark {
  readonly ms: number;
  readonly what: string;
  readonly server: string;
}

/** Requests that arrived one after another. */
export class Batch {
  requests = 0;
  failed = 0;
  readonly latencies = new Histogram(BATCH_BITS);

  merge(other: Batch): void {
    this.requests += other.requests;
    this.failed += other.failed;
    this.latencies.merge(other.latencies);
  }
}

/** What a run measured. */
export interface Measured {
  readonly strategy: string;
  readonly seed: number;
  /** Those that were begun. */
  readonly requests: number;
  /** Those without a good answer: refused, answered with 5xx or 429, or too late. */
  readonly failed: number;
  /** Virtual time that it took. */
  readonly durationMs: number;
  readonly upstreams: readonly ServerResult[];
  /** The codes of failures, with how often each came. */
  readonly codes: Readonly<Record<string, number>>;
  readonly latencies: Histogram;
  /** The requests after the first tenth in {@link BATCHES} of their order of arrival: what pairs them. */
  readonly batches: readonly Batch[];
  readonly samples: readonly Sample[];
  readonly marks: readonly Mark[];
}

export class SimulationResult {
  readonly strategy: string;
  readonly seed: number;
  readonly requests: number;
  readonly failed: number;
  readonly durationMs: number;
  readonly upstreams: readonly ServerResult[];
  readonly codes: Readonly<Record<string, number>>;
  readonly samples: readonly Sample[];
  readonly marks: readonly Mark[];
  readonly #latencies: Histogram;
  readonly #batches: readonly Batch[];

  constructor(measured: Measured) {
    this.strategy = measured.strategy;
    this.seed = measured.seed;
    this.requests = measured.requests;
    this.failed = measured.failed;
    this.durationMs = measured.durationMs;
    this.upstreams = measured.upstreams;
    this.codes = measured.codes;
    this.samples = measured.samples;
    this.marks = measured.marks;
    this.#latencies = measured.latencies;
    this.#batches = measured.batches;
  }

  /**
   * The mean latency of those that an upstream answered well, however late; the first tenth of the requests is left
   * out. NaN if there were none. Failures have no latency: errors that are fast make nothing look faster.
   */
  get meanMs(): number {
    return this.#latencies.mean;
  }

  get maxMs(): number {
    return this.#latencies.max;
  }

  /** The latency that a share `q` of them did not exceed, within 0.1%. NaN if there were none. */
  quantileMs(q: number): number {
    return this.#latencies.quantile(q);
  }

  /** The mean with its 95% confidence interval, by the means of batches. */
  get mean(): Estimate {
    return { ...estimate(this.#ofBatches(({ latencies }) => latencies.mean)), value: this.meanMs };
  }

  /** A quantile with its 95% confidence interval, by those of batches. */
  quantile(q: number): Estimate {
    const value = this.quantileMs(q);
    const { value: middle, low, high } = estimate(this.#ofBatches(({ latencies }) => latencies.quantile(q)));
    return { value, low: value - (middle - low), high: value + (high - middle) };
  }

  /** The requests after the first tenth in so many batches, at most {@link BATCHES}, in their order of arrival. */
  batches(count: number): readonly Batch[] {
    const merged = Array.from({ length: count }, () => new Batch());
    for (const [at, batch] of this.#batches.entries()) merged[Math.floor(at * count / BATCHES)]?.merge(batch);
    return merged;
  }

  /** Batches without any latency say nothing. */
  #ofBatches(measure: (batch: Batch) => number): number[] {
    return this.batches(OWN_BATCHES).map(measure).filter((value) => !Number.isNaN(value));
  }
}

/** How many batches a run keeps. */
export const BATCHES = 30;
/** A run's own intervals: fewer, larger batches depend less on each other. */
const OWN_BATCHES = 10;
const BATCH_BITS = 7;
