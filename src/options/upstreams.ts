/**
 * Checks upstreams: a whole list for `createBalancer` and `update`, one entry for `add`.
 */
import { BalancerError } from '../errors.ts';
import { alike, isRecord, onlyKnown, shown } from './checks.ts';
import { type HealthCheck, readHealthCheck } from './health-check.ts';
import { SLICE, type Work } from '../loop/slices.ts';
import type { UpstreamOptions } from './options.ts';
import { originProblem, parseOrigin, type Scheme } from './origin.ts';
import { checked, invalid, refuse, unreadable } from './problems.ts';

/** One upstream, parsed. */
export interface ParsedUpstream extends Required<Omit<UpstreamOptions, 'healthCheck'>> {
  readonly host: string;
  readonly port: number;
  /** Of a Unix socket, in place of host and port. */
  readonly path: string | undefined;
  /** The upstream's value of `Host`. */
  readonly authority: string;
  /** Undefined if the upstream is not probed. */
  readonly healthCheck: HealthCheck | undefined;
  /** Whether its own entry says how it is probed, or that it is not. */
  readonly hasOwnCheck: boolean;
}

/** Options of the pool that apply to each upstream. */
export interface Common {
  /** The option `connect`: without it, `https:` upstreams cannot be reached. */
  readonly connect: unknown;
  /** For upstreams without a `healthCheck` of their own. */
  readonly healthCheck: HealthCheck | undefined;
  /** The scheme of the upstreams: `http` stands for `https` as well. */
  readonly scheme: Scheme;
}

/** Returns the earlier result for an origin. */
export type Known = (origin: string) => ParsedUpstream | undefined;

/** Checks one upstream, for `add`. Throws OPTIONS_INVALID. */
export function parseUpstream(input: unknown, common: Common): ParsedUpstream {
  const parsed = checked((problems) => readEntry(input, 'upstream', common, problems));
  if (parsed === undefined) throw new BalancerError('OPTIONS_INVALID');
  return parsed;
}

/**
 * Checks a list of upstreams, for `update`. Entries whose options have not changed become what `known` returns for
 * them. Throws OPTIONS_INVALID.
 */
export function* parseUpstreams(input: unknown, common: Common, known?: Known): Work<readonly ParsedUpstream[]> {
  const problems: string[] = [];
  let parsed: readonly ParsedUpstream[] = [];
  try {
    // A copy: the caller may change its list in the meantime.
    const list: unknown = Array.isArray(input) ? input.slice() : input;
    parsed = yield* readUpstreams(list, 'upstreams', common, problems, known);
  } catch (cause) {
    problems.push(unreadable('upstreams', cause));
  }
  refuse(problems);
  return parsed;
}

/** The normal form of an origin, for `remove`. Throws OPTIONS_INVALID. */
export function parsedOrigin(input: unknown, scheme: Scheme, method: string): string {
  const problem = typeof input === 'string' ? undefined : `must be an origin (got ${shown(input)})`;
  const parsed = typeof input === 'string' ? parseOrigin(input, scheme) : undefined;
  if (parsed !== undefined) return parsed.origin;
  throw invalid([`${method}: ${problem ?? originProblem(String(input), scheme)}`]);
}

/** The argument of `setWeight`. Throws OPTIONS_INVALID. */
export function parsedWeight(input: unknown): number | undefined {
  if (input === undefined || isWeight(input)) return input;
  const instead = input === 0 ? '; drain it to give it no work' : '';
  throw invalid([`setWeight: ${WEIGHTS} (got ${shown(input)})${instead}`]);
}

// Within these bounds, rounding in sums and ratios of weights never excludes an upstream.
function isWeight(value: unknown): value is number {
  return typeof value === 'number' && value >= MIN_WEIGHT && value <= MAX_WEIGHT;
}

/** Checks the list of upstreams at `path`, in slices. Adds what is wrong to `problems`. */
export function* readUpstreams(
  value: unknown, path: string, common: Common, problems: string[], known?: Known,
): Work<ParsedUpstream[]> {
  if (!Array.isArray(value)) {
    problems.push(`${path}: must be a list of origins, e.g. ['${EXAMPLE[common.scheme]}'] (got ${shown(value)})`);
    return [];
  }
  const parsed: ParsedUpstream[] = [];
  const places = new Map<string, number>();
  for (let at = 0; at < value.length; at += SLICE) {
    if (at > 0) yield;
    for (let i = at; i < Math.min(at + SLICE, value.length); i++) {
      const entry: unknown = value[i];
      const one = asBefore(entry, common, known) ?? readEntry(entry, `${path}[${i}]`, common, problems);
      if (one === undefined) continue;
      const first = places.get(one.origin);
      if (first === undefined) places.set(one.origin, i);
      else problems.push(`${path}[${i}]: ${one.origin} is already ${path}[${first}]; give it a weight instead`);
      parsed.push(one);
    }
  }
  return parsed;
}

