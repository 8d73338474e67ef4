/**
 * The response of an embedder's server (node:http, node:https or the compat API of node:http2), as an exchange sends
 * it: gathers the head and the data, and sends them in as few calls as possible. Middleware may have replaced its
 * methods to see or change what is sent: each call may throw, do nothing or send its own answer, and none of that may
 * leave an exchange in flight.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { watched } from '../guard.ts';
import { type Framing, LENGTH, UNTIL_CLOSE } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response.ts';
import { downstreamFraming } from '../http1/serialise.ts';
import { fieldsByName } from './response-fields.ts';
import { addTrailers, http1Fields, isRefusal, tunnelFields, type WaitingHead, writeHead } from './response-head.ts';
import {
  destroy, flushGathered, flushHead, isPlain, needsDrain, replacesWrite, resetStream, sendLast, startOver,
} from './server-response.ts';

/** The owner of a response. */
export interface ResponseUser {
  /** It can take more, after {@link DownstreamResponse.flush} returned false. */
  drained(): void;
  /**
   * It cannot be sent: `RESPONSE_MALFORMED` if the server refuses its head, `HOOK_FAILED` if foreign code failed.
   */
  broken(code: 'RESPONSE_MALFORMED' | 'HOOK_FAILED', what: string, cause: unknown): void;
  /** Another handler has started its own response. */
  taken(): void;
}

export class DownstreamResponse {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #http2: boolean;
  readonly #user: ResponseUser;
  #head: WaitingHead | undefined;
  /** Data that waits: latin1 text if it is little and its length is announced. */
  #data: Buffer | string | undefined;
  #framing: Framing = LENGTH;
  /** Whether node:http2 ends the response with its head, whatever body the upstream has sent. */
  #bodiless = false;
  /** Whether it opened a tunnel. */
  #tunnel = false;
  /** Whether all of the response was given. */
  #complete = false;
  /** Whether the server was given its head, some of its body, its end. */
  #begun = false;
  #written = false;
  #ended = false;
  #blocked = false;
  #listening = false;
  #gone = false;

  constructor(request: IncomingMessage, response: ServerResponse, http2: boolean, user: ResponseUser) {
    this.#request = request;
    this.#response = response;
    this.#http2 = http2;
    this.#user = user;
  }

  /** Whether nothing more can be sent: it was cut, or the downstream has left. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Whether it is complete and little of it is unsent: it may be sent together with other responses. */
  get mayWait(): boolean {
    return this.#complete && typeof this.#data !== 'object';
  }

