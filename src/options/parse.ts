/**
 * The options checked and completed: the one place that does. All problems are told in one error.
 */
import {
  alike, flag, integers, isRecord, onlyKnown, optionalFunction, type Range, shown, timeSource,
} from './checks.ts';
import type { Channel } from '../channel.ts';
import type { TimeSource } from '../loop/clock.ts';
import { BalancerError } from '../errors.ts';
import { messageOf } from '../guard.ts';
import type { Hooks } from '../hooks.ts';
import type { BalancerOptions, UpstreamOptions } from './options.ts';
import { originProblem, parseOrigin } from './origin.ts';
import { atOnce, SLICE, type Work } from '../loop/slices.ts';
import { strategyProblem } from './strategy-check.ts';
import type { Strategy } from '../strategy.ts';

/** The options with all defaults filled in; what each means stands at {@link BalancerOptions}. */
export interface Settings extends Readonly<Record<keyof typeof NUMBERS, number>> {
  readonly upstreams: readonly ParsedUpstream[];
  readonly strategy: Strategy | undefined;
  readonly peers: Channel | undefined;
  /** The pseudonym; `''` sends no Via. */
  readonly via: string;
  readonly forwarded: boolean;
  readonly xForwarded: boolean;
  /** Whether the hop at this address may speak of earlier hops. */
  readonly trusts: (address: string) => boolean;
  readonly changeOrigin: boolean;
  /** In lower case. */
  readonly upgradeProtocols: ReadonlySet<string>;
  readonly upgradeTarget: BalancerOptions['upgradeTarget'];
  readonly retryOn: ReadonlySet<number>;
  /** For upstreams whose own entry says nothing. */
  readonly healthCheck: HealthCheck | undefined;
  readonly connect: BalancerOptions['connect'];
  readonly onReport: BalancerOptions['onReport'];
  /** Undefined without hooks. */
  readonly hooks: Hooks | undefined;
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

/**
 * The options checked and completed. Throws OPTIONS_INVALID, which lists every problem with its path and what to write
 * instead.
 */
export function parseOptions(input: unknown): Settings {
  return checked((problems) => readOptions(input, problems));
}

/** Checks options and adds what is wrong to `problems`: for callers that have problems of their own to tell. */
export function readOptions(input: unknown, problems: string[]): Settings {
  if (!isRecord(input)) problems.push(`options: must be an object with a list of upstreams (got ${shown(input)})`);
  // What is missing from no options at all is not worth a line of its own.
  const options = isRecord(input) ? input : { upstreams: [] };
  onlyKnown(options, '', OPTION_NAMES, problems);
  const connect = optionalFunction(options['connect'], 'connect', problems) as Settings['connect'];
  const { trustForwarded } = options;
  if (trustForwarded !== undefined && typeof trustForwarded !== 'boolean' && typeof trustForwarded !== 'function') {
    problems.push(`trustForwarded: must be true, false or a function of an address (got ${shown(trustForwarded)})`);
  }
  const check = healthCheck(options['healthCheck'], 'healthCheck', problems);
  return {
    ...integers(options, '', NUMBERS, problems),
    upstreams: atOnce(upstreams(options['upstreams'], { canTls: connect !== undefined, check }, problems)),
    healthCheck: check,
    retryOn: retryOn(options['retryOn'], problems),
    strategy: strategy(options['strategy'], problems),
    peers: peers(options['peers'], problems),
    via: via(options['via'], problems),
    forwarded: flag(options['forwarded'], 'forwarded', problems),
    xForwarded: options['xForwarded'] === undefined || flag(options['xForwarded'], 'xForwarded', problems),
    trusts: typeof trustForwarded === 'function'
      ? (trustForwarded as (address: string) => boolean)
      : () => trustForwarded === true,
    changeOrigin: flag(options['changeOrigin'], 'changeOrigin', problems),
    upgradeProtocols: upgradeProtocols(options['upgradeProtocols'], problems),
    upgradeTarget: optionalFunction(options['upgradeTarget'], 'upgradeTarget', problems) as Settings['upgradeTarget'],
    connect,
    onReport: optionalFunction(options['onReport'], 'onReport', problems) as Settings['onReport'],
    hooks: hooks(options, problems),
    time: timeSource(options['time'], problems),
    rng: optionalFunction(options['rng'], 'rng', problems) as Settings['rng'],
  };
}

/** The usual spelling of an origin, for `remove`. Throws OPTIONS_INVALID. */
export function parsedOrigin(input: unknown): string {
  const problem = typeof input === 'string' ? undefined : `must be an origin (got ${shown(input)})`;
  const parsed = typeof input === 'string' ? parseOrigin(input) : undefined;
  if (parsed !== undefined) return parsed.origin;
  throw invalid([`remove: ${problem ?? originProblem(String(input))}`]);
}

/** One upstream checked, for `add`. Throws OPTIONS_INVALID. */
export function parseUpstream(input: unknown, settings: Settings): ParsedUpstream {
  const parsed = checked((problems) => guardedUpstream(input, 'upstream', forAll(settings), problems));
  if (parsed === undefined) throw new BalancerError('OPTIONS_INVALID');
  return parsed;
}

/**
 * A list of upstreams checked, for `update`. `known` gives what an origin was parsed to before: where all options are
 * as they were, that is what is returned for it. Throws OPTIONS_INVALID.
 */
export function* parseUpstreams(
  input: unknown, settings: Settings, known?: ForAll['known'],
): Work<readonly ParsedUpstream[]> {
  const problems: string[] = [];
  let parsed: readonly ParsedUpstream[] = [];
  try {
    // A copy, since the list is the caller's to change meanwhile; and whoever gives no list is to be told so.
    const list: unknown = Array.isArray(input) ? input.slice() : input;
    parsed = yield* upstreams(list, { ...forAll(settings), known }, problems);
  } catch (cause) {
    problems.push(unreadable('upstreams', cause));
  }
  refuse(problems);
  return parsed;
}

/** What all upstreams have in common. */
interface ForAll {
  /** Whether `https:` can be spoken. */
  readonly canTls: boolean;
  readonly check: HealthCheck | undefined;
  /** What an origin was parsed to before. */
  readonly known?: ((origin: string) => ParsedUpstream | undefined) | undefined;
}

function forAll({ connect, healthCheck: check }: Settings): ForAll {
  return { canTls: connect !== undefined, check };
}

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
  maxUpstreamConnectionMs: { fallback: 300_000, min: 1 },
  maxRequestsPerUpstreamConnection: { fallback: Infinity, min: 1 },
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
  hookTimeoutMs: { fallback: 30_000, min: 1 },
} as const satisfies Readonly<Record<string, Range>>;

