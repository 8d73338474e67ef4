/**
 * What a balancer is made from, and the one place where it is checked: all problems are told in one error.
 */
import type { Duplex } from 'node:stream';
import type { TimeSource } from './clock.ts';
import { BalancerError } from './errors.ts';
import type { Strategy } from './strategy.ts';

/** One upstream: its origin, or its origin with options. */
export interface UpstreamOptions {
  /** `http://host[:port]`; with the `connect` option `https://` as well. No path, no query, no user. */
  readonly origin: string;
  /** Share relative to the others: a finite number above 0. Default 1. */
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

/** The options of `createBalancer`. */
export interface BalancerOptions {
  /** The upstreams to begin with; `add` and `remove` change them. An empty list answers 503. */
  readonly upstreams: readonly (string | UpstreamOptions)[];
  /** Chooses the upstream of each attempt. Default: `random()`. */
  readonly strategy?: Strategy;

  /** Pseudonym in the `Via` field sent upstream (RFC 9110 §7.6.3); false sends none. Default `equipoise`. */
  readonly via?: string | false;
  /** Send `Forwarded` (RFC 7239) besides `X-Forwarded-*`. Default false. */
  readonly forwarded?: boolean;
  /**
   * Believe and extend what downstreams send as `X-Forwarded-*`, `Forwarded` and `Via`, for all of them or for those
   * whose address the function accepts. Default false: replaced.
   */
  readonly trustForwarded?: boolean | ((address: string) => boolean);
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
  /** Between two pieces of a body, in either direction. Default 60,000 ms. */
  readonly idleTimeoutMs?: number;
  /** Between two pieces of an upgraded connection, in either direction. Default 3,600,000 ms. */
  readonly tunnelIdleTimeoutMs?: number;
  /** From the first byte of a request head to its last. Default 10,000 ms. */
  readonly headTimeoutMs?: number;
  /** How long a downstream connection may idle before and between requests. Default 60,000 ms. */
  readonly keepAliveTimeoutMs?: number;
  /** How long an upstream connection may idle, where the upstream's `Keep-Alive` says nothing. Default 4,000 ms. */
  readonly upstreamIdleTimeoutMs?: number;

  /** Idle connections kept for each upstream. Default 256. */
  readonly maxIdlePerUpstream?: number;
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
   * Octets a second that a downstream must send of a request body, or take of a response that waits for it. It may fall
   * behind by as much as it has to move in `idleTimeoutMs`. 0 sets no floor. Default 100.
   */
  readonly minBodyBytesPerSecond?: number;

