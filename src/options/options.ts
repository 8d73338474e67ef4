/**
 * What a balancer is made from: types only. They are checked and completed in parse.ts, and listed in
 * README.md beside this file.
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

/** One upstream: its origin, or its origin with options. */
export interface UpstreamOptions {
  /** `http://host[:port]`; with the `connect` option `https://` as well. No path, no query, no user. */
  readonly origin: string;
  /** Share relative to the others, from 0.001 to 1,000,000. Default 1. */
  readonly weight?: number;
  /** The most attempts in flight at once. Default: no limit. */
  readonly maxInFlight?: number;
  /** Labels for strategies and operators: zone, version, ... Default none. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Probes of this upstream, instead of those for all; false for none. */
  readonly healthCheck?: HealthCheckOptions | false;
}

/** How an upstream is probed: over connections of their own, which count as no traffic. */
export interface HealthCheckOptions {
  /** What to GET, e.g. `/health`. Default: the probe is a connect alone. */
  readonly path?: string;
  /** The statuses that are well, `200` or `'200-399'`. Default `'200-399'`. */
  readonly status?: number | string;
  /** The Host of the probe. Default: the upstream's authority. */
  readonly host?: string;
  /** From one probe to the next, give or take a tenth. Default 5,000 ms. */
  readonly intervalMs?: number;
  /** From the start of a probe to its answer. Default 2,000 ms. */
  readonly timeoutMs?: number;
  /** Good probes in a row that let an upstream back in. Default 2. */
  readonly rise?: number;
  /** Bad probes in a row that eject an upstream. Default 3. */
  readonly fall?: number;
}

/** What is told of a failure. */
export interface Report {
  readonly error: BalancerError;
  /** The upstream's origin, where one was involved. */
  readonly upstream: string | undefined;
}

/** The options of a pool: its upstreams, who picks among them, and what its requests may cost. */
export interface PoolOptions {
  /** The upstreams to begin with; `add` and `remove` change them. An empty list answers 503. */
  readonly upstreams: readonly (string | UpstreamOptions)[];
  /** Chooses the upstream of each attempt. Default: `random()`. */
  readonly strategy?: Strategy;
  /**
   * Where balancers of the same upstreams tell each other whom they eject and let back in, and ten times a second what
   * they have in flight; only the one that leads there probes. Default: none, each goes by what it sees itself.
   */
  readonly peers?: Channel;
  /**
   * Opens the connection to an upstream: the seam for TLS. Returns a new stream for each call, connected or still
   * connecting; or undefined for TCP by `net.connect`, which is no way to an `https:` upstream. What else it does (it
   * throws, it returns a promise) fails the attempt with CONNECT_UNUSABLE, which is not held against the upstream.
   * `lookup` is for `tls.connect` and the like: connections share lookups by it, and bridge failures of name servers.
   */
  readonly connect?: (
    upstream: { readonly origin: string; readonly host: string; readonly port: number },
    means: { readonly lookup: LookupFunction },
  ) => Duplex | undefined;
  /** Send the upstream's authority as `Host` instead of the downstream's. Default false. */
  readonly changeOrigin?: boolean;

  /** Attempts per request, the first one included. Default 3. */
  readonly maxAttempts?: number;
  /**
   * Statuses after which an idempotent request is tried again, be they an upstream's answer or what we would answer for
   * its failure: 429 and 500 to 599, e.g. `[502, 503, 504]`. Default none.
   */
  readonly retryOn?: readonly number[];
  /**
   * Octets of a request body that are kept for another attempt, for an idempotent request; when an upstream has been
   * sent more, there is none. Default 0.
   */
  readonly maxReplayBytes?: number;
  /**
   * Retries that `retryOn` asks for, in percent of the requests of the last 10 s. Those after a failed connect, or a
   * connection that was closed before the request came, cost no upstream any work and are not counted. Default 20.
   */
  readonly retryBudgetPercent?: number;
  /** Retries that `retryOn` may always ask for, besides: at low traffic a share of it is nothing. Default 10. */
  readonly minRetriesPerSecond?: number;

  /** Failures in a row that eject an upstream. 0 never does. Default 5. */
  readonly ejectAfter?: number;
  /** How long the first ejection lasts; each further one in a row lasts twice as long. Default 1,000 ms. */
  readonly ejectMs?: number;
  /** How long an ejection lasts at most. Default 30,000 ms. */
  readonly maxEjectMs?: number;
  /**
   * How many upstreams may be ejected at a time, in percent of all. Where more have failed, all are candidates again:
   * better a try than none. Default 67, two of three: what is left takes up to three times its load, and where more
   * fail at once, the cause is likelier something that they share.
   */
  readonly maxEjectedPercent?: number;
  /** From the return of an ejected upstream to its whole weight. 0: at once. Default 10,000 ms. */
  readonly slowStartMs?: number;
  /** Probes of each upstream, unless its own entry says otherwise. Default none. */
  readonly healthCheck?: HealthCheckOptions;

  /** Requests in flight in all. Default: no limit. */
  readonly maxInFlight?: number;
  /** Requests that may wait, first come first served, while all upstreams are at their limits. Default 0. */
  readonly maxQueued?: number;
  /** How long one waits; then 503. Default 1,000 ms. */
  readonly queueTimeoutMs?: number;

