/**
 * The story of one request: pick, attempt, retry, relay, settle. Every front tells it through this class.
 *
 * Beside it: how far it has come (`progress.ts`), how long each step may take (`deadlines.ts`), the try on one upstream
 * (`attempt.ts`), the choice of the next one (`picks.ts`, `retries.ts`), and where it waits (`place-in-line.ts`). One
 * reason makes this file long: the calls of both sides, the front's and the upstream connection's, meet in one state.
 */
import { BalancerError, type Ending, endingOf, type ErrorCode } from '../errors.ts';
import { continuesHandshake } from '../http1/connection-auth.ts';
import { forwardingFields, hasPassed } from '../http1/forwarding.ts';
import { NONE, UNTIL_CLOSE } from '../http1/framing.ts';
import { RequestHead } from '../http1/request.ts';
import type { ResponseHead } from '../http1/response.ts';
import { forwardsLeft, requestHead } from '../http1/serialise.ts';
import type { ParsedLimits } from '../options/limits.ts';
import { Pool } from '../pools/pool.ts';
import type { ConnectionUser, UpstreamConnection } from '../upstreams/connection.ts';
import type { ManagedUpstream } from '../upstreams/managed-upstream.ts';
import type { Affinity } from './affinity.ts';
import { Account } from './account.ts';
import { type Answer, answerOf, answerTo, finalAnswer } from './answers.ts';
import { Attempt, sentHost } from './attempt.ts';
import { Deadlines } from './deadlines.ts';
import { type Downstream, NOWHERE } from './downstream.ts';
import type { HookedExchange } from './hooks/hooked-exchange.ts';
import { Hooking, type Steered } from './hooks/hooking.ts';
import { limited } from './limits.ts';
import { Picks } from './picks.ts';
import { PlaceInLine } from './place-in-line.ts';
import { CONNECTING, FAILING, IDLE, Progress, QUEUED, RELAYING, REVISING, TUNNEL, WAITING } from './progress.ts';
import { Replay } from './replay.ts';
import { RequestEdits } from './request-edits.ts';
import { named } from './request-id.ts';
import { Retries } from './retries.ts';
import { RouteTaken } from './routing.ts';
import type { ExchangeServices, Topology } from './services.ts';

/** One exchange at a time; used again for the next request of its connection. */
export class Exchange implements ConnectionUser, Steered {
  /** The request: its front fills it before {@link Exchange.start}. */
  readonly head = new RequestHead();
  readonly #services: ExchangeServices;
  downstream: Downstream = NOWHERE;
  readonly progress: Progress;
  readonly deadlines: Deadlines;
  readonly attempt: Attempt;
  readonly account: Account;
  readonly #picks: Picks;
  readonly #replay = new Replay();
  readonly #retries: Retries;
  readonly #place: PlaceInLine;
  #topology: Topology;
  /** Undefined without routes. */
  #route: RouteTaken | undefined;
  /** Undefined without routes and ids. */
  #edits: RequestEdits | undefined;
  /** Undefined without hooks. */
  #hooking: Hooking | undefined;
  /** The pool in which it may still pick. */
  #entered: Pool | undefined;
  /** Octets of request body so far. */
  #received = 0;
  #trailers = '';

  /** `pool` is any: each request brings its own. */
  constructor(services: ExchangeServices, pool: Pool) {
    this.#services = services;
    this.progress = new Progress(this.head);
    this.deadlines = new Deadlines(this.progress, services.clock, services.rules.minBodyBytesPerSecond, pool.rules);
    this.attempt = new Attempt(services, pool, this.head);
    this.account = new Account(services);
    this.#picks = new Picks(pool, this.head, services.report);
    this.#retries = new Retries(this.head, this.#picks, this.#replay);
    this.#place = new PlaceInLine(this, this.#picks);
    this.#topology = this.#goBy(services.topology);
  }

