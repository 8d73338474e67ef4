/**
 * Whom to try next: the strategy's choice among the candidates that this exchange has not tried.
 */
import { BalancerError } from '../errors.ts';
import type { PickContext, PickRequest } from '../strategy.ts';
import type { Member } from '../upstreams/member.ts';
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
    const { members, strategy } = this.#services;
    this.#context.attempt++;
    const candidates = this.#untried();
    if (candidates.length === 0) return 'NO_CANDIDATE';
    let picked: unknown;
    try {
      picked = strategy.pick(candidates, this.#context);
    } catch (cause) {
      return this.#fault('threw', cause);
    }
    if (picked === undefined) return 'NO_CANDIDATE';
    if (members.isCandidate(picked) && !this.#failed.includes(picked)) return picked;
    return this.#fault('picked what is no candidate');
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

  #fault(what: string, cause?: unknown): 'STRATEGY_FAILED' {
    const { report, strategy } = this.#services;
    report(new BalancerError('STRATEGY_FAILED', `strategy ${strategy.name} ${what}`, { cause }), undefined);
    return 'STRATEGY_FAILED';
  }
}

const NOBODY: readonly Member[] = [];
