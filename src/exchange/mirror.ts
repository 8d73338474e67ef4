/**
 * A copy of a request on its way to another pool. Nobody waits for it: its response is read and discarded, and it is
 * never tried again. It never holds up the exchange that it copies: what its upstream does not take is kept, up to a
 * limit, beyond which the copy is dropped.
 */
import { BalancerError, type Ending, endingOf, type ErrorCode } from '../errors.ts';
import type { Hop } from '../http1/forwarding.ts';
import { NONE } from '../http1/framing.ts';
import type { RequestHead } from '../http1/request.ts';
import type { ResponseHead } from '../http1/response.ts';
import type { Pool } from '../pools/pool.ts';
import type { ConnectionUser } from '../upstreams/connection.ts';
import { Attempt } from './attempt.ts';
import { Deadlines } from './deadlines.ts';
import type { Copy, DropReason } from './mirrors.ts';
import { Picks } from './picks.ts';
import { CONNECTING, IDLE, Progress, RELAYING, WAITING } from './progress.ts';
import { named } from './request-id.ts';
import type { ExchangeServices } from './services.ts';
import type { Trace } from './trace.ts';

/** A request to copy. */
export interface Mirrored {
  /** As the hook left it. */
  readonly head: RequestHead;
  readonly hop: Hop;
  /** What knows the addresses of the downstream's connection. */
  readonly peer: object | undefined;
  /** The lines that tell of earlier hops. */
  readonly forwarding: string;
  /** That of the exchange; undefined where nobody traces. */
  readonly trace: Trace | undefined;
}

/** One copy. It is made with its request and given the body from the first octet on. */
export class Mirror implements ConnectionUser, Copy {
  place = -1;
  readonly #services: ExchangeServices;
  readonly #pool: Pool;
  readonly #head: RequestHead;
  readonly #forwarding: string;
  readonly #peer: object | undefined;
  readonly #trace: Trace | undefined;
  readonly #progress: Progress;
  readonly #deadlines: Deadlines;
  readonly #attempt: Attempt;
  readonly #picks: Picks;
  /** What came of the body before there was a connection. */
  readonly #kept: Buffer[] = [];
  /** Octets of the body that came since the upstream last took everything. */
  #lag = 0;
  #trailers = '';
  /** When the response is no longer worth reading, and how much of it was read. */
  #enoughAt = Infinity;
  #read = 0;
  #over = false;

  constructor(services: ExchangeServices, pool: Pool, { head, hop, peer, forwarding, trace }: Mirrored) {
    this.#services = services;
    this.#pool = pool;
    this.#head = head.copy();
    this.#forwarding = forwarding;
    this.#peer = peer;
    this.#trace = trace;
    this.#progress = new Progress(this.#head);
    this.#progress.start();
    // No floor for the rate of the body: that is for the exchange to keep.
    this.#deadlines = new Deadlines(this.#progress, services.clock, 0, pool.rules);
    this.#attempt = new Attempt(services, pool, this.#head);
    this.#picks = new Picks(pool, this.#head, services);
    this.#picks.start(pool, pool.rules, hop.address);
  }

  // --- what the exchange tells

