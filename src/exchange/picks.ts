/**
 * Which upstream to try next: the strategy's choice among the candidates that this exchange has not tried yet.
 */
import { guardedValue } from '../guard.ts';
import { reportFault } from '../pools/plugin.ts';
import type { Pool, PoolRules } from '../pools/pool.ts';
import type { Services } from '../pools/services.ts';
import type { Shadow, ShadowPick } from '../pools/shadow.ts';
import type { TimeSource } from '../loop/time-source.ts';
import type { PickContext, PickRequest, Upstream } from '../strategy.ts';
import { type ManagedUpstream, managedOf } from '../upstreams/managed-upstream.ts';
import { responseLine } from './response-line.ts';

/** The picks of one exchange at a time. */
export class Picks {
  readonly #report: Services['report'];
  /** The pool of the current exchange. */
  pool: Pool;
  /** The rules of the current exchange: those of its pool, or its own. */
  rules: PoolRules;
  readonly #context: Context;
  /** For the strategy in the shadow, once there is one. */
  #shadowContext: ShadowContext | undefined;
  /** Upstreams that failed this exchange, and those that had only closed an idle connection. */
  #failed: readonly Upstream[] = NO_UPSTREAMS;
  #stale: readonly Upstream[] = NO_UPSTREAMS;
  /** What the last pick chose from. */
  seen: readonly Upstream[] = NO_UPSTREAMS;
  /** The upstream at its limit that the strategy picked: the exchange waits for this one. */
  #wanted: ManagedUpstream | undefined;

  /** `request` is the request head, reused for each exchange, as strategies see it. */
  constructor(pool: Pool, request: PickedFor, { report, clock }: Pick<Services, 'report' | 'clock'>) {
    this.#report = report;
    this.pool = pool;
    this.rules = pool.rules;
    this.#context = new Context(request, this, clock.source);
  }

  /** Starts a new exchange of `pool`, from this address, by `rules`. */
  start(pool: Pool, rules: PoolRules, remoteAddress: string): void {
    this.pool = pool;
    this.rules = rules;
    this.#context.attempt = 0;
    this.#context.remoteAddress = remoteAddress;
    this.#failed = this.#stale = NO_UPSTREAMS;
    this.#wanted = undefined;
  }

  /** Whether the next attempt needs a new connection, since an idle one turned out to be closed. */
  get fresh(): boolean {
    return this.#stale.length > 0;
  }

  /** The number of the attempt, from 1. */
  get attempt(): number {
    return this.#context.attempt;
  }

  /** Whether asking the strategy again may help: there are candidates, and the wanted upstream has room or is gone. */
  get any(): boolean {
    const { upstreams } = this.pool;
    if (upstreams.full) return false;
    const wanted = this.#wanted;
    if (wanted !== undefined && wanted.atLimit && (wanted.listed || wanted.retained)) return false;
    return this.#untried().length > 0 || this.#mayDrain(hasRoom);
  }

  /** Whether it waits for certain upstreams only: the one that was picked, or those that it has not tried. */
  get particular(): boolean {
    return this.#wanted !== undefined || this.#context.attempt > 0;
  }

  /** The upstreams at their limits, except those that failed this exchange. */
  get full(): readonly Upstream[] {
    const { atLimit } = this.pool.upstreams;
    return this.#failed.length === 0 ? atLimit : this.#notFailed(atLimit);
  }

  /**
   * The upstreams that `drain` took out of service, except ejected ones and those that failed this exchange; those at
   * their limits only for a strategy that may wait for them.
   */
  get draining(): readonly Upstream[] {
    const { upstreams: { retained }, traits: { picksFull } } = this.pool;
    if (retained.length === 0) return retained;
    return this.#notFailed(retained).filter(picksFull ? hasRoomOrIsAtLimit : hasRoom);
  }

  /** What the strategy left with its last pick, for the attempt. */
  get left(): LeftByPick {
    return this.#context;
  }

  /** Counts an attempt that goes to a given upstream, without asking the strategy. */
  skip(): void {
    this.#context.attempt++;
    this.#context.forget();
  }

