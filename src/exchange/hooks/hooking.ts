/**
 * What the hooks of an exchange make of it: has them run, carries out what they decide, and takes the bodies where they
 * want them. An exchange of a balancer without hooks has none of this. It is long for the same reason as `exchange.ts`:
 * the calls of the exchange, of the hooks and of the streams meet in one state.
 */
import { STATUS_CODES } from 'node:http';
import { BalancerError, type Ending, type ErrorCode } from '../../errors.ts';
import { CHUNKED } from '../../http1/framing.ts';
import type { RequestHead } from '../../http1/request.ts';
import { ResponseHead } from '../../http1/response.ts';
import type { ParsedLimits } from '../../options/limits.ts';
import type { Pool } from '../../pools/pool.ts';
import type { Upstream } from '../../strategy.ts';
import type { Account } from '../account.ts';
import type { Attempt } from '../attempt.ts';
import type { Attempts } from '../attempts.ts';
import type { Deadlines, Overdue } from '../deadlines.ts';
import type { Downstream } from '../downstream.ts';
import { type Progress, RELAYING, REVISING, WAITING } from '../progress.ts';
import type { RouteTaken } from '../routing.ts';
import type { ExchangeServices, Topology } from '../services.ts';
import type { Trace } from '../trace.ts';
import type { Upload } from '../upload.ts';
import type { Stage } from './body-transform.ts';
import { type Detour, type ReadDetour, TransformDetour } from './detour.ts';
import { Copies } from './copies.ts';
import type { HeaderLines } from './header-lines.ts';
import type { HeldResponse, PieceTaker } from './held-response.ts';
import { HookAnswer } from './hook-answer.ts';
import type { HookCalls } from './hook-calls.ts';
import type { Behind, HookedExchange } from './hooked-exchange.ts';
import type { HookedResponse } from './hooked-response.ts';
import type { ResponseAnswer } from './response-answer.ts';
import { type HookedStory, HookStages } from './stages.ts';

/** The exchange, as far as its hooks steer it. */
export interface Steered extends PieceTaker {
  readonly head: RequestHead;
  readonly progress: Progress;
  readonly deadlines: Deadlines;
  readonly attempt: Attempt;
  readonly account: Account;
  readonly upload: Upload;
  readonly attempts: Attempts;
  readonly downstream: Downstream;
  readonly pool: Pool;
  readonly active: boolean;
  /** The lines to send that tell of earlier hops. */
  readonly forwarding: string;
  /** The limits that its route sets. */
  readonly limits: ParsedLimits | undefined;
  /** Sends the head of the response downstream; its body follows. */
  relay(head: ResponseHead): void;
  readEnd(): boolean;
  answer(code: ErrorCode, error?: BalancerError): void;
  answerOurselves(code: ErrorCode): void;
  refuse(code: ErrorCode): void;
  finish(): void;
  downstreamFailed(cause: unknown): void;
}

export class Hooking implements HookedStory, Behind {
  readonly #services: ExchangeServices;
  readonly #pools: Topology['pools'];
  readonly #exchange: Steered;
  readonly #stages: HookStages;
  /** Where the request body goes if a hook transforms or reads it. */
  requestDetour: Detour | undefined;
  /** Where the response body goes if a hook transforms or reads it. */
  #responseDetour: Detour | undefined;
  /** The answer of a hook, while it is sent. */
  #answer: HookAnswer | undefined;
  /** The copies of the request that go to other pools; undefined without any. */
  copies: Copies | undefined;

  /** `pools` are those that a hook may choose. */
  constructor(
    services: ExchangeServices, calls: HookCalls, pools: Topology['pools'], exchange: Steered,
  ) {
    this.#services = services;
    this.#pools = pools;
    this.#exchange = exchange;
    this.#stages = new HookStages(calls, this, exchange.progress);
  }

  // --- what the exchange tells

  /** An exchange starts. */
  begin(): void {
    this.#stages.begin(this);
  }

  /** What hooks see. */
  get view(): HookedExchange | undefined {
    return this.#stages.view;
  }