  /**
   * Starts on the request in `head`. `downstream` gets its answer, sooner or later, exactly once. Without routes,
   * `pool` serves it.
   */
  start(downstream: Downstream, pool: Pool): void {
    const { topology } = this.#services;
    if (topology !== this.#topology) this.#topology = this.#goBy(topology);
    this.downstream = downstream;
    this.progress.start();
    this.deadlines.start();
    this.#received = 0;
    this.account.start(this.head.target);
    this.attempt.last = undefined;
    this.#edits?.identify(this.head, downstream.hop.trusted);
    const destination = this.#destination(pool);
    const isServed = destination instanceof Pool;
    this.account.hasPool = isServed || this.#route === undefined;
    this.enter(isServed ? destination : pool);
    this.#hooking?.begin();
    if (typeof destination === 'string') this.answer(destination, downstream.unfit);
    else if (!isServed) this.#answerBy(destination);
    else {
      this.#edits?.edit(this.head, this.#route, this.#hooking?.requestHeaders, downstream.hop.trusted);
      if (this.#hooking !== undefined) this.#hooking.request();
      else this.forward();
    }
  }

  /** Whether a request is being served. */
  get active(): boolean {
    return this.progress.phase !== IDLE;
  }

  get pool(): Pool {
    return this.#picks.pool;
  }

  /** The limits that its route sets. */
  get limits(): ParsedLimits | undefined {
    return this.#route?.limits;
  }

  /** Attempts begun. */
  get attempts(): number {
    return this.#picks.attempt;
  }

  /** Octets of request body so far. */
  get received(): number {
    return this.#received;
  }

  /** What hooks see. */
  get view(): HookedExchange | undefined {
    return this.#hooking?.view;
  }

  // --- what the front tells

  /** Request data, once the front was asked to read the body. */
  requestData(bytes: Buffer, from: number, to: number): void {
    const progress = this.progress;
    // While the hook for a failure is under way, or its answer is sent, the rest of the request is dropped.
    if (progress.requestDone || progress.phase === FAILING) return;
    this.#received += to - from;
    this.deadlines.bytes(to - from);
    if (this.#received > this.#services.rules.maxBodyBytes && progress.phase !== TUNNEL) {
      this.refuse('REQUEST_BODY_TOO_LARGE');
      return;
    }
    const upload = this.#hooking?.upload;
    if (upload === undefined) this.upstreamData(bytes, from, to);
    else {
      progress.uploadBlocked = !upload.write(bytes, from, to);
      this.deadlines.moved();
    }
  }

  /** Request data, for the upstream. */
  upstreamData(bytes: Buffer, from: number, to: number): void {
    const { phase, unconnected } = this.progress;
    this.#hooking?.copies?.data(bytes, from, to);
    if (unconnected) {
      this.#replay.hold(bytes, from, to);
      return;
    }
    if (phase === WAITING) this.#replay.keep(bytes, from, to);
    this.attempt.connection?.writer.data(bytes, from, to);
    this.deadlines.moved();
  }

  /** The request body is complete. In a tunnel: the downstream has ended its side. */
  requestEnd(trailers: string): void {
    const upload = this.#hooking?.upload;
    if (upload === undefined) this.upstreamEnd(trailers);
    else upload.end(trailers);
  }

  /** The end of the request body, for the upstream. */
  upstreamEnd(trailers: string): void {
    const progress = this.progress;
    progress.requestDone = true;
    this.#trailers = trailers;
    this.#hooking?.copies?.end(trailers);
    const { connection } = this.attempt;
    // An attempt that is still connecting sends what has come once it can.
    if (connection === undefined || progress.phase === CONNECTING) return;
    connection.writer.end(trailers);
    if (progress.phase === TUNNEL) {
      connection.writer.flush();
      connection.end();
    }
    this.deadlines.moved();
    if (!progress.responseDone) return;
    // The connection becomes idle: nothing would flush it before its next request.
    connection.writer.flush();
    this.finish();
  }

  /** Sends what the front has handed over. Returns false to hold the body until `resumeBody`. */
  flushRequest(): boolean {
    const progress = this.progress;
    if (this.#hooking?.upload !== undefined) return !progress.uploadBlocked;
    // A body that was asked for must not pile up while another attempt connects, or waits to.
    if (progress.unconnected) return !progress.bodyAsked;
    const { connection } = this.attempt;
    if (connection?.ready !== true) return true;
    progress.uploadBlocked = !connection.writer.flush(this.#services.turn);
    return !progress.uploadBlocked;
  }

  /** The downstream can take more of the response. */
  drained(): void {
    const progress = this.progress;
    if (!progress.downloadBlocked) return;
    progress.downloadBlocked = false;
    if (progress.phase > CONNECTING) this.deadlines.moved();
    if (progress.complete) this.finish();
    else if (this.#hooking?.drained() !== true) this.attempt.connection?.resume();
  }

  /**
   * The request can't be completed: the downstream is gone, or broke the protocol. Nothing more is sent; where it is
   * `answered`, the front itself answers with the code's status.
   */
  abort(code: ErrorCode, answered = false): void {
    if (!this.active) return;
    this.account.failed(code);
    this.attempt.connection?.destroy();
    this.attempt.settle(NOT_THE_UPSTREAM, code);
    if (answered) this.#accountFor(answerOf(code, false));
    this.#rest(true);
    this.account.tell();
  }

  /** As `abort`, but answers with the code's status, or cuts a response that has begun. */
  refuse(code: ErrorCode): void {
    const { responding, phase } = this.progress;
    if (!this.active || phase === FAILING) return;
    this.account.failed(code);
    this.attempt.connection?.destroy();
    this.attempt.settle(NOT_THE_UPSTREAM, code);
    if (responding) this.#cut();
    else this.answer(code);
  }

  /** Ends an exchange that is past a deadline, or whose body is too slow. Returns whether it did. */
  sweep(now: number): boolean {
    const overdue = this.deadlines.overdue(now, this.attempt);
    if (overdue === undefined) return false;
    if (this.#hooking?.overdue(overdue) === true) return true;
    if (overdue.ends === 'attempt') this.#breakOff(overdue.code);
    else this.refuse(overdue.code);
    return true;
  }

  // --- what the queue tells

  /** The upstream connection that belongs to our downstream's. After a failure on it, the strategy picks. */
  get bound(): Affinity | undefined {
    if (this.#picks.attempt > 0) return undefined;
    return this.#services.affinities.of(this.downstream.socket, this.pool);
  }

  proceed(): void {
    this.account.unqueued();
    this.#try();
    this.flushRequest();
  }

  // --- what the upstream connection tells

  connected(): void {
    this.#send();
    this.flushRequest();
  }

  interim(head: ResponseHead): void {
    const progress = this.progress;
    this.deadlines.moved();
    // A 100 that was not asked for, or that an earlier attempt brought already, goes no further (RFC 9110 §15.2).
    const again = progress.continued && this.#picks.attempt > 1;
    if (head.status === 100 && (!this.head.expectContinue || again)) return;
    if (head.status === 100) progress.continued = true;
    if (this.head.minor === 1) this.downstream.interim(head);
  }

  responded(head: ResponseHead): void {
    const { status } = head;
    const attempt = this.attempt;
    const { upstream } = attempt;
    if (upstream === undefined) return;
    attempt.responded(status);
    if (head.authenticatesConnection) attempt.bind(this.downstream.socket);
    if (status === 101) {
      this.#route?.editResponse(head);
      this.#tunnel(head);
      return;
    }
    // With an affinity the request goes nowhere else: only this connection is authenticated.
    if (attempt.picked && this.#retries.afterResponse(upstream, status)) {
      attempt.connection?.destroy();
      attempt.settle(SERVED, undefined);
      this.#tryAgain(upstream, undefined, status);
      return;
    }
    if (this.#hooking?.response(head, this.#route) === true) return;
    this.#route?.editResponse(head);
    this.relay(head);
  }

  body(bytes: Buffer, from: number, to: number, text: string): void {
    this.deadlines.bytes(to - from);
    if (this.#hooking?.takes(bytes, from, to) === true) return;
    this.deadlines.moved();
    this.account.sent += to - from;
    this.downstream.data(bytes, from, to, text);
  }

  ended(trailers: string): void {
    const progress = this.progress;
    if (this.#hooking?.takesEnd(trailers) === true) return;
    progress.responseDone = true;
    this.downstream.end(trailers);
    if (progress.complete) this.finish();
  }

  readEnd(): boolean {
    const hooking = this.#hooking;
    if (hooking?.holdsResponse === true) return hooking.hasRoom;
    const flushed = this.downstream.flush();
    this.progress.downloadBlocked = !flushed;
    return flushed;
  }

  flushed(): void {
    const progress = this.progress;
    this.deadlines.moved();
    if (this.#hooking?.upload !== undefined) {
      this.#hooking.upload.resume();
      return;
    }
    progress.uploadBlocked = false;
    if (progress.phase === TUNNEL && progress.requestDone && progress.responseDone) this.finish();
    else this.downstream.resumeBody();
  }

  failed(code: ErrorCode, cause: Error | undefined): void {
    const progress = this.progress;
    if (this.#hooking?.hasWhole === true) {
      // As below, once the hook is done with it.
      progress.requestDone = true;
    } else if (progress.responseDone && code !== 'INTERNAL_ERROR') {
      // The whole response is there. An upstream may stop reading the request then.
      progress.requestDone = true;
      this.finish();
    } else this.#attemptFailed(code, cause);
  }

  // --- the story

  /** Has `pool` serve the exchange, by its rules or, where they differ, by `limits`. */
  enter(pool: Pool, limits = this.limits): void {
    pool.entered();
    this.#leavePool();
    this.#entered = pool;
    const rules = limits === undefined ? pool.rules : limited(pool.rules, limits, this.#services.clock);
    this.#picks.start(pool, rules, this.downstream.hop.address);
    this.#replay.start(rules.maxReplayBytes, this.downstream.wholeBody);
    this.deadlines.follow(rules);
  }

  forward(): void {
    this.pool.budget.begun();
    // This overtakes none of those in the queue: they are waiting for upstreams that have no room.
    this.#try();
  }

  /** Follows a change of routes and hooks. */
  #goBy(topology: Topology): Topology {
    const { routing, hooks, pools } = topology;
    const { requestId } = this.#services.rules;
    this.#route = routing && new RouteTaken(routing);
    this.#edits = requestId === '' && routing === undefined ? undefined : new RequestEdits(requestId);
    this.#hooking = hooks && new Hooking(this.#services, hooks, pools, this);
    return topology;
  }

  /** No further pick follows. */
  #leavePool(): void {
    this.#entered?.left();
    this.#entered = undefined;
  }

  /** Where the request goes: the pool that serves it; what to answer instead; or why it goes nowhere. */
  #destination(pool: Pool): Pool | Answer | ErrorCode {
    const { head } = this;
    const refusal = this.#refusal();
    if (refusal !== undefined) return refusal;
    // It goes no further: the request is for us (RFC 9110 §7.6.2).
    if (head.maxForwards !== undefined && forwardsLeft(head.maxForwards) === 0) return finalAnswer(head);
    return this.#route === undefined ? pool : this.#route.find(head);
  }

  /** Why this request is not forwarded at all, whatever its upstream. */
  #refusal(): ErrorCode | undefined {
    const { via, contentLength, maxForwards } = this.head;
    const { rules } = this.#services;
    if (this.downstream.unfit !== undefined) return this.downstream.unfit.code;
    if (maxForwards !== undefined && forwardsLeft(maxForwards) < 0) return 'REQUEST_MALFORMED';
    if (contentLength > rules.maxBodyBytes) return 'REQUEST_BODY_TOO_LARGE';
    return via !== '' && rules.via !== '' && hasPassed(via, rules.via) ? 'LOOP_DETECTED' : undefined;
  }

  /** Begins an attempt, waits for room, or answers that there is no upstream to try. */
  #try(): void {
    const { bound } = this;
    const upstream = bound === undefined ? this.#picks.next() : this.#follow(bound);
    if (typeof upstream === 'string') {
      if (upstream !== 'OVERLOADED' || !this.#wait(bound)) this.answer(upstream);
      return;
    }
    const attempt = this.attempt;
    // No await between the pick and the count: the next pick sees this one.
    attempt.begin(this.pool, upstream, bound === undefined);
    this.account.attempts++;
    this.progress.phase = CONNECTING;
    this.deadlines.connecting();
    let connection: UpstreamConnection;
    try {
      connection = bound === undefined ? attempt.connect(upstream, this.#picks.fresh) : attempt.connectBound(bound);
    } catch (cause) {
      this.#attemptFailed(cause instanceof BalancerError ? cause.code : 'INTERNAL_ERROR', cause);
      return;
    }
    if (this.head.authenticatesConnection) attempt.bind(this.downstream.socket);
    connection.begin(this, this.head.method, this.head.upgrade);
    if (connection.ready) this.#send();
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
    const { name: pool, queue } = this.pool;
    const progress = this.progress;
    if (bound?.busy === true) {
      // As long as it takes: requests on one connection are answered in order.
      this.#place.follow(bound);
      this.account.queued();
      progress.phase = QUEUED;
      this.deadlines.lined();
      return true;
    }
    if (!this.#place.enterQueue()) return false;
    const again = progress.phase === QUEUED;
    this.account.queued();
    progress.phase = QUEUED;
    const isNew = this.deadlines.queued(again);
    if (isNew && events.heard('queued')) events.tell('queued', { pool, waiting: queue.length });
    return true;
  }

  relay(head: ResponseHead): void {
    const progress = this.progress;
    this.#leavePool();
    progress.phase = RELAYING;
    this.#replay.clear();
    this.deadlines.moved();
    // A downstream that was not told to continue may send the body or not: the next request can't be told from it.
    progress.bodyless = progress.unasked;
    this.account.responded(head.status);
    this.downstream.respond(head, !progress.bodyless);
  }

  #send(): void {
    const { head } = this;
    const progress = this.progress;
    const { upstream, connection } = this.attempt;
    if (connection === undefined || upstream === undefined) return;
    const host = sentHost(head, upstream, this.pool.rules.changeOrigin);
    connection.writer.begin(requestHead(head, host, this.forwarding), head.framing, head.contentLength);
    progress.phase = WAITING;
    this.deadlines.moved();
    if (head.framing === NONE) connection.writer.end('');
    else if (progress.bodyAsked) this.#sendAgain(connection);
    else {
      progress.bodyAsked = true;
      this.downstream.readBody();
      this.#hooking?.upload?.resume();
    }
  }

  /** The lines to send that tell of earlier hops. */
  get forwarding(): string {
    const lines = forwardingFields(this.head, this.downstream.hop, this.#services.rules);
    if (this.#hooking !== undefined) return this.#hooking.withoutTaken(lines);
    return this.#edits?.withoutTaken(lines) ?? lines;
  }

  /** Sends what has come of the body already, then reads on. */
  #sendAgain({ writer }: UpstreamConnection): void {
    this.#replay.writeTo(writer);
    if (this.progress.requestDone) writer.end(this.#trailers);
    else if (this.#hooking?.upload !== undefined) this.#hooking.upload.resume();
    else this.downstream.resumeBody();
  }

  #tunnel(head: ResponseHead): void {
    const { connection } = this.attempt;
    const progress = this.progress;
    if (connection === undefined) return;
    if (!progress.requestDone) {
      // The rest of the request body would be taken for the new protocol.
      this.#breakOff('UPGRADE_INVALID');
      return;
    }
    this.#leavePool();
    progress.phase = TUNNEL;
    progress.requestDone = false;
    this.deadlines.moved();
    connection.writer.begin('', UNTIL_CLOSE);
    this.account.responded(head.status);
    this.downstream.tunnel(head);
    this.downstream.readBody();
  }

  /** Ends an attempt that has failed in our view. */
  #breakOff(code: ErrorCode): void {
    this.attempt.connection?.destroy();
    this.#attemptFailed(code, undefined);
  }

  /** Tries again where that is safe and may help; answers or cuts elsewhere. The connection is destroyed already. */
  #attemptFailed(code: ErrorCode, cause: unknown): void {
    const attempt = this.attempt;
    const { upstream, connection } = attempt;
    if (upstream === undefined) return;
    const { responding, phase } = this.progress;
    const closedIdle = code === 'UPSTREAM_CLOSED' && (connection?.uses ?? 0) > 1;
    const unsent = closedIdle && connection?.writer.unsent === true;
    const error = cause instanceof BalancerError ? cause : new BalancerError(code, undefined, { cause });
    this.#services.report(error, upstream.origin, this.head.id);
    const handshaking = !attempt.picked && continuesHandshake(this.head);
    const stage = closedIdle ? 'idle' : this.progress.stage(attempt.status);
    attempt.settle(endingOf(code, stage), code);
    if (responding) {
      this.account.failed(code);
      this.#cut();
    // The answer to a challenge makes sense on the challenging connection only: the client has to start over.
    } else if (handshaking || phase === REVISING) this.answer(code, error);
    else if (this.#retries.afterFailure(upstream, code, closedIdle, unsent)) this.#tryAgain(upstream, code, undefined);
    else this.answer(code, error);
  }

  /** Makes another attempt in place of the one on `upstream`. */
  #tryAgain(upstream: ManagedUpstream, code: ErrorCode | undefined, status: number | undefined): void {
    const { events } = this.#services;
    upstream.retried();
    if (events.heard('retried')) {
      const { attempt } = this.#picks;
      const { name: pool } = this.pool;
      events.tell('retried', { pool, upstream: upstream.shown, attempt, code, status, ...named(this.head) });
    }
    this.#try();
    this.flushRequest();
  }

  /** Ends the attempt well, once the last byte has left. */
  finish(): void {
    const progress = this.progress;
    const attempt = this.attempt;
    const { connection } = attempt;
    progress.downloadBlocked = !this.downstream.flush();
    if (progress.downloadBlocked) return;
    const tunnelled = progress.phase === TUNNEL;
    if (tunnelled && connection?.finished === false) return;
    attempt.release(!tunnelled && !progress.bodyless && connection?.writer.owes === false);
    attempt.settle(SERVED, undefined);
    const downstream = this.#rest();
    this.account.tell();
    downstream.settled();
  }

  /** Answers the request ourselves, or as `onError` says. `error` is what failed, where more than its code is known. */
  answer(code: ErrorCode, error?: BalancerError): void {
    this.account.failed(code);
    // Before listeners and hooks run: what they change may wake the queue.
    this.leaveQueue();
    if (this.#hooking?.error(code, error) !== true) this.answerOurselves(code);
  }

  answerOurselves(code: ErrorCode): void {
    const { head } = this;
    this.#answerBy(answerTo(code, this.#services.events, this.downstream, head.method === 'HEAD', head.id));
  }

  #answerBy(answer: Answer): void {
    try {
      this.#sendAnswer(answer);
    } catch (cause) {
      this.downstreamFailed(cause);
    }
  }

  #sendAnswer(answer: Answer): void {
    const { head, body } = answer;
    const progress = this.progress;
    progress.phase = RELAYING;
    this.#accountFor(answer);
    this.downstream.respond(head, progress.requestDone);
    if (this.head.method !== 'HEAD') this.downstream.data(body, 0, body.length, '');
    this.downstream.end('');
    // The front disposes of what is left of the request.
    progress.requestDone = progress.responseDone = true;
    this.deadlines.moved();
    this.finish();
  }

  #accountFor({ head, body }: Answer): void {
    this.account.responded(head.status);
    this.account.sent = this.head.method === 'HEAD' ? 0 : body.length;
  }

  #cut(): void {
    const downstream = this.#rest();
    try {
      // The client must see that a response has begun: a close without a byte would look like that of an idle
      // connection, after which clients send their request again.
      downstream.flush();
      downstream.cut();
    } catch (cause) {
      this.#reportFailure(cause);
    } finally {
      this.account.tell();
      downstream.settled();
    }
  }

  /** The downstream's stream, which may be foreign code, threw in a place where nobody else would notice. */
  downstreamFailed(cause: unknown): void {
    this.#reportFailure(cause);
    this.account.failed('INTERNAL_ERROR');
    this.attempt.connection?.destroy();
    this.attempt.settle(OUR_OWN, 'INTERNAL_ERROR');
    this.#cut();
  }

  #reportFailure(cause: unknown): void {
    const error = new BalancerError('INTERNAL_ERROR', 'a response could not be sent', { cause });
    this.#services.report(error, undefined, this.head.id);
  }

  /** Clears the exchange. Returns its downstream, which it has no more to do with. */
  #rest(aborted = false): Downstream {
    const downstream = this.downstream;
    this.leaveQueue();
    // A listener of `settled` may have ended it already.
    if (this.active) this.account.close(this);
    this.#hooking?.finish(aborted);
    this.#route?.clear();
    this.#edits?.clear();
    this.#leavePool();
    this.downstream = NOWHERE;
    this.progress.phase = IDLE;
    this.deadlines.clear();
    this.#replay.clear();
    this.head.clear();
    return downstream;
  }

  leaveQueue(): void {
    if (this.progress.phase !== QUEUED) return;
    this.account.unqueued();
    this.#place.leave();
  }
}

/** The response reached its end, or another attempt replaces it. */
const SERVED: Ending = { fault: 'none', stage: 'body' };
/** The downstream left or broke the protocol, or we refused the request: that says nothing about the upstream. */
const NOT_THE_UPSTREAM: Ending = { fault: 'downstream', stage: 'head' };
/** We failed, or the embedder's code did. */
const OUR_OWN: Ending = { fault: 'own', stage: 'body' };
