/**
 * The fast way in: HTTP/1.1 spoken over a socket of our own. One object per downstream connection, one exchange at a
 * time on it; pipelined requests wait their turn and are answered in order.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { endOrReset } from '../streams/end-or-reset.ts';
import { BalancerError, type ErrorCode } from '../errors.ts';
import { answerTo } from '../exchange/answers.ts';
import type { Downstream } from '../exchange/downstream.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { BodyReader } from '../http1/body.ts';
import { requestTrailers } from '../http1/fields.ts';
import type { Hop } from '../http1/forwarding.ts';
import { NONE, UNTIL_CLOSE } from '../http1/framing.ts';
import { LF, NO_BYTES } from '../http1/grammar.ts';
import { isHead, type RequestHead } from '../http1/request.ts';
import type { ResponseHead } from '../http1/response.ts';
import { downstreamFraming, interimHead, responseHead } from '../http1/serialise.ts';
import { type Flusher, MessageWriter } from '../streams/message-writer.ts';
import type { Front, Guest } from './front.ts';
import { hopOf } from './hop.ts';

/**
 * A socket, and the connection behind it while it is served: kept on the socket itself, as node:http keeps its parser
 * there. A Map that churns with connections keeps garbage alive (see `Guests`).
 */
export interface ServedSocket extends Duplex {
  servedBy?: DownstreamConnection | undefined;
}

/** What is different where an http server had the connection before: it counts it, too. */
export interface AdoptedConnection {
  /** The stream that knows who is on the other end. */
  readonly peer: Duplex;
}

export class DownstreamConnection implements Downstream, Flusher, Guest {
  place = -1;
  readonly socket: ServedSocket;
  readonly #front: Front;
  readonly #adopted: AdoptedConnection | undefined;
  /** Borrowed from the first byte of a request to the last of its response. */
  #exchange: Exchange | undefined;
  /** Made when there is something to send. */
  #writer: MessageWriter | undefined;
  /** Reads bodies, while there is one to read. */
  #body: BodyReader | undefined;
  #hop: Hop | undefined;
  #phase: Phase = HEAD;
  #deadline: number;
  /** The start of a head that has not wholly come. */
  #pending = NO_BYTES;
  /** Bytes that have come and wait: a body nobody reads yet, or pipelined requests. */
  #held: Buffer | undefined;
  #heldAt = 0;
  #bodyDone = true;
  #bodyWanted = false;
  #discarded = 0;
  #requests = 0;
  #keepAlive = true;
  /** Whether the downstream has said that it will send no further request (RFC 9112 §9.6). */
  #lastRequest = false;
  #untilClose = false;
  #tunnelled = false;
  /** Whether the downstream's end of a tunnel has come, and is yet to be told from a reset. */
  #ending = false;
  #paused = false;
  #running = false;

  /** `socket` is a `net.Socket`, a TLS socket or anything like them. What it tells comes through {@link Sockets}. */
  constructor(front: Front, socket: ServedSocket, adopted?: AdoptedConnection) {
    this.#front = front;
    this.socket = socket;
    this.#adopted = adopted;
    socket.servedBy = this;
    this.#deadline = front.services.clock.now + front.rules.keepAliveTimeoutMs;
    front.guests.add(this);
    // A connection that an http server has parsed before may hold bytes back.
    this.#flow(true);
    if (adopted !== undefined) return;
    front.connections++;
    if (front.connections > front.rules.maxConnections) this.#turnAway();
  }

  get hop(): Hop {
    this.#hop ??= hopOf(this.#adopted?.peer ?? this.socket, this.#front.rules);
    return this.#hop;
  }

