/**
 * The way in for embedders: a request that a node:http (or https, or http2 compat) server has read. Its head is written
 * out and read by our own parser, so that both fronts refuse and pass on the same.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { BalancerError, type ErrorCode } from '../errors.ts';
import { answerTo } from '../exchange/answers.ts';
import type { DownstreamSocket } from '../exchange/affinity.ts';
import type { Downstream } from '../exchange/downstream.ts';
import { Exchange } from '../exchange/exchange.ts';
import { guarded, messageOf } from '../guard.ts';
import { requestTrailers } from '../http1/fields.ts';
import type { Hop } from '../http1/forwarding.ts';
import { NONE } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response.ts';
import type { Sender } from '../loop/turn.ts';
import type { Front, Guest } from './front.ts';
import { headBytes, isHttp2, trailerText } from './head-text.ts';
import { hopOf } from './hop.ts';
import { isMadeUp } from './raw-headers.ts';
import { EmbeddedResponse, type ResponseUser } from './response.ts';

export class RequestFront implements Downstream, Guest, Sender, ResponseUser {
  readonly hop: Hop;
  readonly socket: DownstreamSocket | undefined;
  readonly busy = true;
  place = -1;
  readonly #front: Front;
  readonly #request: IncomingMessage;
  readonly #response: EmbeddedResponse;
  readonly #exchange: Exchange;
  readonly #http2: boolean;
  /** Whether the response is sent when the turn ends. */
  #deferred = false;
  #uploaded = true;
  #paused = false;
  /** Whether a response could not be sent. */
  #failed = false;

  constructor(front: Front, request: IncomingMessage, response: ServerResponse) {
    this.#front = front;
    this.#request = request;
    this.#http2 = isHttp2(request);
    this.#response = new EmbeddedResponse(request, response, this.#http2, this);
    this.hop = hopOf(request.socket, front.rules);
    this.socket = this.#http2 ? undefined : socketOf(request);
    // Not a borrowed one: node:http may call back long after the exchange has ended.
    this.#exchange = new Exchange(front.services, front.pool);
  }

  /** Serves a request. What it or its response throws, which may be somebody else's, is reported and ends it. */
  static serve(front: Front, request: IncomingMessage, response: ServerResponse): void {
    let made: RequestFront;
    try {
      made = new RequestFront(front, request, response);
    } catch (cause) {
      const message = `balancer.handle: ${UNUSABLE}: ${messageOf(cause)}`;
      front.services.report(new BalancerError('HOOK_FAILED', message, { cause }), undefined);
      guarded((): unknown => response.destroy(), ignore);
      return;
    }
    made.#start(response);
  }

  #start(response: ServerResponse): void {
    this.#front.guests.add(this);
    try {
      response.on('close', () => {
        this.#onClose();
      });
      response.on('error', ignore);
      this.#begin();
    } catch (cause) {
      this.#unusable(cause);
    }
  }

  /** The request, or its response, fails where it must not: nothing of it may stay in flight. */
  #unusable(cause: unknown): void {
    try {
      this.broken('HOOK_FAILED', UNUSABLE, cause);
    } catch {
      // It cannot be answered either; the first fault was reported.
      this.#exchange.abort('HOOK_FAILED');
    } finally {
      this.#front.left(this);
    }
  }

  /** Reads the head and starts the exchange. */
  #begin(): void {
    const request = this.#request;
    const { head } = this.#exchange;
    // node:http has its requests served that came behind one before it hears that its connection is to be closed.
    const { refused, rules } = this.#front;
    const bytes = this.#bytes();
    if (bytes === undefined) return;
    // A request that a library made up may have no socket.
    const socket = request.socket as Socket | undefined;
    const length = socket !== undefined && refused.has(socket) ? -1 : head.parse(bytes, bytes.length, rules);
    if (length <= 0) {
      if (!this.#http2 && socket !== undefined) refused.add(socket);
      this.#refuse(length < 0 ? head.error : 'REQUEST_MALFORMED');
      return;
    }
    if (this.#http2) head.version = '2.0';
    if (head.host === '' && isMadeUp(request)) head.hasHost = false;
    // Only the 'upgrade' event hands over a socket to tunnel through; and node:http has sent the 100 already.
    head.upgrade = '';
    head.expectContinue = false;
    if (head.framing !== NONE && (request.readableDidRead || typeof request.readableEncoding === 'string')) {
      this.#front.services.report(new BalancerError('BODY_CONSUMED', CONSUMED), undefined);
      this.#refuse('BODY_CONSUMED');
      return;
    }
    this.#uploaded = head.framing === NONE;
    this.#exchange.start(this, this.#front.pool);
    this.#exchange.flushRequest();
  }

  /** The head as it is to be read; undefined where it cannot be sent, which is answered. */
  #bytes(): Buffer | undefined {
    try {
      return headBytes(this.#request);
    } catch (cause) {
      // Not only ours: what stands in place of the headers may be an object that throws when it is read.
      const known = cause instanceof BalancerError;
      const error = known ? cause : new BalancerError('REQUEST_UNSENDABLE', undefined, { cause });
      this.#front.services.report(error, undefined);
      this.#refuse('REQUEST_UNSENDABLE');
      return undefined;
    }
  }

  sweep(now: number): boolean {
    const { socket } = this.#request as { readonly socket?: Socket };
    if (socket?.destroyed !== true) return this.#exchange.sweep(now);
    // node:http tells no response that waits behind another (of pipelined requests) that its socket has closed.
    this.#onClose();
    return true;
  }

  drain(): void {
    // The connection is the server's, and so is what comes after this request.
  }

  destroy(): void {
    if (this.#deferred) this.#response.flush(this.#uploaded);
    this.cut();
    this.#onClose();
  }

  // --- what the exchange asks for

  readBody(): void {
    try {
      this.#readBody();
    } catch (cause) {
      this.#unusable(cause);
    }
  }

  #readBody(): void {
    const request = this.#request;
    request.on('data', (bytes: Buffer) => {
      try {
        this.#onData(bytes);
      } catch (cause) {
        this.#unusable(cause);
      }
    });
    request.on('end', () => {
      try {
        this.#onEnd();
      } catch (cause) {
        this.#unusable(cause);
      }
    });
    request.on('error', () => {
      // An aborted body; 'close' of the response follows and ends the exchange.
    });
    // Somebody may have paused it for us, as one should who has to wait for something first.
    request.resume();
  }

  #onData(bytes: Buffer): void {
    if (!this.#exchange.active) return;
    this.#exchange.requestData(bytes, 0, bytes.length);
    if (this.#exchange.flushRequest()) return;
    this.#paused = true;
    this.#request.pause();
  }

  #onEnd(): void {
    const request = this.#request;
    // An answer that has been given in full stands, whatever the rest of its request is.
    if (!this.#exchange.active) {
      this.#uploaded = true;
      return;
    }
    // node:http2 ends a body that its downstream has broken off as if it were whole. The stream knows better.
    const { stream } = request as { readonly stream?: { readonly aborted: boolean; readonly closed: boolean } };
    if (stream?.aborted === true || stream?.closed === true) {
      this.#onClose();
      return;
    }
    // A request that a library made up may end twice.
    if (this.#uploaded) return;
    this.#uploaded = true;
    const text = trailerText(request);
    if (text === undefined) {
      const where = 'request.rawTrailers has a name or a value that HTTP forbids';
      this.#front.services.report(new BalancerError('REQUEST_UNSENDABLE', where), undefined);
      this.#exchange.refuse('REQUEST_UNSENDABLE');
      return;
    }
    const { maxFields, maxTrailerBytes } = this.#front.rules;
    if (text.split('\r\n').length > maxFields + 1 || text.length + 2 > maxTrailerBytes) {
      this.#exchange.refuse('REQUEST_BODY_MALFORMED');
      return;
    }
    this.#exchange.requestEnd(requestTrailers(text));
    this.#exchange.flushRequest();
  }

  resumeBody(): void {
    if (!this.#paused) return;
    this.#paused = false;
    try {
      this.#request.resume();
    } catch (cause) {
      this.#unusable(cause);
    }
  }

  interim(head: ResponseHead): void {
    this.#response.interim(head);
  }

  respond(head: ResponseHead, keepAlive: boolean): void {
    this.#response.respond(head, !keepAlive || this.#front.closing);
  }

  tunnel(): void {
    throw new Error('unreachable: a request without Upgrade is never answered 101');
  }

  data(bytes: Buffer, from: number, to: number, text = ''): void {
    this.#response.data(bytes, from, to, text);
  }

  end(trailers: string): void {
    this.#response.end(trailers);
  }

  flush(): boolean {
    // A whole response with little data, or none, may leave with those of others.
    if (!this.#deferred && this.#uploaded && this.#response.mayWait) {
      this.#deferred = this.#front.services.turn.defers(this);
    }
    return this.#deferred || this.#response.flush(this.#uploaded);
  }

  /** For the turn: it is over. */
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
    this.#front.left(this);
    // Not before the request is read, or given up: node:http throws away what comes of it after the response.
    this.#response.finish();
  }

  // --- what the response tells

  drained(): void {
    this.#exchange.drained();
  }

  broken(code: 'RESPONSE_MALFORMED' | 'HOOK_FAILED', what: string, cause: unknown): void {
    const message = what === '' ? undefined : `balancer.handle: ${what}: ${messageOf(cause)}`;
    this.#front.services.report(new BalancerError(code, message, { cause }), undefined);
    if (this.#response.gone) return;
    this.#exchange.abort(code);
    // While nothing has left there can be an answer; but not after one that could not be sent either.
    if (this.#failed || !this.#response.renew()) this.cut();
    else {
      this.#failed = true;
      this.#refuse(code);
      this.#response.left();
    }
    this.#front.left(this);
  }

  taken(): void {
    const message = 'balancer.handle: another handler answered a request that was handed to the balancer';
    this.#front.services.report(new BalancerError('HOOK_FAILED', message), undefined);
    this.#onClose();
  }

  // --- what the server tells

  #onClose(): void {
    this.#response.left();
    this.#exchange.abort('DOWNSTREAM_GONE');
    this.#front.left(this);
  }

  #refuse(code: ErrorCode): void {
    const { head, body } = answerTo(code, this.#front.services.events);
    this.respond(head, false);
    if (this.#request.method !== 'HEAD') this.data(body, 0, body.length);
    this.end('');
    this.#response.flush(this.#uploaded);
    this.settled();
  }
}

/** The connection of a request, unless it is one that a library made up: that would never tell of its end. */
function socketOf(request: IncomingMessage): DownstreamSocket | undefined {
  const { socket } = request as { readonly socket?: Socket };
  const { destroyed, once } = (socket ?? {}) as Partial<DownstreamSocket>;
  return destroyed === false && typeof once === 'function' ? socket : undefined;
}

/** Errors of a response are the downstream's to make; 'close' follows and ends the exchange. */
function ignore(): void {
  // Nothing to do.
}

const UNUSABLE = 'the request or its response threw';
const CONSUMED =
  'balancer.handle: the request body was read before it came here, or is to be decoded (setEncoding); ' +
  'put the balancer before body parsers';
