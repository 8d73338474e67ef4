/**
 * The fast way in: HTTP/1.1 over a socket of our own. One object for each downstream connection, one exchange at a time
 * on it: pipelined requests wait, and are answered in order. Reading, sending and closing have files of their own; this
 * one is long because it holds every change of a connection's phase.
 */
import type { Duplex } from 'node:stream';
import { endOrReset } from '../streams/end-or-reset.ts';
import { BalancerError, type ErrorCode } from '../errors.ts';
import { refusalOf } from '../exchange/answers.ts';
import type { Downstream } from '../exchange/downstream.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { Hop } from '../http1/forwarding.ts';
import { NONE, UNTIL_CLOSE } from '../http1/framing.ts';
import { NO_BYTES } from '../http1/grammar.ts';
import { isHead, type RequestHead } from '../http1/request.ts';
import type { ResponseHead } from '../http1/response.ts';
import type { Flusher } from '../streams/message-writer.ts';
import type { ServedSocket } from '../streams/socket-events.ts';
import { Closing } from './closing.ts';
import type { OpenDownstream } from './downstreams.ts';
import type { Front } from './front.ts';
import { GuardedSocket, type SocketOwner } from './guarded-socket.ts';
import { PARTIAL, REFUSED, RequestReader } from './request-reader.ts';
import { ResponseSender } from './response-sender.ts';

/** For a connection that an http server had before, and still counts. */
export interface AdoptedConnection {
  /** The stream that knows the address of the other end. */
  readonly peer: Duplex;
}

export class DownstreamConnection implements Downstream, Flusher, SocketOwner, OpenDownstream {
  place = -1;
  readonly socket: ServedSocket;
  readonly #front: Front;
  readonly #socket: GuardedSocket;
  /** Whether an http server had the connection before. */
  readonly #adopted: boolean;
  /** Borrowed from the first byte of a request to the last of its response. */
  #exchange: Exchange | undefined;
  readonly #reader: RequestReader;
  readonly #sender: ResponseSender;
  #phase: Phase = HEAD;
  #deadline: number;
  #bodyDone = true;
  #bodyWanted = false;
  #requests = 0;
  #tunnelled = false;
  /** Whether the downstream's end of a tunnel has come, and may still turn out to be a reset. */
  #ending = false;
  #closing: Closing | undefined;
  #running = false;

  /** `socket` is a `net.Socket`, a TLS socket or the like. {@link DownstreamSockets} passes on its events. */
  constructor(front: Front, socket: ServedSocket, adopted?: AdoptedConnection) {
    this.#front = front;
    this.socket = socket;
    this.#socket = new GuardedSocket(socket, adopted?.peer ?? socket, front.rules, this);
    this.#adopted = adopted !== undefined;
    this.#reader = new RequestReader(front.rules);
    this.#sender = new ResponseSender(socket, this, front.carried);
    socket.servedBy = this;
    this.#deadline = front.clock.now + front.rules.keepAliveTimeoutMs;
    front.downstreams.add(this);
    // The http server may have paused the connection.
    this.#socket.guard(() => socket.resume());
    if (adopted !== undefined) return;
    front.connections++;
    front.carried.connections++;
    if (front.connections > front.rules.maxConnections) this.#turnAway();
  }

  get hop(): Hop {
    return this.#socket.hop;
  }

  get peer(): object {
    return this.#socket.peer;
  }

