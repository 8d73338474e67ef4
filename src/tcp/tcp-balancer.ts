/**
 * Composes the rooms into a balancer of raw connections, and closes it in order, as balancer.ts does for HTTP.
 */
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { random } from '../../strategies/random.ts';
import { BalancerError } from '../errors.ts';
import { type BalancerEvents, Events, type Listener } from '../events.ts';
import { Affinities } from '../exchange/affinity.ts';
import { Reports } from '../exchange/reports.ts';
import { DroppedConnections } from '../fronts/dropped-connections.ts';
import { Servers } from '../fronts/servers.ts';
import { Shutdown } from '../fronts/shutdown.ts';
import type { OnFault } from '../guard.ts';
import { Clock, systemRng, systemTime, tickFor } from '../loop/clock.ts';
import { GuardedTime, guardedRng } from '../loop/guarded-time.ts';
import { Turn } from '../loop/turn.ts';
import type { Meter, Metering, Traffic } from '../meter.ts';
import {
  checkListener, checkMeter, type CloseOptions, type DrainOptions, parseCloseOptions, parseDrainOptions,
  parseListenOptions,
} from '../options/calls.ts';
import type { ListenOptions } from '../options/listen.ts';
import type { BalancerSettings } from '../options/parse.ts';
import { parseTcpOptions, tcpChanges } from '../options/tcp.ts';
import type { PoolSettings } from '../options/pool.ts';
import type { TcpBalancerOptions, TcpConfigureOptions, TcpUpstreamOptions } from '../options/tcp-options.ts';
import type { BalancerPool } from '../pools/balancer-pool.ts';
import { Pools } from '../pools/pools.ts';
import { Routes } from '../pools/routes.ts';
import type { Upstream } from '../strategy.ts';
import { SocketEvents } from '../streams/socket-events.ts';
import { lack, Names, systemFind } from '../upstreams/names.ts';
import { TcpConnection } from './tcp-connection.ts';
import { TcpFront, type TcpTopology } from './tcp-front.ts';

/**
 * A balancer of raw connections (layer 4): see {@link createTcpBalancer}. What is not explained here is as in
 * `Balancer`; `strategy`, `upstreams`, `add`, `remove` and `update` are those of the pool `default`.
 */
export interface TcpBalancer {
  readonly pools: Readonly<Record<string, BalancerPool>>;
  readonly strategy: string;
  readonly upstreams: readonly Upstream[];
  /** Whether new connections should be sent here: true until `close` is called. */
  readonly ready: boolean;
  /** Listens. Can be called several times. Resolves with the address once it accepts connections. */
  listen(options: ListenOptions): Promise<AddressInfo | string>;
  /** Makes a server of yours listen, already wired to `accept`, and closes it with the balancer. */
  serve(server: Server, options: ListenOptions): Promise<AddressInfo | string>;
  /** Serves one connection that was accepted elsewhere, for example by a TLS server, which then ends TLS. */
  readonly accept: (socket: Socket) => void;
  add(upstream: string | TcpUpstreamOptions): Upstream;
  /** Gives an upstream no new connections. Resolves when it has none; those left after `timeoutMs` are reset. */
  remove(origin: string, options?: DrainOptions): Promise<void>;
  drain(origin: string): Promise<void>;
  activate(origin: string): void;
  setWeight(origin: string, weight: number | undefined): void;
  update(upstreams: readonly (string | TcpUpstreamOptions)[], options?: DrainOptions): Promise<void>;
  /** Changes pools and routes, as one change. Connections that are open stay where they are. */
  configure(options: TcpConfigureOptions, drain?: DrainOptions): Promise<void>;
  /**
   * Adds a listener for an event. An attempt is the connection to an upstream: `settled` tells of its end. `refused`: a
   * connection was reset, since there was no upstream for it. `finished`: a connection is over.
   */
  on<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): this;
  off<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): this;
  /** Has `meter` count every connection from now on: what `createMetrics` does. */
  meter(meter: Meter): Metering;
  /**
   * Makes `ready` false; after `delayMs` (default 0) stops listening, and leaves the open connections to their ends;
   * resets what is left `timeoutMs` (default 10,000) later. Resolves with the number of connections that were reset.
   */
  close(options?: CloseOptions): Promise<{ readonly cut: number }>;
}

/**
 * Creates a balancer of raw connections: each is relayed to one upstream, byte for byte, as long as it lives. Throws
 * OPTIONS_INVALID, with every problem of the options in one message.
 */
export function createTcpBalancer(options: TcpBalancerOptions): TcpBalancer {
  return new NodeTcpBalancer(parseTcpOptions(options));
}