/** The numbers of a health check. */
const HEALTH_CHECK_NUMBERS = {
  intervalMs: { fallback: 5_000, min: 10 },
  timeoutMs: { fallback: 2_000, min: 1 },
  rise: { fallback: 2, min: 1 },
  fall: { fallback: 3, min: 1 },
} as const satisfies Readonly<Record<string, Range>>;

const MIN_WEIGHT = 1e-3;
const MAX_WEIGHT = 1e6;

/** The names of all options. */
export const OPTION_NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(NUMBERS), 'upstreams', 'strategy', 'peers', 'via', 'forwarded', 'xForwarded', 'trustForwarded',
  'changeOrigin', 'upgradeProtocols', 'upgradeTarget', 'retryOn', 'healthCheck', 'connect', 'onReport', 'time', 'rng',
  'onRequest', 'onResponse', 'onError',
]);
const KNOWN_OF_UPSTREAM: ReadonlySet<string> = new Set(['origin', 'weight', 'maxInFlight', 'tags', 'healthCheck']);
const NO_TAGS: Readonly<Record<string, string>> = Object.freeze({});
const KNOWN_OF_HEALTH_CHECK: ReadonlySet<string> = new Set([
  'path', 'status', 'host', ...Object.keys(HEALTH_CHECK_NUMBERS),
]);

/** What `read` makes of its input. Throws OPTIONS_INVALID with all the problems that it found. */
function checked<T>(read: (problems: string[]) => T): T {
  const problems: string[] = [];
  try {
    const made = read(problems);
    if (problems.length === 0) return made;
  } catch (cause) {
    problems.push(unreadable('options', cause));
  }
  throw invalid(problems);
}

/** Of an object with a getter that throws, or a Proxy. */
function unreadable(path: string, cause: unknown): string {
  return `${path}: reading this threw: ${messageOf(cause)}`;
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw invalid(problems);
}

function invalid(problems: readonly string[]): BalancerError {
  return new BalancerError('OPTIONS_INVALID', `invalid options:\n${problems.map((line) => `  ${line}`).join('\n')}`);
}

