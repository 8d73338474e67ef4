/**
 * The way in for embedders: a request that a node:http (or https, or http2 compat) server has read. Its head is written
 * out and read by our own parser, so that both fronts refuse and pass on the same.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { BalancerError, type ErrorCode } from '../errors.ts';
import { answerTo } from '../exchange/answers.ts';
import type { Downstream } from '../exchange/downstream.ts';
import { Exchange } from '../exchange/exchange.ts';
import { allowedTrailers, fieldPairs, withoutNominated } from '../http1/fields.ts';
import type { Hop } from '../http1/forwarding.ts';
import { CHUNKED, LENGTH, NONE, UNTIL_CLOSE } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response.ts';
import { downstreamFraming, upgradeOffer } from '../http1/serialise.ts';
import type { Sender } from '../turn.ts';
import type { Front, Guest } from './front.ts';
import { entries, headBytes, isHttp2, trailerText } from './head-text.ts';
import { hopOf } from './hop.ts';
import { isMadeUp } from './raw-headers.ts';

export class RequestFront implements Downstream, Guest, Sender {
  readonly hop: Hop;
  readonly busy = true;
  place = -1;
  readonly #front: Front;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #exchange: Exchange;
  readonly #http2: boolean;
  /** A head that waits for the data that may go out with it. */
  #head: { readonly status: number; readonly reason: string; readonly fields: string } | undefined;
  /** Data that waits: latin1 text where the length is announced and it is little. */
  #data: Buffer | string | undefined;
  #ended = false;
  /** Whether the response is sent when the turn ends. */
  #deferred = false;
  #uploaded = true;
  #blocked = false;
  #untilClose = false;
  /** Whether the length of the response is announced: its data needs no framing of its own. */
  #measured = false;
  #paused = false;
  #gone = false;
  /** Whether a head could not be sent. */
  #failed = false;

  constructor(front: Front, request: IncomingMessage, response: ServerResponse) {
    this.#front = front;
    this.#request = request;
    this.#response = response;
    this.#http2 = isHttp2(request);
    this.hop = hopOf(request.socket, front.rules);
    // Not a borrowed one: node:http may call back long after the exchange has ended.
    this.#exchange = new Exchange(front.services);
  }

  /** Reads the head and starts the exchange. */
  start(): void {
    const request = this.#request;
    const response = this.#response;
    const { head } = this.#exchange;
    this.#front.guests.add(this);
    response.on('close', () => {
      this.#onClose();
    });
    response.on('error', () => {
      // The downstream's to make; 'close' follows and ends the exchange.
    });
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
    if (head.framing !== NONE && request.readableDidRead) {
      this.#front.services.report(new BalancerError('BODY_CONSUMED', CONSUMED), undefined);
      this.#refuse('BODY_CONSUMED');
      return;
    }
    this.#uploaded = head.framing === NONE;
    this.#exchange.start(this);
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
    if (this.#deferred) this.#flush();
    this.cut();
    this.#onClose();
  }

  // --- what the exchange asks for

  readBody(): void {
    const request = this.#request;
    request.on('data', (bytes: Buffer) => {
      if (!this.#exchange.active) return;
      this.#exchange.requestData(bytes, 0, bytes.length);
      if (this.#exchange.flushRequest()) return;
      this.#paused = true;
      request.pause();
    });
    request.on('end', () => {
      // node:http2 ends a body that its downstream has broken off as if it were whole. The stream knows better.
      const { stream } = request as { readonly stream?: { readonly aborted: boolean; readonly closed: boolean } };
      if (stream?.aborted === true || stream?.closed === true) {
        this.#onClose();
        return;
      }
      // A request that a library made up may end twice.
      if (this.#uploaded) return;
      this.#uploaded = true;
      if (!this.#exchange.active) return;
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
      this.#exchange.requestEnd(allowedTrailers(text));
      this.#exchange.flushRequest();
    });
    request.on('error', () => {
      // An aborted body; 'close' of the response follows and ends the exchange.
    });
    // Somebody may have paused it for us, as one should who has to wait for something first.
    request.resume();
  }

  resumeBody(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#request.resume();
  }

  interim(head: ResponseHead): void {
    // node:http sends early hints alone; 100 it has sent by itself, others it has no way to.
    if (head.status !== 103) return;
    const links = entries(fieldPairs(head.fields)).filter(([name]) => name.toLowerCase() === 'link');
    try {
      if (links.length > 0) this.#response.writeEarlyHints({ link: links.map(([, value]) => value) });
    } catch {
      // node:http takes but the plainest forms of Link. A hint may be left out (RFC 8297 §2); the response repeats it.
    }
  }

  respond(head: ResponseHead, keepAlive: boolean): void {
    const { status, reason, fields } = head;
    const minor = this.#request.httpVersionMinor;
    const framing = downstreamFraming(head, minor);
    this.#untilClose = !this.#http2 && framing === UNTIL_CLOSE;
    this.#measured = !this.#http2 && framing === LENGTH;
    const closing = !keepAlive || this.#front.closing;
    let all = fields;
    if (status === 426 && head.upgrade !== '') all += upgradeOffer(head, !closing);
    else if (closing) all += 'Connection: close\r\n';
    // node:http refuses to announce trailers where none can follow.
    const idle = framing !== CHUNKED && /^trailer:/im.test(fields);
    this.#head = { status, reason, fields: idle ? withoutNominated(all, 'trailer') : all };
  }

  tunnel(): void {
    throw new Error('unreachable: a request without Upgrade is never answered 101');
  }

  data(bytes: Buffer, from: number, to: number, text = ''): void {
    const before = this.#data;
    // Text goes out in one string with the head; node:http sends a buffer beside it.
    if (this.#measured && to - from <= MAX_TEXT_BYTES && typeof before !== 'object') {
      this.#data = (before ?? '') + (text === '' ? bytes.toString('latin1', from, to) : text);
      return;
    }
    // A copy: node:http may hold on to it behind earlier responses, and middleware may too.
    const copy = Buffer.from(bytes.subarray(from, to));
    const start = typeof before === 'string' ? Buffer.from(before, 'latin1') : before;
    this.#data = start === undefined ? copy : Buffer.concat([start, copy]);
  }

  end(trailers: string): void {
    this.#ended = true;
    if (trailers === '') return;
    this.#sendHead();
    if (this.#gone) return;
    const pairs = entries(fieldPairs(trailers));
    this.#response.addTrailers(this.#http2 ? Object.fromEntries(pairs) : pairs);
  }

  flush(): boolean {
    // A whole response with little data, or none, may leave with those of others.
    const mayWait = this.#ended && this.#uploaded && typeof this.#data !== 'object';
    if (mayWait && !this.#deferred) this.#deferred = this.#front.services.turn.defers(this);
    return this.#deferred || this.#flush();
  }

  /** For the turn: it is over. */
  send(): void {
    this.#flush();
    this.#deferred = false;
    this.settled();
  }

  #flush(): boolean {
    const response = this.#response;
    const data = this.#data;
    this.#data = undefined;
    const fresh = this.#sendHead();
    if (this.#gone) return true;
    if (this.#ended && this.#uploaded) {
      // Nothing comes behind this, so there is nothing to hold back; and node:http tells no 'drain' from here on.
      this.#blocked = false;
      if (typeof data === 'string') {
        response.write(data, 'latin1');
        // At once, as one write: corked with the end of the response it would be a vector of two, one of them empty.
        (response.socket as Partial<Socket> | null)?.uncork?.();
        response.end();
      } else response.end(data);
    } else if (data !== undefined) {
      if (!(typeof data === 'string' ? response.write(data, 'latin1') : response.write(data))) this.#block();
    } else if (fresh) response.flushHeaders();
    return !this.#blocked;
  }

  cut(): void {
    this.#gone = true;
    const { socket } = this.#request as { readonly socket?: Partial<Socket> };
    if (this.#http2) {
      // Without a code a stream that breaks off would look like one that ends (RFC 9113 §8.1).
      const { stream } = this.#response as { readonly stream?: { close(code: number): void } };
      stream?.close(INTERNAL_ERROR);
      return;
    }
    // node:http corks until the next tick what is to be seen before the end.
    socket?.uncork?.();
    if (this.#untilClose && this.hop.proto === 'http' && this.hop.address !== '') socket?.resetAndDestroy?.();
    this.#response.destroy();
  }

  settled(): void {
    if (this.#deferred) return;
    this.#front.left(this);
    // Not before the request is read, or given up: node:http throws away what comes of it after the response.
    if (!this.#gone && !this.#response.writableEnded) this.#response.end();
  }

  // --- what the server tells

  #onClose(): void {
    this.#gone = true;
    this.#exchange.abort('DOWNSTREAM_GONE');
    this.#front.left(this);
  }

  #block(): void {
    if (this.#blocked) return;
    this.#blocked = true;
    this.#response.once('drain', () => {
      if (!this.#blocked) return;
      this.#blocked = false;
      this.#exchange.drained();
    });
  }

  #refuse(code: ErrorCode): void {
    const { head, body } = answerTo(code, this.#front.services.events);
    this.respond(head, false);
    if (this.#request.method !== 'HEAD') this.data(body, 0, body.length);
    this.end('');
    this.#flush();
    this.settled();
  }

  /** Sends the head, if one waits. Returns whether it did. */
  #sendHead(): boolean {
    const head = this.#head;
    if (head === undefined || this.#gone) return false;
    this.#head = undefined;
    const response = this.#response;
    try {
      if (!this.#http2 && response.getHeaderNames().length === 0) {
        response.writeHead(head.status, head.reason, fieldPairs(head.fields));
      } else {
        // Besides fields that middleware has set, writeHead keeps but the last of those with one name.
        for (const [name, values] of grouped(head.fields)) setField(response, name, values);
        if (this.#http2) response.writeHead(head.status);
        else response.writeHead(head.status, head.reason);
      }
    } catch (cause) {
      this.#front.services.report(new BalancerError('RESPONSE_MALFORMED', undefined, { cause }), undefined);
      this.#unsendable();
    }
    return true;
  }

  /** The server, or its middleware, will not send this head: 502 while nothing has left, else a cut. */
  #unsendable(): void {
    if (this.#failed || this.#response.headersSent) {
      this.cut();
      return;
    }
    this.#failed = true;
    this.#exchange.abort('RESPONSE_MALFORMED');
    for (const name of this.#response.getHeaderNames()) this.#response.removeHeader(name);
    this.#ended = false;
    this.#refuse('RESPONSE_MALFORMED');
    this.#gone = true;
  }
}

/** Fields by name: each once, as it was first spelt, with all its values. */
function grouped(fields: string): Iterable<readonly [string, string[]]> {
  const groups = new Map<string, readonly [string, string[]]>();
  for (const [name, value] of entries(fieldPairs(fields))) {
    const group = groups.get(name.toLowerCase());
    if (group === undefined) groups.set(name.toLowerCase(), [name, [value]]);
    else group[1].push(value);
  }
  return groups.values();
}

/** Sets a field in place of what middleware has set; cookies join those that are there. */
function setField(response: ServerResponse, name: string, values: string[]): void {
  const lower = name.toLowerCase();
  // HTTP/2 has no connections of its own to speak of (RFC 9113 §8.2.2).
  if (lower === 'connection' && response.req.httpVersionMajor === 2) return;
  const there = lower === 'set-cookie' ? [response.getHeader(name) ?? []].flat().map(String) : [];
  const all = [...there, ...values];
  response.setHeader(name, all.length === 1 ? (all[0] ?? '') : all);
}

/** Below this a copy into the head's text is cheaper than a second buffer in the write. */
const MAX_TEXT_BYTES = 8_192;
/** RFC 9113 §7. */
const INTERNAL_ERROR = 2;
const CONSUMED =
  'balancer.handle: the request body was read before it came here; put the balancer before body parsers';
