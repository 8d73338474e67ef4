/**
 * The one place that checks the options of `createBalancer` and fills in the defaults. One error lists every problem.
 */
import { isRecord, onlyKnown, shown } from './checks.ts';
import { FRONT_OPTION_NAMES, type FrontSettings, parseFront } from './front.ts';
import { POOL_OPTION_NAMES, type PoolSettings } from './pool.ts';
import { type ParsedPools, readPools } from './pools.ts';
import { checked } from './problems.ts';

/** What the upstreams and exchanges of a pool go by: its own options, and those of the front. */
export type Settings = PoolSettings & FrontSettings;

/** All options with their defaults filled in. */
export interface BalancerSettings extends ParsedPools {
  readonly front: FrontSettings;
}

/** The names of all options. */
export const OPTION_NAMES: ReadonlySet<string> = new Set([
  ...POOL_OPTION_NAMES, ...FRONT_OPTION_NAMES, 'pools', 'routes',
]);

/** Throws OPTIONS_INVALID, listing every problem with its path and what to write instead. */
export function parseOptions(input: unknown): BalancerSettings {
  return checked((problems) => readOptions(input, problems));
}

/** Adds what is wrong to `problems`, for callers with further problems to report. */
export function readOptions(input: unknown, problems: string[]): BalancerSettings {
  if (!isRecord(input)) problems.push(`options: must be an object with a list of upstreams (got ${shown(input)})`);
  // Without any options, this one line is enough: the missing upstreams follow from it.
  const options = isRecord(input) ? input : { upstreams: [] };
  onlyKnown(options, '', OPTION_NAMES, problems);
  return { ...readPools(options, problems), front: parseFront(options, problems) };
}
