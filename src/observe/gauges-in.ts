/**
 * What another process says of itself, checked: it may be another version of this program.
 */
import { isRecord } from '../options/checks.ts';
import type { Gauges, UpstreamGauges } from './families.ts';

export function gaugesIn(value: unknown): Gauges | undefined {
  if (!isRecord(value)) return undefined;
  const { worker, openConnections, queued, upstreams, process } = value;
  if (typeof worker !== 'string' || !isNumber(openConnections) || !Array.isArray(upstreams)) return undefined;
  return {
    worker, openConnections, queued: numbersIn(queued), upstreams: upstreams.filter(isUpstream),
    process: numbersIn(process),
  };
}

function numbersIn(value: unknown): Record<string, number> {
  if (!isRecord(value)) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, number] => isNumber(entry[1])));
}

function isUpstream(value: unknown): value is UpstreamGauges {
  if (!isRecord(value)) return false;
  const { pool, upstream, up, weight, inFlight } = value;
  return typeof pool === 'string' && typeof upstream === 'string' && typeof up === 'boolean' &&
    isNumber(weight) && isNumber(inFlight);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}