  drain(deadline: number): void {
    this.#sender.keepAlive = false;
    // A head that has begun to arrive may be completed, within its own timeout and that of the close.
    if (this.#phase === HEAD && !this.#reader.midHead) this.#deadline = Math.min(this.#deadline, deadline);
  }

  /** Whether it can take no more for now. */
  get paused(): boolean {
    return this.#socket.paused;
  }

  get busy(): boolean {
    return this.#phase === EXCHANGE || (this.#phase === CLOSING && !this.#lingers);
  }

  destroy(code: ErrorCode = 'DOWNSTREAM_GONE'): void {
    this.cut();
    this.#leave(code);
  }

  sweep(now: number): boolean {
    if (this.#phase === EXCHANGE) return this.#exchange?.sweep(now) === true;
    if (now < (this.#closing?.deadline ?? this.#deadline)) return false;
    if (this.#phase !== HEAD) this.destroy();
    else if (this.#reader.midHead) this.refuse('REQUEST_TIMEOUT', this.#reader.headBytes);
    else this.#end();
    return true;
  }

  // --- calls from the exchange

  readBody(): void {
    this.#bodyWanted = true;
    this.#bodyEnd();
    this.#run();
  }

  resumeBody(): void {
    this.#run();
  }

  interim(head: ResponseHead): void {
    this.#sender.interim(head);
  }

  respond(head: ResponseHead, keepAlive: boolean): void {
    this.#sender.respond(head, this.#request(), keepAlive, this.#front.clock.date);
  }

  tunnel(head: ResponseHead): void {
    this.#sender.tunnel(head);
    this.#tunnelled = true;
    this.#reader.startBody(UNTIL_CLOSE, 0);
    this.#bodyDone = false;
  }

  data(bytes: Buffer, from: number, to: number, text: string): void {
    this.#sender.writer.data(bytes, from, to, text);
  }

  end(trailers: string): void {
    const { writer } = this.#sender;
    writer.end(trailers);
    if (!this.#tunnelled) return;
    writer.flush();
    this.#endSocket();
  }

  flush(): boolean {
    return this.#sender.flush(this.#front.turn);
  }

  cut(): void {
    this.#sender.keepAlive = false;
    this.#sender.send();
    // If closing would look like the end of the body, only a reset shows that it was cut.
    this.#socket.destroy(this.#sender.untilClose && !this.#lingers);
  }

  settled(): void {
    this.#giveBack();
    if (this.#phase === CLOSED) return;
    if (this.socket.destroyed) {
      this.#leave();
      return;
    }
    this.#await(this.#bodyDone ? HEAD : DISCARD);
    this.#run();
  }

  // --- events of the socket

  received(bytes: Buffer): void {
    this.#front.carried.received += bytes.length;
    this.#reader.add(bytes);
    try {
      this.#run();
    } catch (cause) {
      this.#broken(cause);
    }
  }

  ended(): void {
    if (this.#phase === EXCHANGE && this.#tunnelled && !this.#bodyDone) {
      this.#ending = true;
      try {
        endOrReset(this.socket, (error) => {
          // The socket emits the error of a reset itself.
          if (error?.code !== 'ECONNRESET') this.#tunnelEnded();
        });
      } catch (cause) {
        this.#broken(cause);
      }
      return;
    }
    // A downstream that ends while it waits for an answer is treated as gone, as by nginx and Node: a killed client
    // looks the same. One that has its answer may still be reading it.
    if (this.#phase === HEAD || this.#phase === DISCARD) this.#end();
    else if (this.#phase !== CLOSING || this.#lingers) this.destroy();
  }

  closed(): void {
    // Unless the socket was reset, this was an orderly end.
    if ((this.socket.errored as NodeJS.ErrnoException | null | undefined)?.code !== 'ECONNRESET') this.#tunnelEnded();
    // A tunnel that both sides ended in order is not abandoned: the upstream may not have read everything yet.
    const over = this.#tunnelled && this.#bodyDone && this.socket.writableFinished;
    if (!over || this.#phase !== EXCHANGE) this.#leave();
  }

  /** The downstream sends no more into the tunnel. */
  #tunnelEnded(): void {
    if (!this.#ending) return;
    this.#ending = false;
    if (this.#phase !== EXCHANGE) return;
    this.#bodyDone = true;
    this.#exchange?.upload.end('');
  }

  /** The stream, which may be the embedder's, threw: it cannot be used any more. */
  #broken(cause: unknown): void {
    this.#report('a downstream connection could not be served', cause);
    if (this.#phase === CLOSED) return;
    this.cut();
    this.#leave();
  }

  /** The socket could not be destroyed, and may never emit 'close'. */
  closeFailed(cause: unknown): void {
    this.#report('a downstream connection could not be closed', cause);
    this.#leave();
  }

  #endSocket(): void {
    // If the stream threw during a response, an orderly end would make the response look complete: it is cut instead.
    if (!this.#sender.failed) this.#socket.guard(() => this.socket.end());
  }

  #report(message: string, cause: unknown): void {
    this.#front.report(new BalancerError('INTERNAL_ERROR', message, { cause }));
  }

  #leave(code: ErrorCode = 'DOWNSTREAM_GONE'): void {
    if (this.#phase === CLOSED) return;
    this.#phase = CLOSED;
    this.#reader.clear();
    this.#closing?.cancel();
    this.#exchange?.abort(code);
    this.#giveBack();
    this.#front.affinities.end(this.socket);
    if (!this.#adopted) this.#front.connections--;
    this.socket.servedBy = undefined;
    this.#front.downstreams.remove(this);
  }

  // --- the bytes of requests

  /** Reads the held bytes as far as possible now, and pauses the socket if no more can be taken. */
  #run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      for (let held = this.#reader.held; held !== undefined && this.#step(held); held = this.#reader.held);
    } finally {
      this.#running = false;
    }
    const blocked = this.#phase === EXCHANGE && this.#exchange?.upload.flush() === false && !this.#bodyDone;
    this.#socket.pause(blocked || this.#reader.heldBytes >= this.#front.rules.maxHeldBytes);
  }

  /** One step over the held bytes. Returns false if they have to wait. */
  #step(held: Buffer): boolean {
    switch (this.#phase) {
      case HEAD:
        this.#readHead(held);
        return true;
      case EXCHANGE:
        if (this.#bodyDone || !this.#bodyWanted) return false;
        this.#readBodyData(held);
        return true;
      case DISCARD:
        if (!this.#reader.discard(held)) this.#end();
        else if (this.#reader.bodyRead) this.#await(HEAD);
        return true;
      default:
        this.#reader.clear();
        return false;
    }
  }

  #readHead(held: Buffer): void {
    const { clock, rules } = this.#front;
    const reader = this.#reader;
    const first = !reader.midHead;
    const head = this.#request();
    const read = reader.readHead(held, head);
    if (read === REFUSED) {
      this.refuse(head.error, reader.headBytes);
      return;
    }
    if (read === PARTIAL) {
      // The timeout runs from the first byte: a head that trickles in gets no more time than one that stalls.
      if (first) this.#deadline = clock.now + rules.headTimeoutMs;
      return;
    }
    this.#phase = EXCHANGE;
    if (++this.#requests >= rules.maxRequestsPerConnection) this.#sender.keepAlive = false;
    this.#bodyWanted = false;
    this.#sender.untilClose = false;
    this.#bodyDone = head.framing === NONE;
    if (!this.#bodyDone) reader.startBody(head.framing, head.contentLength);
    this.#exchange?.start(this, this.#front.pool);
  }

  #readBodyData(held: Buffer): void {
    const body = this.#reader.readBody(held);
    if (body.to > body.from) this.#exchange?.upload.data(held, body.from, body.to);
    if (body.malformed) {
      this.#sender.keepAlive = false;
      // A hook may take its time to answer.
      this.#bodyWanted = false;
      this.#exchange?.refuse('REQUEST_BODY_MALFORMED');
    } else this.#bodyEnd();
  }

  #bodyEnd(): void {
    if (this.#bodyDone || !this.#reader.bodyRead) return;
    this.#bodyDone = true;
    this.#exchange?.upload.end(this.#reader.trailers);
  }

  /** For the writer: the socket can take more. */
  drained(): void {
    this.#exchange?.drained();
  }

  /** For the writer and the socket: the stream, which may be the embedder's, threw. */
  sinkFailed(cause: unknown): void {
    this.#broken(cause);
  }

  /** The head of the request that is being read or served. */
  #request(): RequestHead {
    this.#exchange ??= this.#front.borrow();
    return this.#exchange.head;
  }

  #giveBack(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange !== undefined) this.#front.giveBack(exchange);
  }

  /** Waits for the next request, or first for the end of a body that is no longer needed. */
  #await(phase: typeof HEAD | typeof DISCARD): void {
    if (!this.#sender.keepAlive) {
      this.#end();
      return;
    }
    this.#phase = phase;
    if (phase === HEAD) this.#reader.expectHead();
    this.#deadline = this.#front.clock.now + this.#front.rules.keepAliveTimeoutMs;
  }

  /** Refuses a connection beyond the limit: with an answer, unless as many are already being refused as served. */
  #turnAway(): void {
    const { connections, rules } = this.#front;
    this.#front.report(new BalancerError('CONNECTIONS_EXHAUSTED'));
    if (connections > 2 * rules.maxConnections) this.destroy();
    else this.refuse('CONNECTIONS_EXHAUSTED', NO_BYTES);
  }

  /** Answers a head that cannot be served, and closes. `received` is the part of the head that has arrived. */
  refuse(code: ErrorCode, received: Buffer = NO_BYTES): void {
    const { head, body } = refusalOf(code, this.#front, this, isHead(received));
    this.#giveBack();
    this.#sender.refuse(head, body, this.#front.clock.date);
    this.#end();
  }

  /** Closes in order: see {@link Closing}. */
  #end(): void {
    this.#sender.send();
    if (this.#closable) {
      this.#socket.destroy(false);
      this.#leave();
      return;
    }
    this.#phase = CLOSING;
    this.#reader.clear();
    const { clock, rules } = this.#front;
    this.#socket.guard(() => {
      this.#closing = new Closing(this.socket, clock, rules.idleTimeoutMs, () => {
        this.#endSocket();
      });
    });
    this.#socket.pause(false);
  }

  /**
   * Whether to close at once: the downstream has said that it sends nothing more, and has not, and all of the answer is
   * sent. Not while we are still reading from it: so fast an answer may overtake what it is sending.
   */
  get #closable(): boolean {
    const last = this.#sender.lastRequest && this.#phase === EXCHANGE && this.#bodyDone && !this.#tunnelled;
    return last && !this.#running && this.#reader.held === undefined && this.#socket.flushed;
  }

  /** Whether our side is closed and the downstream's is not yet. */
  get #lingers(): boolean {
    return this.#closing?.lingering === true;
  }
}

type Phase = typeof HEAD | typeof EXCHANGE | typeof DISCARD | typeof CLOSING | typeof CLOSED;
/** Waiting for a request, or in the middle of its head. */
const HEAD = 0;
const EXCHANGE = 1;
/** The exchange is over, the rest of its request body is still coming. */
const DISCARD = 2;
/** Nothing more will be sent or read; we wait for the last bytes to leave, or for the downstream to close. */
const CLOSING = 3;
const CLOSED = 4;
