/**
 * The story of one raw connection: its server name, where anything goes by it; pick, dial, dial again; relay both ways;
 * settle. An attempt is the connection to an upstream, and is in flight as long as that is open. It is long because the
 * calls of both sides meet in one state.
 */
import { BalancerError, type Ending, endingOf, type ErrorCode, meaningOf } from '../errors.ts';
import { Attempt } from '../exchange/attempt.ts';
import { type PickedFor, Picks } from '../exchange/picks.ts';
import { PlaceInLine } from '../exchange/place-in-line.ts';
import type { OpenDownstream } from '../fronts/downstreams.ts';
import { GuardedSocket, type SocketOwner } from '../fronts/guarded-socket.ts';
import { UNTIL_CLOSE } from '../http1/framing.ts';
import type { Pool } from '../pools/pool.ts';
import type { Services } from '../pools/services.ts';
import { describeSocket } from '../proxy-protocol/of-socket.ts';
import { formatProxyHeader } from '../proxy-protocol/parse.ts';
import { endOrReset } from '../streams/end-or-reset.ts';
import { type Flusher, MessageWriter } from '../streams/message-writer.ts';
import type { ServedSocket, SocketReader } from '../streams/socket-events.ts';
import { TcpAccount } from './account.ts';
import { serverNameIn } from './client-hello.ts';
import type { TcpFront } from './tcp-front.ts';
import { type LinkUser, UpstreamLink } from './upstream-link.ts';

export class TcpConnection implements OpenDownstream, SocketReader, SocketOwner, Flusher, LinkUser {
  place = -1;
  /** Without an authenticated connection: see {@link PlaceInLine}. */
  readonly bound = undefined;
  readonly #front: TcpFront;
  readonly #stream: ServedSocket;
  readonly #socket: GuardedSocket;
  readonly #writer: MessageWriter;
  readonly #account: TcpAccount;
  readonly #request = new NamedRequest();
  readonly #picks: Picks;
  readonly #attempt: Attempt;
  readonly #place: PlaceInLine;
  #link: UpstreamLink | undefined;
  /** The pool in which it may still pick. */
  #entered: Pool | undefined;
  #phase: Phase = PEEKING;
  #deadline = Infinity;
  /** What has come before an upstream is connected. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** How many octets of a ClientHello it takes to go on. */
  #needed = 1;
  /** Whether the downstream's end has come, and may still turn out to be a reset. */
  #ending = false;
  /** Which sides have ended their half, in order. */
  #downstreamDone = false;
  #upstreamDone = false;

