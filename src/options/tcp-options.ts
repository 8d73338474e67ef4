/**
 * The options of a layer 4 balancer: types only. tcp.ts checks them; README.md, beside this file, lists them.
 */
import type { FrontOptions, HealthCheckOptions, PoolOptions, UpstreamOptions } from './options.ts';

/** How an upstream is probed: by connecting. */
export type TcpHealthCheckOptions = Omit<HealthCheckOptions, 'path' | 'status' | 'host'>;

/** An upstream with options of its own; without any, its origin is enough. */
export interface TcpUpstreamOptions extends Omit<UpstreamOptions, 'origin' | 'healthCheck'> {
  /** `tcp://host:port`. */
  readonly origin: string;
  /** Probes of this upstream, in place of the pool's `healthCheck`; false turns them off. */
  readonly healthCheck?: TcpHealthCheckOptions | false;
}

/** The options of a pool, as those of `createBalancer`; what they say of a request holds for a connection here. */
export interface TcpPoolOptions extends Pick<PoolOptions,
  | 'strategy' | 'shadow' | 'peers' | 'connect' | 'maxAttempts' | 'ejectAfter' | 'ejectMs' | 'maxEjectMs'
  | 'maxEjectedPercent' | 'slowStartMs' | 'maxInFlight' | 'maxQueued' | 'queueTimeoutMs' | 'connectTimeoutMs'
  | 'proxyProtocol'> {
  /**
   * The initial upstreams; `add`, `remove` and `update` change them. While there are none, connections are reset.
   */
  readonly upstreams: readonly (string | TcpUpstreamOptions)[];
  /** Probes of each upstream, unless its own entry sets `healthCheck`. Default: none, as with false. */
  readonly healthCheck?: TcpHealthCheckOptions | false;
  /** How long a connection may be silent in both directions; then it is reset. Default 3,600,000 ms. */
  readonly idleTimeoutMs?: number;
}

/** The options of the front, the same for all pools. */
export interface TcpFrontOptions extends Pick<FrontOptions, 'maxConnections' | 'onReport' | 'time' | 'rng'> {
  /**
   * How many octets from a downstream are kept while no upstream is connected yet. Beyond that, reading from it pauses.
   * Default 65,536.
   */
  readonly maxHeldBytes?: number;
  /**
   * How long to wait for the client's TLS handshake where a route or the strategy goes by the server name. A connection
   * that is silent for so long is served without a name: in some protocols, the server speaks first. Default 3,000 ms.
   */
  readonly helloTimeoutMs?: number;
}

/** One route: which connections it takes, by the name in the client's TLS handshake, and their pool. */
export interface TcpRouteOptions {
  /**
   * Exact, or `*.example.com` for one label or more before it. Upper and lower case are the same. Default: every
   * connection, also one without a name.
   */
  readonly serverName?: string;
  /** The pool that serves. Default: the pool `default`. */
  readonly pool?: string;
}

/**
 * The options of `createTcpBalancer`: those of the front, and the pools that connections go to. With `upstreams`, the
 * options of a pool at this level are those of the pool `default`; without, there are none at this level.
 */
export interface TcpBalancerOptions extends Partial<TcpPoolOptions>, TcpFrontOptions {
  /** Pools by their names, besides `default` if there are `upstreams`. */
  readonly pools?: Readonly<Record<string, TcpPoolOptions>>;
  /**
   * Which connections go to which pool; the first that matches counts, and a connection that none matches is reset.
   * Default: everything goes to `default`, or to the only pool.
   */
  readonly routes?: readonly TcpRouteOptions[];
}

/** The options of `configure`: each may be left out, to leave it as it is, or null, as if it had never been given. */
export type TcpConfigureOptions =
  & { readonly [N in keyof TcpPoolOptions]?: TcpPoolOptions[N] | null }
  & { readonly [N in 'pools' | 'routes']?: TcpBalancerOptions[N] | null };
