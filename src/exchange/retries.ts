/**
 * Whether another attempt may follow one that came to nothing. What may have been processed is sent again only where
 * that does no more harm than once: the method is idempotent (RFC 9110 §9.2.2), and not a byte of response has come, or
 * the operator asked for it.
 */
import { type ErrorCode, meaningOf } from '../errors.ts';
import { NONE } from '../http1/framing.ts';
import type { RequestHead } from '../http1/request.ts';
import type { Member } from '../upstreams/member.ts';
import type { Picks } from './picks.ts';
import type { Replay } from './replay.ts';
import type { Services } from './services.ts';

/** The retries of one exchange after the other. */
export class Retries {
  readonly #services: Services;
  readonly #head: RequestHead;
  readonly #picks: Picks;
  readonly #replay: Replay;

  constructor(services: Services, head: RequestHead, picks: Picks, replay: Replay) {
    this.#services = services;
    this.#head = head;
    this.#picks = picks;
    this.#replay = replay;
  }

  /**
   * Notes that an attempt on `member` failed before any of its response went on. `closedIdle`: its connection, used
   * before, closed without a byte of response, so the upstream had most likely closed it before the request came;
   * `unsent`: it certainly had, since nothing of the request had left. Returns whether to try again.
   */
  afterFailure(member: Member, code: ErrorCode, closedIdle: boolean, unsent: boolean): boolean {
    // The time is over for all attempts together; or what is lacking here would be lacking for another one, too.
    if (code === 'TOTAL_TIMEOUT' || code === 'RESOURCES_EXHAUSTED') return false;
    const { retryable, status } = meaningOf(code);
    // A connect that failed, whatever the request; or an upstream that died, say, before it said anything.
    if (!retryable) {
      const asked = code === 'UPSTREAM_CLOSED' || this.#services.rules.retryOn.has(status);
      if (!(unsent ? this.#whole : asked && this.#repeatable)) return false;
    }
    const free = retryable || closedIdle;
    return this.#picks.failed(member, closedIdle, true) && (free || this.#services.budget.take());
  }

  /** Whether to try again instead of passing on a response of this status from `member`. */
  afterResponse(member: Member, status: number): boolean {
    if (!this.#services.rules.retryOn.has(status) || !this.#repeatable) return false;
    return this.#picks.failed(member, false, false) && this.#services.budget.take();
  }

  /** Whether the request does no more harm twice than once, and can be sent again. */
  get #repeatable(): boolean {
    return IDEMPOTENT.has(this.#head.method) && this.#whole;
  }

  /** Whether what has come of the request's body can be sent again. */
  get #whole(): boolean {
    return this.#head.framing === NONE || this.#replay.whole;
  }
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