  /** From the start of a connect to its end. Default 5,000 ms. */
  readonly connectTimeoutMs?: number;
  /** From the last byte of a request to the head of its response, for each attempt. Default 60,000 ms. */
  readonly responseTimeoutMs?: number;
  /** From the head of a request to the head of its response, over all attempts. Default: no limit. */
  readonly totalTimeoutMs?: number;
  /** Between two pieces of an upgraded connection, in either direction. Default 3,600,000 ms. */
  readonly tunnelIdleTimeoutMs?: number;

  /** How long an upstream connection may idle, where the upstream's `Keep-Alive` says nothing. Default 4,000 ms. */
  readonly upstreamIdleTimeoutMs?: number;
  /** Idle connections kept for each upstream. Default 256. */
  readonly maxIdlePerUpstream?: number;
  /**
   * The greatest age of an upstream connection, or up to a tenth less, so that a name that moves to another address is
   * followed. It is closed when it is idle, never in the middle of an exchange; tunnels go on. Default 300,000 ms.
   */
  readonly maxUpstreamConnectionMs?: number;
  /** Requests on one upstream connection; then it is closed. Default: no limit. */
  readonly maxRequestsPerUpstreamConnection?: number;
}

/** The options of the front: what is accepted from downstreams and sent for them, whichever pool serves a request. */
export interface FrontOptions {
  /** Pseudonym in the `Via` field sent upstream (RFC 9110 §7.6.3); false sends none. Default `equipoise`. */
  readonly via?: string | false;
  /** Send `Forwarded` (RFC 7239) besides `X-Forwarded-*`. Default false. */
  readonly forwarded?: boolean;
  /**
   * Send `X-Forwarded-For`, `-Proto` and `-Host`. With false, none of ours are sent: those of an untrusted downstream
   * are dropped all the same, those of a trusted one pass as they came. Default true.
   */
  readonly xForwarded?: boolean;
  /**
   * Believe and extend what downstreams send as `X-Forwarded-*`, `Forwarded` and `Via`, for all of them or for those
   * whose address the function accepts. Default false: replaced.
   */
  readonly trustForwarded?: boolean | ((address: string) => boolean);
  /**
   * Protocols besides WebSocket that `upgrade` tunnels, e.g. `['tcp']`, as they stand in `Upgrade`. What it tunnels
   * passes no middleware. Default none: requests for others are served as if they had not asked for an upgrade.
   */
  readonly upgradeProtocols?: readonly string[];
  /**
   * The path and query that the upstream is asked for by what `upgrade` tunnels: where `handle` is mounted at a path,
   * upgrades come with it all the same. Where it throws, or returns no path, the upgrade is answered 500. Default: as
   * `request.url` says.
   */
  readonly upgradeTarget?: (request: IncomingMessage) => string;

  /** From the first byte of a request head to its last. Default 10,000 ms. */
  readonly headTimeoutMs?: number;
  /** Between two pieces of a body, in either direction. Default 60,000 ms. */
  readonly idleTimeoutMs?: number;
  /** How long a downstream connection may idle before and between requests. Default 60,000 ms. */
  readonly keepAliveTimeoutMs?: number;
  /**
   * Octets a second that a downstream must send of a request body, or take of a response that waits for it. It may fall
   * behind by as much as it has to move in `idleTimeoutMs`. 0 sets no floor. Default 100.
   */
  readonly minBodyBytesPerSecond?: number;
  /** How long a hook that returns a promise may take; then the request is answered 500. Default 30,000 ms. */
  readonly hookTimeoutMs?: number;

  /**
   * Downstream connections in all, those of `handle` and `upgrade` aside: their server counts its own. One more is
   * answered 503 and closed. Default 16,384: where each holds back `maxHeldBytes`, that is 1 GiB.
   */
  readonly maxConnections?: number;
  /** Requests on one downstream connection, then it is closed in order. Default: no limit. */
  readonly maxRequestsPerConnection?: number;

  /** Octets of a head, requests' and responses'. Default 16,384. */
  readonly maxHeadBytes?: number;
  /** Octets of a request line. Default 8,192. */
  readonly maxRequestLineBytes?: number;
  /** Fields of a head, and of a trailer section. Default 100. */
  readonly maxFields?: number;
  /** Octets of a request body, its chunk framing aside. Default: no limit. */
  readonly maxBodyBytes?: number;
  /** Octets of a chunk-size line, its extensions and line end included. Default 1,024. */
  readonly maxChunkLineBytes?: number;
  /** Octets of the chunk extensions of one body together. Default 16,384. */
  readonly maxChunkExtensionBytes?: number;
  /** Octets of a trailer section. Default 16,384. */
  readonly maxTrailerBytes?: number;
  /**
   * Octets of a downstream connection that are held back while nobody can take them (pipelined requests, say); then
   * its reading pauses. Default 65,536: what one read of the socket brings.
   */
  readonly maxHeldBytes?: number;

  /**
   * Hears of each failed attempt, and of each fault: of the strategy, of the functions and objects given as options, of
   * the balancer itself. Default: they become process warnings (`process.on('warning')`) with the error's code, of each
   * code and upstream at most one a second, which counts those left out since the last one.
   */
  readonly onReport?: (report: Report) => unknown;
  /** Where time comes from, for tests. Default: the machine's. */
  readonly time?: TimeSource;
  /** Where the jitter of ejections and probes comes from: numbers in [0, 1). Default: `Math.random`. */
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
