/**
 * Decides whether another attempt may follow a failed one. A request that may have been processed is sent again only if
 * that is safe: its method is idempotent (RFC 9110 §9.2.2), and either no byte of a response has arrived or the
 * operator asked for the retry (`retryOn`).
 */
import { type ErrorCode, meaningOf } from '../errors.ts';
import { NONE } from '../http1/framing.ts';
import type { RequestHead } from '../http1/request.ts';
import type { ManagedUpstream } from '../upstreams/managed-upstream.ts';
import type { Picks } from './picks.ts';
import type { Replay } from './replay.ts';

/** The retries of one exchange after the other. */
export class Retries {
  readonly #head: Pick<RequestHead, 'method' | 'framing'>;
  readonly #picks: Picks;
  readonly #replay: Pick<Replay, 'whole'>;

  constructor(head: Pick<RequestHead, 'method' | 'framing'>, picks: Picks, replay: Pick<Replay, 'whole'>) {
    this.#head = head;
    this.#picks = picks;
    this.#replay = replay;
  }

  /**
   * Notes that an attempt on `upstream` failed before any of its response went downstream. `closedIdle`: the connection
   * had been used before and closed without a byte of response, so the upstream had most likely closed it before the
   * request came; `unsent`: it certainly had, since nothing of the request had left. Returns whether to try again.
   */
  afterFailure(upstream: ManagedUpstream, code: ErrorCode, closedIdle: boolean, unsent: boolean): boolean {
    // Another attempt would have no time left, or would lack the same descriptors, ports or memory.
    if (code === 'TOTAL_TIMEOUT' || code === 'RESOURCES_EXHAUSTED') return false;
    const { retryable, status } = meaningOf(code);
    // A failed connect is retried whatever the request; later failures only if a second request does no harm.
    if (!retryable) {
      const asked = code === 'UPSTREAM_CLOSED' || this.#picks.rules.retryOn.has(status);
      if (!(unsent ? this.#whole : asked && this.#repeatable)) return false;
    }
    const free = retryable || closedIdle;
    return this.#picks.failed(upstream, closedIdle, true) && (free || this.#picks.pool.budget.take());
  }

  /** Whether to try again instead of relaying a response of this status from `upstream`. */
  afterResponse(upstream: ManagedUpstream, status: number): boolean {
    if (!this.#picks.rules.retryOn.has(status) || !this.#repeatable) return false;
    return this.#picks.failed(upstream, false, false) && this.#picks.pool.budget.take();
  }

  /** Whether the request can be sent again, safely. */
  get #repeatable(): boolean {
    return IDEMPOTENT.has(this.#head.method) && this.#whole;
  }

  /** Whether everything received of the request can be sent again. */
  get #whole(): boolean {
    return this.#head.framing === NONE || this.#replay.whole;
  }
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
