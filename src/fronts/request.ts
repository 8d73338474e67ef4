/**
 * The way in for embedders: a request that a server of node:http, node:https or node:http2 (compat API) has read. Its
 * head is written as text and read by our own parser, so that all ways in refuse and pass on the same. An extended
 * CONNECT of HTTP/2 comes this way too, and becomes a tunnel. The file is long because the calls of node:http and
 * of the exchange meet in one state.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { BalancerError, type ErrorCode } from '../errors.ts';
import { type Answer, answerTo, refusalOf } from '../exchange/answers.ts';
import type { DownstreamSocket } from '../exchange/downstream-socket.ts';
import { type Downstream, statusFor } from '../exchange/downstream.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { guarded, messageOf } from '../guard.ts';
import type { Hop } from '../http1/forwarding.ts';
import { CHUNKED, NONE } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response.ts';
import type { Sender } from '../loop/turn.ts';
import { parseHandleOptions } from '../options/calls.ts';
import type { ConnectHandshake } from './connect-handshake.ts';
import type { OpenDownstream } from './downstreams.ts';
import type { Front } from './front.ts';
import { type GivenBody, givenBody, GivenBodyReader } from './given-body.ts';
import { headBytes, isHttp2, upgradeBytes } from './head-text.ts';
import { hopOf } from './hop.ts';
import type { DownstreamSession } from './http2-sessions.ts';
import { isMadeUp } from './raw-headers.ts';
import { type BodyTaker, isClosed, isReset, RequestBody } from './request-body.ts';
import { DownstreamResponse, type ResponseUser } from './response.ts';

/** A CONNECT that may open a tunnel. */
export interface Upgrade {
  readonly handshake: ConnectHandshake;
  /** The target to send upstream; undefined if it is the request's own. Throws HOOK_FAILED. */
  target(): string | undefined;
}

export class DownstreamRequest implements Downstream, OpenDownstream, Sender, BodyTaker, ResponseUser {
  readonly hop: Hop;
  readonly socket: DownstreamSocket | undefined;
  readonly busy = true;
  readonly embedded = true;
  state: unknown;
  wholeBody: Buffer | undefined;
  unfit: BalancerError | undefined;
  place = -1;
  readonly #front: Front;
  readonly #request: IncomingMessage;
  readonly #response: DownstreamResponse;
  readonly #exchange: Exchange;
  readonly #http2: boolean;
  /** The connection of an HTTP/2 request. */
  readonly #session: DownstreamSession | undefined;
  readonly #upgrade: Upgrade | undefined;
  /** Whether its tunnel is open. */
  #tunnelled = false;
  /** Made when the body is asked for, unless it was given. */
  #body: RequestBody | GivenBodyReader | undefined;
  /** The same, if it was given: it has to be let go of. */
  #given: GivenBodyReader | undefined;
  /** Whether a body is still to be read. */
  #hasBody = false;
  /** Whether the response is sent when the turn ends. */
  #deferred = false;
  /** Whether a response could not be sent. */
  #failed = false;

  constructor(front: Front, request: IncomingMessage, response: ServerResponse, upgrade?: Upgrade) {
    this.#front = front;
    this.#request = request;
    this.#upgrade = upgrade;
    this.#http2 = isHttp2(request);
    this.#session = this.#http2 ? front.sessions.of(request) : undefined;
    this.#response = new DownstreamResponse(request, response, this.#http2, this);
    this.hop = hopOf(request.socket, front.rules);
    this.socket = this.#http2 ? undefined : socketOf(request);
    this.#exchange = front.newExchange();
  }

  get peer(): object | undefined {
    return this.#request.socket;
  }

  /**
   * Serves a request. If it or its response, which may be foreign objects, throws, that is reported and ends it.
   * `options` is the third argument of `handle`; `upgrade` is given if the request may open a tunnel.
   */
  static serve(
    front: Front, request: IncomingMessage, response: ServerResponse, options?: unknown, upgrade?: Upgrade,
  ): void {
    let made: DownstreamRequest;
    try {
      made = new DownstreamRequest(front, request, response, upgrade);
    } catch (cause) {
      const message = `balancer.handle: ${UNUSABLE}: ${messageOf(cause)}`;
      front.report(new BalancerError('HOOK_FAILED', message, { cause }));
      guarded((): unknown => response.destroy(), ignore);
      return;
    }
    made.#start(response, options);
  }