  /** Opens the connection to an upstream: the seam for TLS. Where it returns undefined, `net.connect` does. */
  readonly connect?: (
    upstream: { readonly origin: string; readonly host: string; readonly port: number },
  ) => Duplex | undefined;
  /**
   * Hears of each failed attempt and each fault of a strategy. Default: faults of the strategy and of the embedding
   * become process warnings, failed attempts go unheard.
   */
  readonly onReport?: (report: Report) => void;
  /** Where time comes from, for tests. Default: the machine's. */
  readonly time?: TimeSource;
  /** Where the jitter of ejections and probes comes from: numbers in [0, 1). Default: `Math.random`. */
  readonly rng?: () => number;
}

/** The options with all defaults filled in; what each means stands at {@link BalancerOptions}. */
export interface Settings extends Readonly<Record<keyof typeof NUMBERS, number>> {
  readonly upstreams: readonly ParsedUpstream[];
  readonly strategy: Strategy | undefined;
  /** The pseudonym; `''` sends no Via. */
  readonly via: string;
  readonly forwarded: boolean;
  /** Whether the hop at this address may speak of earlier hops. */
  readonly trusts: (address: string) => boolean;
  readonly changeOrigin: boolean;
  readonly retryOn: ReadonlySet<number>;
  /** For upstreams whose own entry says nothing. */
  readonly healthCheck: HealthCheck | undefined;
  readonly connect: BalancerOptions['connect'];
  readonly onReport: BalancerOptions['onReport'];
  readonly time: TimeSource | undefined;
  readonly rng: (() => number) | undefined;
}

/** One upstream, parsed. */
export interface ParsedUpstream extends Required<Omit<UpstreamOptions, 'healthCheck'>> {
  readonly host: string;
  readonly port: number;
  /** The Host value of the upstream. */
  readonly authority: string;
  /** Undefined where there is none. */
  readonly healthCheck: HealthCheck | undefined;
}

/** A health check with all defaults filled in; what each means stands at {@link HealthCheckOptions}. */
export interface HealthCheck extends Readonly<Record<keyof typeof HEALTH_CHECK_NUMBERS, number>> {
  /** Undefined where a connect is all. */
  readonly path: string | undefined;
  readonly host: string | undefined;
  readonly minStatus: number;
  readonly maxStatus: number;
}

/** The options checked and completed. Throws OPTIONS_INVALID, which lists every problem with its path and the mend. */
export function parseOptions(input: unknown): Settings {
  const problems: string[] = [];
  const settings = readOptions(input, problems);
  raise(problems);
  return settings;
}

/** Checks options and adds what is wrong to `problems`: for callers that have problems of their own to tell. */
export function readOptions(input: unknown, problems: string[]): Settings {
  const options = record(input, 'options', problems);
  onlyKnown(options, '', KNOWN, problems);
  const connect = optionalFunction(options['connect'], 'connect', problems) as Settings['connect'];
  const { trustForwarded } = options;
  if (trustForwarded !== undefined && typeof trustForwarded !== 'boolean' && typeof trustForwarded !== 'function') {
    problems.push(`trustForwarded: ${shown(trustForwarded)} is neither a boolean nor a function of an address`);
  }
  const check = healthCheck(options['healthCheck'], 'healthCheck', problems);
  return {
    ...integers(options, '', NUMBERS, problems),
    upstreams: upstreams(options['upstreams'], { canTls: connect !== undefined, check }, problems),
    healthCheck: check,
    retryOn: retryOn(options['retryOn'], problems),
    strategy: strategy(options['strategy'], problems),
    via: via(options['via'], problems),
    forwarded: flag(options['forwarded'], 'forwarded', problems),
    trusts: typeof trustForwarded === 'function'
      ? (trustForwarded as (address: string) => boolean)
      : () => trustForwarded === true,
    changeOrigin: flag(options['changeOrigin'], 'changeOrigin', problems),
    connect,
    onReport: optionalFunction(options['onReport'], 'onReport', problems) as Settings['onReport'],
    time: timeSource(options['time'], problems),
    rng: optionalFunction(options['rng'], 'rng', problems) as Settings['rng'],
  };
}

/** One upstream checked, for `add`. Throws OPTIONS_INVALID. */
export function parseUpstream(input: unknown, settings: Settings): ParsedUpstream {
  const problems: string[] = [];
  const parsed = upstream(input, 'upstream', forAll(settings), problems);
  raise(problems);
  if (parsed === undefined) throw new BalancerError('OPTIONS_INVALID');
  return parsed;
}

/** A list of upstreams checked, for `update`. Throws OPTIONS_INVALID. */
export function parseUpstreams(input: unknown, settings: Settings): readonly ParsedUpstream[] {
  const problems: string[] = [];
  const parsed = upstreams(input, forAll(settings), problems);
  raise(problems);
  return parsed;
}

/** What all upstreams have in common. */
interface ForAll {
  /** Whether `https:` can be spoken. */
  readonly canTls: boolean;
  readonly check: HealthCheck | undefined;
}

function forAll({ connect, healthCheck: check }: Settings): ForAll {
  return { canTls: connect !== undefined, check };
}

/** A numeric option: its default and its smallest value, and the largest where that is not {@link MAX_INTEGER}. */
interface Range {
  readonly fallback: number;
  readonly min: number;
  readonly max?: number;
}

/** The largest value of a 32-bit timer, for times and counts alike. */
const MAX_INTEGER = 2 ** 31 - 1;

/** The numeric options. A default of Infinity is no limit. */
const NUMBERS = {
  maxAttempts: { fallback: 3, min: 1 },
  maxReplayBytes: { fallback: 0, min: 0 },
  retryBudgetPercent: { fallback: 20, min: 0, max: 100 },
  minRetriesPerSecond: { fallback: 10, min: 0 },
  ejectAfter: { fallback: 5, min: 0 },
  ejectMs: { fallback: 1_000, min: 1 },
  maxEjectMs: { fallback: 30_000, min: 1 },
  maxEjectedPercent: { fallback: 67, min: 0, max: 100 },
  slowStartMs: { fallback: 10_000, min: 0 },
  maxInFlight: { fallback: Infinity, min: 1 },
  maxQueued: { fallback: 0, min: 0 },
  queueTimeoutMs: { fallback: 1_000, min: 1 },
  connectTimeoutMs: { fallback: 5_000, min: 1 },
  responseTimeoutMs: { fallback: 60_000, min: 1 },
  totalTimeoutMs: { fallback: Infinity, min: 1 },
  idleTimeoutMs: { fallback: 60_000, min: 1 },
  tunnelIdleTimeoutMs: { fallback: 3_600_000, min: 1 },
  headTimeoutMs: { fallback: 10_000, min: 1 },
  keepAliveTimeoutMs: { fallback: 60_000, min: 1 },
  upstreamIdleTimeoutMs: { fallback: 4_000, min: 0 },
  maxIdlePerUpstream: { fallback: 256, min: 0 },
  maxConnections: { fallback: 16_384, min: 1 },
  maxRequestsPerConnection: { fallback: Infinity, min: 1 },
  maxHeadBytes: { fallback: 16_384, min: 1_024 },
  maxRequestLineBytes: { fallback: 8_192, min: 64 },
  maxFields: { fallback: 100, min: 1 },
  maxBodyBytes: { fallback: Infinity, min: 0, max: Number.MAX_SAFE_INTEGER },
  // Node's parser takes 16 KiB of extensions for each chunk, and we are never laxer.
  maxChunkLineBytes: { fallback: 1_024, min: 32, max: 16_384 },
  maxChunkExtensionBytes: { fallback: 16_384, min: 0 },
  maxTrailerBytes: { fallback: 16_384, min: 64 },
  maxHeldBytes: { fallback: 65_536, min: 1 },
  minBodyBytesPerSecond: { fallback: 100, min: 0 },
} as const satisfies Readonly<Record<string, Range>>;

/** The numbers of a health check. */
const HEALTH_CHECK_NUMBERS = {
  intervalMs: { fallback: 5_000, min: 10 },
  timeoutMs: { fallback: 2_000, min: 1 },
  rise: { fallback: 2, min: 1 },
  fall: { fallback: 3, min: 1 },
} as const satisfies Readonly<Record<string, Range>>;

const KNOWN: ReadonlySet<string> = new Set([
  ...Object.keys(NUMBERS), 'upstreams', 'strategy', 'via', 'forwarded', 'trustForwarded', 'changeOrigin', 'retryOn',
  'healthCheck', 'connect', 'onReport', 'time', 'rng',
]);
const KNOWN_OF_UPSTREAM: ReadonlySet<string> = new Set(['origin', 'weight', 'maxInFlight', 'tags', 'healthCheck']);
const KNOWN_OF_HEALTH_CHECK: ReadonlySet<string> = new Set([
  'path', 'status', 'host', ...Object.keys(HEALTH_CHECK_NUMBERS),
]);

function raise(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new BalancerError('OPTIONS_INVALID', `invalid options:\n${problems.map((line) => `  ${line}`).join('\n')}`);
}

function upstreams(value: unknown, all: ForAll, problems: string[]): ParsedUpstream[] {
  if (!Array.isArray(value)) {
    problems.push(`upstreams: ${shown(value)} is no list; give origins, e.g. ['http://127.0.0.1:3001']`);
    return [];
  }
  const parsed: ParsedUpstream[] = [];
  const seen = new Map<string, number>();
  for (const [i, entry] of value.entries()) {
    const one = upstream(entry, `upstreams[${i}]`, all, problems);
    if (one === undefined) continue;
    const first = seen.get(one.origin);
    if (first === undefined) seen.set(one.origin, i);
    else problems.push(`upstreams[${i}]: ${one.origin} is upstreams[${first}] already; give it a weight instead`);
    parsed.push(one);
  }
  return parsed;
}

function upstream(value: unknown, path: string, all: ForAll, problems: string[]): ParsedUpstream | undefined {
  const entry = typeof value === 'string' ? { origin: value } : record(value, path, problems);
  const { origin, weight = 1, maxInFlight = Infinity, tags = {}, healthCheck: own } = entry;
  onlyKnown(entry, `${path}.`, KNOWN_OF_UPSTREAM, problems);
  if (typeof weight !== 'number' || !(weight > 0) || weight === Infinity) {
    problems.push(`${path}.weight: ${shown(weight)} is no number above 0; leave it out for 1`);
  }
  if (maxInFlight !== Infinity && !(Number.isInteger(maxInFlight) && (maxInFlight as number) >= 1)) {
    problems.push(`${path}.maxInFlight: ${shown(maxInFlight)} is no whole number from 1; leave it out for no limit`);
  }
  if (!isRecord(tags) || Object.values(tags).some((tag) => typeof tag !== 'string')) {
    problems.push(`${path}.tags: ${shown(tags)} is no object of strings`);
  }
  const url = typeof origin === 'string' && URL.canParse(origin) ? new URL(origin) : undefined;
  // Path, query, fragment and user all show in the address as a whole.
  if (url?.href !== `${url?.origin ?? ''}/` || !/^https?:$/.test(url.protocol)) {
    problems.push(
      `${path}.origin: ${shown(origin)} is no origin; give scheme, host and port, e.g. http://127.0.0.1:3001`);
    return undefined;
  }
  if (url.protocol === 'https:' && !all.canTls) {
    problems.push(`${path}.origin: ${url.origin} needs TLS, which the core leaves to you: give the option connect`);
  }
  return {
    origin: url.origin,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port),
    authority: url.host,
    weight: weight as number,
    maxInFlight: maxInFlight as number,
    tags: tags as Record<string, string>,
    healthCheck: own === undefined ? all.check : healthCheck(own, `${path}.healthCheck`, problems),
  };
}

