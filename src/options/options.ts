/**
 * The options of a balancer: types only. parse.ts checks them and fills in the defaults; README.md, beside this file,
 * lists them.
 */
import type { IncomingMessage } from 'node:http';
import type { LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Channel } from '../channel.ts';
import type { Hooks } from '../hooks.ts';
import type { TimeSource } from '../loop/time-source.ts';
import type { BalancerError } from '../errors.ts';
import type { RouteOptions } from './route-options.ts';
import type { Strategy } from '../strategy.ts';

/** An upstream with options of its own; without any, its origin is enough. */
export interface UpstreamOptions {
  /**
   * `http://host[:port]`, `https://` with the option `connect`, or `unix:/path` for a Unix socket (`unix:@name` for an
   * abstract one). No path, query or user.
   */
  readonly origin: string;
  /** Its share of the requests, relative to the other upstreams: from 0.001 to 1,000,000. Default 1. */
  readonly weight?: number;
  /** Maximum number of attempts in flight at this upstream, in this process. Default: no limit. */
  readonly maxInFlight?: number;
  /** Labels for strategies and operators: zone, version, ... Default: none. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Probes of this upstream, in place of the pool's `healthCheck`; false turns them off. */
  readonly healthCheck?: HealthCheckOptions | false;
}

/** How an upstream is probed. Probes use their own connections and do not count as attempts. */
export interface HealthCheckOptions {
  /** The path to GET, e.g. `/health`. Default: the probe only connects. */
  readonly path?: string;
  /** The statuses of a healthy upstream: one, such as `200`, or a range. Default `'200-399'`. */
  readonly status?: number | string;
  /** The `Host` header of the probe. Default: the upstream's authority. */
  readonly host?: string;
  /** Time from one probe to the next, plus or minus 10%. Default 5,000 ms. */
  readonly intervalMs?: number;
  /** Time limit of a probe, from its start to its answer. Default 2,000 ms. */
  readonly timeoutMs?: number;
  /** Consecutive good probes that readmit an upstream. Default 2. */
  readonly rise?: number;
  /** Consecutive bad probes that eject an upstream. Default 3. */
  readonly fall?: number;
}

/** A failure, as `onReport` receives it. */
export interface Report {
  readonly error: BalancerError;
  /** The origin of the upstream involved, if there was one. */
  readonly upstream: string | undefined;
  /** Names the request involved, if there was one and it has an id (option `requestId`). */
  readonly requestId?: string;
}

/** The options of a pool: its upstreams, its strategy, and the limits of its requests. */
export interface PoolOptions {
  /**
   * The initial upstreams; `add`, `remove` and `update` change them. While there are none, requests are answered 503.
   */
  readonly upstreams: readonly (string | UpstreamOptions)[];
  /** Chooses the upstream of each attempt. Default: `random()`. */
  readonly strategy?: Strategy;
  /**
   * A second strategy that is asked at each pick what it would have picked, and never decides: its figures are in
   * `shadow` of the pool. Default: none.
   */
  readonly shadow?: Strategy;
  /**
   * A channel that connects balancers with the same upstreams. They share ejections and readmissions and, ten times a
   * second, their counts in flight; only the channel's leader sends probes. Default: none; the balancer relies on what
   * it sees itself.
   */
  readonly peers?: Channel;
  /**
   * Opens a connection to an upstream, for example over TLS. Must return a new stream for each call, connected or still
   * connecting, or undefined to connect with `net.connect`, which is refused for an `https:` upstream. Anything else (a
   * throw, a promise) fails the attempt with CONNECT_UNUSABLE, which does not count against the upstream. Pass `lookup`
   * on to `tls.connect` or the like: connections then share name lookups and survive short failures of name servers.
   * `path` is that of a Unix socket, whose `host` is `localhost` and whose `port` is 0.
   * Where `proxyHeader` is given (see `proxyProtocol`), it comes first on the connection: a function that reads the
   * property must send it; otherwise the balancer does, on the stream that it gets.
   */
  readonly connect?: (
    upstream: { readonly origin: string; readonly host: string; readonly port: number; readonly path?: string },
    means: { readonly lookup: LookupFunction; readonly proxyHeader?: Buffer | undefined },
  ) => Duplex | undefined;
  /**
   * Begin each connection to an upstream with a PROXY header of this version, which tells it the client's address. A
   * connection then serves requests of one downstream connection only. A `connect` for `https:` upstreams must write
   * `means.proxyHeader` before the TLS handshake. Default: none.
   */
  readonly proxyProtocol?: 1 | 2;
  /**
   * Send the upstream's authority as `Host` (`localhost` for a Unix socket), instead of the `Host` of the request.
   * Default false.
   */
  readonly changeOrigin?: boolean;

