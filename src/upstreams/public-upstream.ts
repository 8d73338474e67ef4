/**
 * An upstream as strategies, listeners and operators get it: live values to read, and no way to anything else.
 */
import type { Upstream } from '../strategy.ts';
import type { Member } from './member.ts';

/** The public side of a {@link Member}. Static methods are for the core: an instance does not lead to them. */
export class PublicUpstream implements Upstream {
  static {
    Object.defineProperty(this.prototype, 'constructor', { value: Object });
  }

  /** The member behind its public side; undefined for anything else, however similar. */
  static memberOf(upstream: unknown): Member | undefined {
    return typeof upstream === 'object' && upstream !== null && #member in upstream ? upstream.#member : undefined;
  }

  /** Sets the numbers that an upstream shows. */
  static show(upstream: PublicUpstream, weight: number, inFlight: number): void {
    upstream.#weight = weight;
    upstream.#inFlight = inFlight;
  }

  readonly #member: Member;
  /** Copies, so that a strategy that compares thousands reads one object less for each. */
  #weight: number;
  #inFlight = 0;

  constructor(member: Member, weight: number) {
    this.#member = member;
    this.#weight = weight;
    Object.freeze(this);
  }

  get id(): string {
    return this.#member.origin;
  }

  get origin(): string {
    return this.#member.origin;
  }

  get weight(): number {
    return this.#weight;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get inFlightElsewhere(): number {
    return this.#member.inFlightElsewhere;
  }

  get state(): Upstream['state'] {
    return this.#member.state;
  }

  get maxInFlight(): number {
    return this.#member.maxInFlight;
  }

  get latencyMs(): number {
    return this.#member.latencyMs;
  }

  get picks(): number {
    return this.#member.picks;
  }

  get failures(): number {
    return this.#member.failures;
  }

  get responses(): number {
    return this.#member.responses;
  }

  get retries(): number {
    return this.#member.retries;
  }

  get ejections(): number {
    return this.#member.ejections;
  }

  get tags(): Readonly<Record<string, string>> {
    return this.#member.settings.tags;
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
