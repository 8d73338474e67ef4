/**
 * How long each step of an exchange may take, and whose fault it is when one takes longer.
 */
import type { ErrorCode } from '../errors.ts';
import type { Clock } from '../loop/clock.ts';
import type { PoolRules } from '../pools/pool.ts';
import type { Attempt } from './attempt.ts';
import {
  CONNECTING, FAILING, PREPARING, type Progress, QUEUED, RELAYING, REVISING, TUNNEL, WAITING,
} from './progress.ts';
import { RateFloor } from './rate-floor.ts';

/** A step that took too long. */
export interface Overdue {
  readonly code: ErrorCode;
  /** What it ends: the attempt, by the upstream's fault, and another one may follow; the exchange; or a hook. */
  readonly ends: 'attempt' | 'exchange' | 'hook';
}

export class Deadlines {
  readonly #progress: Progress;
  readonly #clock: Clock;
  readonly #floor: RateFloor;
  #rules: PoolRules;
  /** When the step under way is overdue. */
  #step = Infinity;
  /** When a wait for room ends, over several turns in the queue. */
  #queue = Infinity;
  /** When the exchange began, and when the time for all its attempts together is over. */
  #since = 0;
  #total = Infinity;

  /** `minBodyBytesPerSecond` is the floor for bodies; see {@link RateFloor}. */
  constructor(progress: Progress, clock: Clock, minBodyBytesPerSecond: number, rules: PoolRules) {
    this.#progress = progress;
    this.#clock = clock;
    this.#rules = rules;
    this.#floor = new RateFloor(minBodyBytesPerSecond);
  }

  /** Starts with an exchange. */
  start(): void {
    this.#since = this.#clock.now;
  }

  /** Applies `rules` from now on: those of the pool of the exchange, or its own. */
  follow(rules: PoolRules): void {
    this.#rules = rules;
    this.#floor.start(this.#clock.now, rules.idleTimeoutMs);
    this.#total = this.#since + rules.totalTimeoutMs;
  }

  clear(): void {
    this.#step = this.#queue = this.#total = Infinity;
  }

  /** Begins to wait for room; `again` where the exchange has only lost its turn. Returns whether the wait is new. */
  queued(again: boolean): boolean {
    const isNew = !again || this.#queue === Infinity;
    if (isNew) this.#queue = this.#clock.now + this.#rules.queueTimeoutMs;
    this.#step = this.#queue;
    return isNew;
  }

  /** Begins to wait for the requests ahead on the same connection, which have deadlines of their own. */
  lined(): void {
    this.#step = Infinity;
  }

  /** A hook begins: it has a time of its own. */
  hooked(timeoutMs: number): void {
    this.#step = this.#clock.now + timeoutMs;
  }

  connecting(): void {
    this.#step = this.#clock.now + this.#rules.connectTimeoutMs;
  }

  /** Something moved: the idle time starts anew. A wait for room, for a connect or for a hook has its own time. */
  moved(): void {
    const { phase, requestDone, hooking } = this.#progress;
    if (hooking) return;
    const rules = this.#rules;
    let timeoutMs = rules.idleTimeoutMs;
    if (phase === TUNNEL) timeoutMs = rules.tunnelIdleTimeoutMs;
    else if (phase === WAITING && requestDone) timeoutMs = rules.responseTimeoutMs;
    this.#step = this.#clock.now + timeoutMs;
  }

  /** That many octets of a body moved. */
  bytes(count: number): void {
    this.#floor.moved(count);
  }

  /** What is overdue at `now`; undefined if nothing is. */
  overdue(now: number, { upstream, connection }: Attempt): Overdue | undefined {
    const progress = this.#progress;
    const { phase } = progress;
    if (upstream !== undefined && now >= upstream.cutAt) {
      // Nothing has been sent while it connects, so another upstream may serve.
      return phase === CONNECTING ? attempt('CONNECT_FAILED') : exchange('UPSTREAM_REMOVED');
    }
    if (now >= this.#total && phase <= WAITING) {
      // An upstream that is too slow has failed, whichever limit it meets first.
      const upstreamIsSlow = phase >= CONNECTING && !progress.awaitsDownstream;
      return upstreamIsSlow ? attempt('TOTAL_TIMEOUT') : exchange('TOTAL_TIMEOUT');
    }
    if (this.#floor.sweep(now, progress.awaitsDownstream)) {
      return exchange(progress.downloadBlocked ? 'DOWNSTREAM_STALLED' : 'REQUEST_TIMEOUT');
    }
    return now < this.#step ? undefined : this.#late(connection?.resolving === true);
  }

  /** The step is overdue: blames the side that kept the other waiting. */
  #late(resolving: boolean): Overdue {
    const { phase, requestDone, responseDone, uploadBlocked, downloadBlocked, unasked } = this.#progress;
    switch (phase) {
      case PREPARING:
      case REVISING:
      case FAILING:
        return { code: 'HOOK_FAILED', ends: 'hook' };
      case QUEUED:
        return exchange('OVERLOADED');
      case CONNECTING:
        return attempt(resolving ? 'DNS_TIMEOUT' : 'CONNECT_TIMEOUT');
      case WAITING:
        return requestDone || uploadBlocked || unasked ? attempt('RESPONSE_TIMEOUT') : exchange('REQUEST_TIMEOUT');
      case RELAYING:
        if (downloadBlocked) return exchange('DOWNSTREAM_STALLED');
        return responseDone ? exchange('REQUEST_TIMEOUT') : attempt('RESPONSE_TIMEOUT');
      default:
        return exchange('DOWNSTREAM_STALLED');
    }
  }
}

function attempt(code: ErrorCode): Overdue {
  return { code, ends: 'attempt' };
}

function exchange(code: ErrorCode): Overdue {
  return { code, ends: 'exchange' };
}
