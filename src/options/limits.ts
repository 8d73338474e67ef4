/**
 * Limits of single exchanges: what a route or `onRequest` may set in place of the options of a pool. The same checks
 * apply as to the options.
 */
import type { ExchangeLimits } from '../hooks.ts';
import { integer, isRecord, onlyKnown, type Range, shown } from './checks.ts';
import { FRONT_NUMBERS, type FrontSettings } from './front.ts';
import { POOL_NUMBERS, type PoolSettings, retryStatuses } from './pool.ts';

/** The limits that are given, checked. */
export type ParsedLimits = Partial<Pick<PoolSettings & FrontSettings, keyof ExchangeLimits>>;

/** Reads limits. Adds what is wrong to `problems`; `path` is where they are given. */
export function readLimits(value: unknown, path: string, problems: string[]): ParsedLimits {
  if (!isRecord(value)) {
    problems.push(`${path}: must be an object such as { totalTimeoutMs: 2000, maxAttempts: 1 } (got ${shown(value)})`);
    return {};
  }
  // Read once: a getter may return something else each time.
  const given = { ...value };
  onlyKnown(given, `${path}.`, KNOWN, problems);
  const limits: { -readonly [N in keyof ParsedLimits]: ParsedLimits[N] } = {};
  for (const [name, range] of Object.entries(LIMIT_NUMBERS) as [keyof typeof LIMIT_NUMBERS, Range][]) {
    if (given[name] === undefined) continue;
    limits[name] = integer(given[name], `${path}.${name}`, range, problems, 'leave it out for that of the pool');
  }
  const { retryOn } = given;
  if (retryOn !== undefined) limits.retryOn = retryStatuses(retryOn, `${path}.retryOn`, problems);
  return limits;
}

/** Checks limits. Throws a TypeError that lists every problem. */
export function parseLimits(value: unknown, path: string): ParsedLimits {
  const problems: string[] = [];
  const limits = readLimits(value, path, problems);
  if (problems.length > 0) throw new TypeError(problems.join('; '));
  return limits;
}

/** Limits as they are given. */
export function shownLimits({ retryOn, ...numbers }: ParsedLimits): ExchangeLimits {
  return Object.freeze(retryOn === undefined ? numbers : { ...numbers, retryOn: Object.freeze([...retryOn]) });
}

const { idleTimeoutMs } = FRONT_NUMBERS;
const {
  connectTimeoutMs, responseTimeoutMs, totalTimeoutMs, queueTimeoutMs, tunnelIdleTimeoutMs, maxAttempts, maxReplayBytes,
} = POOL_NUMBERS;
export const LIMIT_NUMBERS = {
  connectTimeoutMs, responseTimeoutMs, totalTimeoutMs, queueTimeoutMs, idleTimeoutMs, tunnelIdleTimeoutMs, maxAttempts,
  maxReplayBytes,
} as const satisfies Readonly<Record<Exclude<keyof ExchangeLimits, 'retryOn'>, Range>>;
const KNOWN: ReadonlySet<string> = new Set([...Object.keys(LIMIT_NUMBERS), 'retryOn']);