  /** Runs `onRequest`. */
  request(): void {
    this.#stages.request();
  }

  /** Runs `onResponse` on a response as its route leaves it. Returns false where there is no such hook. */
  response(head: ResponseHead, route: RouteTaken | undefined): boolean {
    return this.#stages.response(head, route);
  }

  /** Runs `onError`. Returns false where there is none, or where it has had its say already. */
  error(code: ErrorCode, error: BalancerError | undefined): boolean {
    return this.#stages.error(code, error);
  }

  /** The headers of the request as hooks see and edit them. */
  get requestHeaders(): HeaderLines | undefined {
    return this.#stages.view?.request.headers;
  }

  /** The forwarding lines to send: without those that a hook has written or deleted. */
  withoutTaken(forwarding: string): string {
    return this.#stages.view?.request.headers.withoutTaken(forwarding) ?? forwarding;
  }

  /** Takes response data, if it does not go straight downstream. */
  takes(bytes: Buffer, from: number, to: number): boolean {
    if (this.#responseDetour !== undefined) {
      this.#responseDetour.write(bytes, from, to);
      this.#exchange.deadlines.moved();
    } else if (this.#revising) this.#stages.held?.body(bytes, from, to);
    else return false;
    return true;
  }

  /** Takes the end of the response, if it does not go straight downstream. */
  takesEnd(trailers: string): boolean {
    if (this.#responseDetour !== undefined) this.#responseDetour.end(trailers);
    else if (this.#revising) this.#stages.held?.ended(trailers);
    else return false;
    return true;
  }

  /** Whether response data does not go straight downstream. */
  get holdsResponse(): boolean {
    return this.#responseDetour !== undefined || this.#revising;
  }

  /** Whether more of such a response may be read. While a hook decides, what one read brought is held, and no more. */
  get hasRoom(): boolean {
    return this.#responseDetour?.stalled === false;
  }

  /** Whether such a response has come to its end. */
  get hasWhole(): boolean {
    return this.#stages.held?.whole === true || this.#responseDetour?.whole === true;
  }

  /** The downstream can take more. Returns whether that is for a hook's stream to know. */
  drained(): boolean {
    if (this.#answer !== undefined) this.#answer.resume();
    else if (this.#responseDetour !== undefined) this.#responseDetour.resume();
    else return false;
    return true;
  }

  /** Ends what is overdue by the fault of a hook. Returns false where none is to blame. */
  overdue({ ends }: Overdue): boolean {
    if (ends === 'hook') this.#stages.timeOut(this.#services.rules.hookTimeoutMs);
    else if (this.#stalls) this.#streamFailed(new BalancerError('HOOK_FAILED', 'a body stopped in a stream of a hook'));
    else return false;
    return true;
  }

  /** The exchange is over; `aborted`: the downstream has left. */
  finish(aborted: boolean): void {
    if ((this.#answer ?? this.requestDetour ?? this.#responseDetour) !== undefined) this.#dropBodies();
    this.copies?.left();
    this.copies = undefined;
    this.#stages.finish(aborted);
  }

  // --- what the hooks see

  get head(): RequestHead {
    return this.#exchange.head;
  }

  get downstream(): Downstream {
    return this.#exchange.downstream;
  }

  get pool(): Pool {
    return this.#exchange.pool;
  }

  get limits(): ParsedLimits | undefined {
    return this.#exchange.limits;
  }

  get upstream(): Upstream | undefined {
    return this.#exchange.attempt.last;
  }

  get attempts(): number {
    return this.#exchange.account.attempts;
  }

  hasPool(name: string): boolean {
    return this.#pools.has(name);
  }

  // --- what the hooks decide

  forward(view: HookedExchange): void {
    const exchange = this.#exchange;
    const { content, headers, target } = view.request;
    exchange.head.revise(target, headers.sent, headers.host);
    const stages = content?.takeStages();
    view.seal('the request was sent');
    if (stages !== undefined) this.#transformUpload(stages);
    const pool = this.#pools.get(view.pool) ?? exchange.pool;
    const { limitsSet, mirrored } = view;
    if (pool !== exchange.pool || limitsSet !== undefined) exchange.attempts.enter(pool, limitsSet ?? exchange.limits);
    if (mirrored === undefined) this.#forward();
    else this.#forwardMirrored(new Copies(this.#services, mirrored.map((name) => this.#pools.get(name)), {
      head: exchange.head, hop: exchange.downstream.hop, peer: exchange.downstream.peer,
      forwarding: exchange.forwarding, trace: exchange.account.trace,
    }));
  }

  #forward(): void {
    this.#exchange.attempts.start();
    this.#exchange.upload.flush();
  }

  /** The copies are made first, since they need the body too, and sent last: the request comes before its copies. */
  #forwardMirrored(copies: Copies): void {
    this.copies = copies;
    try {
      this.#forward();
    } finally {
      copies.start();
    }
  }

  relayRevised(head: ResponseHead, view: HookedResponse, held: HeldResponse | undefined): void {
    const exchange = this.#exchange;
    const { status, headers, content } = view;
    const reason = STATUS_CODES[status] ?? '';
    const hasDate = headers.has('date');
    const stages = content?.takeStages();
    view.seal('the response was sent');
    if (status !== head.status && !(mayHaveBody(head.status) && mayHaveBody(status))) {
      this.answerWith({ status, reason, fields: headers.sentWithoutLength, hasDate, body: undefined });
      return;
    }
    head.revise(status, reason, content?.isTransformed === true ? headers.sentWithoutLength : headers.sent, hasDate);
    if (stages !== undefined) {
      head.framing = CHUNKED;
      this.#transformDownload(stages);
    }
    exchange.relay(head);
    if (this.#responseDetour !== undefined) {
      // The first piece out of a transform may be long in coming.
      exchange.progress.downloadBlocked = !exchange.downstream.flush();
      this.#responseDetour.resume();
    }
    held?.giveTo(exchange);
    if (held !== undefined && exchange.active && exchange.readEnd()) exchange.attempt.connection?.resume();
  }

  answerWith(answer: ResponseAnswer): void {
    const exchange = this.#exchange;
    const { progress, deadlines, downstream, head, attempt, account } = exchange;
    exchange.attempts.leaveQueue();
    if (this.#responseDetour === undefined) {
      // The upstream's response, if there is one, is not wanted any more.
      attempt.connection?.destroy();
      attempt.settle(REPLACED, undefined);
    }
    // A request that a hook has read to its end leaves the connection ready for the next one.
    if (this.requestDetour?.whole === true) progress.requestDone = true;
    this.#answer = new HookAnswer(answer, {
      progress,
      deadlines,
      downstream,
      account,
      method: head.method,
      answered: () => {
        progress.requestDone = progress.responseDone = true;
        downstream.end('');
        exchange.finish();
      },
      answerFailed: (error) => {
        this.#streamFailed(error);
      },
    });
    // The front disposes of what is left of the request, unless the hook reads it.
    if (this.requestDetour === undefined) progress.requestDone = true;
    this.#answer.resume();
  }

  hookFailed(error: BalancerError): void {
    const { attempt } = this.#exchange;
    this.#services.report(error, attempt.upstream?.origin, this.#exchange.head.id);
    attempt.connection?.destroy();
    attempt.settle(OUR_OWN, error.code);
    this.#exchange.answer(error.code, error);
  }

  answerOurselves(code: ErrorCode): void {
    this.#exchange.answerOurselves(code);
  }

  get trace(): Trace | undefined {
    return this.#exchange.account.trace;
  }

  report(error: BalancerError): void {
    this.#services.report(error, undefined, this.#exchange.head.id);
  }

  awaitHook(): void {
    this.#exchange.deadlines.hooked(this.#services.rules.hookTimeoutMs);
  }

  readResponseBody(read: ReadDetour): () => void {
    const { attempt } = this.#exchange;
    this.#responseDetour = read;
    this.#stages.held?.giveTo(this.#exchange);
    return () => {
      attempt.connection?.resume();
    };
  }

  downstreamFailed(cause: unknown): void {
    this.#exchange.downstreamFailed(cause);
  }

  // --- the bodies

  #dropBodies(): void {
    const over = new Error('the exchange is over');
    this.#answer?.cancel();
    this.requestDetour?.abort(over);
    this.#responseDetour?.abort(over);
    this.#answer = this.requestDetour = this.#responseDetour = undefined;
  }