  /** `stream` is a `net.Socket`, a TLS socket or the like, whose events are passed on from now on. */
  constructor(front: TcpFront, stream: ServedSocket) {
    const { services, rules, topology: { first } } = front;
    this.#front = front;
    this.#stream = stream;
    this.#socket = new GuardedSocket(stream, stream, rules, this);
    this.#writer = new MessageWriter(stream, this);
    this.#writer.begin('', UNTIL_CLOSE);
    this.#account = new TcpAccount(services);
    const report: Services['report'] = (error, origin) => {
      // A strategy that found no name before there was one is asked again.
      if (!this.#request.premature) services.report(error, origin);
    };
    this.#picks = new Picks(first, this.#request, { report, clock: services.clock });
    this.#attempt = new Attempt(services, first, NAMELESS);
    this.#place = new PlaceInLine(this, this.#picks);
    stream.servedBy = this;
    front.downstreams.add(this);
    front.connections++;
    front.accepted++;
    this.#socket.guard(() => stream.resume());
  }

  /** Begins to serve it; one beyond the limit is reset. */
  start(): void {
    const { connections, rules, needsName } = this.#front;
    if (connections > rules.maxConnections) {
      this.#front.report(new BalancerError('CONNECTIONS_EXHAUSTED'));
      this.#front.refused('CONNECTIONS_EXHAUSTED', this.#remoteAddress, true);
      this.#reset();
      this.#leave();
      return;
    }
    // Where TLS ended before us, the name is known.
    if ('encrypted' in this.#stream) this.#named((describeSocket(this.#stream, 2).authority ?? '').toLowerCase());
    else if (needsName) this.#peek();
    else this.#route();
  }

  get pool(): Pool {
    return this.#picks.pool;
  }

  /** Whether it can take no more for now. */
  get paused(): boolean {
    return this.#socket.paused;
  }

  get busy(): boolean {
    return this.#phase !== CLOSED;
  }

  get #remoteAddress(): string {
    return this.#socket.hop.address;
  }

  // --- what the balancer tells

  drain(): void {
    // A connection that is open has work in flight, for all that is known of it.
  }

  destroy(code: ErrorCode): void {
    this.#cut(code, OUR_OWN);
  }

  sweep(now: number): boolean {
    const { upstream } = this.#attempt;
    if (upstream !== undefined && now >= upstream.cutAt) {
      // Nothing has been sent while it connects, so another upstream may serve.
      if (this.#phase === CONNECTING) this.#breakOff('CONNECT_FAILED');
      else this.#cut('UPSTREAM_REMOVED', OUR_OWN);
      return true;
    }
    if (now < this.#deadline) return false;
    if (this.#phase === PEEKING) this.#named('');
    else if (this.#phase === QUEUED) this.#refuse('OVERLOADED');
    else if (this.#phase === OPEN) this.#cut('DOWNSTREAM_STALLED', NOT_THE_UPSTREAM);
    else this.#breakOff(this.#link?.resolving === true ? 'DNS_TIMEOUT' : 'CONNECT_TIMEOUT');
    return true;
  }

  // --- what the socket tells

  received(bytes: Buffer): void {
    const link = this.#link;
    if (this.#phase !== OPEN || link === undefined) {
      if (this.#phase !== CLOSED) this.#hold(bytes);
      return;
    }
    this.#account.received += bytes.length;
    this.#front.received += bytes.length;
    this.#moved();
    link.writer.data(bytes, 0, bytes.length);
    if (!link.writer.flush(this.#front.services.turn)) this.#socket.pause(true);
  }

  ended(): void {
    if (this.#phase === CLOSED || this.#downstreamDone) return;
    this.#ending = true;
    try {
      endOrReset(this.#stream, (error) => {
        if (error?.code === 'ECONNRESET') this.#gone();
        else this.#downstreamEnded();
      });
    } catch (cause) {
      this.sinkFailed(cause);
    }
  }

  closed(): void {
    if (this.#phase === CLOSED) return;
    // Unless the socket was reset, this was an orderly end.
    if ((this.#stream.errored as NodeJS.ErrnoException | null | undefined)?.code !== 'ECONNRESET') {
      this.#downstreamEnded();
    }
    // After an end of both sides, the upstream may still be reading.
    const over = this.#downstreamDone && this.#stream.writableFinished && this.#phase === OPEN;
    if (!over) this.#gone();
  }

  /** For the writer: the socket can take more. */
  drained(): void {
    if (this.#phase !== OPEN) return;
    this.#moved();
    this.#link?.resume();
    this.#finishIfDone();
  }

  /** For the writer and the socket: the stream, which may be the embedder's, threw. */
  sinkFailed(cause: unknown): void {
    this.#front.report(new BalancerError('INTERNAL_ERROR', 'a downstream connection could not be served', { cause }));
    this.#cut('INTERNAL_ERROR', OUR_OWN);
  }

  closeFailed(cause: unknown): void {
    this.#front.report(new BalancerError('INTERNAL_ERROR', 'a downstream connection could not be closed', { cause }));
  }

  // --- what the queue tells

  proceed(): void {
    this.#account.unqueued();
    this.#try();
  }

  // --- what the upstream tells

  linked(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#attempt.opened();
    this.#account.connected();
    this.#leavePool();
    this.#phase = OPEN;
    this.#moved();
    link.writer.begin('', UNTIL_CLOSE);
    for (const bytes of this.#held) link.writer.data(bytes, 0, bytes.length);
    this.#account.received += this.#heldBytes;
    this.#front.received += this.#heldBytes;
    this.#dropHeld();
    const flushed = link.writer.flush();
    if (this.#downstreamDone) link.end();
    else this.#socket.pause(!flushed);
  }

  linkData(bytes: Buffer, length: number): boolean {
    this.#account.relayed(length);
    this.#front.sent += length;
    this.#moved();
    this.#writer.data(bytes, 0, length);
    return this.#writer.flush(this.#front.services.turn);
  }

  linkEnded(): void {
    this.#upstreamDone = true;
    this.#moved();
    this.#writer.flush();
    // If the stream has not taken everything, an orderly end would be a lie: the writer reports the failure.
    if (this.#writer.failed) return;
    this.#socket.guard(() => this.#stream.end(() => {
      this.#finishIfDone();
    }));
  }

  linkDrained(): void {
    if (this.#phase !== OPEN) return;
    this.#moved();
    this.#socket.pause(false);
    this.#finishIfDone();
  }

  linkBroke(code: ErrorCode | undefined, error: Error | undefined): void {
    if (this.#phase === CONNECTING) {
      this.#attemptFailed(code ?? 'CONNECT_CLOSED', error);
      return;
    }
    if (code === 'INTERNAL_ERROR') this.#front.report(new BalancerError(code, undefined, { cause: error }));
    // Many protocols end by a reset: that alone says nothing about the health of an upstream.
    this.#cut(code ?? 'RESPONSE_INCOMPLETE', SERVED);
  }

  // --- the story

  /** Waits for the ClientHello. What has come may be enough. */
  #peek(): void {
    this.#phase = PEEKING;
    this.#deadline = this.#front.services.clock.now + this.#front.rules.headTimeoutMs;
    if (this.#heldBytes > 0) this.#look();
    if (this.#downstreamDone && this.#peeking) this.#named('');
  }

  get #peeking(): boolean {
    return this.#phase === PEEKING;
  }

  #look(): void {
    if (this.#heldBytes < this.#needed) return;
    const [first, ...more] = this.#held;
    const bytes = first === undefined || more.length > 0 ? Buffer.concat(this.#held) : first;
    this.#held = [bytes];
    const found = serverNameIn(bytes);
    if (typeof found === 'number') this.#needed = found;
    else this.#named(found);
  }

  /** The server name is known; `''` if there is none. */
  #named(serverName: string): void {
    this.#request.tell(serverName === '' ? undefined : serverName);
    this.#socket.pause(this.#heldBytes >= this.#front.rules.maxHeldBytes);
    if (this.#entered === undefined) this.#route();
    else {
      this.#enter(this.#entered);
      this.#try();
    }
  }

  #route(): void {
    const pool = this.#front.poolFor(this.#request.known ?? '');
    if (pool === undefined) {
      this.#refuse('NO_ROUTE');
      return;
    }
    this.#enter(pool);
    pool.budget.begun();
    this.#try();
  }

  #enter(pool: Pool): void {
    pool.entered();
    this.#leavePool();
    this.#entered = pool;
    this.#picks.start(pool, pool.rules, this.#remoteAddress);
  }

  /** Begins an attempt, waits for room, or resets the connection, since there is no upstream to try. */
  #try(): void {
    const upstream = this.#picks.next();
    if (this.#request.premature) {
      // Nothing is counted yet: with the name, the strategy picks again.
      this.#front.asked(this.pool);
      this.#peek();
      return;
    }
    if (typeof upstream === 'string') {
      if (upstream !== 'OVERLOADED' || !this.#wait()) this.#refuse(upstream);
      return;
    }
    const { pool } = this;
    // No await between the pick and the count: the next pick sees this one.
    this.#attempt.begin(pool, upstream, true, this.#picks.left, this.#picks.shadowed(upstream));
    this.#account.attempts++;
    this.#phase = CONNECTING;
    this.#deadline = this.#front.services.clock.now + pool.rules.connectTimeoutMs;
    try {
      this.#link = new UpstreamLink(upstream, this.#opening);
    } catch (cause) {
      this.#attemptFailed(cause instanceof BalancerError ? cause.code : 'INTERNAL_ERROR', cause);
      return;
    }
    this.#link.begin(this);
  }

  /** The PROXY header that the connection to an upstream begins with, as latin1, if the pool sends one. */
  get #opening(): string {
    const { proxyProtocol } = this.pool.rules;
    if (proxyProtocol === 0) return '';
    const { authority, ...header } = describeSocket(this.#stream, proxyProtocol);
    return formatProxyHeader({ ...header, authority: authority ?? this.#request.known }).toString('latin1');
  }

  /** Waits in the queue. Returns false where that is full. */
  #wait(): boolean {
    if (!this.#place.enterQueue()) return false;
    const { services: { clock, events } } = this.#front;
    const { name: pool, queue, rules } = this.pool;
    const isNew = this.#phase !== QUEUED;
    this.#account.queued();
    this.#phase = QUEUED;
    if (!isNew) return true;
    this.#deadline = clock.now + rules.queueTimeoutMs;
    if (events.heard('queued')) events.tell('queued', { pool, waiting: queue.length });
    return true;
  }

  /** Ends an attempt that has failed in our view. */
  #breakOff(code: ErrorCode): void {
    this.#link?.close();
    this.#attemptFailed(code, undefined);
  }

  /** Tries another upstream, or resets the connection. The link is closed already. */
  #attemptFailed(code: ErrorCode, cause: unknown): void {
    const { services } = this.#front;
    const { upstream } = this.#attempt;
    if (upstream === undefined) return;
    const error = cause instanceof BalancerError ? cause : new BalancerError(code, undefined, { cause });
    services.report(error, upstream.origin);
    this.#link = undefined;
    this.#attempt.settle(endingOf(code, 'connect'), code);
    // A listener may have closed the balancer.
    if (this.#phase === CLOSED) return;
    // Another attempt would lack the same descriptors, ports or memory.
    const mayRetry = meaningOf(code).retryable && code !== 'RESOURCES_EXHAUSTED';
    if (!mayRetry || !this.#picks.failed(upstream, false, true)) {
      this.#refuse(code);
      return;
    }
    upstream.retried();
    const { attempt } = this.#picks;
    if (services.events.heard('retried')) {
      const { name: pool } = this.pool;
      services.events.tell('retried', { pool, upstream: upstream.shown, attempt, code, status: undefined });
    }
    this.#try();
  }

  /** There is no upstream for this connection. */
  #refuse(code: ErrorCode): void {
    this.#front.refused(code, this.#remoteAddress, false);
    this.#cut(code, OUR_OWN);
  }

  #downstreamEnded(): void {
    if (!this.#ending) return;
    this.#ending = false;
    this.#downstreamDone = true;
    if (this.#phase === PEEKING) this.#named('');
    else if (this.#phase === OPEN) {
      this.#moved();
      this.#link?.writer.flush();
      this.#link?.end();
    }
  }

  /** The downstream was reset, or has closed without reading everything. */
  #gone(): void {
    this.#cut('DOWNSTREAM_GONE', NOT_THE_UPSTREAM);
  }

  /** Ends the connection well, once both sides have ended and everything was written. */
  #finishIfDone(): void {
    const done = this.#downstreamDone && this.#upstreamDone && this.#phase === OPEN;
    if (!done || this.#link?.finished !== true || !this.#stream.writableFinished) return;
    this.#phase = CLOSED;
    this.#link.close();
    this.#socket.destroy(false);
    this.#attempt.settle(SERVED, undefined);
    this.#over();
  }

  /** Ends it by resets: neither side may take this for an end. */
  #cut(code: ErrorCode, ending: Ending): void {
    if (this.#phase === CLOSED) return;
    this.#leaveQueue();
    this.#phase = CLOSED;
    this.#account.failed(code);
    this.#link?.close();
    this.#reset();
    this.#attempt.settle(ending, code);
    this.#over();
  }

  /** It is settled: what is left is to tell of it. */
  #over(): void {
    const isRouted = this.#entered !== undefined || this.#account.attempts > 0;
    this.#account.tell({
      remoteAddress: this.#remoteAddress,
      serverName: this.#request.known,
      pool: isRouted ? this.pool.name : undefined,
      upstream: this.#attempt.last,
    });
    this.#leave();
  }

  #reset(): void {
    this.#socket.destroy(true);
  }

  #leave(): void {
    this.#phase = CLOSED;
    this.#link = undefined;
    this.#dropHeld();
    this.#leavePool();
    this.#stream.servedBy = undefined;
    this.#front.connections--;
    this.#front.downstreams.remove(this);
  }

  /** No further pick follows. */
  #leavePool(): void {
    this.#entered?.left();
    this.#entered = undefined;
  }

  #leaveQueue(): void {
    if (this.#phase !== QUEUED) return;
    this.#account.unqueued();
    this.#place.leave();
  }

  /** Keeps what has come, up to a limit, until an upstream is connected. */
  #hold(bytes: Buffer): void {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    // Octet by octet, what is kept would cost a thousand times as much: each read of Node is a buffer of its own.
    if (this.#held.length === MAX_HELD_PARTS) this.#held = [Buffer.concat(this.#held, this.#heldBytes)];
    // A ClientHello has a limit of its own.
    if (this.#phase === PEEKING) this.#look();
    else if (this.#heldBytes >= this.#front.rules.maxHeldBytes) this.#socket.pause(true);
  }

  #dropHeld(): void {
    if (this.#heldBytes === 0) return;
    this.#held = [];
    this.#heldBytes = 0;
  }

  /** Something moved: the idle time starts anew. */
  #moved(): void {
    this.#deadline = this.#front.services.clock.now + this.pool.rules.tunnelIdleTimeoutMs;
  }
}

/** What strategies see in place of a request: nothing but the server name. */
class NamedRequest implements PickedFor {
  readonly method = '';
  readonly target = '';
  readonly host = '';
  /** What is known already. */
  known: string | undefined;
  #told = false;
  #asked = false;

  header(): undefined {
    return undefined;
  }

  get serverName(): string | undefined {
    this.#asked = true;
    return this.known;
  }

  /** Whether the strategy has asked for the name before it was looked for. */
  get premature(): boolean {
    return this.#asked && !this.#told;
  }

  tell(serverName: string | undefined): void {
    this.#told = true;
    this.known = serverName;
  }
}

/** Buffers to keep before they are put together. */
const MAX_HELD_PARTS = 16;

/** Connections have no id in events but the one of `finished`. */
const NAMELESS = { id: '' };

type Phase = typeof PEEKING | typeof QUEUED | typeof CONNECTING | typeof OPEN | typeof CLOSED;
/** Waiting for the server name. */
const PEEKING = 0;
const QUEUED = 1;
const CONNECTING = 2;
/** Both sides are connected. */
const OPEN = 3;
const CLOSED = 4;

/** Both sides have ended in order, or the upstream in its own way. */
const SERVED: Ending = { fault: 'none', stage: 'body' };
const NOT_THE_UPSTREAM: Ending = { fault: 'downstream', stage: 'body' };
const OUR_OWN: Ending = { fault: 'own', stage: 'body' };
