/**
 * What hooks see and may do: types only. A hook runs once per exchange at its place in the order:
 *
 *     request head read -> route -> onRequest -> pick -> attempt (-> retry) -> onResponse -> relay -> finished
 *                                      any failure after the head was read -> onError
 */
import type { Duplex } from 'node:stream';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import type { BalancerError } from './errors.ts';
import type { Upstream } from './strategy.ts';

/** The hooks of a balancer. Each may be synchronous or return a promise; only one that does pays for a promise. */
export interface Hooks<State = unknown> {
  /**
   * Once per request, and per upgrade, before the first pick. What it leaves in the request is what every attempt
   * sends. A `Response` that it returns is the answer: no upstream is asked. Where it throws or rejects, the request
   * is answered 500 (HOOK_FAILED) and the error reported.
   */
  onRequest?(exchange: HookExchange<State>): HookResult;
  /**
   * When an upstream has answered, before the head of its response goes downstream. Not called for interim responses
   * (1xx), for a response that is retried (`retryOn`), nor for answers of hooks, of routes or of the balancer itself.
   * A `Response` that it returns takes the place of the upstream's.
   */
  onResponse?(exchange: AnsweredExchange<State>): HookResult;
  /**
   * When the balancer is about to answer with a 4xx or 5xx of its own: any failure after a request head was read. A
   * `Response` that it returns goes out instead; without one, and where it fails itself, our own answer does.
   */
  onError?(exchange: HookExchange<State>, error: HookError): HookResult;
}

/** A `Response` (WHATWG Fetch) to answer with, or nothing to go on. */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- most hooks have no return statement
export type HookResult = Response | undefined | void | PromiseLike<Response | undefined | void>;

/** Why the balancer answers a request itself. `cause` is the socket's error, or what a hook threw. */
export interface HookError extends BalancerError {
  /** The status of our own answer, 400 to 599. */
  readonly status: number;
}

/** One exchange, as hooks see it. Valid until it finishes: what is set later throws. */
export interface HookExchange<State = unknown> {
  readonly request: HookRequest;
  /** Undefined before an upstream has answered. */
  readonly response: HookResponse | undefined;
  /** The address of the downstream connection; `''` where there is none (a Unix socket). */
  readonly remoteAddress: string;
  /** How the request came: `https` over TLS. */
  readonly scheme: 'http' | 'https';
  /** The downstream connection, to ask for a client certificate, say. Do not read from it, or write to it. */
  readonly socket: Duplex | undefined;
  /** The upstream of the last attempt; undefined before the first pick. */
  readonly upstream: Upstream | undefined;
  /** Attempts begun: 0 in `onRequest`. */
  readonly attempts: number;
  /**
   * The name of the pool that serves the request: the route's, else `default`. May be set in `onRequest`; throws for a
   * pool that does not exist, and after the first pick.
   */
  pool: string;
  /**
   * The timeouts and retry rules of this exchange, where they differ from those of its pool: at first the route's
   * `limits`. May be set in `onRequest`: what is given takes the place of the route's, what is left out stays. Throws a
   * TypeError for a wrong value, and after the first pick. Each of its properties is read-only.
   */
  limits: ExchangeLimits;
  /** The embedder's own: what `handle` was given as `state`, undefined elsewhere, or what a hook has put there. */
  state: State;
  /**
   * Sends a copy of the request, as `onRequest` leaves it, to an upstream of the pool `pool` as well; for `onRequest`.
   * Its response is discarded, and it never delays the request: a copy beyond `maxMirrored`, or one whose upstream lags
   * by more than `maxMirroredBytes`, is dropped. Each call sends one copy; none is sent where a hook answers, nor of an
   * upgrade. Throws a TypeError for a pool that does not exist, and after `onRequest`.
   */
  mirror(pool: string): void;
}

/**
 * Timeouts and retry rules of one exchange, in place of the options of the same names: see there. What is left out is
 * as in the options.
 */
export interface ExchangeLimits {
  /** Time limit for connecting to an upstream. */
  readonly connectTimeoutMs?: number;
  /** Time limit of each attempt, from the last byte of the request to the response head. */
  readonly responseTimeoutMs?: number;
  /** Time limit of all attempts together, from the request head to the response head; `Infinity` for none. */
  readonly totalTimeoutMs?: number;
  /** How long the request may wait for an upstream to have room. */
  readonly queueTimeoutMs?: number;
  /** Maximum time without data during a body, in either direction. */
  readonly idleTimeoutMs?: number;
  /** Maximum time without data in either direction of an upgraded connection. */
  readonly tunnelIdleTimeoutMs?: number;
  /** Maximum number of attempts, including the first: with 1 there are no retries. */
  readonly maxAttempts?: number;
  /** Statuses after which the request is retried if it is idempotent; `[]` for none. */
  readonly retryOn?: readonly number[];
  /** How many octets of the request body are kept for a retry. */
  readonly maxReplayBytes?: number;
}