  /** A hook reads the request body: it goes no further. */
  readBody(read: ReadDetour): () => void {
    const { progress, downstream } = this.#exchange;
    this.requestDetour = read;
    progress.bodyAsked = true;
    if (progress.unasked) {
      progress.continued = true;
      downstream.interim(CONTINUE);
      downstream.flush();
    }
    downstream.readBody();
    return () => {
      progress.uploadBlocked = false;
      downstream.resumeBody();
    };
  }

  #transformUpload(stages: Stages): void {
    const exchange = this.#exchange;
    const { progress, attempt, head, downstream } = exchange;
    head.framing = CHUNKED;
    this.requestDetour = new TransformDetour(stages, {
      room: () => {
        progress.uploadBlocked = false;
        downstream.resumeBody();
      },
      data: (bytes) => {
        exchange.upload.forward(bytes, 0, bytes.length);
        const { connection } = attempt;
        return !progress.unconnected && connection?.ready === true && connection.writer.flush(this.#services.turn);
      },
      end: (trailers) => {
        this.requestDetour = undefined;
        exchange.upload.forwardEnd(trailers);
        exchange.upload.flush();
      },
      failed: (cause) => {
        const error = new BalancerError('HOOK_FAILED', 'a transform of the request body failed', { cause });
        if (progress.responding) this.#streamFailed(error);
        else this.hookFailed(error);
      },
    });
  }