class NodeTcpBalancer implements TcpBalancer {
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #reports: Reports;
  readonly #dropped: DroppedConnections;
  readonly #names: Names;
  readonly #pools: Pools;
  readonly #front: TcpFront;
  readonly #sockets = new SocketEvents();
  /** How often to sweep. */
  #tickMs: number;
  readonly #servers: Servers;
  readonly #shutdown: Shutdown;

  constructor(settings: BalancerSettings) {
    const { front } = settings;
    const time = front.time === undefined ? systemTime : new GuardedTime(front.time, this.#onHookFault);
    this.#reports = new Reports(front.onReport, () => time.now());
    this.#clock = new Clock(time);
    this.#events = new Events((event, what, cause) => {
      this.#onHookFault(`a listener for '${event}' ${what}`, cause);
    });
    this.#dropped = new DroppedConnections(lack, (error) => {
      this.#report(error, undefined);
    });
    this.#servers = new Servers((error) => {
      this.#report(error, undefined);
    });
    this.#names = new Names(systemFind, () => this.#clock.source.now());
    const services = {
      clock: this.#clock,
      turn: new Turn(),
      events: this.#events,
      affinities: new Affinities(),
      report: (error: BalancerError, upstream: string | undefined) => {
        this.#report(error, upstream);
      },
    };
    this.#tickMs = tickMs(settings.front.headTimeoutMs, settings.pools.values());
    this.#pools = new Pools(settings, services, {
      names: this.#names,
      adopted: new WeakSet(),
      rng: front.rng === undefined ? systemRng : guardedRng(front.rng, this.#onHookFault),
      tickMs: () => this.#tickMs,
      strategy: random,
      stillOpen: () => {
        this.#stillOpen();
      },
      onPlan: (pools) => {
        this.#tick(tickMs(front.headTimeoutMs, pools));
      },
      onSwap: () => {
        this.#front.topology = this.#topology();
      },
    });
    this.#front = new TcpFront(services, front, this.#topology(), () => {
      this.#shutdown.empty();
    });
    this.#shutdown = new Shutdown({
      time: this.#clock.source,
      downstreams: this.#front.downstreams,
      stopAccepting: (now, cutAt) => this.#stopAccepting(now, cutAt),
      cut: () => this.#cut(),
      finish: () => this.#finish(),
    });
    this.#pools.start();
    try {
      this.#startClock();
    } catch (cause) {
      // No balancer is created: it must leave no timer and no seat on a channel behind.
      this.#pools.stop();
      throw cause;
    }
  }

  get strategy(): string {
    return this.#pools.default('strategy').strategy;
  }

  get upstreams(): readonly Upstream[] {
    return this.#pools.default('upstreams').upstreams;
  }

  get pools(): Readonly<Record<string, BalancerPool>> {
    return this.#pools.shown;
  }

  async listen(options: ListenOptions): Promise<AddressInfo | string> {
    const where = parseListenOptions(options);
    if (!this.ready) throw new BalancerError('CLOSING');
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#serve(socket, true);
    });
    return await this.#servers.listen(server, where);
  }

  async serve(server: Server, options: ListenOptions): Promise<AddressInfo | string> {
    const where = parseListenOptions(options, 'serve');
    if (!this.ready) throw new BalancerError('CLOSING');
    return await this.#servers.serve(server, where);
  }

  readonly accept = (socket: Socket): void => {
    // A stream that is not a socket may not have it.
    (socket as Partial<Socket>).setNoDelay?.(true);
    socket.allowHalfOpen = true;
    this.#serve(socket, false);
  };

  add(upstream: string | TcpUpstreamOptions): Upstream {
    return this.#pools.default('add').add(upstream);
  }

  async remove(origin: string, options?: DrainOptions): Promise<void> {
    await this.#pools.default('remove').remove(origin, options);
  }

  async drain(origin: string): Promise<void> {
    await this.#pools.default('drain').drain(origin);
  }

  activate(origin: string): void {
    this.#pools.default('activate').activate(origin);
  }

  setWeight(origin: string, weight: number | undefined): void {
    this.#pools.default('setWeight').setWeight(origin, weight);
  }

  async update(upstreams: readonly (string | TcpUpstreamOptions)[], options?: DrainOptions): Promise<void> {
    await this.#pools.default('update').update(upstreams, options);
  }

  async configure(options: TcpConfigureOptions, drain?: DrainOptions): Promise<void> {
    const { timeoutMs } = parseDrainOptions(drain, 'configure');
    await this.#pools.configure(tcpChanges(options), timeoutMs);
  }

  on<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): this {
    checkListener(event, listener, 'on');
    this.#events.on(event, listener);
    return this;
  }

  off<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): this {
    checkListener(event, listener, 'off');
    this.#events.off(event, listener);
    return this;
  }

  meter(meter: Meter): Metering {
    checkMeter(meter);
    return { traffic: () => this.#traffic(), stop: this.#events.meters.add(meter) };
  }

  get ready(): boolean {
    return !this.#shutdown.isAsked;
  }

  async close(options?: CloseOptions): Promise<{ cut: number }> {
    const { timeoutMs, delayMs } = parseCloseOptions(options);
    return await this.#shutdown.close(timeoutMs, delayMs);
  }

  async #finish(): Promise<void> {
    await this.#pools.close();
    this.#clock.stop();
    this.#pools.stop();
  }

  /** Stops listening. Connections that are open go on to their ends. */
  #stopAccepting(now: number, cutAt: number): Promise<unknown> {
    this.#pools.finishUpdates();
    this.#front.closing = true;
    return this.#servers.close(Math.min(now + IDLE_GRACE_MS, cutAt));
  }

  #cut(): number {
    return this.#front.downstreams.cut() + this.#servers.cut();
  }

  /** Throws CLOSING once accepting has stopped: upstreams added later would never be drained. */
  #stillOpen(): void {
    if (this.#front.closing) throw new BalancerError('CLOSING');
  }

  /**
   * Serves a connection; `own` where nothing else reads from it. One that is already closed would never emit 'close'.
   * During a close, only one that was accepted before, and whose TLS handshake has just ended.
   */
  #serve(socket: Socket, own: boolean): void {
    const welcome = !this.#front.closing || this.#servers.accepted(socket);
    if (!welcome || socket.destroyed) {
      try {
        socket.destroy();
      } catch (cause) {
        this.#failedInside('a downstream connection could not be closed', cause);
      }
      return;
    }
    if (own) this.#sockets.take(socket);
    const fault = this.#sockets.listen(socket);
    const connection = new TcpConnection(this.#front, socket);
    if (fault === undefined) connection.start();
    else connection.sinkFailed(fault.cause);
  }

  #traffic(): Traffic {
    const { connections: openConnections, accepted: connections, received, sent } = this.#front;
    const queued = Object.fromEntries([...this.#pools.byName].map(([name, { queue }]) => [name, queue.length]));
    return { openConnections, connections, receivedBytes: received, sentBytes: sent, queued };
  }

  /** Where connections go from now on. */
  #topology(): TcpTopology {
    const { first, byName: pools, routes } = this.#pools;
    return {
      first, pools, routes: routes && new Routes(routes), needsNames: routes?.some(({ host }) => host !== '') === true,
    };
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
    this.#shutdown.stopWhenDue(now);
    if (pausedMs > 0) this.#pools.paused(pausedMs);
    for (const part of [this.#front.downstreams, this.#servers, this.#names, ...this.#pools.parts]) {
      // If one fails, the others must still be swept.
      try {
        part.sweep(now);
      } catch (cause) {
        this.#failedInside('a part of the balancer failed in its sweep', cause);
      }
    }
    this.#dropped.sweep(now, this.#front.downstreams.size);
    this.#shutdown.cutWhenDue(now);
  }

  /** Reports the failure of a function that was passed as an option or to `on`. */
  readonly #onHookFault: OnFault = (what, cause) => {
    this.#report(new BalancerError('HOOK_FAILED', what, { cause }), undefined);
  };

  #failedInside(what: string, cause: unknown): void {
    this.#report(new BalancerError('INTERNAL_ERROR', what, { cause }), undefined);
  }

  #report(error: BalancerError, upstream: string | undefined): void {
    if (error.code === 'RESOURCES_EXHAUSTED') this.#dropped.suspect();
    this.#reports.tell(error, upstream);
  }
}

/** How often to check deadlines, by the shortest timeout of the options. */
function tickMs(helloTimeoutMs: number, pools: Iterable<PoolSettings>): number {
  let shortest = helloTimeoutMs;
  for (const pool of pools) {
    const { connectTimeoutMs, queueTimeoutMs, tunnelIdleTimeoutMs, ejectMs } = pool;
    shortest = Math.min(shortest, connectTimeoutMs, queueTimeoutMs, tunnelIdleTimeoutMs, ejectMs);
  }
  return tickFor(shortest);
}

/** How long connections may take that are in the middle of a TLS handshake when the balancer closes. */
const IDLE_GRACE_MS = 200;
