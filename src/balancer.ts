/**
 * The balancer: HTTP, on the foundation that it shares with layer 4.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { random } from '../strategies/random.ts';
import { type CloseOptions, type DrainOptions, type HandleOptions, parseDrainOptions } from './options/calls.ts';
import type { BalancerEvents, Listener } from './events.ts';
import { Affinities } from './exchange/affinity.ts';
import { Sampler } from './exchange/decision.ts';
import { HookCalls } from './exchange/hooks/hook-calls.ts';
import { Mirrors } from './exchange/mirrors.ts';
import { Routing } from './exchange/routing.ts';
import type { ExchangeServices, Topology } from './exchange/services.ts';
import { Foundation, IDLE_GRACE_MS, type WaysIn } from './fronts/foundation.ts';
import { Front } from './fronts/front.ts';
import { DownstreamRequest } from './fronts/request.ts';
import { DownstreamSockets } from './fronts/sockets.ts';
import { Upgrades } from './fronts/upgrades.ts';
import { guardedValue } from './guard.ts';
import type { Meter, Metering } from './meter.ts';
import type { ConfigureOptions } from './options/changes.ts';
import type { FrontSettings } from './options/front.ts';
import type { ListenOptions } from './options/listen.ts';
import type { BalancerOptions, UpstreamOptions } from './options/options.ts';
import { type BalancerSettings, parseOptions } from './options/parse.ts';
import type { PoolSettings } from './options/pool.ts';
import type { BalancerPool } from './pools/balancer-pool.ts';
import type { Pools } from './pools/pools.ts';
import type { Upstream } from './strategy.ts';

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

/** The ways in for HTTP. */
interface HttpWays extends WaysIn {
  readonly front: Front;
}

class NodeBalancer implements Balancer {
  readonly #foundation: Foundation<HttpWays>;
  readonly #front: Front;
  readonly #sockets: DownstreamSockets;
  readonly #upgrades: Upgrades;

  constructor(settings: BalancerSettings) {
    this.#foundation = new Foundation(settings, {
      strategy: random, shortestMs, open: (foundation) => this.#open(foundation, settings.front),
    });
    this.#front = this.#foundation.ways.front;
    this.#sockets = new DownstreamSockets(this.#front);
    this.#upgrades = new Upgrades(this.#front, this.#sockets, settings.front);
  }

  get strategy(): string {
    return this.#pool('strategy').strategy;
  }

  get upstreams(): readonly Upstream[] {
    return this.#pool('upstreams').upstreams;
  }

  get pools(): Readonly<Record<string, BalancerPool>> {
    return this.#foundation.pools.shown;
  }

  get ready(): boolean {
    return this.#foundation.ready;
  }

  async listen(options: ListenOptions): Promise<AddressInfo | string> {
    return await this.#foundation.listen(options, (socket) => {
      this.#sockets.serveOwn(socket);
    });
  }

  async serve(server: Server, options: ListenOptions): Promise<AddressInfo | string> {
    return await this.#foundation.serve(server, options);
  }

  readonly accept = (socket: Socket): void => {
    // A stream that is not a socket may not have it.
    (socket as Partial<Socket>).setNoDelay?.(true);
    if (!this.#foundation.welcomes(socket)) return;
    const connection = this.#sockets.serve(socket);
    if (this.#front.closing) connection.drain(this.#front.clock.source.now() + IDLE_GRACE_MS);
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
    return this.#pool('add').add(upstream);
  }

  async remove(origin: string, options?: DrainOptions): Promise<void> {
    await this.#pool('remove').remove(origin, options);
  }

  async drain(origin: string): Promise<void> {
    await this.#pool('drain').drain(origin);
  }

  activate(origin: string): void {
    this.#pool('activate').activate(origin);
  }

  setWeight(origin: string, weight: number | undefined): void {
    this.#pool('setWeight').setWeight(origin, weight);
  }

  async update(upstreams: readonly (string | UpstreamOptions)[], options?: DrainOptions): Promise<void> {
    await this.#pool('update').update(upstreams, options);
  }

  async configure<State>(options: ConfigureOptions<State>, drain?: DrainOptions): Promise<void> {
    const { timeoutMs } = parseDrainOptions(drain, 'configure');
    await this.#foundation.pools.configure(options, timeoutMs);
  }

  on<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): this {
    this.#foundation.on(event, listener);
    return this;
  }

  off<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): this {
    this.#foundation.off(event, listener);
    return this;
  }

  meter(meter: Meter): Metering {
    return this.#foundation.meter(meter);
  }

  async close(options?: CloseOptions): Promise<{ cut: number }> {
    return await this.#foundation.close(options);
  }

  /** The pool `default`. Throws OPTIONS_INVALID, saying that `what` is about it, where there is none. */
  #pool(what: string): BalancerPool {
    return this.#foundation.pools.default(what);
  }

  #open(foundation: Foundation<HttpWays>, rules: FrontSettings): HttpWays {
    const { services, pools, hookFailed } = foundation;
    const mirrors = new Mirrors(rules.maxMirrored);
    const shared: ExchangeServices = {
      ...services,
      balancer: this,
      rules,
      topology: topologyOf(pools),
      affinities: new Affinities(),
      sampler: new Sampler(),
      mirrors,
    };
    // Only `true` trusts: another truthy value may be a mistake.
    const trusts = (address: string): boolean => guardedValue(() => rules.trusts(address), (what, cause) => {
      hookFailed(`trustForwarded ${what}`, cause);
    }) === true;
    const front = new Front(shared, { ...rules, trusts }, () => {
      foundation.empty();
    });
    return {
      front,
      parts: [mirrors],
      swap: () => {
        shared.topology = topologyOf(pools);
      },
      traffic: () => {
        const { connections: own, serverConnections, carried: { connections, received, sent } } = front;
        const openConnections = own + serverConnections.open;
        return { openConnections, connections, receivedBytes: received, sentBytes: sent };
      },
      leave: (idleAt) => {
        front.sessions.close();
        front.downstreams.drain(idleAt);
      },
      cut: () => {
        mirrors.cut();
      },
    };
  }
}

/** Where requests go from now on. */
function topologyOf({ first, byName: pools, routes, hooks }: Pools): Topology {
  // Hooks that stay need not be wrapped anew, but that costs little.
  return { first, pools, routing: routes && new Routing(routes, pools), hooks: hooks && new HookCalls(hooks) };
}

/** The shortest timeout of the options. Those of single exchanges may be shorter. */
function shortestMs(front: FrontSettings, pools: Iterable<PoolSettings>): number {
  let shortest = Math.min(front.idleTimeoutMs, front.headTimeoutMs, front.keepAliveTimeoutMs);
  for (const pool of pools) {
    shortest = Math.min(
      shortest, pool.connectTimeoutMs, pool.responseTimeoutMs, pool.totalTimeoutMs, pool.queueTimeoutMs,
      pool.tunnelIdleTimeoutMs, pool.upstreamIdleTimeoutMs, pool.ejectMs,
    );
  }
  return shortest;
}
