/**
 * Sends responses over a downstream connection, and decides whether it persists after each (RFC 9112 §9.3).
 */
import type { Duplex } from 'node:stream';
import { NONE, UNTIL_CLOSE } from '../http1/framing.ts';
import type { RequestHead } from '../http1/request.ts';
import type { ResponseHead } from '../http1/response.ts';
import { downstreamFraming, interimHead, responseHead } from '../http1/serialise.ts';
import { type Flusher, MessageWriter, type Outgoing } from '../streams/message-writer.ts';
import type { Turn } from '../loop/turn.ts';

export class ResponseSender {
  /** Whether the connection may serve another request. */
  keepAlive = true;
  /** Whether the downstream has said that it will send no further request (RFC 9112 §9.6). */
  lastRequest = false;
  /** Whether closing the connection ends the response. */
  untilClose = false;
  readonly #socket: Duplex;
  readonly #flusher: Flusher;
  readonly #outgoing: Outgoing;
  /** Created when there is something to send. */
  #writer: MessageWriter | undefined;

  constructor(socket: Duplex, flusher: Flusher, outgoing: Outgoing) {
    this.#socket = socket;
    this.#flusher = flusher;
    this.#outgoing = outgoing;
  }

  /** Whether the socket threw, and so has not taken all of a response. */
  get failed(): boolean {
    return this.#writer?.failed === true;
  }

  /** The writer, for what follows a head. */
  get writer(): MessageWriter {
    this.#writer ??= new MessageWriter(this.#socket, this.#flusher, this.#outgoing);
    return this.#writer;
  }

  interim(head: ResponseHead): void {
    this.writer.text(interimHead(head));
  }

  /** Starts the response to `request`. `keepAlive` is false if the connection cannot serve another one after it. */
  respond(head: ResponseHead, request: RequestHead, keepAlive: boolean, date: string): void {
    const framing = downstreamFraming(head, request.minor);
    this.untilClose = framing === UNTIL_CLOSE;
    this.lastRequest = !request.keepAlive;
    this.keepAlive &&= keepAlive && request.keepAlive && !this.untilClose;
    this.writer.begin(responseHead(head, framing, request.minor, this.keepAlive, date), framing);
  }

  /** Sends a whole answer, the last one, to a request that was not read. */
  refuse(head: ResponseHead, body: Buffer, date: string): void {
    this.keepAlive = false;
    const { writer } = this;
    const { framing } = head;
    writer.begin(responseHead(head, framing, 1, false, date), framing);
    if (framing !== NONE) writer.data(body, 0, body.length);
    writer.end('');
    writer.flush();
  }

  /** Answers 101. */
  tunnel(head: ResponseHead): void {
    this.keepAlive = false;
    this.untilClose = true;
    this.writer.begin(interimHead(head), UNTIL_CLOSE);
  }

  /** Sends what was gathered, perhaps at the end of `turn`. Returns false if the socket can take no more. */
  flush(turn: Turn): boolean {
    return this.#writer?.flush(turn) ?? true;
  }

  /** Sends what was gathered, now. */
  send(): void {
    this.#writer?.send();
  }
}
