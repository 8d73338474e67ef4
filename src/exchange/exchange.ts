/**
 * The story of one request: pick, attempt, retry, relay, settle. Both fronts tell it through this class.
 */
import { BalancerError, type Ending, endingOf, type ErrorCode } from '../errors.ts';
import { continuesHandshake } from '../http1/connection-auth.ts';
import { forwardingFields, hasPassed } from '../http1/forwarding.ts';
import { NONE, UNTIL_CLOSE } from '../http1/framing.ts';
import { RequestHead } from '../http1/request.ts';
import type { ResponseHead } from '../http1/response.ts';
import { forwardsLeft, requestHead } from '../http1/serialise.ts';
import type { ConnectionUser, UpstreamConnection } from '../upstreams/connection.ts';
import type { Member } from '../upstreams/member.ts';
import type { Affinity } from './affinity.ts';
import { type Answer, answerTo, finalAnswer } from './answers.ts';
import type { Downstream } from './downstream.ts';
import { Picks } from './picks.ts';
import { runHook } from './plugin.ts';
import type { Waiting } from '../pools/queue.ts';
import { RateFloor } from './rate-floor.ts';
import { Replay } from './replay.ts';
import { Retries } from './retries.ts';
import type { Services } from './services.ts';

/** One exchange at a time; used again for the next request of its connection. */
export class Exchange implements ConnectionUser, Waiting {
  /** The request: its front fills it before {@link Exchange.start}. */
  readonly head = new RequestHead();
  ahead: Waiting | undefined;
  behind: Waiting | undefined;

  readonly #services: Services;
  #downstream: Downstream;
  readonly #picks: Picks;
  readonly #floor: RateFloor;
  readonly #replay: Replay;
  readonly #retries: Retries;
  #phase: Phase = IDLE;
  #member: Member | undefined;
  #connection: UpstreamConnection | undefined;
  /** What the connection belongs to the downstream's by, where it does. */
  #affinity: Affinity | undefined;
  /** The one whose connection is still in use by the request before this one: its turn is waited for. */
  #awaited: Affinity | undefined;
  /** Whether the connection is authenticated, or about to be, and so must not serve another downstream. */
  #private = false;
  /** Whether the strategy has picked the member, and is to hear how the attempt ends. */
  #picked = true;
  #startedAt = 0;
  #status: number | undefined;
  #deadline = Infinity;
  /** Until when it may wait for room, also if it waits more than once before an attempt. */
  #waitsUntil = Infinity;
  /** When the time for all attempts together is over. */
  #expires = Infinity;
  /** Octets of request body so far. */
  #received = 0;
  #trailers = '';
  #requestDone = true;
  #responseDone = false;
  #continued = false;
  /** Whether the front was asked for the body, by this attempt or one before it. */
  #asked = false;
  /** Whether the response came instead of the 100 that was to ask for the body: the body is not waited for. */
  #bodyless = false;
  /** Which side keeps the other waiting: the upstream the request, the downstream the response. */
  #uploadBlocked = false;
  #downloadBlocked = false;

  constructor(services: Services) {
    this.#services = services;
    this.#downstream = NOWHERE;
    this.#picks = new Picks(services, this.head);
    const { minBodyBytesPerSecond, idleTimeoutMs } = services.rules;
    this.#floor = new RateFloor(minBodyBytesPerSecond, idleTimeoutMs);
    this.#replay = new Replay(services.rules.maxReplayBytes);
    this.#retries = new Retries(services, this.head, this.#picks, this.#replay);
  }

  /** Starts on the request in `head`. The answer goes to `downstream`, sooner or later, exactly once. */
  start(downstream: Downstream): void {
    const { budget, clock, rules } = this.#services;
    this.#downstream = downstream;
    this.#picks.start(downstream.hop.address);
    this.#floor.start(clock.now);
    budget.begun();
    this.#expires = clock.now + rules.totalTimeoutMs;
    this.#received = 0;
    this.#requestDone = this.head.framing === NONE;
    this.#responseDone = this.#continued = this.#bodyless = this.#asked = false;
    this.#uploadBlocked = this.#downloadBlocked = false;
    const refusal = this.#refusal();
    if (refusal !== undefined) this.#answer(refusal);
    // It goes no further: the request is for us (RFC 9110 §7.6.2).
    else if (this.head.maxForwards !== undefined && forwardsLeft(this.head.maxForwards) === 0) {
      this.#answerBy(finalAnswer(this.head));
    }
    // Nobody is overtaken: those who wait have no use for what is free.
    else this.#attempt();
  }