  /** Sends an interim response, as far as node:http can. */
  interim(head: ResponseHead): void {
    // node:http sends 100 by itself, and can send early hints, but no others.
    if (head.status !== 103 || this.#gone) return;
    const links = fieldsByName(head.fields).get('link')?.values ?? [];
    try {
      if (links.length > 0) this.#response.writeEarlyHints({ link: [...links] });
    } catch {
      // node:http accepts only simple forms of Link. A hint may be left out (RFC 8297 §2): the response repeats it.
    }
  }

  /** Starts a response with this status. `closing` is true if its connection closes after it. */
  respond(head: ResponseHead, status: number, closing: boolean): void {
    const { reason, fields } = head;
    this.#complete = false;
    this.#data = undefined;
    if (this.#http2) {
      this.#framing = head.framing;
      this.#bodiless = status === 205;
      this.#head = { status, reason, fields };
      return;
    }
    this.#framing = downstreamFraming(head, this.#request.httpVersionMinor);
    this.#head = { status, reason, fields: http1Fields(head, this.#framing, closing, this.#response) };
  }

  /** Opens a tunnel over HTTP/2. */
  tunnel({ fields }: ResponseHead, status: number): void {
    this.#tunnel = true;
    this.#framing = UNTIL_CLOSE;
    this.#head = { status, reason: '', fields: tunnelFields(fields) };
  }

  /** Whether the server was given all of it. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Adds data. Both buffer and text are copied. */
  data(bytes: Buffer, from: number, to: number, text: string): void {
    if (this.#bodiless) return;
    const before = this.#data;
    // Text goes out in one string with the head; node:http sends a buffer beside it.
    if (this.#framing === LENGTH && !this.#http2 && to - from <= MAX_TEXT_BYTES && typeof before !== 'object') {
      this.#data = (before ?? '') + (text === '' ? bytes.toString('latin1', from, to) : text);
      return;
    }
    // A copy: node:http may keep it while earlier responses are sent, and so may middleware.
    const copy = Buffer.from(bytes.subarray(from, to));
    this.#data = before === undefined ? copy : Buffer.concat([asBytes(before), copy]);
  }

  /** The response is complete. `trailers` are whole field lines. */
  end(trailers: string): void {
    this.#complete = true;
    if (trailers === '') return;
    try {
      this.#sendHead();
      if (!this.#gone) addTrailers(this.#response, trailers, this.#http2);
    } catch (cause) {
      this.#failed(cause);
    }
  }

  /**
   * Sends what was gathered, and ends a complete response if `mayEnd`. Returns false if it can take no more until
   * `drained` is called.
   */
  flush(mayEnd: boolean): boolean {
    try {
      const fresh = this.#sendHead();
      const data = this.#data;
      this.#data = undefined;
      if (this.#gone) return true;
      if (this.#complete && mayEnd) this.#sendLast(data);
      else if (data !== undefined) this.#sendMore(data);
      else if (fresh) this.#flushHead();
    } catch (cause) {
      this.#failed(cause);
    }
    return this.#gone || !this.#blocked;
  }

  /** Ends the response once: middleware may do its work each time `end` is called. */
  finish(): void {
    if (this.#gone || this.#ended) return;
    this.#ended = true;
    try {
      this.#watch(this.#response.end());
    } catch (cause) {
      this.#failed(cause);
    }
  }

  /** Cuts it, so that the downstream notices. `mayReset` is true if a reset would reach the downstream. */
  cut(mayReset: boolean): void {
    if (this.#gone) return;
    this.#gone = true;
    try {
      if (this.#http2) resetStream(this.#response, this.#tunnel);
      else destroy(this.#request, this.#response, mayReset && this.#framing === UNTIL_CLOSE);
    } catch (cause) {
      this.#failed(cause);
    }
  }

  /** The downstream has left. */
  left(): void {
    this.#gone = true;
  }

  /** Makes room for another response. Returns false if something was sent. */
  renew(): boolean {
    if (!startOver(this.#response)) return false;
    this.#begun = this.#written = this.#ended = false;
    return true;
  }

  /** Hands the head to the server, if one waits. Returns whether one did. */
  #sendHead(): boolean {
    const head = this.#head;
    if (head === undefined || this.#gone) return false;
    this.#head = undefined;
    if (this.#response.headersSent) {
      this.#gone = true;
      this.#user.taken();
      return false;
    }
    this.#watch(writeHead(this.#response, head, this.#framing, this.#http2));
    this.#begun = true;
    return true;
  }

  /** Sends data that is not the last. */
  #sendMore(data: Buffer | string): void {
    const response = this.#response;
    this.#written = true;
    const text = typeof data === 'string' && isPlain(response);
    const took: unknown = text ? response.write(data, 'latin1') : response.write(asBytes(data));
    if (took === false) this.#block();
    else if (took !== true) {
      // Middleware's `write` may return anything; ask the stream.
      this.#watch(took);
      if (needsDrain(response, this.#http2)) this.#block();
    }
    this.#watch(flushGathered(response, this.#framing));
  }

  /** Sends the last data, if any, and ends the response. */
  #sendLast(data: Buffer | string | undefined): void {
    // Nothing follows that would have to wait, and node:http emits no 'drain' from here on.
    this.#blocked = false;
    const response = this.#response;
    if (data === undefined) {
      this.finish();
      return;
    }
    this.#ended = true;
    if (isPlain(response)) {
      sendLast(response, data);
      return;
    }
    // A body in one piece is passed to `end`, so that middleware which replaces only `end` sees it.
    const split = this.#written || replacesWrite(response, this.#http2);
    if (split) this.#watch(response.write(asBytes(data)));
    this.#watch(split ? response.end() : response.end(asBytes(data)));
  }

  #block(): void {
    this.#blocked = true;
    if (this.#listening) return;
    this.#listening = true;
    // Never removed: middleware that forwards listeners to its own stream does not forward their removal.
    this.#response.on('drain', () => {
      if (!this.#blocked) return;
      this.#blocked = false;
      this.#user.drained();
    });
  }

  /** Sends the head alone, as soon as it has a socket. */
  #flushHead(): void {
    if (flushHead(this.#response, this.#http2)) return;
    this.#response.once('socket', () => {
      if (this.#gone || this.#written) return;
      try {
        this.#flushHead();
      } catch (cause) {
        this.#failed(cause);
      }
    });
  }

  /** Reports a rejected promise: a method of middleware may be async. */
  #watch(result: unknown): void {
    if (result === this.#response || result === true || result === undefined) return;
    watched(result, (what, cause) => {
      this.#user.broken('HOOK_FAILED', `a method of the response ${what}`, cause);
    });
  }

  #failed(cause: unknown): void {
    this.#head = this.#data = undefined;
    if (!this.#begun && isRefusal(cause)) this.#user.broken('RESPONSE_MALFORMED', '', cause);
    else this.#user.broken('HOOK_FAILED', 'a method of the response threw', cause);
  }
}

function asBytes(data: Buffer | string): Buffer {
  return typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
}

/** Up to this size, copying into the head's text is cheaper than a second buffer in the write. */
const MAX_TEXT_BYTES = 8_192;
