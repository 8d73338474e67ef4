/**
 * One attempt: an exchange's try on one upstream, from the count of its pick to its settling.
 */
import type { Ending, ErrorCode } from '../errors.ts';
import type { RequestHead } from '../http1/request.ts';
import { requestHead } from '../http1/serialise.ts';
import { describeSocket } from '../proxy-protocol/of-socket.ts';
import { formatProxyHeader } from '../proxy-protocol/parse.ts';
import type { Answered, Strategy, Upstream } from '../strategy.ts';
import type { Pool } from '../pools/pool.ts';
import { runHook } from '../pools/plugin.ts';
import type { Services } from '../pools/services.ts';
import type { ShadowPick } from '../pools/shadow.ts';
import type { UpstreamConnection } from '../upstreams/connection.ts';
import type { ManagedUpstream } from '../upstreams/managed-upstream.ts';
import type { Affinity } from './affinity.ts';
import type { DownstreamSocket } from './downstream-socket.ts';
import type { Noted } from './decision.ts';
import type { Downstream } from './downstream.ts';
import type { LeftByPick } from './picks.ts';
import { named } from './request-id.ts';
import type { ExchangeServices } from './services.ts';
import { type Trace, TracedAttempt } from './trace.ts';

/** What names the exchange in events: its request head, with an id or `''`. */
interface Identified {
  readonly id: string;
}

/** For whom a connection is. */
export type Client = Pick<Downstream, 'socket' | 'peer'>;

/** What an attempt needs of what exchanges share. */
export type AttemptServices = Services & Pick<ExchangeServices, 'affinities'>;

/** One attempt at a time. It is used again for the next attempt, and for the next exchange. */
export class Attempt {
  /** Undefined between attempts, as are the connection and the status. */
  upstream: ManagedUpstream | undefined;
  connection: UpstreamConnection | undefined;
  /** The upstream of the last attempt of the exchange, for its hooks. */
  last: Upstream | undefined;
  /** The status of the response, once its head is there. */
  status: number | undefined;
  /** How long its response head took. */
  latencyMs = 0;
  /** What tracers see of it; undefined where nobody traces. */
  trace: TracedAttempt | undefined;
  /** Whether the strategy picked the upstream, and so hears how the attempt ends. */
  picked = true;
  /** Where it is noted how the attempt ends, if anybody wants to know. */
  noted: Noted | undefined;
  /** What the strategy in the shadow would have picked, if there is one. */
  #shadowed: ShadowPick | undefined;
  readonly #services: AttemptServices;
  readonly #head: Identified;
  #pool: Pool;
  /** The strategy that picked: the pool may have another one when the attempt settles. */
  #strategy: Strategy;
  #hearsSettled = false;
  #hearsAnswered = false;
  /** What the strategy left with the pick. */
  #note: unknown;
  /** Header lines of the strategy for the response, if this attempt brings it. */
  lines = '';
  #opened = false;
  #startedAt = 0;
  /** What ties the connection to that of the downstream, if anything does. */
  #affinity: Affinity | undefined;
  /** Whether the connection is authenticated, or about to be, and so must not serve another downstream. */
  #private = false;
  /** Whether the connection began with a PROXY header, and the downstream connection that it belongs to, if any. */
  #proxied = false;
  #owner: DownstreamSocket | undefined;

  /** `head` is that of each request in turn. */
  constructor(services: AttemptServices, pool: Pool, head: Identified) {
    this.#services = services;
    this.#head = head;
    this.#pool = pool;
    this.#strategy = pool.strategy;
  }

  /**
   * Begins on `upstream` of `pool`, and counts it; `picked` by the strategy, with what that left, or given by an
   * affinity. `shadowed`: what the strategy in the shadow would have picked, if it was asked.
   */
  begin(
    pool: Pool, upstream: ManagedUpstream, picked: boolean, { note, lines }: LeftByPick, shadowed?: ShadowPick,
  ): void {
    pool.upstreams.begin(upstream);
    this.#pool = pool;
    this.#strategy = pool.strategy;
    this.#hearsSettled = pool.traits.hearsSettled;
    this.#hearsAnswered = pool.traits.hearsAnswered;
    this.#note = note;
    this.lines = lines;
    this.upstream = upstream;
    this.last = upstream.shown;
    this.picked = picked;
    this.status = undefined;
    this.noted = undefined;
    this.#shadowed = shadowed;
    this.#opened = false;
    this.#startedAt = this.#services.clock.source.now();
    this.#affinity = undefined;
    this.#private = this.#proxied = false;
    this.#owner = undefined;
  }