  drain(deadline: number): void {
    this.#keepAlive = false;
    // A head of which some has come may be finished, within its own time and that of the close.
    if (this.#phase === HEAD && this.#pending.length === 0) this.#deadline = Math.min(this.#deadline, deadline);
  }

  /** Whether nothing more can be taken for now. */
  get paused(): boolean {
    return this.#paused;
  }

  get busy(): boolean {
    return this.#phase === EXCHANGE || this.#phase === ENDING;
  }

  destroy(): void {
    this.cut();
    this.#leave();
  }

  sweep(now: number): boolean {
    if (this.#phase === EXCHANGE) return this.#exchange?.sweep(now) === true;
    if (now < this.#deadline) return false;
    if (this.#phase !== HEAD) this.destroy();
    else if (this.#pending.length === 0) this.#end();
    else this.refuse('REQUEST_TIMEOUT', this.#pending);
    return true;
  }

  // --- what the exchange asks for

  readBody(): void {
    this.#bodyWanted = true;
    this.#bodyEnd();
    this.#run();
  }

  resumeBody(): void {
    this.#run();
  }

  interim(head: ResponseHead): void {
    this.#sender().text(interimHead(head));
  }

  respond(head: ResponseHead, keepAlive: boolean): void {
    const { minor, keepAlive: wanted } = this.#request();
    const framing = downstreamFraming(head, minor);
    this.#untilClose = framing === UNTIL_CLOSE;
    this.#lastRequest = !wanted;
    this.#keepAlive &&= keepAlive && wanted && !this.#untilClose;
    const { date } = this.#front.services.clock;
    this.#sender().begin(responseHead(head, framing, minor, this.#keepAlive, date), framing);
  }

  tunnel(head: ResponseHead): void {
    this.#sender().begin(interimHead(head), UNTIL_CLOSE);
    this.#keepAlive = false;
    this.#untilClose = this.#tunnelled = true;
    this.#bodyReader().start(UNTIL_CLOSE, 0);
    this.#bodyDone = false;
  }

  data(bytes: Buffer, from: number, to: number, text: string): void {
    this.#sender().data(bytes, from, to, text);
  }

  end(trailers: string): void {
    const writer = this.#sender();
    writer.end(trailers);
    if (!this.#tunnelled) return;
    writer.flush();
    this.#endSocket();
  }

  flush(): boolean {
    return this.#writer?.flush(this.#front.services.turn) ?? true;
  }

  cut(): void {
    this.#keepAlive = false;
    const socket = this.socket;
    this.#writer?.send();
    // Where the end of the connection would pass for the end of the body, only a reset tells the truth. TLS tells by
    // the missing close_notify; a Unix socket has no resets.
    const resettable = socket instanceof Socket && this.hop.proto === 'http' && this.hop.address !== '';
    this.#destroySocket(this.#untilClose && resettable && this.#phase !== LINGERING);
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

  // --- what the socket tells

  received(bytes: Buffer): void {
    this.#held = this.#held === undefined ? bytes : Buffer.concat([this.#held.subarray(this.#heldAt), bytes]);
    this.#heldAt = 0;
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
          // Of a reset the socket tells itself.
          if (error?.code !== 'ECONNRESET') this.#tunnelEnded();
        });
      } catch (cause) {
        this.#broken(cause);
      }
      return;
    }
    // A downstream that says no more while it waits is taken to be gone, as nginx and Node do: it is how a killed
    // client looks. One that has its answer may still be reading it.
    if (this.#phase === HEAD || this.#phase === DISCARD) this.#end();
    else if (this.#phase !== ENDING) this.destroy();
  }

  closed(): void {
    // An end that was not found to be a reset is one.
    if ((this.socket.errored as NodeJS.ErrnoException | null | undefined)?.code !== 'ECONNRESET') this.#tunnelEnded();
    // A tunnel whose two ends came in order is closed here; what the upstream has yet to read is still on its way.
    const over = this.#tunnelled && this.#bodyDone && this.socket.writableFinished;
    if (!over || this.#phase !== EXCHANGE) this.#leave();
  }

  /** The downstream has no more to send into the tunnel. */
  #tunnelEnded(): void {
    if (!this.#ending) return;
    this.#ending = false;
    if (this.#phase !== EXCHANGE) return;
    this.#bodyDone = true;
    this.#exchange?.requestEnd('');
  }

  /** The stream, which may be somebody else's, threw: nothing more can be done on it. */
  #broken(cause: unknown): void {
    const error = new BalancerError('INTERNAL_ERROR', 'a downstream connection could not be served', { cause });
    this.#front.services.report(error, undefined);
    if (this.#phase === CLOSED) return;
    this.cut();
    this.#leave();
  }

  /** As `#broken`, when what is under way, perhaps in the middle of the exchange, has run to its end. */
  #brokenSoon(cause: unknown): void {
    queueMicrotask(() => {
      this.#broken(cause);
    });
  }

  #destroySocket(reset: boolean): void {
    const { socket } = this;
    try {
      if (reset && socket instanceof Socket) socket.resetAndDestroy();
      else socket.destroy();
    } catch (cause) {
      const error = new BalancerError('INTERNAL_ERROR', 'a downstream connection could not be closed', { cause });
      this.#front.services.report(error, undefined);
      // It may never tell that it is closed.
      this.#leave();
    }
  }

  #endSocket(): void {
    // An end in order would pass for that of a response of which the stream has not taken all: it is cut instead.
    if (this.#writer?.failed === true) return;
    try {
      this.socket.end();
    } catch (cause) {
      this.#brokenSoon(cause);
    }
  }

  /** Has bytes come, or holds them back. */
  #flow(flows: boolean): void {
    try {
      if (flows) this.socket.resume();
      else this.socket.pause();
    } catch (cause) {
      this.#brokenSoon(cause);
    }
  }

  #leave(): void {
    if (this.#phase === CLOSED) return;
    this.#phase = CLOSED;
    this.#held = undefined;
    this.#exchange?.abort('DOWNSTREAM_GONE');
    this.#giveBack();
    this.#front.services.affinities.end(this.socket);
    if (this.#adopted === undefined) this.#front.connections--;
    this.socket.servedBy = undefined;
    this.#front.left(this);
  }

  // --- the way of the bytes

  /** Reads what is held, as far as it goes now, and asks for more if more can be taken. */
  #run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#held !== undefined && this.#step(this.#held));
    } finally {
      this.#running = false;
    }
    const blocked = this.#phase === EXCHANGE && this.#exchange?.flushRequest() === false && !this.#bodyDone;
    const full = this.#held !== undefined && this.#held.length - this.#heldAt >= this.#front.rules.maxHeldBytes;
    this.#pause(blocked || full);
  }

  /** One step over the held bytes. Returns false where they must wait. */
  #step(held: Buffer): boolean {
    switch (this.#phase) {
      case HEAD:
        this.#readHead(held);
        break;
      case EXCHANGE:
        if (this.#bodyDone || !this.#bodyWanted) return false;
        this.#readBodyData(held);
        break;
      case DISCARD:
        this.#discard(held);
        break;
      default:
        this.#held = undefined;
        return false;
    }
    if (this.#held !== undefined && this.#heldAt >= this.#held.length) this.#held = undefined;
    return true;
  }

  #readHead(held: Buffer): void {
    const { rules, services } = this.#front;
    const before = this.#pending.length;
    const to = Math.min(held.length, this.#heldAt + rules.maxHeadBytes - before);
    const come = this.#heldAt === 0 ? held : held.subarray(this.#heldAt, to);
    const bytes = before === 0 ? come : Buffer.concat([this.#pending, come], before + to - this.#heldAt);
    const end = before + to - this.#heldAt;
    // Parsed anew only when a line is whole: a head that comes octet by octet costs no more than its lines.
    const partial = before > 0 && end < rules.maxHeadBytes && !bytes.includes(LF, before);
    const head = this.#request();
    const length = partial ? 0 : head.parse(bytes, end, rules);
    if (length < 0) {
      this.refuse(head.error, bytes);
      return;
    }
    if (length === 0) {
      // Time runs from the first byte: a head that trickles in has no longer than one that stalls.
      if (before === 0) this.#deadline = services.clock.now + rules.headTimeoutMs;
      this.#pending = bytes.subarray(0, end);
      this.#heldAt = to;
      return;
    }
    this.#pending = NO_BYTES;
    this.#heldAt += length - before;
    this.#phase = EXCHANGE;
    if (++this.#requests >= rules.maxRequestsPerConnection) this.#keepAlive = false;
    this.#bodyWanted = false;
    this.#untilClose = false;
    this.#bodyDone = head.framing === NONE;
    if (!this.#bodyDone) this.#bodyReader().start(head.framing, head.contentLength);
    this.#exchange?.start(this, this.#front.pool);
  }

  #readBodyData(held: Buffer): void {
    const body = this.#bodyReader();
    this.#heldAt = body.read(held, this.#heldAt, held.length);
    if (body.to > body.from) this.#exchange?.requestData(held, body.from, body.to);
    if (body.malformed) {
      this.#keepAlive = false;
      this.#exchange?.refuse('REQUEST_BODY_MALFORMED');
    } else this.#bodyEnd();
  }

  #bodyEnd(): void {
    if (this.#bodyDone || this.#body?.done !== true) return;
    this.#bodyDone = true;
    this.#exchange?.requestEnd(this.#body.trailers);
  }

  /** Reads over what is left of a body whose answer is already sent. */
  #discard(held: Buffer): void {
    const body = this.#bodyReader();
    this.#heldAt = body.read(held, this.#heldAt, held.length);
    this.#discarded += body.to - body.from;
    if (body.malformed || this.#discarded > MAX_DISCARDED_BYTES) this.#end();
    else if (body.done) this.#await(HEAD);
  }

  #bodyReader(): BodyReader {
    this.#body ??= new BodyReader(this.#front.rules, requestTrailers);
    return this.#body;
  }

  #sender(): MessageWriter {
    this.#writer ??= new MessageWriter(this.socket, this);
    return this.#writer;
  }

  /** For the writer: what it held back has gone out. */
  drained(): void {
    this.#exchange?.drained();
  }

  /** For the writer: the socket, which may be somebody else's stream, threw. */
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

  /** Waits for the next request, or first for the end of a body that nobody wants any more. */
  #await(phase: typeof HEAD | typeof DISCARD): void {
    if (!this.#keepAlive) {
      this.#end();
      return;
    }
    this.#phase = phase;
    if (phase === HEAD) this.#body = undefined;
    this.#discarded = 0;
    this.#deadline = this.#front.services.clock.now + this.#front.rules.keepAliveTimeoutMs;
  }

  /** Refuses one connection too many: politely, unless the refused alone are as many as those that are served. */
  #turnAway(): void {
    const { connections, rules, services } = this.#front;
    services.report(new BalancerError('CONNECTIONS_EXHAUSTED'), undefined);
    if (connections > 2 * rules.maxConnections) this.destroy();
    else this.refuse('CONNECTIONS_EXHAUSTED', NO_BYTES);
  }

  /** Answers a head that cannot be served, and closes. `come` is what has come of it. */
  refuse(code: ErrorCode, come: Buffer = NO_BYTES): void {
    const { head, body } = answerTo(code, this.#front.services.events, isHead(come));
    this.#giveBack();
    this.#keepAlive = false;
    const writer = this.#sender();
    writer.begin(responseHead(head, head.framing, 1, false, this.#front.services.clock.date), head.framing);
    if (head.framing !== NONE) writer.data(body, 0, body.length);
    writer.end('');
    writer.flush();
    this.#end();
  }

  /**
   * Closes in order: our side now, the rest when the downstream has read the answer and closes too (RFC 9112 §9.6).
   * To close at once with bytes unread would reset the connection, and the answer could be lost. Where the downstream
   * has said that nothing follows, and nothing has, there is nothing to wait for.
   */
  #end(): void {
    this.#writer?.send();
    if (this.#lastRequest && this.#phase === EXCHANGE && this.#held === undefined && this.#closable) {
      this.#destroySocket(false);
      this.#leave();
      return;
    }
    this.#phase = ENDING;
    this.#held = undefined;
    this.#pending = NO_BYTES;
    const { rules, services: { clock } } = this.#front;
    // The last bytes may have to wait for the downstream to read; only when they have left has it to close.
    this.#deadline = clock.now + rules.idleTimeoutMs;
    // Not end() before that: a socket whose end is on its way can no longer be reset (see cut).
    const sent = (): void => {
      if (this.#phase === ENDING) this.#shut();
    };
    if (this.socket.writableLength === 0) this.#shut();
    else if (this.socket.writableEnded) this.socket.once('finish', sent);
    else this.#afterWrites(sent);
    this.#pause(false);
  }

  /** Whether a close now loses nothing: all is with the kernel, and no close_notify of TLS is due. */
  get #closable(): boolean {
    const socket = this.socket;
    return this.#bodyDone && !this.#tunnelled && socket.writableLength === 0 && socket instanceof Socket
      && this.hop.proto === 'http';
  }

  #afterWrites(sent: () => void): void {
    try {
      this.socket.write('', sent);
    } catch (cause) {
      this.#brokenSoon(cause);
    }
  }

  #shut(): void {
    this.#phase = LINGERING;
    this.#deadline = this.#front.services.clock.now + LINGER_MS;
    this.#endSocket();
  }

  #pause(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    this.#flow(!paused);
  }
}

type Phase =
  | typeof HEAD | typeof EXCHANGE | typeof DISCARD | typeof ENDING | typeof LINGERING | typeof CLOSED;
/** Waiting for a request, or in the middle of its head. */
const HEAD = 0;
const EXCHANGE = 1;
/** The exchange is over, the rest of its request body is still coming. */
const DISCARD = 2;
/** Nothing more will be sent or read; the last bytes may still be on their way. */
const ENDING = 3;
/** Our side is closed; the downstream's is not yet. */
const LINGERING = 4;
const CLOSED = 5;

/** Rest of a request body that is read over to keep the connection: beyond it, a new connection is cheaper. */
const MAX_DISCARDED_BYTES = 1_048_576;
/** How long the downstream has to close after us. */
const LINGER_MS = 2_000;