function* upstreams(value: unknown, all: ForAll, problems: string[]): Work<ParsedUpstream[]> {
  if (!Array.isArray(value)) {
    problems.push(`upstreams: must be a list of origins, e.g. ['http://127.0.0.1:3001'] (got ${shown(value)})`);
    return [];
  }
  const parsed: ParsedUpstream[] = [];
  const places = new Map<string, number>();
  for (let at = 0; at < value.length; at += SLICE) {
    if (at > 0) yield;
    for (let i = at; i < Math.min(at + SLICE, value.length); i++) {
      const entry: unknown = value[i];
      const one = asBefore(entry, all) ?? guardedUpstream(entry, `upstreams[${i}]`, all, problems);
      if (one === undefined) continue;
      const first = places.get(one.origin);
      if (first === undefined) places.set(one.origin, i);
      else problems.push(`upstreams[${i}]: ${one.origin} is upstreams[${first}] already; give it a weight`);
      parsed.push(one);
    }
  }
  return parsed;
}

/** What an entry was parsed to before, if nothing in it is new: of a long list, most are as they were. */
function asBefore(value: unknown, all: ForAll): ParsedUpstream | undefined {
  try {
    return all.known === undefined ? undefined : sameAsBefore(value, all.known, all.check);
  } catch {
    // It cannot be read, which is told where it is parsed.
    return undefined;
  }
}

function sameAsBefore(
  value: unknown, known: NonNullable<ForAll['known']>, check: HealthCheck | undefined,
): ParsedUpstream | undefined {
  if (typeof value === 'string') {
    const before = known(value);
    const same = before?.weight === 1 && before.maxInFlight === Infinity && before.tags === NO_TAGS &&
      before.healthCheck === check;
    return same ? before : undefined;
  }
  if (!isRecord(value)) return undefined;
  const { origin, weight = 1, maxInFlight = Infinity, tags = NO_TAGS, healthCheck: own } = value;
  const before = typeof origin === 'string' ? known(origin) : undefined;
  if (before === undefined) return undefined;
  const same = before.weight === weight && before.maxInFlight === maxInFlight && own === undefined &&
    before.healthCheck === check && isRecord(tags) && alike(before.tags, tags) &&
    Object.keys(value).every((name) => KNOWN_OF_UPSTREAM.has(name));
  return same ? before : undefined;
}

function guardedUpstream(value: unknown, path: string, all: ForAll, problems: string[]): ParsedUpstream | undefined {
  try {
    return upstream(value, path, all, problems);
  } catch (cause) {
    problems.push(unreadable(path, cause));
    return undefined;
  }
}

function upstream(value: unknown, path: string, all: ForAll, problems: string[]): ParsedUpstream | undefined {
  if (typeof value !== 'string' && !isRecord(value)) {
    problems.push(`${path}: must be an origin such as 'http://127.0.0.1:3001', or an object (got ${shown(value)})`);
    return undefined;
  }
  const entry: Record<string, unknown> = typeof value === 'string' ? { origin: value } : value;
  const { origin, weight = 1, maxInFlight = Infinity, tags: given = NO_TAGS, healthCheck: own } = entry;
  // A copy: what strategies read is not the caller's to change.
  const tags = given === NO_TAGS || !isRecord(given) ? given : Object.freeze({ ...given });
  onlyKnown(entry, `${path}.`, KNOWN_OF_UPSTREAM, problems);
  // Sums and ratios of weights in these bounds lose no upstream to rounding.
  if (typeof weight !== 'number' || !(weight >= MIN_WEIGHT && weight <= MAX_WEIGHT)) {
    const got = shown(weight);
    problems.push(
      `${path}.weight: must be a number from ${MIN_WEIGHT} to ${MAX_WEIGHT} (got ${got}); leave it out for 1`);
  }
  if (maxInFlight !== Infinity && !(Number.isInteger(maxInFlight) && (maxInFlight as number) >= 1)) {
    problems.push(
      `${path}.maxInFlight: must be an integer ≥ 1 (got ${shown(maxInFlight)}); leave it out for no limit`);
  }
  if (!isRecord(tags) || Object.values(tags).some((tag) => typeof tag !== 'string')) {
    problems.push(`${path}.tags: must be an object of strings, e.g. { zone: 'a' } (got ${shown(tags)})`);
  }
  const parsed = typeof origin === 'string' ? parseOrigin(origin) : undefined;
  if (parsed === undefined) {
    const problem = typeof origin === 'string'
      ? originProblem(origin)
      : `must be an origin such as 'http://127.0.0.1:3001' (got ${shown(origin)})`;
    problems.push(`${path}.origin: ${problem}`);
    return undefined;
  }
  if (parsed.protocol === 'https:' && !all.canTls) {
    problems.push(`${path}.origin: ${parsed.origin} needs TLS, which the core leaves to you; give the option connect`);
  }
  return {
    origin: parsed.origin,
    host: parsed.host,
    port: parsed.port,
    authority: parsed.authority,
    weight: weight as number,
    maxInFlight: maxInFlight as number,
    tags: tags as Record<string, string>,
    healthCheck: own === undefined ? all.check : healthCheck(own, `${path}.healthCheck`, problems),
  };
}

