/**
 * One connection to an upstream, and the responses that come over it.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { endOrReset, isResettable } from '../end-or-reset.ts';
import { BalancerError, type ErrorCode } from '../errors.ts';
import { BodyReader } from '../http1/body.ts';
import { responseTrailers } from '../http1/fields.ts';
import { CHUNKED, type Framing, NONE, UNTIL_CLOSE } from '../http1/framing.ts';
import { type BodyLimits, type HeadLimits, items, LF, listHas, NO_BYTES } from '../http1/grammar.ts';
import { ResponseHead } from '../http1/response.ts';
import { type Flusher, MessageWriter } from '../http1/writer.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import { connectFailure, isAlert, lacksResources } from './connect-failure.ts';
import { type Dialler, type Dialling, isUntrusted, whenOpen } from './dial.ts';

/** Who uses a connection for an attempt. Every call but `readEnd` may end in the connection being given back. */
export interface ConnectionUser {
  /** A new connection is there. */
  connected(): void;
  /** An interim response (1xx, but for 101). */
  interim(head: ResponseHead): void;
  /** The response's head; 101 where the protocol was switched as asked: what follows is a tunnel. */
  responded(head: ResponseHead): void;
  /**
   * Body data, valid until the user's `readEnd` returns true or the connection is resumed. `text` is the same as latin1
   * where that is at hand, else `''`.
   */
  body(bytes: Buffer, from: number, to: number, text: string): void;
  /** The response is complete. */
  ended(trailers: string): void;
  /** All that one read brought has been handed over. Returns false to pause reading until `resume`. */
  readEnd(): boolean;
  /** What the writer held back has gone out. */
  flushed(): void;
  /** The connection failed before the response was complete. It is destroyed already. */
  failed(code: ErrorCode, cause: Error | undefined): void;
}

/** What of the settings a connection goes by. */
export type ConnectionRules = HeadLimits & BodyLimits;

/** A connection, given to one user at a time. */
export class UpstreamConnection implements Flusher, Dialling {
  /** Sends requests. */
  readonly writer: MessageWriter;
  /** Whether it is connected and may be written to. */
  ready = false;
  /** Exchanges begun on it: above 1 it may be one that the upstream has just closed. */
  uses = 0;
  /** When it began to connect, in the clock's time. */
  readonly born: number;
  /** When it is too old for another exchange, in the clock's time; undefined before it was first given back. */
  retireAt: number | undefined;
  /** Until when it may idle, in the clock's time. */
  idleUntil = 0;
  /** Whether the name of the upstream is being looked up. */
  resolving = false;
  destroyed = false;

  readonly #origin: string;
  readonly #dialler: Dialler;
  readonly #socket: Duplex;
  readonly #rules: ConnectionRules;
  readonly #onGone: (connection: UpstreamConnection) => void;
  readonly #head = new ResponseHead();
  readonly #body: BodyReader;
  #user: ConnectionUser | undefined;
  #method = '';
  #upgrade = '';
  #phase: Phase = IDLE;
  /** Whether the response's end is the connection's end. */
  #untilClose = false;
  #interims = 0;
  /** The start of a head that has not wholly come. */
  #pending = NO_BYTES;
  #paused = false;
  /** Whether the end of the stream has come, and is yet to be told from a reset. */
  #ending = false;
  /** Whether the stream threw: it serves nobody else. */
  #broken = false;

