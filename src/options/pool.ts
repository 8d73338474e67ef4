/**
 * Checks the options of a pool and fills in the defaults: its upstreams, its strategy, the limits of its requests.
 */
import type { Channel } from '../channel.ts';
import { flag, integers, isRecord, optionalFunction, type Range, shown } from './checks.ts';
import { type HealthCheck, readHealthCheck, sameHealthCheck } from './health-check.ts';
import type { Work } from '../loop/slices.ts';
import type { PoolOptions } from './options.ts';
import type { Scheme } from './origin.ts';
import { strategyProblem } from './strategy-check.ts';
import type { Strategy } from '../strategy.ts';
import { type Known, type ParsedUpstream, readUpstreams } from './upstreams.ts';

/** The options of a pool with all defaults filled in. {@link PoolOptions} explains each. */
export interface PoolSettings extends Readonly<Record<keyof typeof POOL_NUMBERS, number>> {
  readonly upstreams: readonly ParsedUpstream[];
  readonly strategy: Strategy | undefined;
  readonly shadow: Strategy | undefined;
  readonly peers: Channel | undefined;
  /** For upstreams without a `healthCheck` of their own. */
  readonly healthCheck: HealthCheck | undefined;
  readonly retryOn: ReadonlySet<number>;
  readonly changeOrigin: boolean;
  /** The version of the PROXY header to send; 0 sends none. */
  readonly proxyProtocol: 0 | 1 | 2;
  readonly connect: PoolOptions['connect'];
  readonly scheme: Scheme;
}

/**
 * Reads the options of a pool and ignores all others. Adds what is wrong to `problems`, with `prefix` before each name:
 * `''` for options at the top level, `pools.NAME.` for those of a named pool. `before` is what the pool goes by now,
 * and `known` finds its upstreams: what has not changed is returned as it was.
 */
export function* readPoolOptions(
  options: Readonly<Record<string, unknown>>, prefix: string, problems: string[], scheme: Scheme,
  before?: PoolSettings, known?: Known,
): Work<PoolSettings> {
  const healthCheck = readHealthCheck(options['healthCheck'], `${prefix}healthCheck`, problems);
  const common = {
    connect: optionalFunction(options['connect'], `${prefix}connect`, problems) as PoolSettings['connect'],
    healthCheck: sameHealthCheck(healthCheck, before?.healthCheck) ? before?.healthCheck : healthCheck,
    scheme,
  };
  return {
    ...integers(options, prefix, POOL_NUMBERS, problems),
    ...common,
    upstreams: yield* readUpstreams(options['upstreams'], `${prefix}upstreams`, common, problems, known),
    strategy: strategy(options['strategy'], `${prefix}strategy`, problems),
    shadow: strategy(options['shadow'], `${prefix}shadow`, problems),
    peers: peers(options['peers'], `${prefix}peers`, problems),
    retryOn: retryStatuses(options['retryOn'], `${prefix}retryOn`, problems),
    changeOrigin: flag(options['changeOrigin'], `${prefix}changeOrigin`, problems),
    proxyProtocol: proxyProtocol(options['proxyProtocol'], `${prefix}proxyProtocol`, problems),
  };
}

/** Defaults and limits. A default of Infinity means no limit. */
export const POOL_NUMBERS = {
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
  tunnelIdleTimeoutMs: { fallback: 3_600_000, min: 1 },
  upstreamIdleTimeoutMs: { fallback: 4_000, min: 0 },
  maxIdlePerUpstream: { fallback: 256, min: 0 },
  maxUpstreamConnectionMs: { fallback: 300_000, min: 1 },
  maxRequestsPerUpstreamConnection: { fallback: Infinity, min: 1 },
} as const satisfies Readonly<Record<string, Range>>;

export const POOL_OPTION_NAMES: readonly string[] = [
  ...Object.keys(POOL_NUMBERS), 'upstreams', 'strategy', 'shadow', 'peers', 'healthCheck', 'retryOn', 'changeOrigin',
  'connect', 'proxyProtocol',
];

function strategy(value: unknown, path: string, problems: string[]): Strategy | undefined {
  const problem = value === undefined ? undefined : strategyProblem(value);
  if (problem === undefined) return value as Strategy | undefined;
  problems.push(`${path}: ${problem}`);
  return undefined;
}

function peers(value: unknown, path: string, problems: string[]): Channel | undefined {
  if (value === undefined) return undefined;
  if (isRecord(value) && typeof value['join'] === 'function') return value as unknown as Channel;
  problems.push(
    `${path}: must be an object with a method join, such as channel('upstreams') of launch (got ${shown(value)})`);
  return undefined;
}

function proxyProtocol(value: unknown, path: string, problems: string[]): PoolSettings['proxyProtocol'] {
  if (value === undefined || value === 1 || value === 2) return value ?? 0;
  const instead = Array.isArray(value) ? '; to read it from clients, see equipoise/proxy-protocol' : '';
  problems.push(`${path}: must be 1 or 2, the version to send to upstreams (got ${shown(value)}${instead})`);
  return 0;
}

/** The statuses in `retryOn`; none where it is not given. */
export function retryStatuses(value: unknown, path: string, problems: string[]): ReadonlySet<number> {
  const statuses: readonly unknown[] = Array.isArray(value) ? value : [];
  const known = (status: unknown): boolean => {
    return status === 429 || (Number.isInteger(status) && (status as number) >= 500 && (status as number) <= 599);
  };
  if ((value !== undefined && !Array.isArray(value)) || !statuses.every(known)) {
    problems.push(
      `${path}: must be a list of statuses, each 429 or from 500 to 599, e.g. [502, 503, 504] (got ${shown(value)})`);
  }
  return new Set(statuses as number[]);
}
