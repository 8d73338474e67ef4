/**
 * What a balancer stands on, whatever it balances: time, events, reports, pools, servers, and its end in order.
 * `balancer.ts` adds the ways in for HTTP, `tcp/tcp-balancer.ts` those for raw connections.
 */
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { BalancerError } from '../errors.ts';
import { type BalancerEvents, Events, type Listener } from '../events.ts';
import { Reports } from '../exchange/reports.ts';
import type { OnFault } from '../guard.ts';
import { Clock, systemRng, systemTime, tickFor } from '../loop/clock.ts';
import { GuardedTime, guardedRng } from '../loop/guarded-time.ts';
import { Turn } from '../loop/turn.ts';
import type { Meter, Metering, Traffic } from '../meter.ts';
import {
  checkListener, checkMeter, type CloseOptions, parseCloseOptions, parseListenOptions,
} from '../options/calls.ts';
import type { FrontSettings } from '../options/front.ts';
import type { ListenOptions } from '../options/listen.ts';
import type { BalancerSettings } from '../options/parse.ts';
import type { PoolSettings } from '../options/pool.ts';
import { Pools } from '../pools/pools.ts';
import type { Services } from '../pools/services.ts';
import type { Strategy } from '../strategy.ts';
import { lack, Names, systemFind } from '../upstreams/names.ts';
import type { Downstreams } from './downstreams.ts';
import { DroppedConnections } from './dropped-connections.ts';
import type { Http2Sessions } from './http2-sessions.ts';
import { Servers } from './servers.ts';
import { Shutdown } from './shutdown.ts';

/** What a balancer adds. */
export interface WaysIn {
  readonly front: {
    readonly downstreams: Downstreams;
    /** Where HTTP/2 is served. */
    readonly sessions?: Http2Sessions;
    /** Whether the balancer is closing. */
    closing: boolean;
  };
  /** What has deadlines, besides downstreams. */
  readonly parts: readonly { sweep(now: number): void }[];
  /** From now on, what comes in goes by what the pools say. */
  swap(): void;
  /** What it carries and has carried. */
  traffic(): Omit<Traffic, 'queued'>;
  /** Accepting has stopped: what is idle leaves at `idleAt`. */
  leave(idleAt: number): void;
  /** Cuts what is not a downstream. */
  cut(): void;
}

/** What the kinds of balancers differ in. */
export interface FoundationMeans<W extends WaysIn> {
  /** Makes the strategy of a pool that was given none. */
  readonly strategy: () => Strategy;
  /** The shortest of the timeouts: deadlines are checked accordingly. */
  readonly shortestMs: (front: FrontSettings, pools: Iterable<PoolSettings>) => number;
  /** Opens the ways in. Nothing comes in before it has returned. */
  readonly open: (foundation: Foundation<W>) => W;
}

export class Foundation<W extends WaysIn> {
  readonly services: Services;
  readonly pools: Pools;
  readonly ways: W;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #reports: Reports;
  readonly #dropped: DroppedConnections;
  readonly #names: Names;
  readonly #servers: Servers;
  readonly #shutdown: Shutdown;
  /** How often to sweep. */
  #tickMs: number;

