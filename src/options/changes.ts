/**
 * The options of `configure`, checked: what the pools, the routes and the hooks of a balancer become.
 */
import type { Hooks } from '../hooks.ts';
import type { Work } from '../loop/slices.ts';
import { isRecord, onlyKnown, optionalFunction, shown } from './checks.ts';
import { isThenable } from '../guard.ts';
import { FRONT_OPTION_NAMES, type FrontSettings, HOOK_NAMES, parseFront } from './front.ts';
import type { BalancerOptions, PoolOptions } from './options.ts';
import type { Scheme } from './origin.ts';
import { OPTION_NAMES } from './parse.ts';
import type { ParsedRoute } from './parsed-route.ts';
import { POOL_OPTION_NAMES, type PoolSettings, readPoolOptions } from './pool.ts';
import {
  type CurrentPool, DEFAULT_POOL, defaultFirst, knownOf, notShared, onlyInPools, readPool, routesMissing, TWICE,
} from './pools.ts';
import { refuse, unreadable } from './problems.ts';
import { readPoolNames, readRoutes } from './routes.ts';
import { type ParsedUpstream, readUpstreams } from './upstreams.ts';

/**
 * The options of `configure`: those of `createBalancer`, each of which may be left out, to leave it as it is, or null,
 * as if it had never been given. `pools` are all named pools, each with all of its options.
 */
export type ConfigureOptions<State = unknown> =
  & { readonly [N in keyof PoolOptions]?: PoolOptions[N] | null }
  & { readonly [N in keyof Hooks<State>]?: Hooks<State>[N] | null }
  & { readonly [N in 'pools' | 'routes']?: BalancerOptions[N] | null };

/** What a balancer goes by now. */
export interface Current {
  readonly front: FrontSettings;
  readonly pools: ReadonlyMap<string, CurrentPool>;
  /** Whether the options of the pool `default` are those at the top level. */
  readonly hasTop: boolean;
  readonly routes: readonly ParsedRoute[] | undefined;
  readonly hooks: Hooks | undefined;
}

/** What it is to go by. A pool whose settings are those of before has not changed. */
export interface Wanted {
  readonly pools: ReadonlyMap<string, PoolSettings>;
  readonly hasTop: boolean;
  readonly routes: readonly ParsedRoute[] | undefined;
  readonly hooks: Hooks | undefined;
}

type Given = Readonly<Record<string, unknown>>;

/** Checks the options of `configure`, in slices. Throws OPTIONS_INVALID, listing every problem. */
export function* parseChanges(input: unknown, current: Current): Work<Wanted> {
  const problems: string[] = [];
  let wanted: Wanted | undefined;
  try {
    wanted = yield* readChanges(copied(input, problems), current, problems);
  } catch (cause) {
    problems.push(unreadable('options', cause));
  }
  refuse(problems);
  if (wanted === undefined) throw new Error('configure: options without a problem were not read');
  return wanted;
}

/** A copy, as deep as it is read later: the caller may change its objects in the meantime. */
function copied(input: unknown, problems: string[]): Given {
  if (!isRecord(input) || isThenable(input)) {
    const got = isThenable(input) ? 'a promise; write await before it' : shown(input);
    problems.push(`options: must be an object such as { pools: {...}, routes: [...] } (got ${got})`);
    return {};
  }
  const given: Record<string, unknown> = { ...input };
  if (Array.isArray(given['upstreams'])) given['upstreams'] = given['upstreams'].slice();
  const { pools } = given;
  if (!isRecord(pools)) return given;
  given['pools'] = Object.fromEntries(Object.entries(pools).map(([name, entry]) => [name, copiedPool(entry)]));
  return given;
}

function copiedPool(entry: unknown): unknown {
  try {
    if (!isRecord(entry)) return entry;
    return { ...entry, ...(Array.isArray(entry['upstreams']) && { upstreams: entry['upstreams'].slice() }) };
  } catch {
    // It cannot be read, and readPool reports that.
    return entry;
  }
}

