/**
 * The body of a request that an http server has read. node:http2, and libraries that make requests, may end a body that
 * was aborted, or end it twice.
 */
import type { IncomingMessage } from 'node:http';
import { BalancerError, type ErrorCode } from '../errors.ts';
import { requestTrailers } from '../http1/fields.ts';
import type { BodyLimits } from '../http1/grammar.ts';
import { trailerText } from './head-text.ts';

/** Receives the body. What these methods throw is passed to `bodyThrew`. */
export interface BodyTaker {
  /** Whether the body is still wanted. */
  readonly takesBody: boolean;
  /** Whether our side of the stream has ended, as in a tunnel: the downstream's end then closes the stream. */
  readonly sentAll: boolean;
  /** Returns false to hold the body until {@link RequestBody.resume}. */
  bodyData(bytes: Buffer): boolean;
  bodyEnd(trailers: string): void;
  /** The downstream has aborted the body. */
  bodyGone(): void;
  /** The body cannot be passed on. */
  bodyRefused(code: ErrorCode, error?: BalancerError): void;
  /** The request, which may be the embedder's, threw, or a method of this taker did. */
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
      // Middleware may have paused it while it waited for something.
      request.resume();
    });
  }

  /** Continues after `bodyData` returned false. */
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
    // A complete answer stands, however its request ends.
    if (!this.#taker.takesBody) {
      this.done = true;
      return;
    }
    // node:http2 ends an aborted body as if it were complete; only the stream shows it.
    if (isReset(this.#request) || (isClosed(this.#request) && !this.#taker.sentAll)) {
      this.#taker.bodyGone();
      return;
    }
    // A request made by a library may end twice.
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

/** The stream of an HTTP/2 request, as far as it shows how it ended. */
interface Ended {
  readonly stream?: { readonly aborted: boolean; readonly closed: boolean; readonly rstCode: number };
}

/** Whether the stream of an HTTP/2 request was reset. */
export function isReset(request: IncomingMessage): boolean {
  const { stream } = request as Ended;
  return stream !== undefined && (stream.aborted || (stream.closed && stream.rstCode !== 0));
}

/** Whether both sides of the stream of an HTTP/2 request have ended, in order or not. */
export function isClosed(request: IncomingMessage): boolean {
  return (request as Ended).stream?.closed === true;
}
