/**
 * The body of a request that an http server has read. A server of node:http2, or a library that makes requests up, may
 * end a body that was broken off, or end it twice.
 */
import type { IncomingMessage } from 'node:http';
import { BalancerError, type ErrorCode } from '../errors.ts';
import { requestTrailers } from '../http1/fields.ts';
import type { BodyLimits } from '../http1/grammar.ts';
import { trailerText } from './head-text.ts';

/** Who takes the body. What these throw comes back by `bodyThrew`. */
export interface BodyTaker {
  /** Whether the body is still wanted. */
  readonly takesBody: boolean;
  /** Returns false to hold the body until {@link RequestBody.resume}. */
  bodyData(bytes: Buffer): boolean;
  bodyEnd(trailers: string): void;
  /** The downstream has broken the body off. */
  bodyGone(): void;
  /** The body cannot be passed on. */
  bodyRefused(code: ErrorCode, error?: BalancerError): void;
  /** The request, which may be somebody else's, threw, or what was called for it did. */
  bodyThrew(cause: unknown): void;
}

export class RequestBody {
  /** Whether all of it was read. */
  done = false;
  readonly #request: IncomingMessage;
  readonly #limits: BodyLimits;
  readonly #taker: BodyTaker;
  #paused = false;

  constructor(request: IncomingMessage, limits: BodyLimits, taker: BodyTaker) {
    this.#request = request;
    this.#limits = limits;
    this.#taker = taker;
  }

  /** Starts to read. */
  read(): void {
    const request = this.#request;
    this.#guarded(() => {
      request.on('data', (bytes: Buffer) => {
        try {
          this.#onData(bytes);
        } catch (cause) {
          this.#taker.bodyThrew(cause);
        }
      });
      request.on('end', () => {
        this.#guarded(() => {
          this.#onEnd();
        });
      });
      request.on('error', () => {
        // The body was aborted; 'close' of the response follows and ends the exchange.
      });
      // Middleware that had to wait for something may have paused it.
      request.resume();
    });
  }

  /** Goes on after `bodyData` returned false. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#guarded(() => this.#request.resume());
  }

  #onData(bytes: Buffer): void {
    if (!this.#taker.takesBody || this.#taker.bodyData(bytes)) return;
    this.#paused = true;
    this.#request.pause();
  }

  #onEnd(): void {
    // An answer that was given in full stands, however its request ends.
    if (!this.#taker.takesBody) {
      this.done = true;
      return;
    }
    // node:http2 ends a body that its downstream has broken off as if it were whole; the stream knows better.
    const { stream } = this.#request as {
      readonly stream?: { readonly aborted: boolean; readonly closed: boolean };
    };
    if (stream?.aborted === true || stream?.closed === true) {
      this.#taker.bodyGone();
      return;
    }
    // A request that a library made up may end twice.
    if (this.done) return;
    this.done = true;
    const text = trailerText(this.#request);
    if (text === undefined) {
      const where = 'request.rawTrailers has a name or a value that HTTP forbids';
      this.#taker.bodyRefused('REQUEST_UNSENDABLE', new BalancerError('REQUEST_UNSENDABLE', where));
      return;
    }
    const { maxFields, maxTrailerBytes } = this.#limits;
    const tooMuch = text.split('\r\n').length > maxFields + 1 || text.length + 2 > maxTrailerBytes;
    if (tooMuch) this.#taker.bodyRefused('REQUEST_BODY_MALFORMED');
    else this.#taker.bodyEnd(requestTrailers(text));
  }

  #guarded(call: () => unknown): void {
    try {
      call();
    } catch (cause) {
      this.#taker.bodyThrew(cause);
    }
  }
}
