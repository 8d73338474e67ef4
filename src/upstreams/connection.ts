/**
 * An HTTP/1.1 connection to an upstream, and the responses that come over it.
 */
import type { ErrorCode } from '../errors.ts';
import { BodyReader } from '../http1/body.ts';
import { responseTrailers } from '../http1/fields.ts';
import { CHUNKED, type Framing, NONE, UNTIL_CLOSE } from '../http1/framing.ts';
import { type BodyLimits, type HeadLimits, items, listHas } from '../http1/grammar.ts';
import { ResponseHead } from '../http1/response.ts';
import { SplitHead } from '../http1/split-head.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import type { MessageWriter } from '../streams/message-writer.ts';
import { isAlert } from './connect-failure.ts';
import type { Dialler } from './dial.ts';
import { DialledStream, type StreamUser } from './dialled-stream.ts';

/** Uses a connection for one attempt. During each call but `readEnd` it may give the connection back. */
export interface ConnectionUser {
  /** A new connection is ready. */
  connected(): void;
  /** An interim response (1xx other than 101). */
  interim(head: ResponseHead): void;
  /** The response's head. 101 if the protocol was switched as requested: a tunnel follows. */
  responded(head: ResponseHead): void;
  /**
   * Body data, valid until the user's `readEnd` returns true or the connection is resumed. `text` is the same data as
   * latin1 if it was read as text already, else `''`.
   */
  body(bytes: Buffer, from: number, to: number, text: string): void;
  /** The response is complete. */
  ended(trailers: string): void;
  /** Everything from one read was handed over. Returns false to pause reading until `resume`. */
  readEnd(): boolean;
  /** What the writer held back was written. */
  flushed(): void;
  /** The connection failed before the response was complete. It is destroyed already. */
  failed(code: ErrorCode, cause: Error | undefined): void;
}

/** The settings that a connection uses. */
export type ConnectionRules = HeadLimits & BodyLimits;

/** A connection, used by one {@link ConnectionUser} at a time. */
export class UpstreamConnection implements StreamUser {
  /** Sends requests. */
  readonly writer: MessageWriter;
  /** Exchanges begun on it. Above 1, the upstream may have closed it while it was idle. */
  uses = 0;
  /** When it began to connect, in the clock's time. */
  readonly born: number;
  /** When it is too old for another exchange, in the clock's time; undefined until it is first given back. */
  retireAt: number | undefined;
  /** Until when it may be idle, in the clock's time. */
  idleUntil = 0;
  destroyed = false;

  readonly #stream: DialledStream;
  readonly #rules: ConnectionRules;
  readonly #onGone: (connection: UpstreamConnection) => void;
  readonly #head = new ResponseHead();
  readonly #body: BodyReader;
  #user: ConnectionUser | undefined;
  #method = '';
  #upgrade = '';
  #phase: Phase = IDLE;
  /** Whether the response ends with the connection. */
  #untilClose = false;
  #interims = 0;
  readonly #split = new SplitHead();

  /**
   * Begins to connect, at `born` in the clock's time. `onGone` is called once, when the connection is destroyed for
   * whatever reason. `opening`, as latin1, is sent first. Throws CONNECT_UNUSABLE, as {@link Dialler.dial} does.
   */
  constructor(
    upstream: ParsedUpstream, rules: ConnectionRules, dialler: Dialler, born: number,
    onGone: (connection: UpstreamConnection) => void, opening = '',
  ) {
    this.#rules = rules;
    this.#onGone = onGone;
    this.born = born;
    this.#body = new BodyReader(rules, responseTrailers);
    this.#stream = new DialledStream(upstream, dialler, this, opening);
    this.writer = this.#stream.writer;
  }

  /** Whether it is connected and may be written to. */
  get ready(): boolean {
    return this.#stream.ready;
  }

  /** Whether the upstream's name is being looked up. */
  get resolving(): boolean {
    return this.#stream.resolving;
  }

  /**
   * Gives the connection to `user` for one exchange. `method` and `upgrade`, the requested protocols, determine how the
   * response is read.
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
   * Takes the connection back from its user when the request is sent and the response is complete. Returns whether it
   * can serve another exchange; if not, it is destroyed.
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
    if (!this.#stream.failed) return true;
    this.destroy();
    return false;
  }

  /** For how many seconds the upstream keeps an idle connection, by the current response; -1 if it did not say. */
  get keepAliveSeconds(): number {
    return this.#head.keepAliveSeconds;
  }

