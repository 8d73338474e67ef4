/**
 * Composes the rooms into a balancer, and closes it in order. It is long because half of it documents the interface.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { random } from '../strategies/random.ts';
import {
  checkListener, checkMeter, type CloseOptions, type DrainOptions, type HandleOptions, parseCloseOptions,
  parseDrainOptions, parseListenOptions,
} from './options/calls.ts';
import { BalancerError } from './errors.ts';
import { type BalancerEvents, Events, type Listener } from './events.ts';
import { Affinities } from './exchange/affinity.ts';
import { Sampler } from './exchange/decision.ts';
import { HookCalls } from './exchange/hooks/hook-calls.ts';
import { Mirrors } from './exchange/mirrors.ts';
import { Reports } from './exchange/reports.ts';
import { Routing } from './exchange/routing.ts';
import type { ExchangeServices, Topology } from './exchange/services.ts';
import { DroppedConnections } from './fronts/dropped-connections.ts';
import { Front } from './fronts/front.ts';
import { DownstreamRequest } from './fronts/request.ts';
import { Servers } from './fronts/servers.ts';
import { Shutdown } from './fronts/shutdown.ts';
import { DownstreamSockets } from './fronts/sockets.ts';
import { Upgrades } from './fronts/upgrades.ts';
import { guardedValue, type OnFault } from './guard.ts';
import type { Meter, Metering, Traffic } from './meter.ts';
import { Clock, systemRng, systemTime, tickFor } from './loop/clock.ts';
import { GuardedTime, guardedRng } from './loop/guarded-time.ts';
import { Turn } from './loop/turn.ts';
import type { ConfigureOptions } from './options/changes.ts';
import type { FrontSettings } from './options/front.ts';
import type { ListenOptions } from './options/listen.ts';
import type { BalancerOptions, UpstreamOptions } from './options/options.ts';
import { type BalancerSettings, parseOptions } from './options/parse.ts';
import { Pools } from './pools/pools.ts';
import type { PoolSettings } from './options/pool.ts';
import type { BalancerPool } from './pools/balancer-pool.ts';
import type { Services } from './pools/services.ts';
import type { Upstream } from './strategy.ts';
import { lack, Names, systemFind } from './upstreams/names.ts';

/** See {@link Balancer.handle}. */
type Handle = (
  request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse,
  options?: HandleOptions | ((error?: unknown) => void),
) => void;

/** See {@link Balancer.upgrade}. */
type Upgrade = (
  request: IncomingMessage | Http2ServerRequest, socket: Duplex | Http2ServerResponse, head?: Buffer,
) => void;

/**
 * A load balancer: see {@link createBalancer}. `strategy`, `upstreams`, `add`, `remove`, `drain`, `activate`,
 * `setWeight` and `update` are those of the pool `default`; where there is none, they throw (or reject with)
 * OPTIONS_INVALID.
 */