  /** Throws OPTIONS_INVALID if a pool cannot join its channel, or the source of time fails: nothing is left then. */
  constructor(settings: BalancerSettings, { strategy, shortestMs, open }: FoundationMeans<W>) {
    const { front } = settings;
    const time = front.time === undefined ? systemTime : new GuardedTime(front.time, this.hookFailed);
    this.#reports = new Reports(front.onReport, () => time.now());
    this.#clock = new Clock(time);
    this.#events = new Events((event, what, cause) => {
      this.hookFailed(`a listener for '${event}' ${what}`, cause);
    });
    this.#dropped = new DroppedConnections(lack, (error) => {
      this.#report(error, undefined);
    });
    this.#names = new Names(systemFind, () => this.#clock.source.now());
    this.services = {
      clock: this.#clock,
      turn: new Turn(),
      events: this.#events,
      report: (error, upstream, requestId) => {
        this.#report(error, upstream, requestId);
      },
    };
    this.#tickMs = tickFor(shortestMs(front, settings.pools.values()));
    this.pools = new Pools(settings, this.services, {
      names: this.#names,
      adopted: new WeakSet(),
      rng: front.rng === undefined ? systemRng : guardedRng(front.rng, this.hookFailed),
      tickMs: () => this.#tickMs,
      strategy,
      stillOpen: () => {
        this.#stillOpen();
      },
      onPlan: (pools) => {
        this.#tick(tickFor(shortestMs(front, pools)));
      },
      onSwap: () => {
        this.ways.swap();
      },
    });
    this.ways = open(this);
    this.#servers = new Servers((error) => {
      this.#report(error, undefined);
    }, this.ways.front.sessions);
    this.#shutdown = new Shutdown({
      time: this.#clock.source,
      downstreams: this.ways.front.downstreams,
      stopAccepting: (now, cutAt) => this.#stopAccepting(now, cutAt),
      cut: () => this.#cut(),
      finish: () => this.#finish(),
    });
    this.pools.start();
    try {
      this.#startClock();
    } catch (cause) {
      // No balancer is created: it must leave no timer and no seat on a channel behind.
      this.pools.stop();
      throw cause;
    }
  }

  /** As `balancer.ready`. */
  get ready(): boolean {
    return !this.#shutdown.isAsked;
  }

  /** As `balancer.listen`: passes each connection that may come in to `serve`. */
  async listen(options: ListenOptions, serve: (socket: Socket) => void): Promise<AddressInfo | string> {
    const where = parseListenOptions(options);
    if (!this.ready) throw new BalancerError('CLOSING');
    // Half-open, so that one direction can end before the other.
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      if (this.welcomes(socket)) serve(socket);
    });
    return await this.#servers.listen(server, where);
  }

  /** As `balancer.serve`. */
  async serve(server: Server, options: ListenOptions): Promise<AddressInfo | string> {
    const where = parseListenOptions(options, 'serve');
    if (!this.ready) throw new BalancerError('CLOSING');
    return await this.#servers.serve(server, where);
  }

  /**
   * Whether to serve a connection. One that is already closed would never emit 'close'. During a close, only one that
   * was accepted before: its TLS handshake has just ended, and its request is on its way.
   */
  welcomes(socket: Socket): boolean {
    const welcome = !this.ways.front.closing || this.#servers.accepted(socket);
    if (welcome && !socket.destroyed) return true;
    try {
      socket.destroy();
    } catch (cause) {
      this.#failedInside('a downstream connection could not be closed', cause);
    }
    return false;
  }

  /** The last downstream is gone. */
  empty(): void {
    this.#shutdown.empty();
  }

  /** As `balancer.on`. */
  on<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): void {
    checkListener(event, listener, 'on');
    this.#events.on(event, listener);
  }

  /** As `balancer.off`. */
  off<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): void {
    checkListener(event, listener, 'off');
    this.#events.off(event, listener);
  }

  /** As `balancer.meter`. */
  meter(meter: Meter): Metering {
    checkMeter(meter);
    return { traffic: () => this.#traffic(), stop: this.#events.meters.add(meter) };
  }

  /** As `balancer.close`. */
  async close(options?: CloseOptions): Promise<{ cut: number }> {
    const { timeoutMs, delayMs } = parseCloseOptions(options);
    return await this.#shutdown.close(timeoutMs, delayMs);
  }

  /** Reports the failure of a function that was passed as an option or to `on`. */
  readonly hookFailed: OnFault = (what, cause) => {
    this.#report(new BalancerError('HOOK_FAILED', what, { cause }), undefined);
  };

  /** Stops listening, and lets downstreams leave that have nothing in flight. */
  #stopAccepting(now: number, cutAt: number): Promise<unknown> {
    this.pools.finishUpdates();
    this.ways.front.closing = true;
    const idleAt = Math.min(now + IDLE_GRACE_MS, cutAt);
    const servers = this.#servers.close(idleAt);
    this.ways.leave(idleAt);
    return servers;
  }

  #cut(): number {
    const cut = this.ways.front.downstreams.cut() + this.#servers.cut();
    this.ways.cut();
    return cut;
  }

  async #finish(): Promise<void> {
    await this.pools.close();
    this.#clock.stop();
    this.pools.stop();
  }

  /** Throws CLOSING once accepting has stopped: upstreams added later would never be drained. */
  #stillOpen(): void {
    if (this.ways.front.closing) throw new BalancerError('CLOSING');
  }

  #traffic(): Traffic {
    const queued = Object.fromEntries([...this.pools.byName].map(([name, { queue }]) => [name, queue.length]));
    return { ...this.ways.traffic(), queued };
  }

  /** Sweeps every so many milliseconds from now on. Throws OPTIONS_INVALID if the source of time fails. */
  #tick(ms: number): void {
    if (ms === this.#tickMs) return;
    const before = this.#tickMs;
    this.#tickMs = ms;
    try {
      this.#startClock();
    } catch (cause) {
      this.#tickMs = before;
      throw cause;
    }
  }

  #startClock(): void {
    this.#clock.start(this.#tickMs, (now, pausedMs) => {
      this.#sweep(now, pausedMs);
    });
  }

  #sweep(now: number, pausedMs: number): void {
    const { front: { downstreams }, parts } = this.ways;
    this.#shutdown.stopWhenDue(now);
    if (pausedMs > 0) this.pools.paused(pausedMs);
    for (const part of [downstreams, this.#servers, ...parts, this.#names, ...this.pools.parts]) {
      // If one fails, the others must still be swept.
      try {
        part.sweep(now);
      } catch (cause) {
        this.#failedInside('a part of the balancer failed in its sweep', cause);
      }
    }
    this.#dropped.sweep(now, downstreams.size);
    this.#shutdown.cutWhenDue(now);
  }

  #failedInside(what: string, cause: unknown): void {
    this.#report(new BalancerError('INTERNAL_ERROR', what, { cause }), undefined);
  }

  #report(error: BalancerError, upstream: string | undefined, requestId?: string): void {
    if (error.code === 'RESOURCES_EXHAUSTED') this.#dropped.suspect();
    this.#reports.tell(error, upstream, requestId);
  }
}

/** How long idle connections stay open during a close: a request already on its way is answered, not reset. */
export const IDLE_GRACE_MS = 200;
