/**
 * How a request gets to an upstream: asks for a pick, waits where there is no room, begins an attempt, and after one
 * that failed another, if that is safe and may help. What an attempt brings is the business of the exchange.
 */
import { BalancerError, type Ending, endingOf, type ErrorCode } from '../errors.ts';
import { nameOf } from '../guard.ts';
import { continuesHandshake } from '../http1/connection-auth.ts';
import type { RequestHead } from '../http1/request.ts';
import type { ParsedLimits } from '../options/limits.ts';
import type { Pool } from '../pools/pool.ts';
import type { ConnectionUser, UpstreamConnection } from '../upstreams/connection.ts';
import type { ManagedUpstream } from '../upstreams/managed-upstream.ts';
import type { Account } from './account.ts';
import type { Affinity } from './affinity.ts';
import type { Attempt } from './attempt.ts';
import type { Deadlines } from './deadlines.ts';
import type { Decision, Noted } from './decision.ts';
import type { Downstream } from './downstream.ts';
import { limited } from './limits.ts';
import { Picks } from './picks.ts';
import { PlaceInLine } from './place-in-line.ts';
import { CONNECTING, type Progress, QUEUED, REVISING } from './progress.ts';
import { named } from './request-id.ts';
import { Retries } from './retries.ts';
import type { ExchangeServices } from './services.ts';
import type { Upload } from './upload.ts';

/** The exchange whose attempts they are. */
export interface Attempting extends ConnectionUser {
  readonly head: RequestHead;
  readonly progress: Progress;
  readonly deadlines: Deadlines;
  readonly attempt: Attempt;
  readonly account: Account;
  readonly upload: Upload;
  readonly downstream: Downstream;
  /** Answers instead. */
  answer(code: ErrorCode, error?: BalancerError): void;
  /** Cuts a response that has begun. */
  cut(): void;
}

/** The attempts of one exchange after the other. */
export class Attempts {
  readonly #services: ExchangeServices;
  readonly #exchange: Attempting;
  readonly #picks: Picks;
  readonly #retries: Retries;
  readonly #place: PlaceInLine;
  /** The pool in which it may still pick. */
  #entered: Pool | undefined;

  /** `pool` is any: each request brings its own. */
  constructor(services: ExchangeServices, pool: Pool, exchange: Attempting) {
    this.#services = services;
    this.#exchange = exchange;
    this.#picks = new Picks(pool, exchange.head, services);
    this.#retries = new Retries(exchange.head, this.#picks, exchange.upload.replay);
    this.#place = new PlaceInLine(this, this.#picks);
  }

  /** The pool that serves the exchange. */
  get pool(): Pool {
    return this.#picks.pool;
  }

