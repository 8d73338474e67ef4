/**
 * The response of an embedder's server: node:http, node:https or the compat API of node:http2. Its methods may be those
 * of middleware, which replaces them to see or change what is sent. Each call may throw, do nothing, or answer by
 * itself, and none of that may leave an exchange in flight.
 */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { watched } from '../guard.ts';
import { type Framing, LENGTH, UNTIL_CLOSE } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response.ts';
import { downstreamFraming } from '../http1/serialise.ts';
import { fieldsByName } from './response-fields.ts';
import { addTrailers, http1Fields, isRefusal, type WaitingHead, writeHead } from './response-head.ts';

/** Who hears how a response goes. */
export interface ResponseUser {
  /** It can take more, after {@link EmbeddedResponse.flush} returned false. */
  drained(): void;
  /**
   * It cannot be sent as it was given: `RESPONSE_MALFORMED` where the server refuses the head, `HOOK_FAILED` where
   * somebody else's code failed.
   */
  broken(code: 'RESPONSE_MALFORMED' | 'HOOK_FAILED', what: string, cause: unknown): void;
  /** Somebody else has begun a response of their own. */
  taken(): void;
}

export class EmbeddedResponse {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #http2: boolean;
  readonly #user: ResponseUser;
  #head: WaitingHead | undefined;
  /** Data that waits: latin1 text where the length is announced and it is little. */
  #data: Buffer | string | undefined;
  #framing: Framing = LENGTH;
  /** Whether node:http2 ends the response with its head, whatever body the upstream has sent. */
  #bodiless = false;
  /** Whether the response was given to its end. */
  #complete = false;
  /** Whether the server has its head, any of its body, its end. */
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

  /** Whether nothing more can be sent: it was cut, or its downstream has left. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Whether all of it has been given and little of it waits: it may leave together with other responses. */
  get mayWait(): boolean {
    return this.#complete && typeof this.#data !== 'object';
  }

