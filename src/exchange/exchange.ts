/**
 * The story of one request: pick, attempt, retry, relay, settle. Every front tells it through this class.
 *
 * Beside it: how the request gets to an upstream (`attempts.ts`), and its body after it (`upload.ts`); how far it has
 * come (`progress.ts`); how long each step may take (`deadlines.ts`). One reason makes this file long: the calls of
 * both sides, the front's and the upstream connection's, meet in one state.
 */
import { BalancerError, type Ending, type ErrorCode } from '../errors.ts';
import { forwardingFields, hasPassed } from '../http1/forwarding.ts';
import { UNTIL_CLOSE } from '../http1/framing.ts';
import { RequestHead } from '../http1/request.ts';
import type { ResponseHead } from '../http1/response.ts';
import { forwardsLeft } from '../http1/serialise.ts';
import type { ParsedLimits } from '../options/limits.ts';
import { Pool } from '../pools/pool.ts';
import { Account } from './account.ts';
import { type Answer, answerOf, answerTo, finalAnswer } from './answers.ts';
import { Attempt } from './attempt.ts';
import { type Attempting, Attempts } from './attempts.ts';
import { asksWhy } from './decision.ts';
import { Deadlines } from './deadlines.ts';
import { type Downstream, NOWHERE, statusFor } from './downstream.ts';
import type { HookedExchange } from './hooks/hooked-exchange.ts';
import { Hooking, type Steered } from './hooks/hooking.ts';
import { CONNECTING, FAILING, IDLE, Progress, RELAYING, TUNNEL } from './progress.ts';
import { RequestEdits } from './request-edits.ts';
import { RouteTaken } from './routing.ts';
import type { ExchangeServices, Topology } from './services.ts';
import { Upload, type Uploading } from './upload.ts';

/** One exchange at a time; used again for the next request of its connection. */
export class Exchange implements Attempting, Uploading, Steered {
  /** The request: its front fills it before {@link Exchange.start}. */
  readonly head = new RequestHead();
  readonly #services: ExchangeServices;
  downstream: Downstream = NOWHERE;
  readonly progress: Progress;
  readonly deadlines: Deadlines;
  readonly attempt: Attempt;
  readonly account: Account;
  /** The request on its way upstream: its front hands the body to it. */
  readonly upload: Upload;
  readonly attempts: Attempts;
  #topology: Topology;
  /** Undefined without routes. */
  #route: RouteTaken | undefined;
  /** Undefined without routes and ids. */
  #edits: RequestEdits | undefined;
  /** Undefined without hooks. */
  hooking: Hooking | undefined;