function* readChanges(given: Given, current: Current, problems: string[]): Work<Wanted> {
  onlyKnown(given, '', OPTION_NAMES, problems);
  frontStays(given, current.front, problems);
  const before = problems.length;
  const { upstreams, pools: named, routes } = given;
  const isChanged = POOL_OPTION_NAMES.some((name) => given[name] !== undefined);
  const names = named === undefined ? undefined : named === null ? NONE : readPoolNames(named, problems);
  // Named pools that include `default` take the place of one whose options were at the top level.
  const isMoved = !isChanged && names?.has(DEFAULT_POOL) === true;
  const hasTop = upstreams !== null && (upstreams !== undefined || (current.hasTop && !isMoved));
  const pools = new Map<string, PoolSettings>();
  const now = current.pools.get(DEFAULT_POOL);
  // Without `pools`, its options at the top level are changes of a pool `default` among them, too.
  const isNamed = !current.hasTop && named === undefined && now !== undefined && upstreams !== null;
  if (hasTop || isNamed) {
    if (hasTop && names?.has(DEFAULT_POOL) === true) problems.push(TWICE);
    if (!isChanged && now !== undefined) pools.set(DEFAULT_POOL, now.settings);
    else pools.set(DEFAULT_POOL, yield* readTop(given, now, current.front.scheme, problems));
  } else onlyInPools(withoutNull(given), names ?? new Set(current.pools.keys()), problems);
  if (named === undefined) {
    for (const [name, { settings }] of current.pools) if (name !== DEFAULT_POOL) pools.set(name, settings);
  }
  for (const name of defaultFirst(names ?? NONE)) {
    if (pools.has(name)) continue;
    const settings = yield* readPool(named, name, problems, current.front.scheme, current.pools.get(name));
    if (settings !== undefined) pools.set(name, settings);
  }
  if (pools.size === 0 && problems.length === before) {
    problems.push('pools: none would be left; name at least one, or give upstreams');
  }
  const settled = sameIfUnchanged(pools, current, problems);
  notShared(settled, problems);
  const known = new Set([...pools.keys(), ...(names ?? NONE)]);
  const isReadable = named === undefined || names !== undefined;
  return {
    pools: settled,
    hasTop,
    routes: changedRoutes(routes, isReadable ? known : undefined, current, problems, before),
    hooks: changedHooks(given, current.hooks, problems),
  };
}

/** The pool `default` with changes: what is left out stays, and null is as if it had never been given. */
function* readTop(
  given: Given, now: CurrentPool | undefined, scheme: Scheme, problems: string[],
): Work<PoolSettings> {
  const changes = withoutNull(given);
  if (now === undefined) return yield* readPoolOptions(changes, '', problems, scheme);
  const { settings } = now;
  const stays = (name: string): boolean => given[name] === undefined;
  const kept = Object.fromEntries(POOL_OPTION_NAMES.filter(stays).map((name) => [name, settings[name as Kept]]));
  // Upstreams depend on the other options, so they are read last.
  const options: Record<string, unknown> = { ...changes, ...kept, upstreams: [] };
  // These have another form once they are checked.
  if (stays('retryOn')) options['retryOn'] = [...settings.retryOn];
  if (stays('healthCheck')) delete options['healthCheck'];
  if (stays('proxyProtocol') && settings.proxyProtocol === 0) delete options['proxyProtocol'];
  const read = yield* readPoolOptions(options, '', problems, scheme, settings);
  const healthCheck = stays('healthCheck') ? settings.healthCheck : read.healthCheck;
  const common = { connect: read.connect, healthCheck, scheme };
  const entries = stays('upstreams') ? now.members.map(entryOf) : given['upstreams'];
  const upstreams = yield* readUpstreams(entries, 'upstreams', common, problems, knownOf(now));
  return { ...read, healthCheck, upstreams };
}

function withoutNull(given: Given): Given {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
}

