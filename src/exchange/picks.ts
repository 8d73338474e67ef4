/**
 * Whom to try next: the strategy's choice among the candidates that this exchange has not tried.
 */
import type { PickContext, PickRequest } from '../strategy.ts';
import type { Member } from '../upstreams/member.ts';
import { reportFault } from './plugin.ts';
import type { Services } from './services.ts';

/** The picks of one exchange after the other. */
export class Picks {
  readonly #services: Services;
  readonly #context: { attempt: number; remoteAddress: string; readonly request: PickRequest };
  /** Upstreams that failed this exchange, and those that had merely closed an idle connection. */
  #failed: readonly Member[] = NOBODY;
  #stale: readonly Member[] = NOBODY;

  /** `request` is the head of each exchange in turn, as strategies see it. */
  constructor(services: Services, request: PickRequest) {
    this.#services = services;
    this.#context = { attempt: 0, remoteAddress: '', request } satisfies PickContext;
  }

  /** Starts with a new exchange, from this address. */
  start(remoteAddress: string): void {
    this.#context.attempt = 0;
    this.#context.remoteAddress = remoteAddress;
    this.#failed = this.#stale = NOBODY;
  }

  /** Whether the next attempt needs a new connection: an idle one has just turned out to be closed. */
  get fresh(): boolean {
    return this.#stale.length > 0;
  }

  /** Asks the strategy. Returns its pick, or the error that the request is to be answered with. */
  next(): Member | 'NO_CANDIDATE' | 'STRATEGY_FAILED' {
    const { members, strategy, report } = this.#services;
    this.#context.attempt++;
    const candidates = this.#untried();
    if (candidates.length === 0) return 'NO_CANDIDATE';
    let picked: unknown;
    try {
      picked = strategy.pick(candidates, this.#context);
    } catch (cause) {
      reportFault(strategy, 'threw in pick', cause, report);
      return 'STRATEGY_FAILED';
    }
    if (picked === undefined) return 'NO_CANDIDATE';
    if (members.isCandidate(picked) && !this.#failed.includes(picked)) return picked;
    if (picked instanceof Promise) {
      picked.catch(() => {
        // The fault is reported here already: that there is a promise at all.
      });
    }
    const what = picked instanceof Promise ? 'is asynchronous: pick has to return at once' : 'picked no candidate';
    reportFault(strategy, what, undefined, report);
    return 'STRATEGY_FAILED';
  }

  /**
   * Notes that an attempt on `member` failed, `stale` if all that failed was a connection kept too long. Returns
   * whether another attempt is of use: the limit is not reached, and there is somebody to try.
   */
  failed(member: Member, stale: boolean): boolean {
    if (stale) this.#stale = [...this.#stale, member];
    else this.#failed = [...this.#failed, member];
    return this.#context.attempt < this.#services.rules.maxAttempts && this.#untried().length > 0;
  }

  /** The candidates not tried yet; failing those, the ones that only closed an idle connection. */
  #untried(): readonly Member[] {
    const { candidates } = this.#services.members;
    if (this.#failed.length + this.#stale.length === 0) return candidates;
    const left = candidates.filter((member) => !this.#failed.includes(member));
    const untried = left.filter((member) => !this.#stale.includes(member));
    return untried.length > 0 ? untried : left;
  }
}

const NOBODY: readonly Member[] = [];