function healthCheck(value: unknown, path: string, problems: string[]): HealthCheck | undefined {
  if (value === undefined || value === false) return undefined;
  const check = record(value, path, problems);
  onlyKnown(check, `${path}.`, KNOWN_OF_HEALTH_CHECK, problems);
  const { path: target, host, status = '200-399' } = check;
  if (target !== undefined && !(typeof target === 'string' && /^\/[\x21\x22\x24-\x7e]*$/.test(target))) {
    problems.push(`${path}.path: ${shown(target)} is no path such as '/health'; leave it out for a connect alone`);
  }
  if (host !== undefined && !(typeof host === 'string' && /^[\w.:[\]-]+$/.test(host))) {
    problems.push(`${path}.host: ${shown(host)} is no host such as 'app.example'`);
  }
  const text = typeof status === 'number' ? String(status) : status;
  const range = typeof text === 'string' ? /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(text) : undefined;
  const [minStatus, maxStatus] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
  if (!(minStatus <= maxStatus)) {
    problems.push(`${path}.status: ${shown(status)} is no status or range of them, e.g. 200 or '200-399'`);
  }
  return {
    ...integers(check, `${path}.`, HEALTH_CHECK_NUMBERS, problems),
    path: target as string | undefined,
    host: host as string | undefined,
    minStatus,
    maxStatus,
  };
}