  /** Picks an upstream and connects. The exchange has done so before. */
  start(): void {
    if (this.#over) return;
    const upstream = this.#picks.next();
    if (typeof upstream === 'string') {
      this.drop('unavailable');
      return;
    }
    const attempt = this.#attempt;
    // No await between the pick and the count, as in an exchange.
    attempt.begin(this.#pool, upstream, true, this.#picks.left, this.#picks.shadowed(upstream));
    if (this.#trace !== undefined) attempt.traceBy(this.#trace, this.#head, 1, true);
    this.#progress.phase = CONNECTING;
    this.#deadlines.start();
    this.#deadlines.follow(this.#pool.rules);
    this.#deadlines.connecting();
    try {
      const connection = attempt.connect(upstream, false, { socket: undefined, peer: this.#peer });
      // Credentials of a downstream connection: the upstream connection must not be used again.
      if (this.#head.authenticatesConnection) attempt.bind(undefined);
      connection.begin(this, this.#head.method, '');
      if (connection.ready) this.connected();
    } catch (cause) {
      this.#attemptFailed(cause instanceof BalancerError ? cause.code : 'INTERNAL_ERROR', cause);
    }
  }

  /** Takes a piece of the body: a copy of it, since the buffer is the caller's. */
  data(bytes: Buffer, from: number, to: number): void {
    if (this.#over || this.#progress.requestDone) return;
    this.#lag += to - from;
    if (this.#lag > this.#services.rules.maxMirroredBytes) {
      this.drop('maxMirroredBytes');
      return;
    }
    const piece = Buffer.from(bytes.subarray(from, to));
    const { connection } = this.#attempt;
    if (connection === undefined || this.#progress.phase < WAITING) this.#kept.push(piece);
    else {
      connection.writer.data(piece, 0, piece.length);
      this.#flush();
    }
  }

  /** The body is complete: the copy no longer needs the exchange. */
  end(trailers: string): void {
    if (this.#over || this.#progress.requestDone) return;
    this.#progress.requestDone = true;
    this.#trailers = trailers;
    if (this.#progress.phase < WAITING) return;
    this.#attempt.connection?.writer.end(trailers);
    this.#flush();
  }

  /** The exchange is over. A copy that has not got the whole body is dropped. */
  left(): void {
    if (!this.#progress.requestDone) this.drop('unfinished');
  }

  // --- what the balancer tells

  /** Ends the copy if it is past a deadline. */
  sweep(now: number): void {
    if (this.#over) return;
    if (now >= this.#enoughAt) {
      this.#finish(SERVED, undefined);
      return;
    }
    const overdue = this.#deadlines.overdue(now, this.#attempt);
    if (overdue === undefined) return;
    if (overdue.ends === 'attempt') {
      this.#attempt.connection?.destroy();
      this.#attemptFailed(overdue.code, undefined);
    } else if (overdue.code === 'UPSTREAM_REMOVED') this.#finish(NOT_THE_UPSTREAM, overdue.code);
    // The downstream is slower than this pool allows.
    else this.drop('unfinished');
  }

  /** Gives the copy up. */
  drop(reason: DropReason): void {
    if (this.#over) return;
    const { events } = this.#services;
    this.#finish(NOT_THE_UPSTREAM, 'DOWNSTREAM_GONE');
    if (events.heard('mirrorDropped')) {
      events.tell('mirrorDropped', { pool: this.#pool.name, reason, ...named(this.#head) });
    }
  }

  // --- what the upstream connection tells

  connected(): void {
    const { connection } = this.#attempt;
    if (connection === undefined) return;
    const head = this.#head;
    const { writer } = connection;
    writer.begin(this.#attempt.requestHead(head, this.#forwarding), head.framing, head.contentLength);
    this.#progress.phase = WAITING;
    for (const piece of this.#kept.splice(0)) writer.data(piece, 0, piece.length);
    if (head.framing === NONE || this.#progress.requestDone) writer.end(this.#trailers);
    this.#flush();
  }

  interim(): void {
    this.#deadlines.moved();
  }

  responded(head: ResponseHead): void {
    this.#attempt.responded(head);
    if (head.authenticatesConnection) this.#attempt.bind(undefined);
    this.#progress.phase = RELAYING;
    this.#enoughAt = this.#services.clock.now + this.#pool.rules.responseTimeoutMs;
    this.#deadlines.moved();
  }

  body(_bytes: Buffer, from: number, to: number): void {
    this.#read += to - from;
    this.#deadlines.moved();
    // A new connection is cheaper than to read the rest.
    if (this.#read > MAX_READ_BYTES) this.#finish(SERVED, undefined);
  }

  ended(): void {
    const attempt = this.#attempt;
    const { requestDone } = this.#progress;
    // A response may come before all of the request was sent; then the rest is not sent.
    if (requestDone) attempt.release(attempt.connection?.writer.owes === false);
    this.#finish(SERVED, undefined);
  }

  readEnd(): boolean {
    return true;
  }

  flushed(): void {
    this.#lag = 0;
    this.#progress.uploadBlocked = false;
    this.#deadlines.moved();
  }

  failed(code: ErrorCode, cause: Error | undefined): void {
    this.#attemptFailed(code, cause);
  }

  #flush(): void {
    const { connection } = this.#attempt;
    if (connection === undefined) return;
    this.#progress.uploadBlocked = !connection.writer.flush(this.#services.turn);
    if (!this.#progress.uploadBlocked) this.#lag = 0;
    this.#deadlines.moved();
  }

  /** The attempt has failed. The connection is destroyed already, if there was one. */
  #attemptFailed(code: ErrorCode, cause: unknown): void {
    const { upstream, connection, status } = this.#attempt;
    if (upstream === undefined) return;
    const error = cause instanceof BalancerError ? cause : new BalancerError(code, undefined, { cause });
    this.#services.report(error, upstream.origin, this.#head.id);
    const closedIdle = code === 'UPSTREAM_CLOSED' && (connection?.uses ?? 0) > 1;
    this.#finish(endingOf(code, closedIdle ? 'idle' : this.#progress.stage(status)), code);
  }

  /** Settles the attempt and forgets the request. A connection that was not given back is closed. */
  #finish(ending: Ending, code: ErrorCode | undefined): void {
    this.#over = true;
    this.#progress.phase = IDLE;
    this.#kept.length = 0;
    this.#services.mirrors.remove(this);
    const { connection } = this.#attempt;
    if (connection?.idle === false) connection.destroy();
    this.#attempt.settle(ending, code);
  }
}

/** The response came, as far as it was of interest. */
const SERVED: Ending = { fault: 'none', stage: 'body' };
/** We gave up: that says nothing about the upstream. */
const NOT_THE_UPSTREAM: Ending = { fault: 'downstream', stage: 'head' };
/** How much of a response is read, so that its connection can serve again. */
const MAX_READ_BYTES = 1_048_576;