/** The earlier result for an entry, if nothing in it has changed. In a long list, that is true of most. */
function asBefore(
  value: unknown, { connect, healthCheck }: Common, known: Known | undefined,
): ParsedUpstream | undefined {
  try {
    const before = known === undefined ? undefined : sameAsBefore(value, known, healthCheck);
    // It was reached by an option that is gone: readEntry reports that.
    return connect === undefined && before?.origin.startsWith('https:') === true ? undefined : before;
  } catch {
    // It cannot be read, and readEntry reports that.
    return undefined;
  }
}

function sameAsBefore(
  value: unknown, known: Known, check: HealthCheck | undefined,
): ParsedUpstream | undefined {
  if (typeof value === 'string') {
    const before = known(value);
    const same = before?.weight === 1 && before.maxInFlight === Infinity && before.tags === NO_TAGS &&
      !before.hasOwnCheck && before.healthCheck === check;
    return same ? before : undefined;
  }
  if (!isRecord(value)) return undefined;
  const { origin, weight = 1, maxInFlight = Infinity, tags = NO_TAGS, healthCheck: own } = value;
  const before = typeof origin === 'string' ? known(origin) : undefined;
  if (before === undefined) return undefined;
  const same = before.weight === weight && before.maxInFlight === maxInFlight && own === undefined &&
    !before.hasOwnCheck && before.healthCheck === check && isRecord(tags) && alike(before.tags, tags) &&
    Object.keys(value).every((name) => KNOWN_OF_UPSTREAM.has(name));
  return same ? before : undefined;
}

function readEntry(value: unknown, path: string, common: Common, problems: string[]): ParsedUpstream | undefined {
  try {
    return readUpstream(value, path, common, problems);
  } catch (cause) {
    problems.push(unreadable(path, cause));
    return undefined;
  }
}

function readUpstream(value: unknown, path: string, common: Common, problems: string[]): ParsedUpstream | undefined {
  if (typeof value !== 'string' && !isRecord(value)) {
    const example = EXAMPLE[common.scheme];
    problems.push(`${path}: must be an origin such as '${example}', or an object (got ${shown(value)})`);
    return undefined;
  }
  const entry: Record<string, unknown> = typeof value === 'string' ? { origin: value } : value;
  const { origin, weight = 1, maxInFlight = Infinity, tags: given = NO_TAGS, healthCheck: own } = entry;
  // A frozen copy: strategies must not see changes that the caller makes later.
  const tags = given === NO_TAGS || !isRecord(given) ? given : Object.freeze({ ...given });
  onlyKnown(entry, `${path}.`, KNOWN_OF_UPSTREAM, problems);
  if (!isWeight(weight)) {
    problems.push(`${path}.weight: ${WEIGHTS} (got ${shown(weight)}); leave it out for 1`);
  }
  if (maxInFlight !== Infinity && !(Number.isInteger(maxInFlight) && (maxInFlight as number) >= 1)) {
    problems.push(
      `${path}.maxInFlight: must be an integer ≥ 1 (got ${shown(maxInFlight)}); leave it out for no limit`);
  }
  if (!isRecord(tags) || Object.values(tags).some((tag) => typeof tag !== 'string')) {
    problems.push(`${path}.tags: must be an object of strings, e.g. { zone: 'a' } (got ${shown(tags)})`);
  }
  const parsed = typeof origin === 'string' ? parseOrigin(origin, common.scheme) : undefined;
  if (parsed === undefined) {
    const problem = typeof origin === 'string'
      ? originProblem(origin, common.scheme)
      : `must be an origin such as '${EXAMPLE[common.scheme]}' (got ${shown(origin)})`;
    problems.push(`${path}.origin: ${problem}`);
    return undefined;
  }
  if (parsed.protocol === 'https:' && common.connect === undefined) {
    problems.push(`${path}.origin: ${parsed.origin} needs TLS, which the core does not have; set the option connect`);
  }
  return {
    origin: parsed.origin,
    host: parsed.host,
    port: parsed.port,
    path: parsed.path,
    authority: parsed.authority,
    weight: weight as number,
    maxInFlight: maxInFlight as number,
    tags: tags as Record<string, string>,
    healthCheck: own === undefined ? common.healthCheck : readHealthCheck(own, `${path}.healthCheck`, problems),
    hasOwnCheck: own !== undefined,
  };
}

const EXAMPLE: Readonly<Record<Scheme, string>> = { http: 'http://127.0.0.1:3001', tcp: 'tcp://127.0.0.1:6379' };
const MIN_WEIGHT = 1e-3;
const MAX_WEIGHT = 1e6;
const WEIGHTS = `must be a number from ${MIN_WEIGHT} to ${MAX_WEIGHT}`;
const KNOWN_OF_UPSTREAM: ReadonlySet<string> = new Set(['origin', 'weight', 'maxInFlight', 'tags', 'healthCheck']);
const NO_TAGS: Readonly<Record<string, string>> = Object.freeze({});