function retryOn(value: unknown, problems: string[]): ReadonlySet<number> {
  const statuses: readonly unknown[] = Array.isArray(value) ? value : [];
  const known = (status: unknown): boolean => {
    return status === 429 || (Number.isInteger(status) && (status as number) >= 500 && (status as number) <= 599);
  };
  if ((value !== undefined && !Array.isArray(value)) || !statuses.every(known)) {
    problems.push(`retryOn: ${shown(value)} is no list of statuses among 429 and 500 to 599, e.g. [502, 503, 504]`);
  }
  return new Set(statuses as number[]);
}

function strategy(value: unknown, problems: string[]): Strategy | undefined {
  if (value === undefined || isStrategy(value)) return value;
  const called = typeof value === 'function' ? '; call the factory, e.g. roundRobin()' : '';
  problems.push(`strategy: ${shown(value)} is no strategy: an object with a name and a method pick${called}`);
  return undefined;
}

function isStrategy(value: unknown): value is Strategy {
  return typeof value === 'object' && value !== null && 'pick' in value && typeof value.pick === 'function' &&
    'name' in value && typeof value.name === 'string';
}

function via(value: unknown, problems: string[]): string {
  if (value === undefined) return 'equipoise';
  if (value === false) return '';
  // RFC 9110 §7.6.3: received-by is a pseudonym (a token) or a host with its port.
  if (typeof value === 'string' && /^[\w!#$%&'*+.^`|~:-]+$/.test(value)) return value;
  problems.push(`via: ${shown(value)} is neither false nor a token such as 'edge-1'`);
  return '';
}

function timeSource(value: unknown, problems: string[]): TimeSource | undefined {
  if (value === undefined || isTimeSource(value)) return value;
  problems.push(`time: ${shown(value)} is no source of time: an object with the methods now, epoch and every`);
  return undefined;
}

function isTimeSource(value: unknown): value is TimeSource {
  return isRecord(value) && [value['now'], value['epoch'], value['every']].every((each) => typeof each === 'function');
}

/** All numbers of a table, each with its default where it is not given. */
function integers<N extends string>(
  given: Readonly<Record<string, unknown>>, prefix: string, table: Readonly<Record<N, Range>>, problems: string[],
): Record<N, number> {
  const pairs = Object.entries<Range>(table).map(([name, range]) => {
    return [name, integer(given[name], prefix + name, range, problems)];
  });
  return Object.fromEntries(pairs) as Record<N, number>;
}

function onlyKnown(given: object, prefix: string, known: ReadonlySet<string>, problems: string[]): void {
  for (const name of Object.keys(given)) {
    if (!known.has(name)) problems.push(`${prefix}${name}: unknown option; known are ${[...known].sort().join(', ')}`);
  }
}

function integer(value: unknown, path: string, range: Range, problems: string[]): number {
  const { fallback, min, max = MAX_INTEGER } = range;
  if (value === undefined || value === fallback) return fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  const otherwise = fallback === Infinity ? 'leave it out for no limit' : `the default is ${fallback}`;
  const upTo = max === MAX_INTEGER || max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`;
  problems.push(`${path}: ${shown(value)} is no whole number from ${min}${upTo}; ${otherwise}`);
  return fallback;
}

function flag(value: unknown, path: string, problems: string[]): boolean {
  if (value !== undefined && typeof value !== 'boolean') problems.push(`${path}: ${shown(value)} is no boolean`);
  return value === true;
}

function optionalFunction(value: unknown, path: string, problems: string[]): unknown {
  if (value === undefined || typeof value === 'function') return value;
  problems.push(`${path}: ${shown(value)} is no function`);
  return undefined;
}

function record(value: unknown, path: string, problems: string[]): Record<string, unknown> {
  if (isRecord(value)) return value;
  problems.push(`${path}: ${shown(value)} is no object`);
  return {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as messages show it: short, whatever it is. */
function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'number' || typeof value === 'bigint' || value === undefined) return String(value);
  const text = typeof value === 'symbol' ? String(value) : json(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** As JSON, where it can be: a value may hold itself, or refuse. */
function json(value: unknown): string {
  try {
    const text: unknown = JSON.stringify(value);
    return typeof text === 'string' ? text : 'an object';
  } catch {
    return 'an object';
  }
}