export interface Balancer {
  /** The pools by their names. An object without a prototype; it never changes: `configure` replaces it. */
  readonly pools: Readonly<Record<string, BalancerPool>>;
  /** The name of the strategy that picks. */
  readonly strategy: string;
  /** All current upstreams, draining ones last. */
  readonly upstreams: readonly Upstream[];
  /**
   * Whether new requests should be sent here: true until `close` is called. For a readiness probe. It does not depend
   * on the upstreams: if they are down for all balancers, taking the balancers out of service does not help.
   */
  readonly ready: boolean;
  /**
   * Listens, on the fast path. Can be called several times. Resolves with the address once it accepts connections;
   * rejects with the system's error, OPTIONS_INVALID, or CLOSING once `close` was called.
   */
  listen(options: ListenOptions): Promise<AddressInfo | string>;
  /**
   * Makes a server of yours listen, and closes it with the balancer: of `node:net`, `node:tls`, `node:http`,
   * `node:https` or `node:http2`, already wired to `accept` or `handle`. Settles as `listen` does. At `close` it stops
   * accepting and finishes what is in flight, requests of your own listeners included; idle connections and HTTP/2
   * sessions go, and what is left at the deadline is cut.
   */
  serve(server: Server, options: ListenOptions): Promise<AddressInfo | string>;
  /** Serves one connection that was accepted elsewhere, by a TLS server for example. */
  readonly accept: (socket: Socket) => void;
  /**
   * A request listener for `node:http`, `node:https` and the compat API of `node:http2`; also Express middleware, whose
   * `next` is ignored. `body` replaces a body that a parser has read; `state` becomes `exchange.state` for hooks.
   */
  readonly handle: Handle;
  /**
   * An 'upgrade' listener for `node:http` and `node:https`. It tunnels WebSocket handshakes, and the protocols that
   * `upgradeProtocols` names; any other request goes back to the server's 'request' listeners, as if it had not asked
   * for an upgrade. Also a 'connect' listener for a `node:http2` server that has `enableConnectProtocol` among its
   * `settings`: it tunnels the same protocols over HTTP/2 (RFC 8441), and refuses any other CONNECT. Tunnels bypass
   * middleware: authorise requests before you call it.
   */
  readonly upgrade: Upgrade;
  /** Adds an upstream at once. Throws OPTIONS_INVALID, or CLOSING once a `close` is past its delay. */
  add(upstream: string | UpstreamOptions): Upstream;
  /**
   * Gives an upstream no new work. Resolves when what it has in flight has ended, or was cut after `timeoutMs`
   * (default: no limit). Rejects with OPTIONS_INVALID.
   */
  remove(origin: string, options?: DrainOptions): Promise<void>;
  /**
   * Takes an upstream out of service: it stays listed, as `draining` and then `drained`, and gets no new work until it
   * is activated, whatever `update` and `configure` change. Resolves when it has nothing in flight, or is activated or
   * removed. Rejects with OPTIONS_INVALID.
   */
  drain(origin: string): Promise<void>;
  /** Takes a drained upstream back into service. Throws OPTIONS_INVALID. */
  activate(origin: string): void;
  /**
   * Sets the weight of an upstream. It holds until `update` or `configure` brings another weight for it than the one it
   * was configured with, or until `undefined` is set: the configured weight again. Throws OPTIONS_INVALID.
   */
  setWeight(origin: string, weight: number | undefined): void;
  /**
   * Makes these the upstreams, as one change: adds new ones, drains those that are not listed, as `remove` does, and
   * gives the others their new options; they keep their counts and connections. A list of more than 500 is processed in
   * slices, between which requests are served; reading `upstreams`, or calling `add` and the like, completes the update
   * at once. Resolves when the drained upstreams are gone. Rejects with OPTIONS_INVALID, or CLOSING once a `close` is
   * past its delay; nothing has changed then.
   */
  update(upstreams: readonly (string | UpstreamOptions)[], options?: DrainOptions): Promise<void>;
  /**
   * Changes pools, routes and hooks, as one change: each request sees all of it or nothing. What is left out stays as
   * it is; null stands for "as if it had never been given". `pools` are all named pools, each with all of its options;
   * a pool option at the top level changes the pool `default`. A pool that has not changed is not touched. In one that
   * has, the upstreams change as by `update`; requests in flight keep the options that they began with. A pool that is
   * left out of `pools` gets no further requests, and drains when those that it has are served; WebSockets stay open.
   * Long lists are processed in slices, as in `update`; reading `pools` or `upstreams`, or calling `add` and the like,
   * completes the change at once. Resolves when what it removes is gone; what that has in flight after `timeoutMs`
   * (default: no limit) is cut. Rejects with OPTIONS_INVALID, or CLOSING once a `close` is past its delay; nothing has
   * changed then.
   */
  configure<State = unknown>(options: ConfigureOptions<State>, drain?: DrainOptions): Promise<void>;
  /**
   * Adds a listener for an event. What it throws is reported, and goes no further. Throws OPTIONS_INVALID for an
   * unknown event, or if `listener` is not a function.
   */
  on<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): this;
  /** Removes a listener. Throws as `on` does. */
  off<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): this;
  /** Has `meter` count every exchange from now on: what `createMetrics` does. Throws OPTIONS_INVALID. */
  meter(meter: Meter): Metering;
  /**
   * Makes `ready` false; after `delayMs` (default 0) stops listening, finishes what is in flight and closes all
   * connections; cuts what is left `timeoutMs` (default 10,000) later. Resolves when nothing is left, with the number
   * of connections and requests that were cut. Calling it again can only bring these times forward. Rejects with
   * OPTIONS_INVALID; nothing has changed then.
   */
  close(options?: CloseOptions): Promise<{ readonly cut: number }>;
}