  /**
   * Begins to connect, at `born` in the clock's time. `onGone` is called once, when the connection is destroyed,
   * whatever the cause. Throws CONNECT_UNUSABLE, as {@link Dialler.dial} does.
   */
  constructor(
    upstream: ParsedUpstream, rules: ConnectionRules, dialler: Dialler, born: number,
    onGone: (connection: UpstreamConnection) => void,
  ) {
    this.#origin = upstream.origin;
    this.#dialler = dialler;
    this.#rules = rules;
    this.#onGone = onGone;
    this.born = born;
    this.#body = new BodyReader(rules, responseTrailers);
    const socket = dialler.dial(upstream, this);
    this.#socket = socket;
    const onEnd = (): void => {
      this.#onEnd();
    };
    // Before the socket's own listener ends its other half: what that sends may be answered with a reset.
    if (socket instanceof Socket) socket.prependListener('end', onEnd);
    else socket.on('end', onEnd);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#onError(error);
    });
    socket.on('close', () => {
      // An end that was not found to be a reset is one.
      if (this.#ending) this.#endedInOrder();
      this.#fail(this.#closedCode(), undefined);
    });
    this.writer = new MessageWriter(socket, this);
    whenOpen(socket, () => {
      this.ready = true;
      this.#user?.connected();
    });
  }

  /** For the dialler: bytes have come. */
  received(bytes: Buffer, length: number): boolean {
    try {
      this.#onBytes(bytes, length);
    } catch (cause) {
      // Out of the downstream's stream, say, which may be somebody else's.
      if (this.#user === undefined) throw cause;
      this.#fail('INTERNAL_ERROR', cause instanceof Error ? cause : new Error('something was thrown', { cause }));
    }
    return !this.#paused;
  }

  /**
   * Gives the connection to `user` for one exchange. `method` and `upgrade`, the protocols that are asked for, say how
   * the response is to be read.
   */
  begin(user: ConnectionUser, method: string, upgrade: string): void {
    this.#user = user;
    this.#method = method;
    this.#upgrade = upgrade;
    this.#phase = HEAD;
    this.#untilClose = false;
    this.#interims = 0;
    this.uses++;
  }

  /**
   * Takes the connection back from its user once the request is sent and the response is complete.
   * Returns whether it may serve another exchange; if not, it is destroyed.
   */
  release(): boolean {
    this.#user = undefined;
    const reusable = this.#phase === DONE && this.#head.keepAlive && !this.destroyed;
    if (!reusable) {
      this.destroy();
      return false;
    }
    this.#phase = IDLE;
    this.#head.clear();
    this.resume();
    if (!this.#broken && !this.writer.failed) return true;
    this.destroy();
    return false;
  }

  /** The seconds that the upstream keeps the connection idle for, by the response at hand; -1 if it did not say. */
  get keepAliveSeconds(): number {
    return this.#head.keepAliveSeconds;
  }

  /**
   * Whether it was used before, and nothing has left yet of the request at hand: what comes then answers nothing, and
   * if the connection fails, the upstream knows nothing of the request.
   */
  get #untouched(): boolean {
    return this.#phase === HEAD && this.uses > 1 && this.writer.unsent;
  }

  /** Whether nobody uses it. */
  get idle(): boolean {
    return this.#user === undefined;
  }

  /** Whether any byte of a response has come since `begin`. */
  get answering(): boolean {
    return this.#phase !== HEAD || this.#pending.length > 0 || this.#interims > 0;
  }

  /** Ends the sending half: the tunnel's other end has no more to say. The user's `flushed` tells when all has left. */
  end(): void {
    // What the stream has not taken is not to pass for the end: it fails instead.
    if (this.writer.failed) return;
    try {
      this.#socket.end(() => {
        this.drained();
      });
    } catch (cause) {
      this.#fails(cause);
    }
  }

  /** For the writer: what it held back has gone out. */
  drained(): void {
    this.#user?.flushed();
  }

  /** For the writer: the stream, which may be the embedder's, threw. */
  sinkFailed(cause: unknown): void {
    const error = new BalancerError('INTERNAL_ERROR', 'the stream of an upstream connection threw', { cause });
    // Else its user reports it.
    if (this.#user === undefined) this.#dialler.report(error, this.#origin);
    this.#fail('INTERNAL_ERROR', error);
  }

  /** Whether the sending half is ended and all has left. */
  get finished(): boolean {
    return this.#socket.writableFinished || this.destroyed;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    try {
      this.#socket.resume();
    } catch (cause) {
      this.#fails(cause);
    }
  }

  /**
   * Closes the connection at once, telling the user nothing. In a tunnel whose other end did not say that it has no
   * more to send, the upstream would take a close for that: it is reset.
   */
  destroy(): void {
    const socket = this.#socket;
    const unended = this.#phase !== IDLE && this.#head.status === 101 && !socket.writableEnded;
    this.#user = undefined;
    this.#gone();
    this.#close(unended && !socket.destroyed);
  }

  #close(reset: boolean): void {
    const socket = this.#socket;
    try {
      if (reset && isResettable(socket)) socket.resetAndDestroy();
      else socket.destroy();
    } catch (cause) {
      const error = new BalancerError('INTERNAL_ERROR', 'an upstream connection could not be closed', { cause });
      this.#dialler.report(error, this.#origin);
    }
  }

  /** The stream threw: the connection fails when what is under way, perhaps in its user, has run to its end. */
  #fails(cause: unknown): void {
    this.#broken = true;
    queueMicrotask(() => {
      this.sinkFailed(cause);
    });
  }

  #onBytes(bytes: Buffer, end: number): void {
    const user = this.#user;
    if (user !== undefined && this.#untouched) {
      this.#fail('UPSTREAM_CLOSED', undefined);
      return;
    }
    if (user === undefined || this.#phase === IDLE || this.#phase === DONE) {
      // Bytes that no request asked for: whatever they are, the next response is not to be read behind them.
      this.#head.keepAlive = false;
      if (user === undefined && !this.destroyed) this.destroy();
      return;
    }
    let at = 0;
    let readAsText = false;
    if (this.#phase === HEAD) {
      readAsText = this.#pending.length === 0;
      at = this.#onHead(user, bytes, end);
      if (this.#user !== user) return;
    }
    if (this.#phase === BODY && at < end) {
      const body = this.#body;
      const head = this.#head;
      at = body.read(bytes, at, end);
      if (body.to > body.from) {
        // Not where a head of another place was read, or what stood between chunks was taken out.
        const same = readAsText && this.#interims === 0 && head.framing !== CHUNKED;
        user.body(bytes, body.from, body.to, same ? head.textAt(body.from, body.to) : '');
      }
      if (this.#user !== user) return;
      if (body.malformed) {
        this.#fail('RESPONSE_MALFORMED', undefined);
        return;
      }
      if (body.done) this.#finish(user, body.trailers, at < end);
    }
    if (this.#user === user && !user.readEnd() && this.#user === user) {
      this.#paused = true;
      try {
        this.#socket.pause();
      } catch (cause) {
        this.#fails(cause);
      }
    }
  }

  /** Reads heads up to the final one. Returns where the body starts, or `end` where more must come. */
  #onHead(user: ConnectionUser, bytes: Buffer, end: number): number {
    const head = this.#head;
    const { maxHeadBytes } = this.#rules;
    let at = 0;
    while (at < end) {
      const held = this.#pending.length;
      const to = Math.min(end, at + maxHeadBytes - held);
      const come = at === 0 ? bytes : bytes.subarray(at);
      const all = held === 0 ? come : Buffer.concat([this.#pending, bytes.subarray(at, to)]);
      const size = held + to - at;
      // Parsed anew only when a line is whole: a head that comes octet by octet costs no more than its lines.
      const partial = held > 0 && size < maxHeadBytes && !all.includes(LF, held);
      const length = partial ? 0 : head.parse(all, size, this.#method, this.#rules);
      if (length < 0) {
        this.#fail(head.error, undefined);
        return end;
      }
      if (length === 0) {
        // A copy: what was read into is read into again.
        this.#pending = held === 0 ? Buffer.from(all.subarray(0, size)) : all;
        return end;
      }
      this.#pending = NO_BYTES;
      at += length - held;
      if (head.status >= 200 || head.status === 101) {
        this.#respond(user, head, at < end);
        return at;
      }
      // An upstream that floods with interim responses would hold the exchange for ever.
      if (++this.#interims > MAX_INTERIMS) {
        this.#fail('RESPONSE_MALFORMED', undefined);
        return end;
      }
      user.interim(head);
      if (this.#user !== user) return end;
    }
    return at;
  }

  #respond(user: ConnectionUser, head: ResponseHead, more: boolean): void {
    let framing: Framing = head.framing;
    if (head.status === 101) {
      // RFC 9110 §§7.8, 15.2.2: only as an answer to Upgrade, and naming what it switched to, of what was asked for.
      const asked = this.#upgrade;
      if (asked !== '' && head.upgrade === '') {
        this.#fail('UPGRADE_INVALID', undefined);
        return;
      }
      if (asked === '' || !items(head.upgrade).every((protocol) => listHas(asked, protocol))) {
        this.#fail('UPGRADE_UNASKED', undefined);
        return;
      }
      framing = UNTIL_CLOSE;
    }
    this.#untilClose = framing === UNTIL_CLOSE;
    this.#phase = BODY;
    this.#body.start(framing, head.contentLength);
    user.responded(head);
    if (this.#user === user && (framing === NONE || this.#body.done)) this.#finish(user, '', more);
  }

  /** The response is complete; bytes behind it mean that the connection cannot be trusted with another. */
  #finish(user: ConnectionUser, trailers: string, more: boolean): void {
    this.#phase = DONE;
    if (more || this.#untilClose) this.#head.keepAlive = false;
    user.ended(trailers);
  }

  /** The upstream has no more to send, or so it seems. */
  #onEnd(): void {
    if (this.#user === undefined || this.#phase !== BODY || !this.#untilClose) {
      this.#fail(this.#closedCode(), undefined);
      return;
    }
    this.#ending = true;
    try {
      endOrReset(this.#socket, (error) => {
        if (error?.code === 'ECONNRESET') this.#onError(error);
        else if (this.#ending) this.#endedInOrder();
      });
    } catch (cause) {
      this.#fails(cause);
    }
  }

  /** The end of the stream is the end of the response. */
  #endedInOrder(): void {
    this.#ending = false;
    const user = this.#user;
    if (user === undefined) return;
    this.#finish(user, '', false);
    if (this.#user !== user) return;
    // The other direction of a tunnel goes on.
    if (this.#head.status === 101) user.readEnd();
    else this.#fail(this.#closedCode(), undefined);
  }

  #onError(error: NodeJS.ErrnoException): void {
    this.#ending &&= error.code === 'EPIPE';
    if (this.#ending) return;
    if (lacksResources(error)) this.#fail('RESOURCES_EXHAUSTED', error);
    else if (!this.ready) this.#fail(connectFailure(error, isUntrusted(this.#socket)), error);
    else this.#fail(isAlert(error) && !this.answering ? 'TLS_SESSION_ENDED' : this.#closedCode(), error);
  }

  #closedCode(): ErrorCode {
    if (!this.ready) return 'CONNECT_CLOSED';
    return this.#phase === HEAD && !this.answering ? 'UPSTREAM_CLOSED' : 'RESPONSE_INCOMPLETE';
  }

  #fail(code: ErrorCode, cause: Error | undefined): void {
    const user = this.#user;
    this.#user = undefined;
    this.#gone();
    this.#close(false);
    user?.failed(code, cause);
  }

  #gone(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.ready = false;
    this.#onGone(this);
  }
}

type Phase = typeof IDLE | typeof HEAD | typeof BODY | typeof DONE;
const IDLE = 0;
const HEAD = 1;
const BODY = 2;
const DONE = 3;

/** Interim responses before the final one; a server with early hints sends two or three. */
const MAX_INTERIMS = 32;