  /** Tells tracers that it has begun: it is the `number`th of its exchange, or sends a copy of the request. */
  traceBy(trace: Trace, head: RequestHead, number: number, mirror: boolean): void {
    const { upstream } = this;
    if (upstream === undefined) return;
    const host = sentHost(head, upstream, this.#pool.rules.changeOrigin);
    this.trace = new TracedAttempt(trace, {
      number, mirror, pool: this.#pool.name, upstream: upstream.shown, head, host,
    });
    this.trace.started();
  }

  /** Takes a connection; a `fresh` one where an idle one has just turned out to be closed. Throws CONNECT_UNUSABLE. */
  connect(upstream: ManagedUpstream, fresh: boolean, downstream: Client): UpstreamConnection {
    const { now } = this.#services.clock;
    const { proxyProtocol } = this.#pool.rules;
    if (proxyProtocol === 0) return this.connection = upstream.connections.take(fresh, now);
    this.#proxied = true;
    this.#owner = downstream.socket;
    const kept = fresh ? undefined : this.#services.affinities.owned.take(downstream.socket, upstream);
    const header = (): string => formatProxyHeader(describeSocket(downstream.peer, proxyProtocol)).toString('latin1');
    return this.connection = kept ?? upstream.connections.dial(now, header());
  }

  /** Takes the connection that belongs to the downstream's. */
  connectBound(bound: Affinity): UpstreamConnection {
    this.connection = bound.take();
    this.#affinity = bound;
    this.#private = true;
    return this.connection;
  }

  /** Has the connection serve only this downstream connection from now on. */
  bind(downstream: DownstreamSocket | undefined): void {
    const { upstream, connection } = this;
    if (this.#private || upstream === undefined || connection === undefined) return;
    this.#private = true;
    this.#affinity = this.#services.affinities.bind(downstream, this.#pool, upstream, connection);
  }

  /** The head of the final response is there. */
  responded(head: Pick<Answered, 'status' | 'header'>): void {
    const { upstream } = this;
    if (upstream === undefined) return;
    const { status } = head;
    this.status = status;
    const now = this.#services.clock.source.now();
    this.latencyMs = now - this.#startedAt;
    this.#services.events.meters.current?.answered(this.#pool.name, upstream.shown, this.latencyMs);
    // Only attempts that a strategy sent there can readmit an upstream that is ejected.
    if (this.picked || upstream.listed) {
      this.#pool.upstreams.answered(upstream, this.#startedAt, now, isBroken(status), status);
    } else upstream.answered(this.latencyMs);
    upstream.reported?.heard(head, now);
    if (this.picked && this.#hearsAnswered) this.#tellAnswered(head, upstream.shown, now);
    const shadowed = this.#shadowed;
    if (shadowed !== undefined) shadowed.shadow.answered(shadowed, head, this.latencyMs, now);
  }

  #tellAnswered(head: Pick<Answered, 'status' | 'header'>, upstream: Upstream, now: number): void {
    const strategy = this.#strategy;
    const answered: Answered = {
      status: head.status, latencyMs: this.latencyMs, now, note: this.#note,
      header: (name) => head.header(name),
    };
    runHook(strategy, 'answered', () => strategy.answered?.(upstream, answered), this.#services.report);
  }

  /** The head of the request as this attempt sends it; `forwarding` are lines of our own. */
  requestHead(head: RequestHead, forwarding: string): string {
    const { upstream, trace } = this;
    if (upstream === undefined) return '';
    const host = sentHost(head, upstream, this.#pool.rules.changeOrigin);
    return trace === undefined ? requestHead(head, host, forwarding) : trace.requestHead(host, forwarding);
  }

  /** Layer 4: the upstream has taken the connection, which is all the answer that there is. */
  opened(): void {
    const { upstream } = this;
    if (upstream === undefined) return;
    this.#opened = true;
    const { clock, events } = this.#services;
    const now = clock.source.now();
    events.meters.current?.answered(this.#pool.name, upstream.shown, now - this.#startedAt);
    this.#pool.upstreams.answered(upstream, this.#startedAt, now, false);
  }

  /** Gives the connection back after a whole response; where it is not `reusable`, closes it. */
  release(reusable: boolean): void {
    const { upstream, connection } = this;
    if (upstream === undefined || connection === undefined) return;
    const { now } = this.#services.clock;
    if (!reusable) connection.destroy();
    else if (this.#affinity !== undefined) this.#affinity.give(now);
    else if (this.#private) connection.destroy();
    else if (this.#proxied) this.#services.affinities.owned.give(this.#owner, upstream, connection, now);
    else upstream.connections.give(connection, now);
  }

  /** Ends the attempt and uncounts it: the one place that does. `error` is what ended it, if an error did. */
  settle(ending: Ending, error: ErrorCode | undefined): void {
    const { upstream } = this;
    if (upstream === undefined) return;
    const { clock, events, report } = this.#services;
    const { name: pool, upstreams, queue } = this.#pool;
    const strategy = this.#strategy;
    const affinity = this.#affinity;
    const note = this.#note;
    const { status, trace } = this;
    const shadowed = this.#shadowed;
    this.upstream = this.connection = this.trace = this.#affinity = this.#owner = this.#note = undefined;
    this.#shadowed = undefined;
    this.lines = '';
    const began = this.#startedAt;
    const now = clock.source.now();
    const good = this.#opened || (this.status !== undefined && !isBroken(this.status));
    const well = error === undefined && good;
    upstreams.settle(upstream, ending, well, began, now, error);
    this.noted?.settled(this.status, error, now - began);
    events.meters.current?.attempt(pool, upstream.shown, status, error);
    const heard = this.picked && this.#hearsSettled;
    if (heard || events.heard('settled')) {
      const outcome = { ok: ending.fault !== 'upstream', status, durationMs: now - began, error, now, note };
      if (heard) runHook(strategy, 'settled', () => strategy.settled?.(upstream.shown, outcome), report);
      events.tell('settled', { pool, upstream: upstream.shown, outcome, ...named(this.#head) });
    }
    if (shadowed !== undefined) shadowed.shadow.settled(shadowed, ending, status, error, now - began, now);
    trace?.settled(this.status, error);
    affinity?.freed();
    queue.wake();
  }
}

/** The Host to send to an upstream: a hook's, the downstream's, or that of the upstream. */
function sentHost(head: RequestHead, { settings }: ManagedUpstream, changeOrigin: boolean): string {
  return head.revisedHost ?? (changeOrigin || !head.hasHost ? settings.authority : head.host);
}

/** Whether a response of this status is that of a gateway whose own upstream fails: no better than no response. */
function isBroken(status: number): boolean {
  return status >= 502 && status <= 504;
}