function healthCheck(value: unknown, path: string, problems: string[]): HealthCheck | undefined {
  if (value === undefined || value === false) return undefined;
  if (!isRecord(value)) {
    const meant = typeof value === 'string' && value.startsWith('/') ? value : '/health';
    problems.push(`${path}: must be an object (got ${shown(value)}); write { path: '${meant}' }`);
    return undefined;
  }
  const check = value;
  onlyKnown(check, `${path}.`, KNOWN_OF_HEALTH_CHECK, problems);
  const { path: target, host, status = '200-399' } = check;
  if (target !== undefined && !(typeof target === 'string' && /^\/[\x21\x22\x24-\x7e]*$/.test(target))) {
    problems.push(
      `${path}.path: must be a path such as '/health' (got ${shown(target)}); leave it out to connect and no more`);
  }
  if (host !== undefined && !(typeof host === 'string' && /^[\w.:[\]-]+$/.test(host))) {
    problems.push(`${path}.host: must be a host such as 'app.example' (got ${shown(host)})`);
  }
  const text = typeof status === 'number' ? String(status) : status;
  const range = typeof text === 'string' ? /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(text) : undefined;
  const [minStatus, maxStatus] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
  if (!(minStatus <= maxStatus)) {
    problems.push(`${path}.status: must be a status or a range, e.g. 200 or '200-399' (got ${shown(status)})`);
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
    problems.push(
      `retryOn: must be a list of statuses, 429 or from 500 to 599, e.g. [502, 503, 504] (got ${shown(value)})`);
  }
  return new Set(statuses as number[]);
}

function upgradeProtocols(value: unknown, problems: string[]): ReadonlySet<string> {
  const protocols: readonly unknown[] = Array.isArray(value) ? value : [];
  const isProtocol = (one: unknown): one is string => typeof one === 'string' && PROTOCOL.test(one);
  if ((value !== undefined && !Array.isArray(value)) || !protocols.every(isProtocol)) {
    problems.push(`upgradeProtocols: must be a list of protocols such as ['tcp'] (got ${shown(value)})`);
  } else if (protocols.some((protocol) => /^h2c/i.test(protocol))) {
    problems.push('upgradeProtocols: h2c cannot be tunnelled; leave it out, such requests are served over HTTP/1.1');
  }
  return new Set(protocols.filter(isProtocol).map((protocol) => protocol.toLowerCase()));
}

function strategy(value: unknown, problems: string[]): Strategy | undefined {
  const problem = value === undefined ? undefined : strategyProblem(value);
  if (problem === undefined) return value as Strategy | undefined;
  problems.push(`strategy: ${problem}`);
  return undefined;
}

function peers(value: unknown, problems: string[]): Channel | undefined {
  if (value === undefined) return undefined;
  if (isRecord(value) && typeof value['join'] === 'function') return value as unknown as Channel;
  problems.push(
    `peers: must be an object with the method join, such as channel('upstreams') of launch (got ${shown(value)})`);
  return undefined;
}

function via(value: unknown, problems: string[]): string {
  if (value === undefined) return 'equipoise';
  if (value === false) return '';
  // RFC 9110 §7.6.3: received-by is a pseudonym (a token) or a host with its port.
  if (typeof value === 'string' && /^[\w!#$%&'*+.^`|~:-]+$/.test(value)) return value;
  problems.push(`via: must be false or a token such as 'edge-1' (got ${shown(value)})`);
  return '';
}

/** protocol-name ["/" protocol-version] (RFC 9110 §7.8). */
const PROTOCOL = /^[\w!#$%&'*+.^`|~-]+(\/[\w!#$%&'*+.^`|~-]+)?$/;

/** The hooks among the options; undefined where there are none. */
function hooks(options: Readonly<Record<string, unknown>>, problems: string[]): Hooks | undefined {
  const onRequest = optionalFunction(options['onRequest'], 'onRequest', problems) as Hooks['onRequest'];
  const onResponse = optionalFunction(options['onResponse'], 'onResponse', problems) as Hooks['onResponse'];
  const onError = optionalFunction(options['onError'], 'onError', problems) as Hooks['onError'];
  if (onRequest === undefined && onResponse === undefined && onError === undefined) return undefined;
  return { ...(onRequest && { onRequest }), ...(onResponse && { onResponse }), ...(onError && { onError }) };
}