  /**
   * Whether it was used before and nothing of the current request was sent yet. What comes now is not a response to it,
   * and if the connection fails, the upstream has seen none of it.
   */
  get #untouched(): boolean {
    return this.#phase === HEAD && this.uses > 1 && this.writer.unsent;
  }

  /** Whether it has no user. */
  get idle(): boolean {
    return this.#user === undefined;
  }

  /** Whether any byte of a response has come since `begin`. */
  get answering(): boolean {
    return this.#phase !== HEAD || this.#split.begun || this.#interims > 0;
  }

  /** Ends our half, as the tunnel's other side did. The user's `flushed` is called when everything was written. */
  end(): void {
    this.#stream.end();
  }

  /** Whether our half has ended and everything was written. */
  get finished(): boolean {
    return this.#stream.finished || this.destroyed;
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Closes the connection at once, without a call to its user. A tunnel that we have not ended is reset. */
  destroy(): void {
    const unended = this.#phase !== IDLE && this.#head.status === 101;
    this.#user = undefined;
    this.#close(unended);
  }

  // --- what the stream tells

  opened(): void {
    this.#user?.connected();
  }

  drained(): void {
    this.#user?.flushed();
  }

  received(bytes: Buffer, end: number): void {
    const user = this.#user;
    if (user !== undefined && this.#untouched) {
      this.#fail('UPSTREAM_CLOSED', undefined);
      return;
    }
    if (user === undefined || this.#phase === IDLE || this.#phase === DONE) {
      // Unsolicited bytes: a later response must not be read behind them.
      this.#head.keepAlive = false;
      if (user === undefined && !this.destroyed) this.destroy();
      return;
    }
    let at = 0;
    let readAsText = false;
    if (this.#phase === HEAD) {
      readAsText = !this.#split.begun;
      at = this.#onHead(user, bytes, end);
      if (this.#user !== user) return;
    }
    if (this.#phase === BODY && at < end) {
      const body = this.#body;
      const head = this.#head;
      at = body.read(bytes, at, end);
      if (body.to > body.from) {
        // The text is that of the bytes only if both are of the same read and no chunk framing was removed.
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
    if (this.#user === user && !user.readEnd() && this.#user === user) this.#stream.pause();
  }

  /** Reads heads up to the final one. Returns where the body starts, or `end` where more must come. */
  #onHead(user: ConnectionUser, bytes: Buffer, end: number): number {
    const head = this.#head;
    const split = this.#split;
    const rules = this.#rules;
    let at = 0;
    while (at < end) {
      const worth = split.add(bytes, at, end, rules.maxHeadBytes);
      const length = worth ? head.parse(split.bytes, split.size, this.#method, rules) : 0;
      if (length < 0) {
        this.#fail(head.error, undefined);
        return end;
      }
      if (length === 0) return split.keep();
      at = split.end(length);
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
      // RFC 9110 §§7.8, 15.2.2: only in answer to Upgrade, and naming the new protocol, one that was requested.
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

  /** The response is complete. If `more` bytes follow it, the connection cannot be trusted with another one. */
  #finish(user: ConnectionUser, trailers: string, more: boolean): void {
    this.#phase = DONE;
    if (more || this.#untilClose) this.#head.keepAlive = false;
    user.ended(trailers);
  }

  /** Whether the end of the stream is the end of the response. */
  get mayEnd(): boolean {
    return this.#user !== undefined && this.#phase === BODY && this.#untilClose;
  }

  ended(): void {
    const user = this.#user;
    if (user === undefined) return;
    this.#finish(user, '', false);
    if (this.#user !== user) return;
    // The other direction of a tunnel goes on.
    if (this.#head.status === 101) user.readEnd();
    else this.broke(undefined, undefined);
  }

  broke(code: ErrorCode | undefined, error: Error | undefined): void {
    this.#fail(code ?? this.#closedCode(error), error);
  }

  /** What it means that the connection was closed, or broke with `error`. */
  #closedCode(error: Error | undefined): ErrorCode {
    if (error !== undefined && !this.answering && isAlert(error)) return 'TLS_SESSION_ENDED';
    return this.#phase === HEAD && !this.answering ? 'UPSTREAM_CLOSED' : 'RESPONSE_INCOMPLETE';
  }

  #fail(code: ErrorCode, cause: Error | undefined): void {
    const user = this.#user;
    this.#user = undefined;
    this.#close(false);
    user?.failed(code, cause);
  }

  #close(unended: boolean): void {
    if (!this.destroyed) {
      this.destroyed = true;
      this.#onGone(this);
    }
    this.#stream.close(unended);
  }
}

type Phase = typeof IDLE | typeof HEAD | typeof BODY | typeof DONE;
const IDLE = 0;
const HEAD = 1;
const BODY = 2;
const DONE = 3;

/** The most interim responses before the final one. A server with early hints sends two or three. */
const MAX_INTERIMS = 32;