/** Replaces settings that are alike by those of before, and checks what cannot change. */
function sameIfUnchanged(
  pools: ReadonlyMap<string, PoolSettings>, current: Current, problems: string[],
): ReadonlyMap<string, PoolSettings> {
  const joined = new Map<unknown, string>();
  for (const [name, { settings: { peers } }] of current.pools) if (peers !== undefined) joined.set(peers, name);
  const settled = new Map<string, PoolSettings>();
  for (const [name, settings] of pools) {
    const path = name === DEFAULT_POOL && current.hasTop ? '' : `pools.${name}.`;
    const now = current.pools.get(name);
    const owner = joined.get(settings.peers);
    if (now === undefined) {
      if (owner !== undefined) {
        problems.push(`pools.${name}.peers: is that of the pool ${owner}; open a channel of its own for this pool`);
      }
      settled.set(name, settings);
      continue;
    }
    const { settings: before } = now;
    if (settings.peers !== undefined && settings.peers !== before.peers) {
      problems.push(`${path}peers: cannot change while there is a pool ${name}; leave it out to keep it`);
    }
    const next = { ...settings, peers: before.peers };
    settled.set(name, isSame(next, now) ? before : next);
  }
  return settled;
}

/** Whether these options say what the pool goes by already. */
function isSame(next: PoolSettings, now: CurrentPool): boolean {
  const { settings: before, members } = now;
  for (const name of POOL_OPTION_NAMES as readonly Kept[]) {
    if (name !== 'retryOn' && name !== 'upstreams' && next[name] !== before[name]) return false;
  }
  const statuses = [...next.retryOn];
  if (statuses.length !== before.retryOn.size || !statuses.every((status) => before.retryOn.has(status))) return false;
  if (next.upstreams.length !== members.length) return false;
  return next.upstreams.every((upstream) => now.settingsOf(upstream.origin) === upstream);
}

/** Refuses options of the front that would change. */
function frontStays(given: Given, now: FrontSettings, problems: string[]): void {
  for (const name of FRONT_OPTION_NAMES) {
    const value = given[name];
    if (value === undefined || (HOOK_NAMES as readonly string[]).includes(name)) continue;
    const before = problems.length;
    const read = parseFront({ [name]: value ?? undefined }, problems);
    const key = name === 'trustForwarded' ? 'trusts' : name as keyof FrontSettings;
    if (problems.length > before || isSameValue(read[key], now[key])) continue;
    problems.push(`${name}: belongs to the front and cannot change at run time; leave it out, or make a new balancer`);
  }
}

function isSameValue(one: unknown, other: unknown): boolean {
  if (!(one instanceof Set && other instanceof Set)) return one === other;
  return one.size === other.size && [...one].every((value) => other.has(value));
}

function changedRoutes(
  given: unknown, known: ReadonlySet<string> | undefined, { routes }: Current, problems: string[], before: number,
): readonly ParsedRoute[] | undefined {
  if (given !== undefined && given !== null) return readRoutes(given, known, problems);
  if (problems.length > before || known === undefined) return undefined;
  if (given === null || routes === undefined) {
    routesMissing(new Map([...known].map((name) => [name, undefined])), problems);
    return undefined;
  }
  routes.forEach(({ action }, i) => {
    if (action.kind !== 'pool' || known.has(action.pool)) return;
    const where = `routes[${i}] goes to the pool ${action.pool}`;
    problems.push(`routes: must be given as well: ${where}, which would be removed`);
  });
  return routes;
}

function changedHooks(given: Given, now: Hooks | undefined, problems: string[]): Hooks | undefined {
  const before: Given = { ...now };
  if (HOOK_NAMES.every((name) => given[name] === undefined || given[name] === (before[name] ?? null))) return now;
  const hooks = HOOK_NAMES.flatMap((name) => {
    const value = given[name] === undefined ? before[name] : given[name] ?? undefined;
    const hook = optionalFunction(value, name, problems);
    return hook === undefined ? [] : [[name, hook]];
  });
  return hooks.length === 0 ? undefined : Object.fromEntries(hooks) as Hooks;
}

/** An upstream in the words of the options. */
function entryOf({ origin, weight, maxInFlight, tags, healthCheck, hasOwnCheck }: ParsedUpstream): unknown {
  if (!hasOwnCheck) return { origin, weight, maxInFlight, tags };
  if (healthCheck === undefined) return { origin, weight, maxInFlight, tags, healthCheck: false };
  const { minStatus, maxStatus, ...check } = healthCheck;
  return { origin, weight, maxInFlight, tags, healthCheck: { ...check, status: `${minStatus}-${maxStatus}` } };
}

type Kept = keyof PoolOptions;
const NONE: ReadonlySet<string> = new Set();
