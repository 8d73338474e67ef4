/**
 * A stream to an upstream, from the dial to its end, whatever protocol is spoken over it. The stream may come from the
 * embedder's `connect`, so every call into it is guarded.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { BalancerError, type ErrorCode } from '../errors.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import { endOrReset, isResettable } from '../streams/end-or-reset.ts';
import { type Flusher, MessageWriter } from '../streams/message-writer.ts';
import { connectFailure, lacksResources } from './connect-failure.ts';
import { type Dialler, type Dialling, isUntrusted, whenOpen } from './dial.ts';

/** What speaks over a stream. */
export interface StreamUser {
  /** Whether nothing is in progress. Nobody would report a failure then, so the stream does. */
  readonly idle: boolean;
  /** Whether the end of the stream would be a valid end of what is being received. */
  readonly mayEnd: boolean;
  /** The stream is connected and may be written to. */
  opened(): void;
  /** Bytes have come. They are valid until this returns or, if it paused the stream, until it resumes the stream. */
  received(bytes: Buffer, length: number): void;
  /** What was held back has been written, or everything has after {@link DialledStream.end}. */
  drained(): void;
  /** The upstream has ended its half in order. Called only if {@link StreamUser.mayEnd}. */
  ended(): void;
  /**
   * The stream is of no more use. `code` says why, or is undefined if it was open and was then closed or reset: what
   * that means depends on what was received. It may be called again until the user has closed the stream.
   */
  broke(code: ErrorCode | undefined, error: Error | undefined): void;
}

export class DialledStream implements Dialling, Flusher {
  readonly writer: MessageWriter;
  /** Whether it is connected and may be written to. */
  ready = false;
  /** Whether the upstream's name is being looked up. */
  resolving = false;
  opening: string;

  readonly #user: StreamUser;
  readonly #dialler: Dialler;
  readonly #origin: string;
  readonly #stream: Duplex;
  #paused = false;
  /** Whether the end has come and is not yet known to be an end rather than a reset. */
  #ending = false;
  /** Whether a call into the stream threw. */
  #threw = false;

  /**
   * Begins to connect. `opening`, as latin1, is sent before anything else, together with what is first written. Throws
   * CONNECT_UNUSABLE, as {@link Dialler.dial} does.
   */
  constructor(upstream: ParsedUpstream, dialler: Dialler, user: StreamUser, opening = '') {
    this.#user = user;
    this.opening = opening;
    this.#dialler = dialler;
    this.#origin = upstream.origin;
    const stream = dialler.dial(upstream, this);
    this.#stream = stream;
    const onEnd = (): void => {
      this.#onEnd();
    };
    // Must run before the socket's own listener, which ends our half: the answer to that may be a reset.
    if (stream instanceof Socket) stream.prependListener('end', onEnd);
    else stream.on('end', onEnd);
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.#onError(error);
    });
    stream.on('close', () => {
      // Closed without an error after its end: it was an end.
      if (this.#ending) this.#endedInOrder();
      this.#broke(undefined);
    });
    this.writer = new MessageWriter(stream, this);
    if (this.opening !== '') this.writer.text(this.opening);
    whenOpen(stream, () => {
      this.ready = true;
      user.opened();
    });
  }

  /** Whether the stream threw: it must not be used again. */
  get failed(): boolean {
    return this.#threw || this.writer.failed;
  }

  /** Whether our half has ended and everything was written. */
  get finished(): boolean {
    return this.#stream.writableFinished;
  }

  /** Ends our half. The user's `drained` is called when everything was written. */
  end(): void {
    // If the stream has not taken everything, an orderly end would be a lie: the writer reports the failure.
    if (this.writer.failed) return;
    try {
      this.#stream.end(() => {
        this.drained();
      });
    } catch (cause) {
      this.#failSoon(cause);
    }
  }

  pause(): void {
    this.#paused = true;
    try {
      this.#stream.pause();
    } catch (cause) {
      this.#failSoon(cause);
    }
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    try {
      this.#stream.resume();
    } catch (cause) {
      this.#failSoon(cause);
    }
  }

  /**
   * Closes the stream at once. With `unended`, a half that we have not ended is reset: the upstream would take a close
   * for an orderly end.
   */
  close(unended: boolean): void {
    const stream = this.#stream;
    this.ready = false;
    try {
      if (unended && !stream.writableEnded && !stream.destroyed && isResettable(stream)) stream.resetAndDestroy();
      else stream.destroy();
    } catch (cause) {
      this.#report(new BalancerError('INTERNAL_ERROR', 'an upstream connection could not be closed', { cause }));
    }
  }

  /** For the dialler: bytes have come. */
  received(bytes: Buffer, length: number): boolean {
    const user = this.#user;
    try {
      user.received(bytes, length);
    } catch (cause) {
      // From the downstream's stream, for example, which may be the embedder's.
      if (user.idle) throw cause;
      user.broke('INTERNAL_ERROR', cause instanceof Error ? cause : new Error('a non-error was thrown', { cause }));
    }
    return !this.#paused;
  }

  /** For the writer: the stream has room again. */
  drained(): void {
    this.#user.drained();
  }

  /** For the writer: the stream threw. */
  sinkFailed(cause: unknown): void {
    const error = new BalancerError('INTERNAL_ERROR', 'the stream of an upstream connection threw', { cause });
    if (this.#user.idle) this.#report(error);
    this.#user.broke('INTERNAL_ERROR', error);
  }

  /** Fails in a microtask, so that the current caller, perhaps the user itself, finishes first. */
  #failSoon(cause: unknown): void {
    this.#threw = true;
    queueMicrotask(() => {
      this.sinkFailed(cause);
    });
  }

  #onEnd(): void {
    if (!this.#user.mayEnd) {
      this.#broke(undefined);
      return;
    }
    this.#ending = true;
    try {
      endOrReset(this.#stream, (error) => {
        if (error?.code === 'ECONNRESET') this.#onError(error);
        else if (this.#ending) this.#endedInOrder();
      });
    } catch (cause) {
      this.#failSoon(cause);
    }
  }

  #endedInOrder(): void {
    this.#ending = false;
    this.#user.ended();
  }

  #onError(error: NodeJS.ErrnoException): void {
    // EPIPE says that our half is cut off, not how theirs ended.
    this.#ending &&= error.code === 'EPIPE';
    if (!this.#ending) this.#broke(error);
  }

  #broke(error: Error | undefined): void {
    this.#user.broke(this.#codeOf(error), error);
  }

  /** The code of a failure that is the same for every protocol: all failures to connect. */
  #codeOf(error: Error | undefined): ErrorCode | undefined {
    if (error !== undefined && lacksResources(error)) return 'RESOURCES_EXHAUSTED';
    if (this.ready) return undefined;
    return error === undefined ? 'CONNECT_CLOSED' : connectFailure(error, isUntrusted(this.#stream));
  }

  #report(error: BalancerError): void {
    this.#dialler.report(error, this.#origin);
  }
}
