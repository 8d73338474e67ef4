/**
 * The pools of a balancer and its routes to them, checked: named pools, or one pool `default` whose options are given
 * at the top level, or both.
 */
import { messageOf } from '../guard.ts';
import { isRecord, onlyKnown, shown } from './checks.ts';
import { FRONT_OPTION_NAMES } from './front.ts';
import { atOnce, type Work } from '../loop/slices.ts';
import { POOL_OPTION_NAMES, type PoolSettings, readPoolOptions } from './pool.ts';
import type { Scheme } from './origin.ts';
import type { ParsedRoute } from './parsed-route.ts';
import { readPoolNames, readRoutes } from './routes.ts';
import type { Known, ParsedUpstream } from './upstreams.ts';

export interface ParsedPools {
  /** At least one. The pool `default`, if there is one, comes first. */
  readonly pools: ReadonlyMap<string, PoolSettings>;
  /** Undefined where there are none: then all requests go to the first pool. */
  readonly routes: readonly ParsedRoute[] | undefined;
  /** Whether the options of the pool `default` are those at the top level. */
  readonly hasTop: boolean;
}

/** The pool whose options are given at the top level. */
export const DEFAULT_POOL = 'default';

/** Reads `pools`, `routes` and the pool options at the top level. Adds what is wrong to `problems`. */
export function readPools(
  options: Readonly<Record<string, unknown>>, problems: string[], scheme: Scheme = 'http',
): ParsedPools {
  const { pools: given, routes } = options;
  const before = problems.length;
  const names = given === undefined ? NONE : readPoolNames(given, problems);
  const hasDefault = given === undefined || options['upstreams'] !== undefined;
  const pools = new Map<string, PoolSettings>();
  if (hasDefault) pools.set(DEFAULT_POOL, atOnce(readPoolOptions(options, '', problems, scheme)));
  else onlyInPools(options, names, problems);
  if (hasDefault && names?.has(DEFAULT_POOL) === true) problems.push(TWICE);
  for (const name of defaultFirst(names ?? NONE)) {
    if (name === DEFAULT_POOL && hasDefault) continue;
    const settings = atOnce(readPool(given, name, problems, scheme));
    if (settings !== undefined) pools.set(name, settings);
  }
  notShared(pools, problems);
  const known = names === undefined ? undefined : new Set(hasDefault ? [DEFAULT_POOL, ...names] : names);
  if (routes !== undefined) return { pools, routes: readRoutes(routes, known, problems), hasTop: hasDefault };
  if (problems.length === before) routesMissing(pools, problems);
  return { pools, routes: undefined, hasTop: hasDefault };
}

/** Reads an entry of `pools`; undefined where it is none. `now` is the pool of this name, if there is one already. */
export function* readPool(
  given: unknown, name: string, problems: string[], scheme: Scheme, now?: CurrentPool,
): Work<PoolSettings | undefined> {
  const path = `pools.${name}`;
  try {
    const value = (given as Readonly<Record<string, unknown>>)[name];
    if (isRecord(value)) {
      onlyOfPool(value, `${path}.`, problems);
      return yield* readPoolOptions(value, `${path}.`, problems, scheme, now?.settings, now && knownOf(now));
    }
    problems.push(`${path}: must be an object with a list of upstreams (got ${shown(value)})`);
  } catch (cause) {
    problems.push(`${path}: reading this threw: ${messageOf(cause)}`);
  }
  return undefined;
}

/** A pool as it is now, for a change of its options. */
export interface CurrentPool {
  readonly settings: PoolSettings;
  /** Its upstreams, whatever the options named at first. */
  readonly members: readonly ParsedUpstream[];
  settingsOf(origin: string): ParsedUpstream | undefined;
}

/** Finds the upstreams of a pool by their origins. */
export function knownOf(pool: CurrentPool): Known {
  return (origin) => pool.settingsOf(origin);
}

/** The names of pools with `default`, if it is among them, in the first place. */
export function defaultFirst(names: ReadonlySet<string>): readonly string[] {
  return names.has(DEFAULT_POOL) ? [DEFAULT_POOL, ...[...names].filter((name) => name !== DEFAULT_POOL)] : [...names];
}

/** Refuses several pools of which none is `default`, where there are no routes. */
export function routesMissing(pools: ReadonlyMap<string, unknown>, problems: string[]): void {
  if (pools.size <= 1 || pools.has(DEFAULT_POOL)) return;
  const [first] = pools.keys();
  problems.push(`routes: is missing: there are several pools (${[...pools.keys()].join(', ')}), and none is named ` +
    `default; for a start, write [{ pool: ${shown(first)} }]`);
}

/** Refuses options of a pool at the top level where there is no pool there. */
export function onlyInPools(
  options: Readonly<Record<string, unknown>>, names: ReadonlySet<string> | undefined, problems: string[],
): void {
  const [example = 'NAME'] = names ?? NONE;
  for (const name of POOL_OPTION_NAMES) {
    if (options[name] === undefined) continue;
    problems.push(`${name}: belongs to a pool; write pools.${example}.${name}, and so for each pool that needs it`);
  }
}

/** Refuses what is not an option of a pool, and says of options of the front where they belong. */
function onlyOfPool(pool: Readonly<Record<string, unknown>>, prefix: string, problems: string[]): void {
  const others: [name: string, value: undefined][] = [];
  for (const name of Object.keys(pool)) {
    if (!OF_TOP.has(name)) others.push([name, undefined]);
    else problems.push(`${prefix}${name}: belongs to the balancer, not to a pool; write ${name} at the top level`);
  }
  onlyKnown(Object.fromEntries(others), prefix, KNOWN, problems);
}

/** Refuses what keeps state, or has one member in this process, in more than one pool. */
export function notShared(pools: ReadonlyMap<string, PoolSettings>, problems: string[]): void {
  const owners = new Map<object, string>();
  for (const [option, instead] of OWN) {
    for (const [name, settings] of pools) {
      const value = settings[option];
      if (value === undefined) continue;
      const owner = owners.get(value);
      if (owner === undefined) owners.set(value, name);
      else {
        const path = name === DEFAULT_POOL && pools.size === 1 ? option : `pools.${name}.${option}`;
        problems.push(`${path}: is that of the pool ${owner} already; ${instead}`);
      }
    }
  }
}

/** The pool of the top level and one of the same name. */
export const TWICE =
  `pools.${DEFAULT_POOL}: is the pool of the upstreams at the top level; put them here, or rename it`;
const NONE: ReadonlySet<string> = new Set();
const KNOWN: ReadonlySet<string> = new Set(POOL_OPTION_NAMES);
const OF_TOP: ReadonlySet<string> = new Set([...FRONT_OPTION_NAMES, 'pools', 'routes']);
const OWN = [
  ['strategy', 'a strategy keeps state of one pool; make one for each'],
  ['shadow', 'a strategy keeps state of its own; make another one for the shadow'],
  ['peers', 'a channel takes one member; open one for each pool'],
] as const;
