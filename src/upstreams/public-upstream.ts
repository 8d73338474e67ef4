/**
 * An upstream as strategies, listeners and operators see it: live values to read, and no way to reach anything else.
 */
import type { LoadReport, Upstream } from '../strategy.ts';

/** What the public side reads from the core's upstream. */
export interface UpstreamFacts extends Omit<Upstream, 'id' | 'weight' | 'inFlight' | 'tags'> {
  readonly settings: Pick<Upstream, 'tags'>;
  /** The load, if anybody has asked for it before. */
  readonly knownLoad: LoadReport | undefined;
}

/** The public side of an upstream. Static methods are for the core: they cannot be reached from an instance. */
export class PublicUpstream implements Upstream {
  static {
    Object.defineProperty(this.prototype, 'constructor', { value: Object });
  }

  /** What a public side was made from; undefined for anything else, however similar. */
  static factsOf(upstream: unknown): UpstreamFacts | undefined {
    return typeof upstream === 'object' && upstream !== null && #facts in upstream ? upstream.#facts : undefined;
  }

  /** Sets the numbers that an upstream shows. */
  static show(upstream: PublicUpstream, weight: number, inFlight: number): void {
    upstream.#weight = weight;
    upstream.#inFlight = inFlight;
  }

  readonly #facts: UpstreamFacts;
  /** Copies: a strategy that compares thousands of upstreams reads one object less for each. */
  #weight: number;
  #inFlight = 0;

  constructor(facts: UpstreamFacts, weight: number) {
    this.#facts = facts;
    this.#weight = weight;
    Object.freeze(this);
  }

  get id(): string {
    return this.#facts.origin;
  }

  get origin(): string {
    return this.#facts.origin;
  }

  get weight(): number {
    return this.#weight;
  }

  get configuredWeight(): number {
    return this.#facts.configuredWeight;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get inFlightElsewhere(): number {
    return this.#facts.inFlightElsewhere;
  }

  get state(): Upstream['state'] {
    return this.#facts.state;
  }

  get maxInFlight(): number {
    return this.#facts.maxInFlight;
  }

  get latencyMs(): number {
    return this.#facts.latencyMs;
  }

  get picks(): number {
    return this.#facts.picks;
  }

  get failures(): number {
    return this.#facts.failures;
  }

  get responses(): number {
    return this.#facts.responses;
  }

  get retries(): number {
    return this.#facts.retries;
  }

  get ejections(): number {
    return this.#facts.ejections;
  }

  get tags(): Readonly<Record<string, string>> {
    return this.#facts.settings.tags;
  }

  get load(): LoadReport | undefined {
    return this.#facts.load;
  }

  /** Its current values, as a plain object. */
  toJSON(): Upstream {
    const { id, origin, state, weight, configuredWeight, maxInFlight, inFlight, inFlightElsewhere, latencyMs } = this;
    const { picks, responses, failures, retries, ejections, tags } = this;
    const counts = { picks, responses, failures, retries, ejections };
    const now = { maxInFlight, inFlight, inFlightElsewhere, latencyMs };
    // Printing an upstream does not ask for its reports.
    const load = this.#facts.knownLoad;
    return { id, origin, state, weight, configuredWeight, ...now, ...counts, tags, load };
  }

  /** What `console.log` shows. */
  [Symbol.for('nodejs.util.inspect.custom')](): Upstream {
    return this.toJSON();
  }
}