  /**
   * Asks the strategy. Returns its pick, or the error to answer with; on OVERLOADED, the exchange may wait instead.
   */
  next(): ManagedUpstream | 'NO_CANDIDATE' | 'OVERLOADED' | 'STRATEGY_FAILED' {
    const { upstreams, strategy, traits: { picksFull } } = this.pool;
    const report = this.#report;
    this.#wanted = undefined;
    if (upstreams.full) return 'OVERLOADED';
    const candidates = this.#untried();
    if (candidates.length === 0 && !(picksFull && this.full.length > 0) && !this.#mayDrain(hasRoomOrIsAtLimit)) {
      return upstreams.crowded(this.#failed) ? 'OVERLOADED' : 'NO_CANDIDATE';
    }
    this.#context.attempt++;
    this.#context.forget();
    this.seen = candidates;
    let picked: unknown;
    try {
      picked = strategy.pick(candidates, this.#context);
    } catch (cause) {
      reportFault(strategy, 'threw in pick', cause, report);
      return 'STRATEGY_FAILED';
    }
    if (picked === undefined) {
      if (candidates.length > 0 || !upstreams.crowded(this.#failed)) return 'NO_CANDIDATE';
      // With nothing to choose from, it waits for any, as it does without `picksFull`.
      this.#context.attempt--;
      return 'OVERLOADED';
    }
    const upstream = upstreams.candidate(picked);
    if (upstream !== undefined && !this.#failed.includes(upstream.shown)) return upstream;
    const retained = upstreams.retainedOne(picked);
    if (retained?.hasRoom === true && !this.#failed.includes(retained.shown)) return retained;
    const atLimit = upstreams.fullOne(picked) ?? (retained?.atLimit === true ? retained : undefined);
    const full = picksFull ? atLimit : undefined;
    if (full !== undefined && !this.#failed.includes(full.shown)) {
      // Nothing is attempted yet.
      this.#context.attempt--;
      this.#wanted = full;
      return 'OVERLOADED';
    }
    const lastResort = candidates.find((candidate) => candidate === picked && candidate.state === 'ejected');
    if (lastResort !== undefined) return managedOf(lastResort) ?? 'STRATEGY_FAILED';
    let fault = 'picked something that is not a candidate';
    // Looking at the value may throw.
    guardedValue(() => picked, (what) => {
      if (what === 'returned a promise') fault = 'is asynchronous: pick must return a candidate, not a promise';
    });
    reportFault(strategy, fault, undefined, report);
    return 'STRATEGY_FAILED';
  }

  /**
   * Asks the strategy in the shadow, if there is one, what it would have picked in place of `upstream`. It sees what
   * the last pick saw: call this before the pick is counted.
   */
  shadowed(upstream: ManagedUpstream): ShadowPick | undefined {
    const { shadow } = this.pool;
    return shadow === undefined ? undefined : this.#askShadow(shadow, upstream);
  }

  #askShadow(shadow: Shadow, { shown }: ManagedUpstream): ShadowPick | undefined {
    const context = this.#shadowContext ??= new ShadowContext(this.#context.request, this, this.#context);
    context.note = undefined;
    const { upstreams } = this.pool;
    return shadow.pick(this.seen, context, shown, (picked) => {
      const { picksFull } = shadow.traits;
      const found = upstreams.candidate(picked) ?? (picksFull ? upstreams.fullOne(picked) : undefined);
      if (found !== undefined) return !this.#failed.includes(found.shown);
      const retained = upstreams.retainedOne(picked);
      if (retained !== undefined) return retained.hasRoom && !this.#failed.includes(retained.shown);
      return this.seen.some((candidate) => candidate === picked && candidate.state === 'ejected');
    });
  }

  /**
   * Notes that an attempt on `upstream` failed; `stale` if only an idle connection had been closed. Returns whether
   * another attempt may help: `maxAttempts` is not reached, and an upstream is left to try, or, if the exchange may
   * `wait`, one that is at its limit.
   */
  failed(upstream: ManagedUpstream, stale: boolean, wait: boolean): boolean {
    const { upstreams, queue } = this.pool;
    if (stale) this.#stale = [...this.#stale, upstream.shown];
    else this.#failed = [...this.#failed, upstream.shown];
    if (this.#context.attempt >= this.rules.maxAttempts) return false;
    if (this.#untried().length > 0 || this.#mayDrain(hasRoom)) return true;
    return wait && queue.hasRoom && upstreams.crowded(this.#failed);
  }

  /** Whether the strategy is asked for the sake of those in `context.draining` alone, and one of them is `fit`. */
  #mayDrain(fit: (upstream: Upstream) => boolean): boolean {
    const { upstreams: { retained }, traits: { picksFull } } = this.pool;
    return picksFull && retained.length > 0 && this.#notFailed(retained).some(fit);
  }

  /**
   * The candidates not tried yet; else those that only closed an idle connection, at once for a strategy that keeps
   * clients on their upstreams; else, since all of them have failed this request, the ejected ones: a try is better
   * than none.
   */
  #untried(): readonly Upstream[] {
    const { upstreams, traits: { picksFull } } = this.pool;
    if (this.#failed.length + this.#stale.length === 0) return upstreams.candidates;
    const left = this.#notFailed(upstreams.candidates);
    const untried = picksFull ? left : left.filter((upstream) => !this.#stale.includes(upstream));
    if (untried.length > 0) return untried;
    return left.length > 0 ? left : this.#notFailed(upstreams.lastResorts);
  }

  #notFailed(upstreams: readonly Upstream[]): readonly Upstream[] {
    return upstreams.filter((upstream) => !this.#failed.includes(upstream));
  }
}

/** What a strategy leaves with a pick. */
export interface LeftByPick {
  readonly note: unknown;
  /** Whole header lines for the response. */
  readonly lines: string;
}

/** What a pick is for. In layer 4, the request has nothing but the name that the client asked for. */
export interface PickedFor extends PickRequest {
  readonly serverName?: string | undefined;
  /** That name, as far as it is known: reading it asks for nothing. */
  readonly known?: string | undefined;
}

/** What a strategy sees of a pick. */
class Context implements PickContext, LeftByPick {
  attempt = 0;
  remoteAddress = '';
  note: unknown;
  lines = '';
  readonly request: PickedFor;
  readonly #picks: Picks;
  readonly #time: TimeSource;

  constructor(request: PickedFor, picks: Picks, time: TimeSource) {
    this.request = request;
    this.#picks = picks;
    this.#time = time;
  }

  get now(): number {
    return this.#time.now();
  }

  respondWith(name: string, value: string): void {
    this.lines += responseLine(name, value);
  }

  forget(): void {
    this.note = undefined;
    this.lines = '';
  }

  get full(): readonly Upstream[] {
    return this.#picks.full;
  }

  get draining(): readonly Upstream[] {
    return this.#picks.draining;
  }

  get serverName(): string | undefined {
    return this.request.serverName;
  }
}

/** What a strategy in the shadow sees: the same, but what it does there has no effect. */
class ShadowContext implements PickContext {
  note: unknown;
  readonly request: PickedFor;
  readonly #picks: Picks;
  readonly #live: Context;

  constructor(request: PickedFor, picks: Picks, live: Context) {
    this.request = request;
    this.#picks = picks;
    this.#live = live;
  }

  get attempt(): number {
    return this.#live.attempt;
  }

  get remoteAddress(): string {
    return this.#live.remoteAddress;
  }

  get now(): number {
    return this.#live.now;
  }

  /** Throws what it would throw. */
  respondWith(name: string, value: string): void {
    responseLine(name, value);
  }

  get full(): readonly Upstream[] {
    return this.#picks.full;
  }

  get draining(): readonly Upstream[] {
    return this.#picks.draining;
  }

  /** Does not have the balancer wait for the name. */
  get serverName(): string | undefined {
    return this.request.known;
  }
}

function hasRoom(upstream: Upstream): boolean {
  return managedOf(upstream)?.hasRoom === true;
}

function hasRoomOrIsAtLimit(upstream: Upstream): boolean {
  const managed = managedOf(upstream);
  return managed !== undefined && (managed.hasRoom || managed.atLimit);
}

const NO_UPSTREAMS: readonly Upstream[] = [];