  /** Request data, from the front, once it was asked to read the body. */
  requestData(bytes: Buffer, from: number, to: number): void {
    this.#received += to - from;
    this.#floor.moved(to - from);
    if (this.#received > this.#services.rules.maxBodyBytes && this.#phase !== TUNNEL) {
      this.refuse('REQUEST_BODY_TOO_LARGE');
      return;
    }
    if (this.#phase === QUEUED || this.#phase === CONNECTING) this.#replay.hold(bytes, from, to);
    else {
      if (this.#phase === WAITING) this.#replay.keep(bytes, from, to);
      this.#connection?.writer.data(bytes, from, to);
      this.#moved();
    }
  }

  /** The request body is complete. In a tunnel: the downstream has no more to send. */
  requestEnd(trailers: string): void {
    this.#requestDone = true;
    this.#trailers = trailers;
    const connection = this.#connection;
    // An attempt that still connects sends what has come when it can.
    if (connection === undefined || this.#phase === CONNECTING) return;
    connection.writer.end(trailers);
    if (this.#phase === TUNNEL) {
      connection.writer.flush();
      connection.end();
    }
    this.#moved();
    if (!this.#responseDone) return;
    // The connection goes back to the idle ones: nobody would flush it before its next request.
    connection.writer.flush();
    this.#finish();
  }

  /** Sends what the front has handed over. Returns false to hold the body until `resumeBody`. */
  flushRequest(): boolean {
    // What has been asked for already is not to pile up while another attempt connects, or waits to.
    if (this.#phase === QUEUED || this.#phase === CONNECTING) return !this.#asked;
    if (this.#connection === undefined || !this.#connection.ready) return true;
    this.#uploadBlocked = !this.#connection.writer.flush(this.#services.turn);
    return !this.#uploadBlocked;
  }

  /** The downstream can take more of the response. */
  drained(): void {
    if (!this.#downloadBlocked) return;
    this.#downloadBlocked = false;
    if (this.#phase > CONNECTING) this.#moved();
    if (this.#responseDone && (this.#requestDone || this.#bodyless)) this.#finish();
    else this.#connection?.resume();
  }

  /** The request cannot be finished: the downstream went away, or sent what it may not. Nothing more is sent. */
  abort(code: ErrorCode): void {
    if (this.#phase === IDLE) return;
    this.#connection?.destroy();
    this.#settle(NOT_THE_UPSTREAM, code);
    this.#rest();
  }

  /** As `abort`, but answers with the code's status, or cuts a response that has begun. */
  refuse(code: ErrorCode): void {
    if (this.#phase === IDLE) return;
    const begun = this.#phase === RELAYING || this.#phase === TUNNEL;
    this.#connection?.destroy();
    this.#settle(NOT_THE_UPSTREAM, code);
    if (begun) this.#cut();
    else this.#answer(code);
  }

  /** Whether a request is being served. */
  get active(): boolean {
    return this.#phase !== IDLE;
  }

  /** Whether somebody could be picked, now that it waits. */
  get ready(): boolean {
    const bound = this.#bound;
    return bound === undefined ? this.#picks.any : bound.hasRoom && !this.#services.members.full;
  }

  get particular(): boolean {
    return this.#picks.particular || this.#bound !== undefined;
  }

  proceed(): void {
    this.#awaited = undefined;
    this.#attempt();
    this.flushRequest();
  }

  /** Ends an exchange that is past its deadline, or whose body is too slow. Returns whether it did. */
  sweep(now: number): boolean {
    if (this.#member !== undefined && now >= this.#member.cutAt) {
      // Where it has been sent nothing, another one may serve.
      if (this.#phase === CONNECTING) this.#breakOff('CONNECT_FAILED');
      else this.refuse('UPSTREAM_REMOVED');
      return true;
    }
    if (now >= this.#expires && this.#phase <= WAITING) {
      // To be too slow is a failure of the upstream, whatever limit it meets first.
      if (this.#phase !== QUEUED && !this.#awaitsDownstream) this.#breakOff('TOTAL_TIMEOUT');
      else this.refuse('TOTAL_TIMEOUT');
      return true;
    }
    if (this.#floor.sweep(now, this.#awaitsDownstream)) {
      this.refuse(this.#downloadBlocked ? 'DOWNSTREAM_STALLED' : 'REQUEST_TIMEOUT');
      return true;
    }
    if (now < this.#deadline) return false;
    this.#late();
    return true;
  }

  #late(): void {
    switch (this.#phase) {
      case QUEUED:
        this.refuse('OVERLOADED');
        break;
      case CONNECTING:
        this.#breakOff(this.#connection?.resolving === true ? 'DNS_TIMEOUT' : 'CONNECT_TIMEOUT');
        break;
      case WAITING:
        // Whoever kept the other waiting is to blame.
        if (this.#requestDone || this.#uploadBlocked || this.#unasked) this.#breakOff('RESPONSE_TIMEOUT');
        else this.refuse('REQUEST_TIMEOUT');
        break;
      case RELAYING:
        if (this.#downloadBlocked) this.refuse('DOWNSTREAM_STALLED');
        else if (this.#responseDone) this.refuse('REQUEST_TIMEOUT');
        else this.#breakOff('RESPONSE_TIMEOUT');
        break;
      default:
        this.refuse('DOWNSTREAM_STALLED');
    }
  }

  /**
   * Whether it is for the downstream that a body does not go on. Once the response has begun, an upload beside it may
   * be one half of a conversation, which has its pauses.
   */
  get #awaitsDownstream(): boolean {
    if (this.#downloadBlocked) return this.#phase === RELAYING;
    const uploading = !this.#requestDone && !this.#uploadBlocked && !this.#unasked;
    return uploading && (this.#phase === WAITING || (this.#phase === RELAYING && this.#responseDone));
  }

  /** Whether the downstream still waits to be asked for its body. */
  get #unasked(): boolean {
    return this.head.expectContinue && !this.#continued && !this.#requestDone;
  }

  // --- what the upstream connection tells

  connected(): void {
    this.#send();
    this.flushRequest();
  }

  interim(head: ResponseHead): void {
    this.#moved();
    // A 100 that nobody asked for, or has had from an attempt before, is for nobody (RFC 9110 §15.2).
    const again = this.#continued && this.#picks.attempt > 1;
    if (head.status === 100 && (!this.head.expectContinue || again)) return;
    if (head.status === 100) this.#continued = true;
    if (this.head.minor === 1) this.#downstream.interim(head);
  }

  responded(head: ResponseHead): void {
    const { status } = head;
    const member = this.#member;
    if (member === undefined) return;
    const { clock, members } = this.#services;
    this.#status = status;
    const now = clock.source.now();
    // One that is ejected is let back in by those who were sent there to try it.
    if (this.#picked || member.listed) members.answered(member, this.#startedAt, now, isBroken(status), status);
    else member.answered(now - this.#startedAt);
    if (head.authenticatesConnection) this.#bind(member);
    if (status === 101) {
      this.#tunnel(head);
      return;
    }
    // Elsewhere nobody knows what the connection was authenticated for.
    if (this.#picked && this.#retries.afterResponse(member, status)) {
      this.#connection?.destroy();
      this.#settle(SERVED, undefined);
      this.#tryAgain(member, undefined, status);
      return;
    }
    this.#phase = RELAYING;
    this.#replay.clear();
    this.#moved();
    // Who was not told to continue may or may not send the body: no request can be told apart behind it.
    this.#bodyless = this.#unasked;
    this.#downstream.respond(head, !this.#bodyless);
  }

  body(bytes: Buffer, from: number, to: number, text: string): void {
    this.#floor.moved(to - from);
    this.#moved();
    this.#downstream.data(bytes, from, to, text);
  }

  ended(trailers: string): void {
    this.#responseDone = true;
    this.#downstream.end(trailers);
    if (this.#requestDone || this.#bodyless) this.#finish();
  }

  readEnd(): boolean {
    this.#downloadBlocked = !this.#downstream.flush();
    return !this.#downloadBlocked;
  }

  flushed(): void {
    this.#uploadBlocked = false;
    this.#moved();
    if (this.#phase === TUNNEL && this.#requestDone && this.#responseDone) this.#finish();
    else this.#downstream.resumeBody();
  }

  failed(code: ErrorCode, cause: Error | undefined): void {
    if (this.#responseDone && code !== 'INTERNAL_ERROR') {
      // The whole response is there. That the upstream takes no more of the request is its good right.
      this.#requestDone = true;
      this.#finish();
    } else this.#attemptFailed(code, cause);
  }

  // --- the story

  /** Why this request is not to be forwarded at all, whatever its upstream. */
  #refusal(): ErrorCode | undefined {
    const { via, contentLength, maxForwards } = this.head;
    const { rules } = this.#services;
    if (maxForwards !== undefined && forwardsLeft(maxForwards) < 0) return 'REQUEST_MALFORMED';
    if (contentLength > rules.maxBodyBytes) return 'REQUEST_BODY_TOO_LARGE';
    return via !== '' && rules.via !== '' && hasPassed(via, rules.via) ? 'LOOP_DETECTED' : undefined;
  }

  #attempt(): void {
    const bound = this.#bound;
    const member = bound === undefined ? this.#picks.next() : this.#follow(bound);
    if (typeof member === 'string') {
      if (member !== 'OVERLOADED' || !this.#wait(bound)) this.#answer(member);
      return;
    }
    const { members, rules, clock } = this.#services;
    // No await between the pick and the count: whoever picks next sees this one.
    members.begin(member);
    this.#member = member;
    this.#picked = bound === undefined;
    this.#status = undefined;
    this.#startedAt = clock.source.now();
    this.#phase = CONNECTING;
    this.#deadline = clock.now + rules.connectTimeoutMs;
    let connection: UpstreamConnection;
    try {
      connection = bound === undefined ? member.connections.take(this.#picks.fresh, clock.now) : bound.take();
    } catch (cause) {
      this.#attemptFailed(cause instanceof BalancerError ? cause.code : 'INTERNAL_ERROR', cause);
      return;
    }
    this.#connection = connection;
    this.#affinity = bound;
    this.#private = bound !== undefined;
    if (this.head.authenticatesConnection) this.#bind(member);
    connection.begin(this, this.head.method, this.head.upgrade);
    if (connection.ready) this.#send();
  }

  /** The upstream connection that belongs to our downstream's, for the first attempt: others are for the strategy. */
  get #bound(): Affinity | undefined {
    return this.#picks.attempt === 0 ? this.#services.affinities.of(this.#downstream.socket) : undefined;
  }

  /** Goes where the downstream's connection is authenticated: that is no choice of the strategy's. */
  #follow(bound: Affinity): Member | 'OVERLOADED' {
    if (!bound.hasRoom || this.#services.members.full) return 'OVERLOADED';
    this.#picks.skip();
    return bound.member;
  }

  /** Has the connection serve nobody but our downstream from now on. */
  #bind(member: Member): void {
    if (this.#private || this.#connection === undefined) return;
    this.#private = true;
    this.#affinity = this.#services.affinities.bind(this.#downstream.socket, member, this.#connection);
  }

  #send(): void {
    const { head } = this;
    const { rules } = this.#services;
    const connection = this.#connection;
    const member = this.#member;
    if (connection === undefined || member === undefined) return;
    const host = rules.changeOrigin || !head.hasHost ? member.settings.authority : head.host;
    const forwarding = forwardingFields(head, this.#downstream.hop, rules);
    connection.writer.begin(requestHead(head, host, forwarding), head.framing, head.contentLength);
    this.#phase = WAITING;
    this.#moved();
    if (head.framing === NONE) connection.writer.end('');
    else if (this.#asked) this.#sendAgain(connection);
    else {
      this.#asked = true;
      this.#downstream.readBody();
    }
  }

  /** Sends what an attempt before this one has had of the body, then goes on reading. */
  #sendAgain({ writer }: UpstreamConnection): void {
    this.#replay.writeTo(writer);
    if (this.#requestDone) writer.end(this.#trailers);
    else this.#downstream.resumeBody();
  }

  /** Waits for an upstream to have room, or for its turn on `bound`. Returns whether there is room to wait. */
  #wait(bound: Affinity | undefined): boolean {
    const { clock, events, queue, rules } = this.#services;
    if (bound?.busy === true) {
      // As long as it takes: on one connection requests are answered in their order.
      bound.follow(this);
      this.#awaited = bound;
      this.#phase = QUEUED;
      this.#deadline = Infinity;
      return true;
    }
    if (!queue.enter(this)) return false;
    const waitsStill = this.#phase === QUEUED && this.#waitsUntil < Infinity;
    if (!waitsStill) this.#waitsUntil = clock.now + rules.queueTimeoutMs;
    this.#phase = QUEUED;
    this.#deadline = this.#waitsUntil;
    if (!waitsStill && events.heard('queued')) events.tell('queued', { waiting: queue.length });
    return true;
  }

  #tunnel(head: ResponseHead): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    if (!this.#requestDone) {
      // The rest of the request body would be taken for the new protocol.
      this.#breakOff('UPGRADE_INVALID');
      return;
    }
    this.#phase = TUNNEL;
    this.#requestDone = false;
    this.#moved();
    connection.writer.begin('', UNTIL_CLOSE);
    this.#downstream.tunnel(head);
    this.#downstream.readBody();
  }

  /** Ends a failed attempt by our own doing. */
  #breakOff(code: ErrorCode): void {
    this.#connection?.destroy();
    this.#attemptFailed(code, undefined);
  }

  /** Tries again where that is safe and of use, answers or cuts elsewhere. The connection is destroyed already. */
  #attemptFailed(code: ErrorCode, cause: unknown): void {
    const { report } = this.#services;
    const member = this.#member;
    if (member === undefined) return;
    const begun = this.#phase === RELAYING || this.#phase === TUNNEL;
    const closedIdle = code === 'UPSTREAM_CLOSED' && (this.#connection?.uses ?? 0) > 1;
    const unsent = closedIdle && this.#connection?.writer.unsent === true;
    report(cause instanceof BalancerError ? cause : new BalancerError(code, undefined, { cause }), member.origin);
    const handshaking = !this.#picked && continuesHandshake(this.head);
    this.#settle(endingOf(code, closedIdle ? 'idle' : this.#stage), code);
    if (begun) this.#cut();
    // What answers a challenge of this connection is of no use on another one: the client has to begin anew.
    else if (handshaking) this.#answer(code);
    else if (this.#retries.afterFailure(member, code, closedIdle, unsent)) this.#tryAgain(member, code, undefined);
    else this.#answer(code);
  }

  /** Makes up for an attempt on `member` by another. */
  #tryAgain(member: Member, code: ErrorCode | undefined, status: number | undefined): void {
    const { events } = this.#services;
    member.retried();
    if (events.heard('retried')) {
      events.tell('retried', { upstream: member.shown, attempt: this.#picks.attempt, code, status });
    }
    this.#attempt();
    this.flushRequest();
  }

  /** Ends the attempt well, once the last byte has left. */
  #finish(): void {
    this.#downloadBlocked = !this.#downstream.flush();
    if (this.#downloadBlocked) return;
    const connection = this.#connection;
    const member = this.#member;
    if (this.#phase === TUNNEL && connection?.finished === false) return;
    if (connection !== undefined && member !== undefined) {
      if (this.#phase === TUNNEL || this.#bodyless || connection.writer.owes) connection.destroy();
      else if (this.#affinity !== undefined) this.#affinity.give(this.#services.clock.now);
      else if (this.#private) connection.destroy();
      else member.connections.give(connection, this.#services.clock.now);
    }
    this.#settle(SERVED, undefined);
    this.#rest().settled();
  }

  /** Answers the request ourselves. */
  #answer(code: ErrorCode): void {
    // Before a listener hears of it: what it changes may wake those who wait.
    this.#leaveQueue();
    this.#answerBy(answerTo(code, this.#services.events, this.head.method === 'HEAD'));
  }

  #answerBy(answer: Answer): void {
    try {
      this.#sendAnswer(answer);
    } catch (cause) {
      this.#downstreamFailed(cause);
    }
  }

  #sendAnswer({ head, body }: Answer): void {
    this.#phase = RELAYING;
    this.#downstream.respond(head, this.#requestDone);
    if (this.head.method !== 'HEAD') this.#downstream.data(body, 0, body.length, '');
    this.#downstream.end('');
    // What is left of the request is the front's to get rid of.
    this.#requestDone = this.#responseDone = true;
    this.#moved();
    this.#finish();
  }

  #cut(): void {
    const downstream = this.#rest();
    try {
      // What has begun is to be seen to have begun: an end without a byte would pass for that of an idle connection,
      // and clients send again what they sent on one of those.
      downstream.flush();
      downstream.cut();
    } catch (cause) {
      this.#reportFailure(cause);
    } finally {
      downstream.settled();
    }
  }

  /** The downstream's stream, which may be somebody else's, threw where nobody else would hear of it. */
  #downstreamFailed(cause: unknown): void {
    this.#reportFailure(cause);
    this.#connection?.destroy();
    this.#settle(OUR_OWN, 'INTERNAL_ERROR');
    this.#cut();
  }

  #reportFailure(cause: unknown): void {
    const { report } = this.#services;
    report(new BalancerError('INTERNAL_ERROR', 'a response could not be sent', { cause }), undefined);
  }

  /** Uncounts the attempt: the one place that does. */
  #settle(ending: Ending, error: ErrorCode | undefined): void {
    const { members, strategy, hearsSettled, clock, events, queue, report } = this.#services;
    const member = this.#member;
    if (member === undefined) return;
    const affinity = this.#affinity;
    this.#member = this.#connection = this.#affinity = undefined;
    const began = this.#startedAt;
    const now = clock.source.now();
    const well = error === undefined && this.#status !== undefined && !isBroken(this.#status);
    members.settle(member, ending, well, began, now, error);
    const heard = this.#picked && hearsSettled;
    if (heard || events.heard('settled')) {
      const outcome = { ok: ending.fault !== 'upstream', status: this.#status, durationMs: now - began, error };
      if (heard) runHook(strategy, 'settled', () => strategy.settled?.(member.shown, outcome), report);
      events.tell('settled', { upstream: member.shown, outcome });
    }
    affinity?.freed();
    queue.wake();
  }

  /** How far the attempt has come. */
  get #stage(): Ending['stage'] {
    if (this.#phase === CONNECTING) return 'connect';
    return this.#status === undefined ? 'head' : 'body';
  }

  /** Lets go of the exchange, and of its downstream, which is returned. */
  #rest(): Downstream {
    const downstream = this.#downstream;
    this.#leaveQueue();
    this.#downstream = NOWHERE;
    this.#phase = IDLE;
    this.#deadline = this.#expires = this.#waitsUntil = Infinity;
    this.#replay.clear();
    this.head.clear();
    return downstream;
  }

  #leaveQueue(): void {
    if (this.#phase !== QUEUED) return;
    if (this.#awaited === undefined) this.#services.queue.leave(this);
    else this.#awaited.leave(this);
    this.#awaited = undefined;
  }

  /** Something moved: the idle time starts anew. To wait for room, or a connect, has its own. */
  #moved(): void {
    const { rules, clock } = this.#services;
    let timeoutMs = rules.idleTimeoutMs;
    if (this.#phase === TUNNEL) timeoutMs = rules.tunnelIdleTimeoutMs;
    else if (this.#phase === WAITING && this.#requestDone) timeoutMs = rules.responseTimeoutMs;
    this.#deadline = clock.now + timeoutMs;
  }
}

type Phase = typeof IDLE | typeof QUEUED | typeof CONNECTING | typeof WAITING | typeof RELAYING | typeof TUNNEL;
const IDLE = 0;
/** All upstreams are at their limits. */
const QUEUED = 1;
const CONNECTING = 2;
/** The request is on its way, or sent; no final response head yet. */
const WAITING = 3;
const RELAYING = 4;
const TUNNEL = 5;

/** The response reached its end, or another attempt follows in place of it. */
const SERVED: Ending = { fault: 'none', stage: 'body' };
/** The downstream went away or sent what it may not, or we refused it: that says nothing of the upstream. */
const NOT_THE_UPSTREAM: Ending = { fault: 'downstream', stage: 'head' };

/** We failed, or what the embedder gave us. */
const OUR_OWN: Ending = { fault: 'own', stage: 'body' };

/** Whether a response of this status is that of a gateway whose own upstream fails: no better than no response. */
function isBroken(status: number): boolean {
  return status >= 502 && status <= 504;
}

/** Where the answer goes while there is no exchange: nothing is ever sent there. */
const NOWHERE: Downstream = {
  hop: { address: '', proto: 'http', trusted: false },
  socket: undefined,
  readBody: ignore,
  resumeBody: ignore,
  interim: ignore,
  respond: ignore,
  tunnel: ignore,
  data: ignore,
  end: ignore,
  flush: () => true,
  cut: ignore,
  settled: ignore,
};

function ignore(): void {
  // Nobody is there.
}
