/**
 * Who exists, who may be picked, and the one count of what is in flight.
 */
import { BalancerError } from '../errors.ts';
import type { Upstream } from '../strategy.ts';
import { Member, type UpstreamSettings } from './member.ts';
import type { PoolRules } from './pool.ts';

export class Members {
  readonly #rules: PoolRules;
  readonly #onChange: (candidates: readonly Upstream[]) => void;
  readonly #active = new Map<string, Member>();
  /** Draining ones, each with what waits for its end. */
  readonly #draining = new Map<Member, () => void>();
  /** All active ones: the candidates while none is at its limit. The array that strategies heard of by `changed`. */
  #whole: readonly Member[] = [];
  #candidates: readonly Member[] | undefined;

  /** `onChange` hears of every change of membership, with all that are active after it. */
  constructor(rules: PoolRules, onChange: (candidates: readonly Upstream[]) => void) {
    this.#rules = rules;
    this.#onChange = onChange;
  }

  /** All upstreams, draining ones last. */
  get all(): readonly Upstream[] {
    return [...this.#active.values(), ...this.#draining.keys()];
  }

  /** Those that may be picked now. Computed when something changed, not for each request. */
  get candidates(): readonly Member[] {
    if (this.#candidates === undefined) {
      const eligible = this.#whole.filter((member) => member.eligible);
      this.#candidates = eligible.length === this.#whole.length ? this.#whole : Object.freeze(eligible);
    }
    return this.#candidates;
  }

  /** Whether this is one of the candidates, in constant time. */
  isCandidate(upstream: unknown): upstream is Member {
    // In this order: what merely looks like a member has none of its private state.
    return upstream instanceof Member && this.#active.get(upstream.origin) === upstream && upstream.eligible;
  }

  /** Adds the upstreams to begin with, as one change. Their origins differ. */
  start(upstreams: readonly UpstreamSettings[]): void {
    for (const settings of upstreams) this.#create(settings);
    this.#changed();
  }

  /** Adds an upstream at once. Throws OPTIONS_INVALID for an origin that is there already. */
  add(settings: UpstreamSettings): Upstream {
    if (this.#active.has(settings.origin)) {
      throw new BalancerError('OPTIONS_INVALID', `upstream ${settings.origin} is there already: remove it first`);
    }
    const member = this.#create(settings);
    this.#changed();
    return member;
  }

  /**
   * Takes an upstream out of the candidates at once. Resolves when what it has in flight has ended. Throws
   * OPTIONS_INVALID for an origin that is not there.
   */
  remove(origin: string): Promise<void> {
    const member = this.#active.get(origin);
    if (member === undefined) {
      throw new BalancerError('OPTIONS_INVALID', `upstream ${origin} is not there: see balancer.upstreams`);
    }
    const drained = this.#drain(member);
    this.#changed();
    return drained;
  }

  /** Counts a pick, before any other code runs. */
  begin(member: Member): void {
    member.begin();
    if (!member.eligible) this.#candidates = undefined;
  }

  /** Uncounts it: once for each `begin`, when the attempt has settled. */
  settle(member: Member, ok: boolean): void {
    const full = !member.eligible;
    member.settle(ok);
    if (full) this.#candidates = undefined;
    if (member.state === 'gone') {
      const resolve = this.#draining.get(member);
      this.#draining.delete(member);
      resolve?.();
    }
  }

  /** Closes connections that have idled long enough. */
  sweep(now: number): void {
    for (const member of this.#active.values()) member.pool.sweep(now);
  }

  /** Drains all. */
  async close(): Promise<void> {
    const drained = [...this.#active.values()].map((member) => this.#drain(member));
    this.#changed();
    await Promise.all(drained);
  }

  #create(settings: UpstreamSettings): Member {
    const member = new Member(settings, this.#rules);
    this.#active.set(settings.origin, member);
    return member;
  }

  async #drain(member: Member): Promise<void> {
    this.#active.delete(member.origin);
    member.drain();
    if (member.inFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#draining.set(member, resolve);
    });
  }

  #changed(): void {
    this.#whole = Object.freeze([...this.#active.values()]);
    this.#candidates = undefined;
    this.#onChange(this.#whole);
  }
}