  /** Sends what an interim response says, as far as node:http can. */
  interim(head: ResponseHead): void {
    // node:http sends early hints alone; 100 it has sent by itself, others it has no way to.
    if (head.status !== 103 || this.#gone) return;
    const links = fieldsByName(head.fields).get('link')?.values ?? [];
    try {
      if (links.length > 0) this.#response.writeEarlyHints({ link: [...links] });
    } catch {
      // node:http takes only the plainest forms of Link. A hint may be left out (RFC 8297 §2); the response repeats it.
    }
  }

  /** Starts a response. `closing` is true where the connection is to be closed after it. */
  respond(head: ResponseHead, closing: boolean): void {
    const { status, reason, fields } = head;
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

  /** Adds data. Both buffer and text are copied. */
  data(bytes: Buffer, from: number, to: number, text: string): void {
    if (this.#bodiless) return;
    const before = this.#data;
    // Text goes out in one string with the head; node:http sends a buffer beside it.
    if (this.#framing === LENGTH && !this.#http2 && to - from <= MAX_TEXT_BYTES && typeof before !== 'object') {
      this.#data = (before ?? '') + (text === '' ? bytes.toString('latin1', from, to) : text);
      return;
    }
    // A copy: node:http may hold on to it behind earlier responses, and middleware may too.
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
   * Sends what has gathered. A complete response is ended with it if `mayEnd`. Returns whether it can take more; if
   * not, its user will be told when.
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

  /** Ends the response, unless that was done before: middleware may do its work each time that it is told to end. */
  finish(): void {
    if (this.#gone || this.#ended) return;
    this.#ended = true;
    try {
      this.#watch(this.#response.end());
    } catch (cause) {
      this.#failed(cause);
    }
  }

  /** Breaks it off, so that its downstream can tell. `mayReset`: its connection is not encrypted, a reset is seen. */
  cut(mayReset: boolean): void {
    if (this.#gone) return;
    this.#gone = true;
    try {
      if (this.#http2) this.#resetStream();
      else this.#destroy(mayReset);
    } catch (cause) {
      this.#failed(cause);
    }
  }

  /** Its downstream has left. */
  left(): void {
    this.#gone = true;
  }

  /**
   * Makes room for another response after a head that could not be sent. What middleware has put in the place of the
   * server's methods is taken off, as it may be what failed. Returns false where something was sent.
   */
  renew(): boolean {
    const response = this.#response;
    try {
      if (response.headersSent || response.writableEnded) return false;
      for (const name of REPLACEABLE) if (Object.hasOwn(response, name)) Reflect.deleteProperty(response, name);
      for (const name of response.getHeaderNames()) response.removeHeader(name);
    } catch {
      // What keeps even this from working will not send anything else either.
      return false;
    }
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

  /** Sends data behind which more comes. */
  #sendMore(data: Buffer | string): void {
    const response = this.#response;
    this.#written = true;
    const text = typeof data === 'string' && this.#plain;
    const took: unknown = text ? response.write(data, 'latin1') : response.write(asBytes(data));
    if (took === false) this.#block();
    else if (took !== true) {
      // Not what `write` returns: the stream itself knows.
      this.#watch(took);
      if (this.#needsDrain) this.#block();
    }
    // Middleware that compresses gathers what it is given. What has no known length may be events, which cannot wait.
    const { flush } = response as { readonly flush?: (this: ServerResponse) => unknown };
    if (this.#framing !== LENGTH && typeof flush === 'function') this.#watch(flush.call(response));
  }

  /** Sends the last data, if any, and ends the response. */
  #sendLast(data: Buffer | string | undefined): void {
    // Nothing comes behind this, so there is nothing to hold back; and node:http tells no 'drain' from here on.
    this.#blocked = false;
    const response = this.#response;
    if (data === undefined) {
      this.finish();
      return;
    }
    this.#ended = true;
    if (!this.#plain) {
      if (this.#splits) this.#watch(response.write(asBytes(data)));
      this.#watch(this.#splits ? response.end() : response.end(asBytes(data)));
    } else if (typeof data === 'string') {
      response.write(data, 'latin1');
      // At once, as one write: corked with the end of the response it would be a vector of two, one of them empty.
      // Libraries that make requests up may give a socket that is no stream.
      (response.socket as Partial<Socket> | null)?.uncork?.();
      response.end();
    } else response.end(data);
  }

  /** Whether what sends a body is the server's own. Middleware gets octets: it may not expect latin1 text. */
  get #plain(): boolean {
    const response = this.#response;
    return response.write === OWN.write && response.end === OWN.end && response.writeHead === OWN.writeHead;
  }

  /**
   * Whether the last data goes by `write`. Whoever replaces `write` is to see all data there. Whoever replaces `end`
   * alone sees a body that comes whole, and nothing of one that comes in pieces, rather than the last of them.
   */
  get #splits(): boolean {
    const response = this.#response;
    return this.#written || (this.#http2 ? Object.hasOwn(response, 'write') : response.write !== OWN.write);
  }

  get #needsDrain(): boolean {
    const { stream } = this.#response as { readonly stream?: { readonly writableNeedDrain: boolean } };
    return (this.#http2 && stream !== undefined ? stream : this.#response).writableNeedDrain;
  }

  #block(): void {
    this.#blocked = true;
    if (this.#listening) return;
    this.#listening = true;
    // Once for all: middleware that hands listeners on to a stream of its own does not do so with their removal.
    this.#response.on('drain', () => {
      if (!this.#blocked) return;
      this.#blocked = false;
      this.#user.drained();
    });
  }

  /** Sends the head alone. node:http would encode it as UTF-8: octets above 0x7f would become two. */
  #flushHead(): void {
    const response = this.#response;
    const socket = response.socket as Partial<Pick<Socket, 'setDefaultEncoding'>> | null;
    if (socket === null) {
      // It stands behind another response.
      response.once('socket', () => {
        if (this.#gone || this.#written) return;
        try {
          this.#flushHead();
        } catch (cause) {
          this.#failed(cause);
        }
      });
    } else if (this.#http2 || socket.setDefaultEncoding === undefined) response.flushHeaders();
    else {
      socket.setDefaultEncoding('latin1');
      try {
        response.flushHeaders();
      } finally {
        socket.setDefaultEncoding('utf8');
      }
    }
  }

  #destroy(mayReset: boolean): void {
    // Some libraries put little more than an emitter in the place of a socket.
    const { socket } = this.#request as { readonly socket?: Partial<Pick<Socket, 'uncork' | 'resetAndDestroy'>> };
    // node:http corks until the next tick what must be seen before the end: in the socket, or since Node 26 in the
    // response.
    (this.#response as Partial<Pick<ServerResponse, 'uncork'>>).uncork?.();
    socket?.uncork?.();
    if (this.#framing === UNTIL_CLOSE && mayReset) socket?.resetAndDestroy?.();
    this.#response.destroy();
  }

  #resetStream(): void {
    // Without a code a stream that breaks off would look like one that ends (RFC 9113 §8.1).
    const { stream } = this.#response as { readonly stream?: { close(code: number): void } };
    stream?.close(INTERNAL_ERROR);
  }

  /** Looks after the promise that an async method of middleware returns. */
  #watch(result: unknown): void {
    if (result === this.#response || result === true) return;
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

/** The methods of node:http itself, as far as nobody has replaced them for all. */
const OWN = ServerResponse.prototype;
const REPLACEABLE = ['writeHead', 'write', 'end'] as const;
/** Below this a copy into the head's text is cheaper than a second buffer in the write. */
const MAX_TEXT_BYTES = 8_192;
/** RFC 9113 §7. */
const INTERNAL_ERROR = 2;