  /** Has `pool` serve the exchange, by its rules or, where they differ, by `limits`. */
  enter(pool: Pool, limits: ParsedLimits | undefined): void {
    const { upload, downstream, deadlines, account: { decision } } = this.#exchange;
    decision?.entered(pool.name, nameOf(pool.strategy));
    pool.entered();
    this.leavePool();
    this.#entered = pool;
    const rules = limits === undefined ? pool.rules : limited(pool.rules, limits, this.#services.clock);
    this.#picks.start(pool, rules, downstream.hop.address);
    upload.replay.start(rules.maxReplayBytes, downstream.wholeBody);
    deadlines.follow(rules);
  }

  /** No further pick follows. */
  leavePool(): void {
    this.#entered?.left();
    this.#entered = undefined;
  }

  /** Makes the first attempt. */
  start(): void {
    this.pool.budget.begun();
    // This overtakes none of those in the queue: they are waiting for upstreams that have no room.
    this.#try();
  }

  /** Makes another attempt instead of relaying a response of this status, if rules say so. Returns whether it does. */
  retryOn(status: number): boolean {
    const { attempt } = this.#exchange;
    const { upstream } = attempt;
    // With an affinity the request goes nowhere else: only this connection is authenticated.
    if (upstream === undefined || !attempt.picked || !this.#retries.afterResponse(upstream, status)) return false;
    attempt.connection?.destroy();
    attempt.settle(REPLACED, undefined);
    this.#tryAgain(upstream, undefined, status);
    return true;
  }

  /** Tries again where that is safe and may help; answers or cuts elsewhere. The connection is destroyed already. */
  failed(code: ErrorCode, cause: unknown): void {
    const exchange = this.#exchange;
    const { head, progress, attempt, account } = exchange;
    const { upstream, connection } = attempt;
    if (upstream === undefined) return;
    const { responding, phase } = progress;
    const closedIdle = code === 'UPSTREAM_CLOSED' && (connection?.uses ?? 0) > 1;
    const unsent = closedIdle && connection?.writer.unsent === true;
    const error = cause instanceof BalancerError ? cause : new BalancerError(code, undefined, { cause });
    this.#services.report(error, upstream.origin, head.id);
    const handshaking = !attempt.picked && continuesHandshake(head);
    if (attempt.trace !== undefined) attempt.trace.error = error;
    const stage = closedIdle ? 'idle' : progress.stage(attempt.status);
    attempt.settle(endingOf(code, stage), code);
    if (responding) {
      account.failed(code, error);
      exchange.cut();
    // The answer to a challenge makes sense on the challenging connection only: the client has to start over.
    } else if (handshaking || phase === REVISING) exchange.answer(code, error);
    else if (this.#retries.afterFailure(upstream, code, closedIdle, unsent)) this.#tryAgain(upstream, code, undefined);
    else exchange.answer(code, error);
  }

  /** Ends the attempt under way, which has failed in our view. */
  breakOff(code: ErrorCode): void {
    this.#exchange.attempt.connection?.destroy();
    this.failed(code, undefined);
  }

  /** Stops waiting for room, if it does. */
  leaveQueue(): void {
    const { progress, account } = this.#exchange;
    if (progress.phase !== QUEUED) return;
    account.unqueued();
    this.#place.leave();
  }

  // --- what the queue tells

  /** The upstream connection that belongs to our downstream's. After a failure on it, the strategy picks. */
  get bound(): Affinity | undefined {
    if (this.#picks.attempt > 0) return undefined;
    return this.#services.affinities.of(this.#exchange.downstream.socket, this.pool);
  }

  /** There is room. */
  proceed(): void {
    const { account, upload } = this.#exchange;
    account.unqueued();
    this.#try();
    upload.flush();
  }

  // --- one attempt after the other

  /** Begins an attempt, waits for room, or answers that there is no upstream to try. */
  #try(): void {
    const exchange = this.#exchange;
    const { bound } = this;
    const upstream = bound === undefined ? this.#picks.next() : this.#follow(bound);
    if (typeof upstream === 'string') {
      if (upstream !== 'OVERLOADED' || !this.#wait(bound)) exchange.answer(upstream);
      return;
    }
    const { head, progress, deadlines, attempt, account } = exchange;
    const noted = account.decision && this.#note(account.decision, upstream, bound !== undefined);
    // No await between the pick and the count: the next pick sees this one.
    const shadowed = bound === undefined ? this.#picks.shadowed(upstream) : undefined;
    attempt.begin(this.pool, upstream, bound === undefined, this.#picks.left, shadowed);
    account.attempts++;
    attempt.noted = noted;
    if (account.trace !== undefined) attempt.traceBy(account.trace, head, account.attempts, false);
    progress.phase = CONNECTING;
    deadlines.connecting();
    let connection: UpstreamConnection;
    try {
      connection = bound === undefined
        ? attempt.connect(upstream, this.#picks.fresh, exchange.downstream)
        : attempt.connectBound(bound);
    } catch (cause) {
      this.failed(cause instanceof BalancerError ? cause.code : 'INTERNAL_ERROR', cause);
      return;
    }
    if (head.authenticatesConnection) attempt.bind(exchange.downstream.socket);
    connection.begin(exchange, head.method, head.upgrade);
    if (connection.ready) exchange.upload.send();
  }

  /** Notes what the pick saw. Nothing is counted since then. */
  #note(decision: Decision, upstream: ManagedUpstream, isBound: boolean): Noted {
    return decision.picked(this.#picks.seen, upstream.shown, isBound);
  }

  /** Goes where the downstream's connection is authenticated: the strategy has no choice there. */
  #follow(bound: Affinity): ManagedUpstream | 'OVERLOADED' {
    if (!bound.hasRoom || this.pool.upstreams.full) return 'OVERLOADED';
    this.#picks.skip();
    return bound.upstream;
  }

  /** Waits for an upstream to have room, or for its turn on `bound`. Returns false where the queue is full. */
  #wait(bound: Affinity | undefined): boolean {
    const { events } = this.#services;
    const { progress, deadlines, account } = this.#exchange;
    const { name: pool, queue } = this.pool;
    if (bound?.busy === true) {
      // As long as it takes: requests on one connection are answered in order.
      this.#place.follow(bound);
      account.queued();
      progress.phase = QUEUED;
      deadlines.lined();
      return true;
    }
    if (!this.#place.enterQueue()) return false;
    const again = progress.phase === QUEUED;
    account.queued();
    progress.phase = QUEUED;
    const isNew = deadlines.queued(again);
    if (isNew && events.heard('queued')) events.tell('queued', { pool, waiting: queue.length });
    return true;
  }

  /** Makes another attempt in place of the one on `upstream`. */
  #tryAgain(upstream: ManagedUpstream, code: ErrorCode | undefined, status: number | undefined): void {
    const { events } = this.#services;
    const { head, upload } = this.#exchange;
    upstream.retried();
    if (events.heard('retried')) {
      const { attempt } = this.#picks;
      const { name: pool } = this.pool;
      events.tell('retried', { pool, upstream: upstream.shown, attempt, code, status, ...named(head) });
    }
    this.#try();
    upload.flush();
  }
}

/** Another attempt replaces it. */
const REPLACED: Ending = { fault: 'none', stage: 'body' };