  #transformDownload(stages: Stages): void {
    const exchange = this.#exchange;
    const { progress, attempt, deadlines, downstream, account } = exchange;
    const detour = this.#responseDetour = new TransformDetour(stages, {
      room: () => {
        attempt.connection?.resume();
      },
      data: (bytes) => {
        deadlines.moved();
        account.sent += bytes.length;
        downstream.data(bytes, 0, bytes.length, '');
        progress.downloadBlocked = !downstream.flush();
        return !progress.downloadBlocked;
      },
      end: (trailers) => {
        this.#responseDetour = undefined;
        // A transform may end a body early: the rest is not wanted.
        if (!detour.whole) attempt.connection?.destroy();
        exchange.ended(trailers);
      },
      failed: (cause) => {
        this.#streamFailed(new BalancerError('HOOK_FAILED', 'a transform of the response body failed', { cause }));
      },
    });
  }

  /** A stream of a hook failed when a response had begun: it is cut. */
  #streamFailed(error: BalancerError): void {
    this.report(error);
    this.#exchange.refuse('HOOK_FAILED');
  }

  get #revising(): boolean {
    return this.#exchange.progress.phase === REVISING;
  }

  /** Whether a stream of a hook is what keeps a body waiting. */
  get #stalls(): boolean {
    const { phase, downloadBlocked, requestDone } = this.#exchange.progress;
    if (phase === WAITING) return !requestDone && this.requestDetour?.stalled === true;
    if (phase !== RELAYING || downloadBlocked) return false;
    return this.#responseDetour?.stalled ?? this.#answer !== undefined;
  }
}

type Stages = readonly [Stage, ...Stage[]];

/** Whether a response of this status may have a body (RFC 9110 §6.4.1 and §15.3.6). */
function mayHaveBody(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304;
}

/** The answer of a hook replaces the response. */
const REPLACED: Ending = { fault: 'none', stage: 'body' };
const OUR_OWN: Ending = { fault: 'own', stage: 'body' };

/** Asks a downstream for the body that a hook reads. */
const CONTINUE = new ResponseHead();
CONTINUE.status = 100;
CONTINUE.line = 'HTTP/1.1 100 Continue\r\n';