  #start(response: ServerResponse, options: unknown): void {
    this.#front.downstreams.add(this);
    this.#count();
    try {
      response.on('close', () => {
        this.#onClose();
      });
      response.on('error', ignore);
      this.#begin(options);
    } catch (cause) {
      this.#unusable(cause);
    }
  }

  /** The request or its response threw where it must not: end the exchange, so that nothing stays in flight. */
  #unusable(cause: unknown): void {
    try {
      this.broken('HOOK_FAILED', UNUSABLE, cause);
    } catch {
      // It cannot be answered either; the first fault was reported.
      this.#exchange.abort('HOOK_FAILED');
    } finally {
      this.#leave();
    }
  }

  /** Reads the head and starts the exchange. */
  #begin(options: unknown): void {
    const request = this.#request;
    const { head } = this.#exchange;
    const { ending, rules } = this.#front;
    // A request made by a library may have no socket.
    const socket = request.socket as Socket | undefined;
    if (socket !== undefined && ending.has(socket)) {
      this.destroy();
      return;
    }
    // Reset in the same read, or while middleware was waiting: its 'close' may have been emitted already.
    if (this.#http2 && isReset(request)) {
      this.#session?.abandoned();
      this.destroy();
      return;
    }
    const given = this.#take(options);
    if (given === FAULTY) return;
    const bytes = this.#bytes(given);
    if (bytes === undefined) return;
    const length = head.parse(bytes, bytes.length, rules);
    if (length <= 0) {
      this.#refuse(length < 0 ? head.error : 'REQUEST_MALFORMED');
      return;
    }
    if (this.#http2) head.version = '2.0';
    if (head.host === '' && isMadeUp(request)) head.hasHost = false;
    // Only what comes by `upgrade` may be tunnelled. node:http has already sent 100 Continue.
    if (this.#upgrade === undefined) head.upgrade = '';
    head.expectContinue = false;
    if (given?.source !== undefined) head.framing = CHUNKED;
    const readElsewhere = request.readableDidRead || typeof request.readableEncoding === 'string';
    if (given === undefined && head.framing !== NONE && readElsewhere) {
      this.unfit = new BalancerError('BODY_CONSUMED', CONSUMED);
      this.#front.report(this.unfit);
    } else this.#hasBody = head.framing !== NONE;
    this.#exchange.start(this, this.#front.pool);
    this.#exchange.upload.flush();
  }

  /** Takes the body and the state that were given. FAULTY if they are unusable, and the request was answered. */
  #take(options: unknown): GivenBody | typeof FAULTY | undefined {
    // Express and Connect call a handler with `next`.
    if (options === undefined || options === null || typeof options === 'function') return undefined;
    try {
      const { body, state } = parseHandleOptions(options);
      this.state = state;
      if (body === undefined || body === null || body === this.#request) return undefined;
      const given = givenBody(body, this.#front.givenBodies);
      this.wholeBody = given.bytes;
      this.#body = this.#given = new GivenBodyReader(given, this);
      return given;
    } catch (cause) {
      const known = cause instanceof BalancerError;
      // A getter, or a Proxy, that throws.
      const error = known ? cause : new BalancerError('OPTIONS_INVALID', undefined, { cause });
      this.#front.report(error);
      this.#refuse(error.code);
      return FAULTY;
    }
  }

  /** The head as our parser reads it; undefined if it cannot be sent, and was answered. */
  #bytes(given: GivenBody | undefined): Buffer | undefined {
    const upgrade = this.#upgrade;
    try {
      if (upgrade !== undefined) return upgradeBytes(this.#request, upgrade.handshake, upgrade.target());
      return headBytes(this.#request, undefined, given && (given.bytes?.length ?? Infinity));
    } catch (cause) {
      // May be a foreign error: an object that throws when read may have replaced the headers.
      const known = cause instanceof BalancerError;
      const error = known ? cause : new BalancerError('REQUEST_UNSENDABLE', undefined, { cause });
      this.#front.report(error);
      this.#refuse(error.code);
      return undefined;
    }
  }

  sweep(now: number): boolean {
    const { socket } = this.#request as { readonly socket?: Socket };
    if (socket?.destroyed !== true || this.#ended) return this.#exchange.sweep(now);
    // A response that is queued behind another (of pipelined requests) gets no 'close' from node:http.
    this.#onClose();
    return true;
  }

  drain(): void {
    // The connection and the requests after this one belong to the server.
  }

  destroy(code: ErrorCode = 'DOWNSTREAM_GONE'): void {
    if (this.#deferred) this.#response.flush(this.#uploaded);
    this.cut();
    this.#onClose(code);
  }

  // --- calls from the exchange

  readBody(): void {
    this.#body ??= new RequestBody(this.#request, this.#front.rules, this);
    this.#body.read();
  }

  resumeBody(): void {
    this.#body?.resume();
  }

  interim(head: ResponseHead): void {
    this.#response.interim(head);
  }

  respond(head: ResponseHead, keepAlive: boolean): void {
    const closing = !keepAlive || this.#front.closing;
    if (closing && this.socket !== undefined) this.#front.ending.add(this.socket);
    this.#response.respond(head, statusFor(this, head.status), closing);
  }

  get connects(): boolean {
    return this.#upgrade !== undefined;
  }

  accepts(head: ResponseHead): boolean {
    return this.#upgrade?.handshake.accepts(head) === true;
  }

  tunnel(head: ResponseHead): void {
    this.#tunnelled = true;
    this.#response.tunnel(head, statusFor(this, head.status));
  }

  data(bytes: Buffer, from: number, to: number, text = ''): void {
    this.#response.data(bytes, from, to, text);
  }

  end(trailers: string): void {
    this.#response.end(trailers);
  }

  flush(): boolean {
    // A complete response with little or no data may be sent together with others. A tunnel ends one way at a time.
    if (!this.#deferred && this.#uploaded && this.#response.mayWait && !this.#tunnelled) {
      this.#deferred = this.#front.turn.defers(this);
    }
    return this.#deferred || this.#response.flush(this.#uploaded);
  }

  /** Called when the turn ends. */
  send(): void {
    this.#deferred = false;
    this.#response.flush(this.#uploaded);
    this.settled();
  }

  cut(): void {
    this.#response.cut(this.hop.proto === 'http' && this.hop.address !== '');
  }

  settled(): void {
    if (this.#deferred) return;
    if (!this.#response.gone) this.#session?.answered();
    this.#leave();
    // Not before the request is read or abandoned: node:http discards what arrives of it after the response.
    this.#response.finish();
  }

  // --- calls from the body

  get takesBody(): boolean {
    return this.#exchange.active;
  }

  get sentAll(): boolean {
    return this.#tunnelled && this.#response.ended;
  }

  bodyData(bytes: Buffer): boolean {
    this.#exchange.upload.data(bytes, 0, bytes.length);
    return this.#exchange.upload.flush();
  }

  bodyEnd(trailers: string): void {
    this.#exchange.upload.end(trailers);
    this.#exchange.upload.flush();
  }

  bodyGone(): void {
    this.#onClose();
  }

  bodyRefused(code: ErrorCode, error?: BalancerError): void {
    if (error !== undefined) this.#front.report(error);
    this.#exchange.refuse(code);
  }

  bodyThrew(cause: unknown): void {
    this.#unusable(cause);
  }

  /** Whether the request was read to its end. Before that, ending the response makes node:http discard the rest. */
  get #uploaded(): boolean {
    return !this.#hasBody || this.#body?.done === true;
  }

  // --- calls from the response

  drained(): void {
    this.#exchange.drained();
  }

  broken(code: 'RESPONSE_MALFORMED' | 'HOOK_FAILED', what: string, cause: unknown): void {
    const message = what === '' ? undefined : `balancer.handle: ${what}: ${messageOf(cause)}`;
    this.#front.report(new BalancerError(code, message, { cause }));
    if (this.#response.gone) return;
    // If nothing was sent, it can still be answered, unless our own answer is what failed.
    const answers = !this.#failed && this.#response.renew();
    this.#exchange.abort(code, answers);
    if (!answers) this.cut();
    else {
      this.#failed = true;
      this.#answer(answerTo(code, this.#front.events, this));
      this.#response.left();
    }
    this.#leave();
  }

  taken(): void {
    const message = 'balancer.handle: another handler answered a request that was handed to the balancer';
    this.#front.report(new BalancerError('HOOK_FAILED', message));
    this.#onClose();
  }

  /** Whether both sides of a tunnel have ended in order. The upstream may not have taken everything yet. */
  get #ended(): boolean {
    return this.sentAll && !isReset(this.#request) && isClosed(this.#request);
  }

  #onClose(code: ErrorCode = 'DOWNSTREAM_GONE'): void {
    if (this.#ended && this.#exchange.active) return;
    if (this.#exchange.active && !this.#tunnelled) this.#session?.abandoned();
    this.#response.left();
    this.#exchange.abort(code);
    this.#leave();
  }

  #leave(): void {
    this.#given?.cancel();
    this.#count();
    this.#front.downstreams.remove(this);
  }

  /** For a meter, if there is one. */
  #count(): void {
    const { events, serverConnections } = this.#front;
    if (events.meters.current !== undefined) serverConnections.count(this.#request);
  }

  /** Answers what is not made an exchange. */
  #refuse(code: ErrorCode): void {
    this.#answer(refusalOf(code, this.#front, this));
  }

  #answer({ head, body }: Answer): void {
    this.respond(head, false);
    if (this.#request.method !== 'HEAD') this.data(body, 0, body.length);
    this.end('');
    this.#response.flush(this.#uploaded);
    this.settled();
  }
}

/** The connection of a request; undefined if a library made it, since it would never emit 'close'. */
function socketOf(request: IncomingMessage): DownstreamSocket | undefined {
  const { socket } = request as { readonly socket?: Socket };
  const { destroyed, once } = (socket ?? {}) as Partial<DownstreamSocket>;
  return destroyed === false && typeof once === 'function' ? socket : undefined;
}

/** The downstream may cause errors of a response; 'close' follows and ends the exchange. */
function ignore(): void {
  // Nothing to do.
}

/** The options of `handle` were unusable. */
const FAULTY = Symbol('faulty');
const UNUSABLE = 'the request or its response threw';
const CONSUMED =
  'balancer.handle: the request body was already read, or setEncoding was called on it; ' +
  'put the balancer before body parsers, or give it what they read: handle(request, response, { body })';