/** An exchange that an upstream has answered. */
export interface AnsweredExchange<State = unknown> extends HookExchange<State> {
  readonly response: HookResponse;
  readonly upstream: Upstream;
}

/** The request of an exchange. */
export interface HookRequest {
  /**
   * Identifies the request: the X-Request-Id of a trusted downstream, or a new UUID. Sent upstream with the option
   * `requestId`, which may name another header.
   */
  readonly id: string;
  readonly method: string;
  /**
   * The path and query that an upstream is asked for, as `stripPrefix` and `rewrite` of the route left it; `*` for
   * OPTIONS of the whole server. May be set in `onRequest`: starts with `/`, visible ASCII, no `#`; else it throws.
   */
  target: string;
  /** The authority that the request is for (RFC 9110 §7.2), `''` without one. To send another, set header `host`. */
  readonly host: string;
  /** The HTTP version that the request came by. */
  readonly protocol: '1.0' | '1.1' | '2.0';
  /** May be changed in `onRequest`. */
  readonly headers: HookHeaders;
  /**
   * The body, null where there is none. Reading it takes it away from the upstream: the hook must then answer with a
   * `Response`.
   */
  readonly body: ReadableStream<Uint8Array> | null;
  /** Aborted when the downstream leaves. */
  readonly signal: AbortSignal;
  /**
   * Sends the body through a transform; several are chained in the order of the calls. The request is then sent in
   * chunks, and once an upstream may have seen any of it, it is not tried again. For `onRequest`. Throws a TypeError
   * where either side of the pair is locked, or no stream at all.
   */
  pipeThrough(transform: HookTransform): void;
}

/** The response of an exchange. */
export interface HookResponse {
  /** From 200 to 599; else setting it throws a RangeError. Setting it also sets the usual reason phrase. */
  status: number;
  /** May be changed in `onResponse`. */
  readonly headers: HookHeaders;
  /**
   * The body, null where there is none. Reading it takes it away from the downstream: the hook must then answer with a
   * `Response`.
   */
  readonly body: ReadableStream<Uint8Array> | null;
  /**
   * Sends the body through a transform; several are chained in the order of the calls. `Content-Length` goes, trailers
   * stay; a header that describes the body (`Content-Encoding`, `ETag`) is the hook's to set. Ignored where there is no
   * body (HEAD, 204, 304). Throws a TypeError where either side of the pair is locked, or no stream at all.
   */
  pipeThrough(transform: HookTransform): void;
}

/** A `TransformStream`, or any pair of streams like one. It takes `Uint8Array`s, and the last one gives them. */
export interface HookTransform {
  readonly readable: ReadableStream;
  readonly writable: WritableStream;
}

/**
 * The headers of a message: the methods of WHATWG's `Headers` over the lines as they came. Lines that are left alone
 * keep their order, case, duplicates and octets. Names are compared without regard to case; a value is a string of
 * octets (latin1), `\x00` to `\xff`.
 *
 * Names and values are checked (RFC 9110 §5.1 and §5.5), and headers that frame a message or concern one connection
 * cannot be written, only read: each such call throws a TypeError that names the header, as does any write after the
 * head was sent.
 *
 * In a request, `set` and `delete` also remove lines that differ from the name only in `_` for `-`: many upstreams take
 * `X_User` for `X-User` (RFC 3875 §4.1.18). What the balancer does not pass on is not there: `X-Forwarded-*` and
 * `Forwarded` of a downstream that is not trusted, and headers that `Connection` nominates. Where a hook writes or
 * deletes one of the forwarding headers, the balancer adds none of that name.
 */
export interface HookHeaders {
  /** All values of a header, joined by `, ` (of `Cookie` by `; `); null without one. */
  get(name: string): string | null;
  /** The values of `Set-Cookie`, line by line. */
  getSetCookie(): string[];
  has(name: string): boolean;
  /** Replaces the first line of that name, and removes the others; adds one where there is none. */
  set(name: string, value: string | number | boolean): void;
  /** Adds a line behind all others. */
  append(name: string, value: string | number | boolean): void;
  /** Removes all lines of that name. */
  delete(name: string): void;
  /** Calls `callback` for each line, in order. */
  forEach(callback: (value: string, name: string, headers: HookHeaders) => void, thisArg?: unknown): void;
  /** The names line by line: in order, as they came, duplicates too. */
  keys(): IterableIterator<string>;
  /** The values line by line. */
  values(): IterableIterator<string>;
  /** The lines as pairs of name and value, as they were when the iteration began. */
  entries(): IterableIterator<[name: string, value: string]>;
  [Symbol.iterator](): IterableIterator<[name: string, value: string]>;
}
