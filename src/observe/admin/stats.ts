/**
 * How one worker and its upstreams fare, and the sum over all workers. A worker says it of itself; what comes from
 * another one may come from another version of this program, so it is checked.
 */
import { isRecord } from '../../options/checks.ts';
import type { ShadowFigures } from '../../meter.ts';
import type { Upstream } from '../../strategy.ts';
import type { Ejection } from './incidents.ts';

type State = Upstream['state'];

/** An upstream in one worker, or in all of them. */
export interface UpstreamStats {
  readonly pool: string;
  readonly origin: string;
  readonly state: State;
  readonly weight: number;
  readonly inFlight: number;
  readonly latencyMs: number;
  readonly picks: number;
  readonly responses: number;
  readonly failures: number;
  readonly retries: number;
  readonly ejections: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly configuredWeight: number;
  /** The configured weight, or the one that an admin has set; `weight` is less during a slow start. */
  readonly nominalWeight: number;
  /** Null if unlimited. */
  readonly maxInFlight: number | null;
  readonly ejection?: Ejection;
}

/** A pool in one worker, or in all of them. */
export interface PoolStats {
  readonly name: string;
  readonly strategy: string;
  readonly shadow?: ShadowFigures | undefined;
}

/** What a worker says of itself. */
export interface WorkerStats {
  readonly pid: number;
  readonly ready: boolean;
  readonly uptimeS: number;
  /** How busy its event loop was lately: 0 is idle, 1 is blocked. */
  readonly load: number;
  readonly memoryMb: number;
  readonly pools: readonly PoolStats[];
  readonly upstreams: readonly UpstreamStats[];
}

/** The names that the JSON of `/upstreams` has. */
export const PUBLIC_NAMES = [
  'pool', 'origin', 'state', 'weight', 'inFlight', 'latencyMs', 'picks', 'responses', 'failures', 'retries',
  'ejections', 'tags',
] as const satisfies readonly (keyof UpstreamStats)[];

/** An upstream as this worker sees it. `inFlight` is what this worker has in flight: that of the others is theirs. */
export function statsOf(
  pool: string, upstream: Upstream, ejection: Ejection | undefined, givenWeight: number | undefined,
): UpstreamStats {
  const { origin, state, weight, latencyMs, picks, responses, failures, retries, ejections, tags } = upstream;
  const { inFlight, inFlightElsewhere, configuredWeight, maxInFlight } = upstream;
  return {
    pool, origin, state, weight,
    inFlight: Math.round(inFlight - inFlightElsewhere),
    latencyMs, picks, responses, failures, retries, ejections, tags, configuredWeight,
    nominalWeight: givenWeight ?? configuredWeight,
    maxInFlight: maxInFlight === Infinity ? null : maxInFlight,
    ...(ejection !== undefined && (state === 'ejected' || state === 'trial') ? { ejection } : {}),
  };
}

/** The upstreams of all workers. Counts are sums; the latency is that of all responses. */
export function summed(workers: readonly WorkerStats[]): readonly UpstreamStats[] {
  const groups = new Map<string, UpstreamStats[]>();
  for (const { upstreams } of workers) {
    for (const one of upstreams) {
      const key = `${one.pool} ${one.origin}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [one]);
      else group.push(one);
    }
  }
  return [...groups.values()].flatMap((group) => sumOf(group));
}

function sumOf(group: readonly UpstreamStats[]): readonly UpstreamStats[] {
  const [first] = group;
  if (first === undefined) return [];
  if (group.length === 1) return [first];
  // One that is being removed says little about the one that was added again.
  const staying = group.filter(({ state }) => state !== 'draining' && state !== 'drained');
  const shown = staying[0] ?? first;
  const sum = (name: 'inFlight' | 'picks' | 'responses' | 'failures' | 'retries' | 'ejections'): number => (
    group.reduce((total, one) => total + one[name], 0));
  const responses = sum('responses');
  const waited = group.reduce((total, one) => total + one.latencyMs * one.responses, 0);
  const ejection = group.find((one) => one.ejection !== undefined)?.ejection;
  const limits = group.map(({ maxInFlight }) => maxInFlight);
  return [{
    ...shown,
    state: stateOf(group.map(({ state }) => state)),
    inFlight: sum('inFlight'),
    latencyMs: responses === 0 ? 0 : waited / responses,
    picks: sum('picks'), responses, failures: sum('failures'), retries: sum('retries'), ejections: sum('ejections'),
    maxInFlight: limits.includes(null) ? null : limits.reduce((total: number, limit) => total + (limit ?? 0), 0),
    ...(ejection === undefined ? {} : { ejection }),
  }];
}

/** The state in all workers together: drained is what none of them uses. */
function stateOf(states: readonly State[]): State {
  const used = states.filter((state) => state !== 'draining' && state !== 'drained');
  if (used.length === 0) return states.includes('draining') ? 'draining' : 'drained';
  return used.includes('ejected') ? 'ejected' : used.includes('trial') ? 'trial' : used[0] ?? 'active';
}

/** What another worker says of itself; undefined if it is not understood. */
export function workerStatsIn(value: unknown): WorkerStats | undefined {
  if (!isRecord(value)) return undefined;
  const { pid, ready, uptimeS, load, memoryMb, pools, upstreams } = value;
  const numbers = [pid, uptimeS, load, memoryMb].every((one) => typeof one === 'number');
  if (!numbers || typeof ready !== 'boolean' || !Array.isArray(pools) || !Array.isArray(upstreams)) return undefined;
  if (!pools.every((one) => isRecord(one) && typeof one['name'] === 'string')) return undefined;
  return { ...value, upstreams: upstreams.filter(isUpstream) } as unknown as WorkerStats;
}

function isUpstream(value: unknown): value is UpstreamStats {
  if (!isRecord(value) || typeof value['pool'] !== 'string' || typeof value['origin'] !== 'string') return false;
  return typeof value['state'] === 'string' && isRecord(value['tags']) &&
    NUMBERS.every((name) => typeof value[name] === 'number');
}

const NUMBERS = [
  'weight', 'inFlight', 'latencyMs', 'picks', 'responses', 'failures', 'retries', 'ejections', 'configuredWeight',
  'nominalWeight',
] as const satisfies readonly (keyof UpstreamStats)[];
