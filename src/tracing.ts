/**
 * What subscribers of the tracing channels get: types only. The channels are those of a TracingChannel of
 * `node:diagnostics_channel`, `tracing:equipoise.exchange:*` and `tracing:equipoise.attempt:*`, and all five of one
 * exchange, or of one attempt, get the same object:
 *
 *     start       it begins
 *     end         the call that began it has returned; it may be over by then
 *     error       it failed: `error` says why. Right before asyncStart
 *     asyncStart  it is over
 *     asyncEnd    right after asyncStart
 *
 * Node ends the process for what a subscriber throws.
 */
import type { BalancerError } from './errors.ts';
import type { FinishedExchange, ReceivedHeaders } from './events.ts';
import type { HookHeaders } from './hooks.ts';
import type { Upstream } from './strategy.ts';

/** One exchange, from the moment at which its route is known. */
export interface ExchangeTrace {
  /** The balancer, to tell several in a process apart. */
  readonly balancer: object;
  /** As it came, before routes and hooks change it. */
  readonly request: TracedRequest;
  /** The path of its route with `/*` at the end, e.g. `/api/*`; undefined without a route, or where it has no path. */
  readonly route: string | undefined;
  /**
   * How the hooks of this exchange are called, if a subscriber sets it at `start`: has to call `hook`, and to return
   * what it returned. Undefined: they are just called.
   */
  run: (<T>(hook: () => T) => T) | undefined;
  /** What the event `finished` tells, from `asyncStart` on. */
  readonly result: FinishedExchange | undefined;
  /** Whether the whole of a response went downstream; from `asyncStart` on. */
  readonly complete: boolean;
  /** Why the exchange failed, where the balancer failed it: what an upstream answers is no failure. */
  readonly error: BalancerError | undefined;
  /** Reports a fault of the subscriber's own by `onReport`: what it did, and what was thrown. */
  report(what: string, cause: unknown): void;
}

/** The request of an exchange. */
export interface TracedRequest {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly protocol: '1.0' | '1.1' | '2.0';
  readonly scheme: 'http' | 'https';
  /** The address of the downstream connection; `''` where there is none (a Unix socket). */
  readonly remoteAddress: string;
  /** What a trusted downstream says of the client (option `trustForwarded`), else the above. */
  readonly client: { readonly address: string; readonly scheme: string; readonly host: string };
  /** Whether it came through `handle`: the server that read it may trace it as well. */
  readonly embedded: boolean;
  readonly headers: ReceivedHeaders;
}

/** One attempt, from its pick to its settling; that of a tunnel lasts as long as the tunnel. */
export interface AttemptTrace {
  readonly exchange: ExchangeTrace;
  /** From 1. */
  readonly number: number;
  /** Whether it sends a copy of the request (`exchange.mirror`). Such an attempt may outlive its exchange. */
  readonly mirror: boolean;
  readonly pool: string;
  readonly upstream: Upstream;
  /** These are what the upstream is sent. The headers may be changed at `start`, for this attempt alone. */
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly headers: HookHeaders;
  /** The status of the response, once its head is there. */
  readonly status: number | undefined;
  /** Why the attempt failed; undefined where a response reached its end, whatever its status. */
  readonly error: BalancerError | undefined;
}
