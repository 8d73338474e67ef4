/**
 * The balancer of raw connections, on the foundation that it shares with that of HTTP.
 */
import type { AddressInfo, Server, Socket } from 'node:net';
import { random } from '../../strategies/random.ts';
import type { BalancerEvents, Listener } from '../events.ts';
import { Affinities } from '../exchange/affinity.ts';
import { Foundation, type WaysIn } from '../fronts/foundation.ts';
import type { Meter, Metering } from '../meter.ts';
import { type CloseOptions, type DrainOptions, parseDrainOptions } from '../options/calls.ts';
import type { FrontSettings } from '../options/front.ts';
import type { ListenOptions } from '../options/listen.ts';
import type { BalancerSettings } from '../options/parse.ts';
import { parseTcpOptions, tcpChanges } from '../options/tcp.ts';
import type { PoolSettings } from '../options/pool.ts';
import type { TcpBalancerOptions, TcpConfigureOptions, TcpUpstreamOptions } from '../options/tcp-options.ts';
import type { BalancerPool } from '../pools/balancer-pool.ts';
import type { Pools } from '../pools/pools.ts';
import { Routes } from '../pools/routes.ts';
import type { Upstream } from '../strategy.ts';
import { SocketEvents } from '../streams/socket-events.ts';
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

/** The way in for raw connections. */
interface TcpWays extends WaysIn {
  readonly front: TcpFront;
}

class NodeTcpBalancer implements TcpBalancer {
  readonly #foundation: Foundation<TcpWays>;
  readonly #front: TcpFront;
  readonly #sockets = new SocketEvents();

  constructor(settings: BalancerSettings) {
    this.#foundation = new Foundation(settings, {
      strategy: random, shortestMs, open: (foundation) => open(foundation, settings.front),
    });
    this.#front = this.#foundation.ways.front;
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
      this.#sockets.take(socket);
      this.#serve(socket);
    });
  }

  async serve(server: Server, options: ListenOptions): Promise<AddressInfo | string> {
    return await this.#foundation.serve(server, options);
  }

  readonly accept = (socket: Socket): void => {
    // A stream that is not a socket may not have it.
    (socket as Partial<Socket>).setNoDelay?.(true);
    socket.allowHalfOpen = true;
    if (this.#foundation.welcomes(socket)) this.#serve(socket);
  };

  add(upstream: string | TcpUpstreamOptions): Upstream {
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

  async update(upstreams: readonly (string | TcpUpstreamOptions)[], options?: DrainOptions): Promise<void> {
    await this.#pool('update').update(upstreams, options);
  }

  async configure(options: TcpConfigureOptions, drain?: DrainOptions): Promise<void> {
    const { timeoutMs } = parseDrainOptions(drain, 'configure');
    await this.#foundation.pools.configure(tcpChanges(options), timeoutMs);
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

  #serve(socket: Socket): void {
    const fault = this.#sockets.listen(socket);
    const connection = new TcpConnection(this.#front, socket);
    if (fault === undefined) connection.start();
    else connection.sinkFailed(fault.cause);
  }
}

function open(foundation: Foundation<TcpWays>, rules: FrontSettings): TcpWays {
  const { services, pools } = foundation;
  const front = new TcpFront({ ...services, affinities: new Affinities() }, rules, topologyOf(pools), () => {
    foundation.empty();
  });
  return {
    front,
    parts: [],
    swap: () => {
      front.topology = topologyOf(pools);
    },
    traffic: () => {
      const { connections: openConnections, accepted: connections, received, sent } = front;
      return { openConnections, connections, receivedBytes: received, sentBytes: sent };
    },
    // Connections that are open go on to their ends.
    leave: () => undefined,
    cut: () => undefined,
  };
}

/** Where connections go from now on. */
function topologyOf({ first, byName: pools, routes }: Pools): TcpTopology {
  return {
    first, pools, routes: routes && new Routes(routes), needsNames: routes?.some(({ host }) => host !== '') === true,
  };
}

/** The shortest timeout of the options. */
function shortestMs({ headTimeoutMs }: FrontSettings, pools: Iterable<PoolSettings>): number {
  let shortest = headTimeoutMs;
  for (const pool of pools) {
    const { connectTimeoutMs, queueTimeoutMs, tunnelIdleTimeoutMs, ejectMs } = pool;
    shortest = Math.min(shortest, connectTimeoutMs, queueTimeoutMs, tunnelIdleTimeoutMs, ejectMs);
  }
  return shortest;
}