  /** Maximum number of attempts per request, including the first. Default 3. */
  readonly maxAttempts?: number;
  /**
   * Statuses after which an idempotent request is retried: 429 and 500 to 599, e.g. `[502, 503, 504]`. They apply to
   * responses of an upstream and to those with which the balancer would answer a failed attempt. Default: none.
   */
  readonly retryOn?: readonly number[];
  /**
   * How many octets of the body of an idempotent request are kept for a retry. Once more than that has been sent to an
   * upstream, the request is not retried. Default 0.
   */
  readonly maxReplayBytes?: number;
  /**
   * Limit for retries that cause work at upstreams, in percent of the requests of the last 10 s. Retries after a failed
   * connect, or after a connection that closed before the request was sent, do not count. Default 20.
   */
  readonly retryBudgetPercent?: number;
  /** Retries per second that are allowed on top, since a percentage of little traffic is nothing. Default 10. */
  readonly minRetriesPerSecond?: number;

  /** Consecutive failures that eject an upstream; 0 turns ejection by failures off. Default 5. */
  readonly ejectAfter?: number;
  /**
   * Length of the first ejection, plus or minus 10%. Each further one in a row lasts twice as long. Default 1,000 ms.
   */
  readonly ejectMs?: number;
  /** Maximum length of an ejection. Default 30,000 ms. */
  readonly maxEjectMs?: number;
  /**
   * How many upstreams may be ejected at once, in percent. If more fail, all become candidates again: an attempt that
   * may fail is better than a certain 503. Default 67, two of three: the rest then carries up to three times its load,
   * and if even more fail at once, the cause is probably one that they share.
   */
  readonly maxEjectedPercent?: number;
  /** Time over which a readmitted upstream returns to its full weight; 0: at once. Default 10,000 ms. */
  readonly slowStartMs?: number;
  /** Probes of each upstream, unless its own entry sets `healthCheck`. Default: none, as with false. */
  readonly healthCheck?: HealthCheckOptions | false;

  /** Maximum number of requests in flight, at all upstreams together. Default: no limit. */
  readonly maxInFlight?: number;
  /** How many requests may wait, in order of arrival, while everything is at its limits. Default 0. */
  readonly maxQueued?: number;
  /** How long a request waits at most; then it is answered 503. Default 1,000 ms. */
  readonly queueTimeoutMs?: number;

  /** Time limit for connecting to an upstream. Default 5,000 ms. */
  readonly connectTimeoutMs?: number;
  /** Time limit of each attempt, from the last byte of the request to the response head. Default 60,000 ms. */
  readonly responseTimeoutMs?: number;
  /** Time limit of all attempts together, from the request head to the response head. Default: no limit. */
  readonly totalTimeoutMs?: number;
  /** Maximum time without data in either direction of an upgraded connection. Default 3,600,000 ms. */
  readonly tunnelIdleTimeoutMs?: number;

  /** How long an upstream connection may be idle, unless its `Keep-Alive: timeout` says otherwise. Default 4,000 ms. */
  readonly upstreamIdleTimeoutMs?: number;
  /** Maximum number of idle connections kept per upstream. Default 256. */
  readonly maxIdlePerUpstream?: number;
  /**
   * Maximum age of an upstream connection, minus up to 10%, so that the balancer notices when a name moves to another
   * address. The connection is closed once it is idle, never during an exchange or a tunnel. Default 300,000 ms.
   */
  readonly maxUpstreamConnectionMs?: number;
  /** Maximum number of requests on an upstream connection before it is closed. Default: no limit. */
  readonly maxRequestsPerUpstreamConnection?: number;
}

/**
 * The options of the front, the same for all pools: what is accepted from downstreams, and what is added to their
 * requests.
 */
export interface FrontOptions {
  /** The pseudonym in the `Via` header sent upstream (RFC 9110 §7.6.3); false sends none. Default `equipoise`. */
  readonly via?: string | false;
  /** Send `Forwarded` (RFC 7239) as well as `X-Forwarded-*`. Default false. */
  readonly forwarded?: boolean;
  /**
   * Send `X-Forwarded-For`, `-Proto` and `-Host`. If false, those of a trusted downstream are passed on unchanged, and
   * those of others are still dropped. Default true.
   */
  readonly xForwarded?: boolean;
  /**
   * Add `Server-Timing` to the responses of upstreams: how long the request waited for room, how long the upstream took
   * to its response head, and the number of attempts. Default false.
   */
  readonly serverTiming?: boolean;
  /**
   * Trust the `X-Forwarded-*`, `Forwarded` and `Via` headers of downstreams and extend them: true for all downstreams,
   * a list of addresses and subnets such as `['10.0.0.0/8', '::1']`, with `unix` for all peers on Unix sockets, or a
   * function that returns true for the addresses to trust. Default false: they are replaced.
   */
  readonly trustForwarded?: boolean | readonly string[] | ((address: string) => boolean);
  /**
   * Give each request an id, and send it upstream in this header; `true` stands for `X-Request-Id`. The id is what a
   * trusted downstream (`trustForwarded`) sent there, or a new UUID. Hooks see it as `request.id`, and events and
   * reports say it. Default false: nothing is sent, and what downstreams send is passed on.
   */
  readonly requestId?: boolean | string;
  /**
   * A request with the header `X-Equipoise-Why: <token>` gets a header of that name in its response, which says why it
   * went where it went: the candidates of each attempt as the strategy saw them, the pick, and how it ended. The header
   * is not sent upstream. Default: none.
   */
  readonly why?: { readonly token: string };
  /**
   * Protocols besides WebSocket that `upgrade` tunnels, as in the `Upgrade` header, e.g. `['tcp']`. Requests for other
   * protocols are served without the upgrade. Upgrades bypass middleware. Default: none.
   */
  readonly upgradeProtocols?: readonly string[];
  /**
   * Returns the path and query to request from the upstream for an `upgrade`. Use it where `handle` is mounted at a
   * path, which upgrades still carry. If it throws, or does not return a path, the upgrade is answered 500. Default:
   * `request.url`.
   */
  readonly upgradeTarget?: (request: IncomingMessage) => string;

