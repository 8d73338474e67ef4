/**
 * Whom to try next: the strategy's choice among the candidates that this exchange has not tried.
 */
import { guardedValue } from '../guard.ts';
import type { PickContext, PickRequest, Upstream } from '../strategy.ts';
import type { Member } from '../upstreams/member.ts';
import { PublicUpstream } from '../upstreams/public-upstream.ts';
import { reportFault } from './plugin.ts';
import type { Services } from './services.ts';

/** The picks of one exchange after the other. */
export class Picks {
  readonly #services: Services;
  readonly #context: Context;
  /** Upstreams that failed this exchange, and those that had merely closed an idle connection. */
  #failed: readonly Upstream[] = NOBODY;
  #stale: readonly Upstream[] = NOBODY;
  /** The upstream at its limit that the strategy has named: the exchange waits for this one. */
  #wanted: Member | undefined;

  /** `request` is the head of each exchange in turn, as strategies see it. */
  constructor(services: Services, request: PickRequest) {
    this.#services = services;
    this.#context = new Context(request, this);
  }

  /** Starts with a new exchange, from this address. */
  start(remoteAddress: string): void {
    this.#context.attempt = 0;
    this.#context.remoteAddress = remoteAddress;
    this.#failed = this.#stale = NOBODY;
    this.#wanted = undefined;
  }

  /** Whether the next attempt needs a new connection: an idle one has just turned out to be closed. */
  get fresh(): boolean {
    return this.#stale.length > 0;
  }

  /** The number of the attempt at hand, from 1. */
  get attempt(): number {
    return this.#context.attempt;
  }

  /** Whether the strategy would have a choice now; or what it waits for has room, or is no candidate any more. */
  get any(): boolean {
    const { members } = this.#services;
    if (members.full || (this.#wanted !== undefined && this.#wanted.listed && this.#wanted.atLimit)) return false;
    return this.#untried().length > 0;
  }

  /** Whether it waits for some upstreams only: one that was named, or those that it has not tried. */
  get particular(): boolean {
    return this.#wanted !== undefined || this.#context.attempt > 0;
  }

  /** The upstreams at their limits, but for those that failed this exchange. */
  get full(): readonly Upstream[] {
    const { atLimit } = this.#services.members;
    return this.#failed.length === 0 ? atLimit : this.#notFailed(atLimit);
  }

  /** Counts an attempt for which there is no choice. */
  skip(): void {
    this.#context.attempt++;
  }

  /**
   * Asks the strategy. Returns its pick, or the error that the request is to be answered with; if it is OVERLOADED, the
   * exchange may wait instead.
   */
  next(): Member | 'NO_CANDIDATE' | 'OVERLOADED' | 'STRATEGY_FAILED' {
    const { members, strategy, picksFull, report } = this.#services;
    this.#wanted = undefined;
    if (members.full) return 'OVERLOADED';
    const candidates = this.#untried();
    if (candidates.length === 0 && (!picksFull || this.full.length === 0)) {
      return members.crowded(this.#failed) ? 'OVERLOADED' : 'NO_CANDIDATE';
    }
    this.#context.attempt++;
    let picked: unknown;
    try {
      picked = strategy.pick(candidates, this.#context);
    } catch (cause) {
      reportFault(strategy, 'threw in pick', cause, report);
      return 'STRATEGY_FAILED';
    }
    if (picked === undefined) return 'NO_CANDIDATE';
    const member = members.candidate(picked);
    if (member !== undefined && !this.#failed.includes(member.shown)) return member;
    const full = picksFull ? members.fullOne(picked) : undefined;
    if (full !== undefined && !this.#failed.includes(full.shown)) {
      // Nothing is attempted yet.
      this.#context.attempt--;
      this.#wanted = full;
      return 'OVERLOADED';
    }
    const lastResort = candidates.find((upstream) => upstream === picked && upstream.state === 'ejected');
    if (lastResort !== undefined) return PublicUpstream.memberOf(lastResort) ?? 'STRATEGY_FAILED';
    let fault = 'picked no candidate';
    // It may throw when it is looked at.
    guardedValue(() => picked, (what) => {
      if (what === 'returned a promise') fault = 'is asynchronous: pick has to return at once';
    });
    reportFault(strategy, fault, undefined, report);
    return 'STRATEGY_FAILED';
  }

  /**
   * Notes that an attempt on `member` failed, `stale` if all that failed was a connection kept too long. Returns
   * whether another attempt is of use: the limit is not reached, and there is somebody to try; or, if it is to `wait`,
   * somebody who lacks but room.
   */
  failed(member: Member, stale: boolean, wait: boolean): boolean {
    const { members, queue, rules } = this.#services;
    if (stale) this.#stale = [...this.#stale, member.shown];
    else this.#failed = [...this.#failed, member.shown];
    if (this.#context.attempt >= rules.maxAttempts) return false;
    return this.#untried().length > 0 || (wait && queue.hasRoom && members.crowded(this.#failed));
  }

  /**
   * The candidates not tried yet; failing those, the ones that only closed an idle connection; failing those, where
   * others have failed this very request, the ejected ones: better a try than none.
   */
  #untried(): readonly Upstream[] {
    const { members } = this.#services;
    if (this.#failed.length + this.#stale.length === 0) return members.candidates;
    const left = this.#notFailed(members.candidates);
    const untried = left.filter((upstream) => !this.#stale.includes(upstream));
    if (untried.length > 0) return untried;
    return left.length > 0 ? left : this.#notFailed(members.lastResorts);
  }

  #notFailed(upstreams: readonly Upstream[]): readonly Upstream[] {
    return upstreams.filter((upstream) => !this.#failed.includes(upstream));
  }
}

/** What a strategy is told, of one pick after the other. */
class Context implements PickContext {
  attempt = 0;
  remoteAddress = '';
  readonly request: PickRequest;
  readonly #picks: Picks;

  constructor(request: PickRequest, picks: Picks) {
    this.request = request;
    this.#picks = picks;
  }

  get full(): readonly Upstream[] {
    return this.#picks.full;
  }
}

const NOBODY: readonly Upstream[] = [];