  /** `pool` is any: each request brings its own. */
  constructor(services: ExchangeServices, pool: Pool) {
    this.#services = services;
    this.progress = new Progress(this.head);
    this.deadlines = new Deadlines(this.progress, services.clock, services.rules.minBodyBytesPerSecond, pool.rules);
    this.attempt = new Attempt(services, pool, this.head);
    this.account = new Account(services);
    this.upload = new Upload(services, this);
    this.attempts = new Attempts(services, pool, this);
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
    this.upload.received = 0;
    const { why } = this.#services.rules;
    this.account.start(this.head.target, why !== '' && asksWhy(this.head, why));
    this.attempt.last = undefined;
    this.#edits?.identify(this.head, downstream.hop.trusted);
    const destination = this.#destination(pool);
    const isServed = destination instanceof Pool;
    this.account.hasPool = isServed || this.#route === undefined;
    this.attempts.enter(isServed ? destination : pool, this.limits);
    this.hooking?.begin();
    const trace = this.account.isTraced ? this.account.beginTrace(this, this.#route?.paths) : undefined;
    if (typeof destination === 'string') this.answer(destination, downstream.unfit);
    else if (!isServed) this.#answerBy(destination);
    else {
      this.#edits?.edit(this.head, this.#route, this.hooking?.requestHeaders, downstream.hop.trusted);
      if (this.hooking !== undefined) this.hooking.request();
      else this.attempts.start();
    }
    trace?.returned();
  }

  /** Whether a request is being served. */
  get active(): boolean {
    return this.progress.phase !== IDLE;
  }

  get pool(): Pool {
    return this.attempts.pool;
  }

  /** The limits that its route sets. */
  get limits(): ParsedLimits | undefined {
    return this.#route?.limits;
  }

  /** What hooks see. */
  get view(): HookedExchange | undefined {
    return this.hooking?.view;
  }

  // --- what the front tells

  /** The downstream can take more of the response. */
  drained(): void {
    const progress = this.progress;
    if (!progress.downloadBlocked) return;
    progress.downloadBlocked = false;
    if (progress.phase > CONNECTING) this.deadlines.moved();
    if (progress.complete) this.finish();
    else if (this.hooking?.drained() !== true) this.attempt.connection?.resume();
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
    if (responding) this.cut();
    else this.answer(code);
  }

  /** Ends an exchange that is past a deadline, or whose body is too slow. Returns whether it did. */
  sweep(now: number): boolean {
    const overdue = this.deadlines.overdue(now, this.attempt);
    if (overdue === undefined) return false;
    if (this.hooking?.overdue(overdue) === true) return true;
    if (overdue.ends === 'attempt') this.attempts.breakOff(overdue.code);
    else this.refuse(overdue.code);
    return true;
  }

  // --- what the upstream connection tells

  connected(): void {
    this.upload.send();
    this.upload.flush();
  }

  interim(head: ResponseHead): void {
    const progress = this.progress;
    this.deadlines.moved();
    // A 100 that was not asked for, or that an earlier attempt brought already, goes no further (RFC 9110 §15.2).
    const again = progress.continued && this.account.attempts > 1;
    if (head.status === 100 && (!this.head.expectContinue || again)) return;
    if (head.status === 100) progress.continued = true;
    if (this.head.minor === 1) this.downstream.interim(head);
  }

  responded(head: ResponseHead): void {
    const { status } = head;
    const attempt = this.attempt;
    if (attempt.upstream === undefined) return;
    attempt.responded(head);
    if (head.authenticatesConnection) attempt.bind(this.downstream.socket);
    if (status !== 101 && this.attempts.retryOn(status)) return;
    if (attempt.lines !== '') head.add(attempt.lines);
    if (status === 101) {
      this.#route?.editResponse(head);
      this.#tunnel(head);
      return;
    }
    if (status < 300 && this.downstream.connects === true) {
      this.refuse('UPGRADE_DECLINED');
      return;
    }
    if (this.hooking?.response(head, this.#route) === true) return;
    this.#route?.editResponse(head);
    this.relay(head);
  }

  body(bytes: Buffer, from: number, to: number, text: string): void {
    this.deadlines.bytes(to - from);
    if (this.hooking?.takes(bytes, from, to) === true) return;
    this.deadlines.moved();
    this.account.sent += to - from;
    this.downstream.data(bytes, from, to, text);
  }

  ended(trailers: string): void {
    const progress = this.progress;
    if (this.hooking?.takesEnd(trailers) === true) return;
    progress.responseDone = true;
    this.downstream.end(trailers);
    if (progress.complete) this.finish();
  }

  readEnd(): boolean {
    const hooking = this.hooking;
    if (hooking?.holdsResponse === true) return hooking.hasRoom;
    const flushed = this.downstream.flush();
    this.progress.downloadBlocked = !flushed;
    return flushed;
  }

  flushed(): void {
    this.upload.flushed();
  }

  failed(code: ErrorCode, cause: Error | undefined): void {
    const progress = this.progress;
    if (this.hooking?.hasWhole === true) {
      // As below, once the hook is done with it.
      progress.requestDone = true;
    } else if (progress.responseDone && code !== 'INTERNAL_ERROR') {
      // The whole response is there. An upstream may stop reading the request then.
      progress.requestDone = true;
      this.finish();
    } else this.attempts.failed(code, cause);
  }

  // --- the story

  /** Follows a change of routes and hooks. */
  #goBy(topology: Topology): Topology {
    const { routing, hooks, pools } = topology;
    const { requestId, why } = this.#services.rules;
    this.#route = routing && new RouteTaken(routing);
    const edits = requestId !== '' || routing !== undefined || why !== '';
    this.#edits = edits ? new RequestEdits(requestId, why !== '') : undefined;
    this.hooking = hooks && new Hooking(this.#services, hooks, pools, this);
    return topology;
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

  relay(head: ResponseHead): void {
    const progress = this.progress;
    this.attempts.leavePool();
    progress.phase = RELAYING;
    this.upload.replay.clear();
    this.deadlines.moved();
    // A downstream that was not told to continue may send the body or not: the next request can't be told from it.
    progress.bodyless = progress.unasked;
    this.account.responded(statusFor(this.downstream, head.status));
    if (this.#services.rules.serverTiming) head.fields += this.account.serverTiming(this.attempt.latencyMs);
    this.account.explain(head);
    this.downstream.respond(head, !progress.bodyless);
  }

  /** The lines to send that tell of earlier hops. */
  get forwarding(): string {
    const lines = forwardingFields(this.head, this.downstream.hop, this.#services.rules);
    if (this.hooking !== undefined) return this.hooking.withoutTaken(lines);
    return this.#edits?.withoutTaken(lines) ?? lines;
  }

  #tunnel(head: ResponseHead): void {
    const { connection } = this.attempt;
    const progress = this.progress;
    if (connection === undefined) return;
    // The rest of the request body would be taken for the new protocol.
    if (!progress.requestDone || this.downstream.accepts?.(head) === false) {
      this.attempts.breakOff('UPGRADE_INVALID');
      return;
    }
    this.attempts.leavePool();
    progress.phase = TUNNEL;
    progress.requestDone = false;
    this.deadlines.moved();
    connection.writer.begin('', UNTIL_CLOSE);
    this.account.responded(statusFor(this.downstream, head.status));
    this.account.explain(head);
    this.downstream.tunnel(head);
    this.downstream.readBody();
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
    this.account.failed(code, error);
    // Before listeners and hooks run: what they change may wake the queue.
    this.attempts.leaveQueue();
    if (this.hooking?.error(code, error) !== true) this.answerOurselves(code);
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
    this.downstream.respond(this.account.explained(head), progress.requestDone);
    if (this.head.method !== 'HEAD') this.downstream.data(body, 0, body.length, '');
    this.downstream.end('');
    // The front disposes of what is left of the request.
    progress.requestDone = progress.responseDone = true;
    this.deadlines.moved();
    this.finish();
  }

  #accountFor({ head, body }: Answer): void {
    this.account.responded(statusFor(this.downstream, head.status));
    this.account.sent = this.head.method === 'HEAD' ? 0 : body.length;
  }

  /** Cuts a response that has begun. */
  cut(): void {
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
    this.cut();
  }

  #reportFailure(cause: unknown): void {
    const error = new BalancerError('INTERNAL_ERROR', 'a response could not be sent', { cause });
    this.#services.report(error, undefined, this.head.id);
  }

  /** Clears the exchange. Returns its downstream, which it has no more to do with. */
  #rest(aborted = false): Downstream {
    const downstream = this.downstream;
    this.attempts.leaveQueue();
    // A listener of `settled` may have ended it already.
    if (this.active) this.account.close(this);
    this.hooking?.finish(aborted);
    this.#route?.clear();
    this.#edits?.clear();
    this.attempts.leavePool();
    this.downstream = NOWHERE;
    this.progress.phase = IDLE;
    this.deadlines.clear();
    this.upload.replay.clear();
    this.head.clear();
    return downstream;
  }
}

/** The response reached its end. */
const SERVED: Ending = { fault: 'none', stage: 'body' };
/** The downstream left or broke the protocol, or we refused the request: that says nothing about the upstream. */
const NOT_THE_UPSTREAM: Ending = { fault: 'downstream', stage: 'head' };
/** We failed, or the embedder's code did. */
const OUR_OWN: Ending = { fault: 'own', stage: 'body' };