  /** Time limit for receiving a request head, from its first byte to its last. Default 10,000 ms. */
  readonly headTimeoutMs?: number;
  /** Maximum time without data during a body, in either direction. Default 60,000 ms. */
  readonly idleTimeoutMs?: number;
  /** How long a downstream connection may be idle, before and between requests. Default 60,000 ms. */
  readonly keepAliveTimeoutMs?: number;
  /**
   * Minimum average rate, in octets per second, at which a downstream must send a request body, or take a response that
   * is ready for it. It may lag by what it has to transfer in `idleTimeoutMs`. 0 turns the check off. Default 100.
   */
  readonly minBodyBytesPerSecond?: number;
  /** How long a hook that returns a promise may take; then the request is answered 500. Default 30,000 ms. */
  readonly hookTimeoutMs?: number;
  /**
   * Maximum number of copies of requests (`exchange.mirror`) under way at once; further ones are not sent. Default 100.
   */
  readonly maxMirrored?: number;
  /**
   * How many octets of a request body are kept for a copy that its upstream takes more slowly than the request comes;
   * beyond that, the copy is dropped. Default 1,048,576: with `maxMirrored`, at most 100 MiB.
   */
  readonly maxMirroredBytes?: number;

  /**
   * Maximum number of downstream connections; one more is answered 503 and closed. Connections of a server behind
   * `handle` and `upgrade` are not included: that server has its own limit. Default 16,384: if each buffers
   * `maxHeldBytes`, that is 1 GiB.
   */
  readonly maxConnections?: number;
  /** Maximum number of requests on a downstream connection before it is closed gracefully. Default: no limit. */
  readonly maxRequestsPerConnection?: number;

  /** Maximum octets of a request or response head. Default 16,384. */
  readonly maxHeadBytes?: number;
  /** Maximum octets of a request line. Default 8,192. */
  readonly maxRequestLineBytes?: number;
  /** Maximum number of headers in a head, and of trailers in a trailer section. Default 100. */
  readonly maxFields?: number;
  /** Maximum octets of a request body, without its chunk framing. Default: no limit. */
  readonly maxBodyBytes?: number;
  /** Maximum octets of a chunk-size line, including its extensions and line end. Default 1,024. */
  readonly maxChunkLineBytes?: number;
  /** Maximum octets of all chunk extensions of a body together. Default 16,384. */
  readonly maxChunkExtensionBytes?: number;
  /** Maximum octets of a trailer section. Default 16,384. */
  readonly maxTrailerBytes?: number;
  /**
   * How many octets from a downstream connection are buffered while they cannot be processed yet (pipelined requests,
   * for example). Beyond that, reading from it pauses. Default 65,536: the size of one read from a socket.
   */
  readonly maxHeldBytes?: number;

  /**
   * Called for each failed attempt, and for each fault of the strategy, of a function or object given as an option, or
   * of the balancer itself. Default: process warnings (`process.on('warning')`) with the error's code, at most one per
   * second for each code and upstream; a warning says how many were left out since the last one.
   */
  readonly onReport?: (report: Report) => unknown;
  /** The source of time, for tests. Default: the machine's clock. */
  readonly time?: TimeSource;
  /** The source of the jitter of ejections and probes: numbers in [0, 1), for tests. Default: `Math.random`. */
  readonly rng?: () => number;
}

/**
 * The options of `createBalancer`: those of the front, hooks, and the pools that requests go to. With `upstreams`, the
 * options of a pool at this level are those of the pool `default`; without, there are none at this level.
 */
export interface BalancerOptions<State = unknown> extends Partial<PoolOptions>, FrontOptions, Hooks<State> {
  /**
   * Pools by their names, besides `default` if there are `upstreams`. A name is 1 to 63 letters, digits, dots, hyphens
   * or underscores. A strategy, or a channel for `peers`, belongs to one pool.
   */
  readonly pools?: Readonly<Record<string, PoolOptions>>;
  /**
   * Which requests go to which pool, or are answered here; the first that matches counts, and a request that none
   * matches is answered 404. Default: everything goes to `default`, or to the only pool. Several pools of which none is
   * `default` need routes.
   */
  readonly routes?: readonly RouteOptions[];
}
