/**
 * An upstream as strategies, listeners and operators get it: live values to read, and no way to anything else.
 */
import type { Upstream } from '../strategy.ts';
import type { ManagedUpstream } from './managed-upstream.ts';

/** The public side of a {@link ManagedUpstream}. Static methods are for the core: an instance does not lead to them. */
export class PublicUpstream implements Upstream {
  static {
    Object.defineProperty(this.prototype, 'constructor', { value: Object });
  }

  /** The managed upstream behind its public side; undefined for anything else, however similar. */
  static managedOf(upstream: unknown): ManagedUpstream | undefined {
    return typeof upstream === 'object' && upstream !== null && #managed in upstream ? upstream.#managed : undefined;
  }

  /** Sets the numbers that an upstream shows. */
  static show(upstream: PublicUpstream, weight: number, inFlight: number): void {
    upstream.#weight = weight;
    upstream.#inFlight = inFlight;
  }

  readonly #managed: ManagedUpstream;
  /** Copies, so that a strategy that compares thousands reads one object less for each. */
  #weight: number;
  #inFlight = 0;

  constructor(managed: ManagedUpstream, weight: number) {
    this.#managed = managed;
    this.#weight = weight;
    Object.freeze(this);
  }

  get id(): string {
    return this.#managed.origin;
  }

  get origin(): string {
    return this.#managed.origin;
  }

  get weight(): number {
    return this.#weight;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get inFlightElsewhere(): number {
    return this.#managed.inFlightElsewhere;
  }

  get state(): Upstream['state'] {
    return this.#managed.state;
  }

  get maxInFlight(): number {
    return this.#managed.maxInFlight;
  }

  get latencyMs(): number {
    return this.#managed.latencyMs;
  }

  get picks(): number {
    return this.#managed.picks;
  }

  get failures(): number {
    return this.#managed.failures;
  }

  get responses(): number {
    return this.#managed.responses;
  }

  get retries(): number {
    return this.#managed.retries;
  }

  get ejections(): number {
    return this.#managed.ejections;
  }

  get tags(): Readonly<Record<string, string>> {
    return this.#managed.settings.tags;
  }

  /** Its values at this moment, as a plain object. */
  toJSON(): Upstream {
    const { id, origin, state, weight, maxInFlight, inFlight, inFlightElsewhere, latencyMs } = this;
    const { picks, responses, failures, retries, ejections, tags } = this;
    const counts = { picks, responses, failures, retries, ejections };
    return { id, origin, state, weight, maxInFlight, inFlight, inFlightElsewhere, latencyMs, ...counts, tags };
  }

  /** What `console.log` shows of it. */
  [Symbol.for('nodejs.util.inspect.custom')](): Upstream {
    return this.toJSON();
  }
}