/** Creates a balancer. Throws OPTIONS_INVALID, with every problem of the options in one message. */
export function createBalancer<State = unknown>(options: BalancerOptions<State>): Balancer {
  return new NodeBalancer(parseOptions(options));
}

class NodeBalancer implements Balancer {
  readonly #names: Names;
  readonly #dropped: DroppedConnections;
  readonly #clock: Clock;
  /** How often to sweep. */
  #tickMs: number;
  readonly #services: Services;
  readonly #pools: Pools;
  readonly #front: Front;
  readonly #mirrors: Mirrors;
  readonly #sockets: DownstreamSockets;
  readonly #upgrades: Upgrades;
  readonly #events: Events;
  readonly #reports: Reports;
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
    this.#names = new Names(systemFind, () => this.#clock.source.now());
    this.#services = {
      clock: this.#clock,
      turn: new Turn(),
      events: this.#events,
      report: (error, upstream, requestId) => {
        this.#report(error, upstream, requestId);
      },
    };
    this.#tickMs = tickMs(front, settings.pools.values());
    this.#pools = new Pools(settings, this.#services, {
      names: this.#names,
      adopted: new WeakSet(),
      rng: front.rng === undefined ? systemRng : guardedRng(front.rng, this.#onHookFault),
      tickMs: () => this.#tickMs,
      strategy: random,
      stillOpen: () => {
        this.#stillOpen();
      },
      onPlan: (pools) => {
        this.#tick(tickMs(front, pools));
      },
      onSwap: () => {
        shared.topology = this.#topology();
      },
    });
    // Only `true` trusts: another truthy value may be a mistake.
    const trusts = (address: string): boolean => guardedValue(() => front.trusts(address), (what, cause) => {
      this.#onHookFault(`trustForwarded ${what}`, cause);
    }) === true;
    const shared: ExchangeServices = {
      ...this.#services,
      balancer: this,
      rules: front,
      topology: this.#topology(),
      affinities: new Affinities(),
      sampler: new Sampler(),
      mirrors: this.#mirrors = new Mirrors(front.maxMirrored),
    };
    this.#front = new Front(shared, { ...front, trusts }, () => {
      this.#shutdown.empty();
    });
    this.#shutdown = new Shutdown({
      time: this.#clock.source,
      downstreams: this.#front.downstreams,
      stopAccepting: (now, cutAt) => this.#stopAccepting(now, cutAt),
      cut: () => this.#cut(),
      finish: () => this.#finish(),
    });
    this.#servers = new Servers((error) => {
      this.#report(error, undefined);
    }, this.#front.sessions);
    this.#sockets = new DownstreamSockets(this.#front);
    this.#upgrades = new Upgrades(this.#front, this.#sockets, front);
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
    // Half-open, so that a tunnel can end one direction before the other.
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      if (this.#welcomes(socket)) this.#sockets.serveOwn(socket);
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
    if (!this.#welcomes(socket)) return;
    const connection = this.#sockets.serve(socket);
    if (this.#front.closing) connection.drain(this.#clock.source.now() + IDLE_GRACE_MS);
  };

  readonly handle: Handle = (request, response, options) => {
    // The compat API is that of node:http, as far as a front needs it.
    DownstreamRequest.serve(this.#front, request as IncomingMessage, response as ServerResponse, options);
  };

  readonly upgrade: Upgrade = (request, socket, head) => {
    // As for `handle`.
    this.#upgrades.serve(request as IncomingMessage, socket as Duplex | ServerResponse, head);
  };

  add(upstream: string | UpstreamOptions): Upstream {
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

  async update(upstreams: readonly (string | UpstreamOptions)[], options?: DrainOptions): Promise<void> {
    await this.#pools.default('update').update(upstreams, options);
  }

  async configure<State>(options: ConfigureOptions<State>, drain?: DrainOptions): Promise<void> {
    const { timeoutMs } = parseDrainOptions(drain, 'configure');
    await this.#pools.configure(options, timeoutMs);
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

  /** Stops listening, and lets downstreams leave that have nothing in flight. */
  #stopAccepting(now: number, cutAt: number): Promise<unknown> {
    this.#pools.finishUpdates();
    this.#front.closing = true;
    const idleAt = Math.min(now + IDLE_GRACE_MS, cutAt);
    const servers = this.#servers.close(idleAt);
    this.#front.sessions.close();
    this.#front.downstreams.drain(idleAt);
    return servers;
  }

  #cut(): number {
    const cut = this.#front.downstreams.cut() + this.#servers.cut();
    this.#mirrors.cut();
    return cut;
  }

  /** Throws CLOSING once accepting has stopped: upstreams added later would never be drained. */
  #stillOpen(): void {
    if (this.#front.closing) throw new BalancerError('CLOSING');
  }

  /**
   * Whether to serve a connection. One that is already closed would never emit 'close'. During a close, only one that
   * was accepted before: its TLS handshake has just ended, and its request is on its way.
   */
  #welcomes(socket: Socket): boolean {
    const welcome = !this.#front.closing || this.#servers.accepted(socket);
    if (welcome && !socket.destroyed) return true;
    try {
      socket.destroy();
    } catch (cause) {
      this.#failedInside('a downstream connection could not be closed', cause);
    }
    return false;
  }

  #traffic(): Traffic {
    const { connections: own, serverConnections, carried: { connections, received, sent } } = this.#front;
    const openConnections = own + serverConnections.open;
    const queued = Object.fromEntries([...this.#pools.byName].map(([name, { queue }]) => [name, queue.length]));
    return { openConnections, connections, receivedBytes: received, sentBytes: sent, queued };
  }

  /** Where requests go from now on. */
  #topology(): Topology {
    const { first, byName: pools, routes, hooks } = this.#pools;
    // Hooks that stay need not be wrapped anew, but that costs little.
    return { first, pools, routing: routes && new Routing(routes, pools), hooks: hooks && new HookCalls(hooks) };
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
    for (const part of [this.#front.downstreams, this.#servers, this.#mirrors, this.#names, ...this.#pools.parts]) {
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

  #report(error: BalancerError, upstream: string | undefined, requestId?: string): void {
    if (error.code === 'RESOURCES_EXHAUSTED') this.#dropped.suspect();
    this.#reports.tell(error, upstream, requestId);
  }
}

/** How often to check deadlines, by the shortest timeout of the options. Those of single exchanges may be shorter. */
function tickMs(front: FrontSettings, pools: Iterable<PoolSettings>): number {
  let shortest = Math.min(front.idleTimeoutMs, front.headTimeoutMs, front.keepAliveTimeoutMs);
  for (const pool of pools) {
    shortest = Math.min(
      shortest, pool.connectTimeoutMs, pool.responseTimeoutMs, pool.totalTimeoutMs, pool.queueTimeoutMs,
      pool.tunnelIdleTimeoutMs, pool.upstreamIdleTimeoutMs, pool.ejectMs,
    );
  }
  return tickFor(shortest);
}

/** How long idle connections stay open during a close: a request already on its way is answered, not reset. */
const IDLE_GRACE_MS = 200;
