/**
 * The list of upstreams checked: all of it for `createBalancer` and `update`, or one entry for `add`.
 */
import { BalancerError } from '../errors.ts';
import { alike, isRecord, onlyKnown, shown } from './checks.ts';
import { type HealthCheck, readHealthCheck } from './health-check.ts';
import { SLICE, type Work } from '../loop/slices.ts';
import type { UpstreamOptions } from './options.ts';
import { originProblem, parseOrigin } from './origin.ts';
import { checked, invalid, refuse, unreadable } from './problems.ts';

/** One upstream, parsed. */
export interface ParsedUpstream extends Required<Omit<UpstreamOptions, 'healthCheck'>> {
  readonly host: string;
  readonly port: number;
  /** The Host value of the upstream. */
  readonly authority: string;
  /** Undefined where there is none. */
  readonly healthCheck: HealthCheck | undefined;
}

/** What all upstreams of a list have in common. */
export interface Common {
  /** The option `connect`: without it, `https:` is out of reach. */
  readonly connect: unknown;
  /** For upstreams whose own entry says nothing. */
  readonly healthCheck: HealthCheck | undefined;
}

/** Gives what an origin was parsed to before. */
export type Known = (origin: string) => ParsedUpstream | undefined;

/** One upstream checked, for `add`. Throws OPTIONS_INVALID. */
export function parseUpstream(input: unknown, common: Common): ParsedUpstream {
  const parsed = checked((problems) => readEntry(input, 'upstream', common, problems));
  if (parsed === undefined) throw new BalancerError('OPTIONS_INVALID');
  return parsed;
}

/**
 * A list of upstreams checked, for `update`. Where all options of an origin are as they were, what `known` gives is
 * returned for it. Throws OPTIONS_INVALID.
 */
export function* parseUpstreams(input: unknown, common: Common, known?: Known): Work<readonly ParsedUpstream[]> {
  const problems: string[] = [];
  let parsed: readonly ParsedUpstream[] = [];
  try {
    // A copy: the caller may change its list meanwhile.
    const list: unknown = Array.isArray(input) ? input.slice() : input;
    parsed = yield* readUpstreams(list, 'upstreams', common, problems, known);
  } catch (cause) {
    problems.push(unreadable('upstreams', cause));
  }
  refuse(problems);
  return parsed;
}

/** The usual spelling of an origin, for `remove`. Throws OPTIONS_INVALID. */
export function parsedOrigin(input: unknown): string {
  const problem = typeof input === 'string' ? undefined : `must be an origin (got ${shown(input)})`;
  const parsed = typeof input === 'string' ? parseOrigin(input) : undefined;
  if (parsed !== undefined) return parsed.origin;
  throw invalid([`remove: ${problem ?? originProblem(String(input))}`]);
}

/** The list of upstreams at `path` checked, in slices. Adds what is wrong to `problems`. */
export function* readUpstreams(
  value: unknown, path: string, common: Common, problems: string[], known?: Known,
): Work<ParsedUpstream[]> {
  if (!Array.isArray(value)) {
    problems.push(`${path}: must be a list of origins, e.g. ['http://127.0.0.1:3001'] (got ${shown(value)})`);
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
      else problems.push(`${path}[${i}]: ${one.origin} is ${path}[${first}] already; give it a weight`);
      parsed.push(one);
    }
  }
  return parsed;
}

/** What an entry was parsed to before, if nothing in it is new: most entries of a long list are as they were. */
function asBefore(value: unknown, { healthCheck }: Common, known: Known | undefined): ParsedUpstream | undefined {
  try {
    return known === undefined ? undefined : sameAsBefore(value, known, healthCheck);
  } catch {
    // It cannot be read. Parsing it says so.
    return undefined;
  }
}

function sameAsBefore(
  value: unknown, known: Known, check: HealthCheck | undefined,
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
  if (parsed.protocol === 'https:' && common.connect === undefined) {
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
    healthCheck: own === undefined ? common.healthCheck : readHealthCheck(own, `${path}.healthCheck`, problems),
  };
}

const MIN_WEIGHT = 1e-3;
const MAX_WEIGHT = 1e6;
const KNOWN_OF_UPSTREAM: ReadonlySet<string> = new Set(['origin', 'weight', 'maxInFlight', 'tags', 'healthCheck']);
const NO_TAGS: Readonly<Record<string, string>> = Object.freeze({});
