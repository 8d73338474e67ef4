/**
 * Checks the option `healthCheck` of a pool and of a single upstream.
 */
import { alike, integers, isRecord, onlyKnown, type Range, shown } from './checks.ts';

/** A health check with all defaults filled in. {@link HealthCheckOptions} explains each. */
export interface HealthCheck extends Readonly<Record<keyof typeof HEALTH_CHECK_NUMBERS, number>> {
  /** Undefined if the probe only connects. */
  readonly path: string | undefined;
  readonly host: string | undefined;
  readonly minStatus: number;
  readonly maxStatus: number;
}

export function readHealthCheck(value: unknown, path: string, problems: string[]): HealthCheck | undefined {
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
      `${path}.path: must be a path such as '/health' (got ${shown(target)}); leave it out to only connect`);
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

/** Whether both probe in the same way. */
export function sameHealthCheck(one: HealthCheck | undefined, other: HealthCheck | undefined): boolean {
  return one === other || (one !== undefined && other !== undefined && alike({ ...one }, { ...other }));
}

export const HEALTH_CHECK_NUMBERS = {
  intervalMs: { fallback: 5_000, min: 10 },
  timeoutMs: { fallback: 2_000, min: 1 },
  rise: { fallback: 2, min: 1 },
  fall: { fallback: 3, min: 1 },
} as const satisfies Readonly<Record<string, Range>>;
const KNOWN_OF_HEALTH_CHECK: ReadonlySet<string> = new Set([
  'path', 'status', 'host', ...Object.keys(HEALTH_CHECK_NUMBERS),
]);
