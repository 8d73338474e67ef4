/**
 * Checks the options of `createTcpBalancer`. They are put in the terms of `createBalancer`, whose checks do the rest: a
 * connection is a request whose host is the server name, and the time for its head that for the TLS handshake.
 */
import { isRecord, integer, onlyKnown, shown } from './checks.ts';
import { parseFront } from './front.ts';
import { type BalancerSettings, OPTION_NAMES } from './parse.ts';
import { POOL_NUMBERS } from './pool.ts';
import { readPools } from './pools.ts';
import { checked, refuse, unreadable } from './problems.ts';
import { routeHost } from './route-parts.ts';

type Given = Readonly<Record<string, unknown>>;

/** Throws OPTIONS_INVALID, listing every problem with its path and what to write instead. */
export function parseTcpOptions(input: unknown): BalancerSettings {
  return checked((problems) => readTcpOptions(input, problems));
}

/** Adds what is wrong to `problems`, for callers with further problems to report. */
export function readTcpOptions(input: unknown, problems: string[]): BalancerSettings {
  if (!isRecord(input)) problems.push(`options: must be an object with a list of upstreams (got ${shown(input)})`);
  const given: Given = isRecord(input) ? input : { upstreams: [] };
  const range = { fallback: HELLO_TIMEOUT_MS, min: 1 };
  const headTimeoutMs = integer(given['helloTimeoutMs'], 'helloTimeoutMs', range, problems);
  const options = { ...translated(given, problems), headTimeoutMs };
  return { ...readPools(options, problems, 'tcp'), front: { ...parseFront(options, problems), scheme: 'tcp' } };
}

/** The options of `configure` in the terms of `Balancer.configure`. Throws OPTIONS_INVALID. */
export function tcpChanges(input: unknown): unknown {
  // The check of the changes reports a value that is not an object.
  if (!isRecord(input)) return input;
  const problems: string[] = [];
  let changes: Given = {};
  try {
    if (input['helloTimeoutMs'] !== undefined) problems.push(`helloTimeoutMs: ${FIXED}`);
    changes = translated(input, problems);
  } catch (cause) {
    problems.push(unreadable('options', cause));
  }
  refuse(problems);
  return changes;
}

/** The options in the terms of `createBalancer`. What is wrong, and cannot be said there, is added to `problems`. */
function translated(input: Given, problems: string[]): Given {
  const { routes, pools, ...rest }: Record<string, unknown> = input;
  onlyTcp(input, '', TCP_OPTION_NAMES, problems);
  if (isRecord(pools) && rest['upstreams'] === undefined && rest['idleTimeoutMs'] !== undefined) {
    problems.push('idleTimeoutMs: belongs to a pool; write pools.NAME.idleTimeoutMs for each pool that needs it');
    delete rest['idleTimeoutMs'];
  }
  return {
    ...poolOptions(rest, '', problems),
    ...(pools === undefined ? {} : { pools: isRecord(pools) ? namedPools(pools, problems) : pools }),
    ...(routes === undefined ? {} : { routes: Array.isArray(routes) ? routesOf(routes, problems) : routes }),
  };
}

function namedPools(pools: Given, problems: string[]): Given {
  return Object.fromEntries(Object.entries(pools).map(([name, pool]) => {
    if (!isRecord(pool)) return [name, pool];
    onlyTcp(pool, `pools.${name}.`, POOL_NAMES, problems);
    return [name, poolOptions(pool, `pools.${name}.`, problems)];
  }));
}

/** The options of a pool without those of other names here, which have been reported. */
function poolOptions(given: Given, prefix: string, problems: string[]): Given {
  const { idleTimeoutMs, upstreams, ...rest } = given;
  const known = Object.entries(rest).filter(([name]) => TCP_OPTION_NAMES.has(name) && name !== 'helloTimeoutMs');
  onlyConnects(given['healthCheck'], `${prefix}healthCheck`, problems);
  if (Array.isArray(upstreams)) {
    for (let i = 0; i < upstreams.length; i++) {
      const entry: unknown = upstreams[i];
      if (isRecord(entry)) onlyConnects(entry['healthCheck'], `${prefix}upstreams[${i}].healthCheck`, problems);
    }
  }
  const idle = idleTimeoutMs ?? undefined;
  return {
    ...Object.fromEntries(known),
    ...(upstreams === undefined ? {} : { upstreams }),
    ...(idleTimeoutMs === null ? { tunnelIdleTimeoutMs: null } : {}),
    ...(idle === undefined ? {} : {
      tunnelIdleTimeoutMs: integer(idle, `${prefix}idleTimeoutMs`, POOL_NUMBERS.tunnelIdleTimeoutMs, problems),
    }),
  };
}

