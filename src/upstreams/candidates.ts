/**
 * Which upstreams may be picked now. Computed when something changes, not for each request.
 */
import type { Settings } from '../options/parse.ts';
import type { Upstream } from '../strategy.ts';
import { type ManagedUpstream, managedOf } from './managed-upstream.ts';

/** The settings that this uses. They may change. */
export type CandidateRules = Pick<Settings, 'maxEjectedPercent'>;

/** The candidates among the upstreams of one set. */
export class Candidates {
  readonly #upstreams: ReadonlyMap<string, ManagedUpstream>;
  readonly #rules: CandidateRules;
  readonly #onChange: (selectable: readonly Upstream[]) => void;
  /** Those that are well or on trial: the candidates while none is at its limit. Strategies were given this array. */
  #selectable: readonly Upstream[] = [];
  #withRoom: readonly Upstream[] | undefined;
  /** Those at their own limits, and the candidates for which that was computed. */
  #atLimit: readonly Upstream[] = NONE;
  #atLimitBeside: readonly Upstream[] = NONE;
  /** Those out of service, whatever their limits; undefined until they are first read after a change. */
  #retained: readonly Upstream[] | undefined;
  /** How many were ejected or on trial when all were last looked at, and how many were out of service. */
  #unproven = 0;
  #suspended = 0;
  /** Whether so many are ejected or on trial that all are candidates. */
  #panic = false;

  /** `upstreams` are those not draining. `onChange` is called after each change, with all that may be picked. */
  constructor(
    upstreams: ReadonlyMap<string, ManagedUpstream>, rules: CandidateRules,
    onChange: (selectable: readonly Upstream[]) => void,
  ) {
    this.#upstreams = upstreams;
    this.#rules = rules;
    this.#onChange = onChange;
  }

  /** Those that may be picked now. */
  get now(): readonly Upstream[] {
    if (this.#withRoom === undefined) {
      const withRoom = this.#selectable.filter(hasRoom);
      this.#withRoom = withRoom.length === this.#selectable.length ? this.#selectable : Object.freeze(withRoom);
    }
    return this.#withRoom;
  }

  /** Those that would be candidates but for their own `maxInFlight`. Computed when first read after a change. */
  get atLimit(): readonly Upstream[] {
    const { now } = this;
    if (now === this.#selectable) return NONE;
    if (now !== this.#atLimitBeside) {
      this.#atLimitBeside = now;
      this.#atLimit = Object.freeze(this.#selectable.filter(isAtLimit));
    }
    return this.#atLimit;
  }

  /** Those that `drain` took out of service, unless they are ejected. Computed when first read after a change. */
  get retained(): readonly Upstream[] {
    if (this.#suspended === 0) return NONE;
    if (this.#retained === undefined) {
      const retained: Upstream[] = [];
      for (const upstream of this.#upstreams.values()) if (upstream.retained) retained.push(upstream.shown);
      this.#retained = Object.freeze(retained);
    }
    return this.#retained;
  }

  /** Whether any, besides `others`, would be a candidate if it had room. */
  crowded(others: readonly Upstream[]): boolean {
    return this.#selectable.some((upstream) => !hasRoom(upstream) && !others.includes(upstream));
  }

  /** An upstream may have reached its limit, or have room again. */
  roomChanged(): void {
    this.#withRoom = undefined;
  }

  /** An upstream was added. */
  added(upstream: Upstream): void {
    this.#moved([...this.#selectable, upstream]);
  }

  /** An upstream was removed that was in service. */
  removed(upstream: Upstream): void {
    const left: Upstream[] = [];
    // V8's own methods for this are slow on frozen arrays.
    for (const other of this.#selectable) if (other !== upstream) left.push(other);
    this.#moved(left);
  }

  /**
   * Looks at all upstreams: their health, weights or options have changed, or several came or went. Returns whether
   * that ended a panic.
   */
  changed(): boolean {
    this.#unproven = this.#suspended = 0;
    for (const upstream of this.#upstreams.values()) {
      if (upstream.suspended) this.#suspended++;
      else if (!upstream.proven) this.#unproven++;
    }
    // If too many have failed, all are candidates: any attempt is better than none.
    const panicked = this.#panic;
    this.#panic = this.#tooManyUnproven;
    const selectable: Upstream[] = [];
    for (const upstream of this.#upstreams.values()) if (upstream.list(this.#panic)) selectable.push(upstream.shown);
    // Before anyone is told, who may make the next change.
    const panicEnded = panicked && !this.#panic;
    this.#announce(selectable);
    return panicEnded;
  }

  /** One came or went. The others, which may be thousands, are looked at only if that can affect them. */
  #moved(selectable: readonly Upstream[]): void {
    if (this.#panic || this.#tooManyUnproven) this.changed();
    else this.#announce(selectable);
  }

  get #tooManyUnproven(): boolean {
    // Those out of service are no reason for a panic, and cannot help in one.
    return this.#unproven * 100 > this.#rules.maxEjectedPercent * (this.#upstreams.size - this.#suspended);
  }

  #announce(selectable: readonly Upstream[]): void {
    this.#selectable = Object.freeze(selectable);
    this.#withRoom = this.#retained = undefined;
    this.#onChange(this.#selectable);
  }
}

function hasRoom(upstream: Upstream): boolean {
  return managedOf(upstream)?.hasRoom === true;
}

function isAtLimit(upstream: Upstream): boolean {
  return managedOf(upstream)?.atLimit === true;
}

const NONE: readonly Upstream[] = Object.freeze([]);
