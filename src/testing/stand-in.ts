/**
 * The candidates of the conformance suite.
 */
import assert from 'node:assert/strict';
import type { LoadReport, Upstream, WorkerCandidate } from '../strategy.ts';

/**
 * A candidate with all properties of an upstream and of a worker. Of the two loads, it shows that of a worker, or, if
 * the suite was told that the strategy reads reports, that of an upstream.
 */
export type StandIn = Upstream & WorkerCandidate;

/** Frozen, so that a strategy cannot change it. The suite changes its counts, weight and load by methods. */
export class FakeUpstream implements StandIn {
  readonly id: string;
  readonly origin: string;
  readonly state = 'active';
  readonly maxInFlight = Infinity;
  readonly inFlightElsewhere = 0;
  readonly failures = 0;
  readonly responses = 0;
  readonly retries = 0;
  readonly ejections = 0;
  readonly tags = Object.freeze({});
  readonly pid: number;
  #load: number | LoadReport | undefined = 0;
  #weight: number;
  #inFlight: number;
  #picks = 0;
  #latencyMs: number | undefined;

  constructor(number: number, weight = 1, inFlight = 0) {
    this.id = this.origin = `http://10.0.0.1:${String(3000 + number)}`;
    this.pid = 1000 + number;
    this.#weight = weight;
    this.#inFlight = inFlight;
    Object.freeze(this);
  }

  get configuredWeight(): number {
    return this.#weight;
  }

  get weight(): number {
    return this.#weight;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get picks(): number {
    return this.#picks;
  }

  get latencyMs(): number {
    return this.#latencyMs ?? (this.#picks === 0 ? 0 : 5);
  }

  get load(): StandIn['load'] {
    return this.#load as StandIn['load'];
  }

  weigh(weight: number): this {
    this.#weight = weight;
    return this;
  }

  /** Fixes the latency it shows; 0: no response yet. */
  answersIn(latencyMs: number): void {
    this.#latencyMs = latencyMs;
  }

  burden(load: number | LoadReport | undefined): void {
    this.#load = load;
  }

  begin(): void {
    this.#picks++;
    this.#inFlight++;
  }

  end(): void {
    this.#inFlight--;
    assert.ok(this.#inFlight >= 0, `${this.id} settled more often than it was picked`);
  }

  /** Its values, as a plain object. */
  snapshot(): StandIn {
    const { id, origin, state, maxInFlight, weight, inFlight, inFlightElsewhere, latencyMs, pid, load } = this;
    const { picks, failures, responses, retries, ejections } = this;
    const counts = { inFlight, inFlightElsewhere, picks, failures, responses, retries, ejections };
    const weights = { weight, configuredWeight: weight };
    return { id, origin, state, maxInFlight, ...weights, latencyMs, pid, load, tags: {}, ...counts };
  }
}

/** Equal, idle candidates. */
export function fakes(size: number): readonly FakeUpstream[] {
  return list(Array.from({ length: size }, (_, i) => new FakeUpstream(i)));
}

/** A frozen array, as strategies receive it. */
export function list<T>(items: readonly T[]): readonly T[] {
  return Object.freeze([...items]);
}