function onlyConnects(check: unknown, path: string, problems: string[]): void {
  if (!isRecord(check)) return;
  for (const name of ['path', 'status', 'host']) {
    if (check[name] !== undefined) problems.push(`${path}.${name}: is about HTTP; in layer 4 a probe only connects`);
  }
}

/** The routes. Where one has a problem, none are returned: others would follow from it. */
function routesOf(routes: readonly unknown[], problems: string[]): readonly unknown[] {
  const before = problems.length;
  const made = routes.map((route, i) => {
    if (!isRecord(route)) {
      const example = '{ serverName: \'a.example\', pool: \'a\' }';
      problems.push(`routes[${i}]: must be an object such as ${example} (got ${shown(route)})`);
      return route;
    }
    const { serverName, pool } = route;
    onlyTcp(route, `routes[${i}].`, ROUTE_NAMES, problems);
    const host = routeHost(serverName, `routes[${i}].serverName`, problems);
    return { ...(host === '' ? {} : { host }), ...(pool === undefined ? {} : { pool }) };
  });
  return problems.length > before ? [] : made;
}

/** Refuses options that layer 4 does not have. */
function onlyTcp(given: Given, prefix: string, known: ReadonlySet<string>, problems: string[]): void {
  const others: [name: string, value: unknown][] = [];
  for (const [name, value] of Object.entries(given)) {
    if (known.has(name)) continue;
    // Null is what `configure` takes for an option that has never been given.
    if (value === undefined || (value === null && ABOUT_HTTP.has(name))) continue;
    const instead = INSTEAD[name];
    const what = 'is about HTTP, which layer 4 does not read; leave it out';
    if (instead !== undefined) problems.push(`${prefix}${name}: is called ${instead} in layer 4`);
    else if (ABOUT_HTTP.has(name)) problems.push(`${prefix}${name}: ${what}`);
    else others.push([name, value]);
  }
  onlyKnown(Object.fromEntries(others), prefix, known, problems);
}

const HELLO_TIMEOUT_MS = 3_000;
const FIXED = 'belongs to the front and cannot change at run time; leave it out, or make a new balancer';
export const TCP_POOL_OPTION_NAMES = [
  'upstreams', 'strategy', 'shadow', 'peers', 'connect', 'maxAttempts', 'ejectAfter', 'ejectMs',
  'maxEjectMs', 'maxEjectedPercent', 'slowStartMs', 'healthCheck', 'maxInFlight', 'maxQueued', 'queueTimeoutMs',
  'connectTimeoutMs', 'idleTimeoutMs', 'proxyProtocol',
] as const;
export const TCP_FRONT_OPTION_NAMES = [
  'maxConnections', 'maxHeldBytes', 'helloTimeoutMs', 'onReport', 'time', 'rng',
] as const;
const POOL_NAMES: ReadonlySet<string> = new Set(TCP_POOL_OPTION_NAMES);
const ROUTE_NAMES: ReadonlySet<string> = new Set(['serverName', 'pool']);
export const TCP_OPTION_NAMES: ReadonlySet<string> = new Set([
  ...TCP_POOL_OPTION_NAMES, ...TCP_FRONT_OPTION_NAMES, 'pools', 'routes',
]);
const INSTEAD: Readonly<Record<string, string>> = {
  tunnelIdleTimeoutMs: 'idleTimeoutMs', headTimeoutMs: 'helloTimeoutMs', host: 'serverName',
};
/** Options of `createBalancer` and of its routes that mean nothing to raw connections. */
const ABOUT_HTTP: ReadonlySet<string> = new Set([
  ...OPTION_NAMES, 'path', 'methods', 'stripPrefix', 'rewrite', 'redirect', 'status', 'answer', 'limits',
  'requestHeaders', 'responseHeaders',
]);
