/**
 * The query of `/why`: which decisions are asked for.
 */
import { didYouMean } from '../../options/nearest.ts';
import type { Filter } from './decisions.ts';

export interface Asked {
  readonly problem?: string;
  readonly filter: Filter;
  /** How long to wait where there is none yet. */
  readonly waitMs: number;
}

export function filterOf(query: string): Asked {
  const given: Record<string, string> = {};
  const wrong = (problem: string): Asked => ({ problem, filter: { limit: 0 }, waitMs: 0 });
  for (const [name, value] of new URLSearchParams(query)) {
    if (!NAMES.includes(name)) {
      return wrong(`${name.slice(0, 40)}: unknown;${didYouMean(name, NAMES) || ` known: ${NAMES.join(', ')}`}`);
    }
    given[name] = value;
  }
  const { limit = '50', wait = '1', status, ...filter } = given;
  if (!isWithin(limit, 1, MAX_LIMIT)) return wrong(`limit: must be a number from 1 to ${MAX_LIMIT}`);
  if (!isWithin(wait, 0, MAX_WAIT_S)) return wrong(`wait: must be a number of seconds from 0 to ${MAX_WAIT_S}`);
  if (status !== undefined && !/^[1-5](?:\d\d|xx)$/i.test(status)) return wrong('status: must be like 503 or 5xx');
  return {
    filter: { ...filter, ...(status === undefined ? {} : { status }), limit: Math.floor(Number(limit)) },
    waitMs: Number(wait) * 1_000,
  };
}

function isWithin(text: string, min: number, max: number): boolean {
  const value = text.trim() === '' ? NaN : Number(text);
  return value >= min && value <= max;
}

const NAMES: readonly string[] = ['pool', 'upstream', 'path', 'status', 'id', 'limit', 'wait'];
const MAX_LIMIT = 200;
const MAX_WAIT_S = 10;
