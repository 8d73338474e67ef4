/**
 * What `--check` prints: what would be served, for a person to read. Values that may be secrets are left out.
 */
import { nameOf } from '../guard.ts';
import { isRecord, shown } from '../options/checks.ts';
import { HOOK_NAMES } from '../options/front.ts';
import { addressText } from '../options/listen.ts';
import type { HealthCheck } from '../options/health-check.ts';
import type { BalancerOptions } from '../options/options.ts';
import type { ParsedRoute } from '../options/parsed-route.ts';
import { type BalancerSettings, parseOptions } from '../options/parse.ts';
import { parseTcpOptions } from '../options/tcp.ts';
import { POOL_OPTION_NAMES, type PoolSettings } from '../options/pool.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import type { RouteOptions } from '../options/route-options.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import { adminText } from './admin-settings.ts';
import type { Arguments } from './arguments.ts';
import type { Configuration } from './config.ts';
import type { ListenAddress } from './listen.ts';
import { isEveryInterface, urlText } from './listening.ts';
import { asTcp } from './tcp.ts';
import { tlsLines } from './tls/preview.ts';
import { USUAL_TLS, type UpstreamTls } from './upstream-tls.ts';

type Given = Readonly<Record<string, unknown>>;

/** Describes a valid configuration. */
export function preview(configuration: Configuration, { config, demo }: Arguments): string {
  const { listen, options, systemd, tcp } = configuration;
  const parse = tcp ? parseTcpOptions : parseOptions;
  const settings = parse(options);
  const usual = parse({ upstreams: [] });
  const defaults = { ...usual.front, trustForwarded: false, ...usual.pools.get(DEFAULT_POOL) };
  const hooks = HOOK_NAMES.filter((name) => options[name] !== undefined);
  const sections = [
    section('Listen', [
      ...listen.map((where) => tcp ? asTcp(listenText(where)) : listenText(where)),
      ...(systemd ? ['the sockets that systemd passes'] : []), ...proxyLines(configuration),
    ]),
    section('TLS', configuration.tls === undefined ? [] : tlsLines(configuration.tls)),
    ...[...settings.pools].map(([name, pool]) => section(`Pool ${name}: ${pool.strategy?.name ?? 'random'}`, [
      ...upstreamLines(pool, demo),
      ...(pool.shadow === undefined ? [] : [`shadow: ${nameOf(pool.shadow)}, which never decides`]),
      ...upstreamTlsLines(pool, configuration.upstreamTls.get(name)),
      // The option connect is there in any case; what is in the file counts.
      ...changed({ ...optionsOf(name, options), connect: givenPool(configuration.given, name)['connect'] }, defaults,
        (option) => (tcp ? TCP_POOLS : OF_POOLS).has(option)),
    ])),
    section('Routes', routeLines(settings, options.routes ?? [], tcp)),
    tcp ? '' : section('Hooks', hooks.length === 0 ? ['none'] : hooks),
    section('Options of the front', changed(
      options as Given, defaults, (option) => !(tcp ? TCP_POOLS : ELSEWHERE).has(option) && !ELSEWHERE.has(option))),
    section('Process', processLines(configuration)),
  ];
  const what = config ?? 'The command line';
  return [`${what} is valid. This would be served:`, ...sections.filter((text) => text !== '')].join('\n\n');
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : [title, ...lines.map((line) => `  ${line}`)].join('\n');
}

function proxyLines({ proxyProtocol }: Configuration): readonly string[] {
  if (proxyProtocol === undefined) return [];
  const { trusted, timeoutMs } = proxyProtocol;
  return [`PROXY headers are read from ${trusted.join(', ') || 'nobody'}, and due within ${timeoutMs} ms`];
}

function listenText(where: ListenAddress): string {
  if ('path' in where) {
    const { path, mode } = where;
    return `${addressText(path)}${mode === undefined ? '' : `, mode ${mode.toString(8).padStart(3, '0')}`}`;
  }
  const { as } = where;
  if ('fd' in where) return `file descriptor ${where.fd}${as === undefined ? '' : `, ${as}`}`;
  const { host, port } = where;
  if (port !== 0) return urlText(host, port, as);
  return `${isEveryInterface(host) ? 'every interface' : host}, at a free port${as === undefined ? '' : `, ${as}`}`;
}

/** The options of a pool as they were given. */
function optionsOf(name: string, { pools, ...options }: BalancerOptions): Given {
  return (name === DEFAULT_POOL && options.upstreams !== undefined ? options : pools?.[name] ?? {}) as Given;
}

/** A pool as the file has it. */
function givenPool(given: Given, name: string): Given {
  const pool = isRecord(given['pools']) ? given['pools'][name] : undefined;
  return isRecord(pool) ? pool : name === DEFAULT_POOL ? given : {};
}

/** How the upstreams of a pool are reached over TLS, if any are. */
function upstreamTlsLines({ upstreams }: PoolSettings, settings: UpstreamTls = USUAL_TLS): readonly string[] {
  if (!upstreams.some(({ origin }) => origin.startsWith('https:'))) return [];
  const { ca, cert, key, servername, insecure } = settings;
  const parts = [
    insecure ? 'certificates are NOT VERIFIED' : 'certificates are verified',
    ...ca.map(({ path }) => `authorities of ${path} besides the usual`),
    ...(cert === undefined || key === undefined ? [] : [`client certificate ${cert.path} with the key ${key.path}`]),
    ...(servername === undefined ? [] : [servername === '' ? 'no server name' : `server name ${servername}`]),
  ];
  return [`TLS: ${parts.join('; ')}`];
}

function upstreamLines({ upstreams, healthCheck }: PoolSettings, demo: boolean): readonly string[] {
  const weighted = upstreams.some(({ weight }) => weight !== 1);
  return [
    ...upstreams.map((upstream) => upstreamText(upstream, weighted, healthCheck)),
    ...(demo ? ['three built-in upstreams, at free ports of the loopback interface'] : []),
    `probes: ${healthCheck === undefined ? 'none' : checkText(healthCheck)}`,
  ];
}

function upstreamText(upstream: ParsedUpstream, weighted: boolean, common: HealthCheck | undefined): string {
  const { origin, weight, maxInFlight, tags, healthCheck } = upstream;
  const parts = [
    weighted ? `weight ${weight}` : '',
    maxInFlight === Infinity ? '' : `at most ${maxInFlight} in flight`,
    ...Object.entries(tags).map(([name, value]) => `${name}=${visible(name, value)}`),
    healthCheck === common ? '' : healthCheck === undefined ? 'no probes' : `probes: ${checkText(healthCheck)}`,
  ].filter((part) => part !== '');
  return [origin, ...parts].join(', ');
}

function checkText({ path, host, minStatus, maxStatus, intervalMs, timeoutMs, rise, fall }: HealthCheck): string {
  const every = `every ${intervalMs} ms, for ${timeoutMs} ms at most`;
  const counts = `${rise} good to readmit, ${fall} bad to eject`;
  if (path === undefined) return `connect ${every}; ${counts}`;
  const good = minStatus === maxStatus ? String(minStatus) : `${minStatus}-${maxStatus}`;
  const asked = `${withoutQuery(path)}${host === undefined ? '' : ` of ${host}`}`;
  return `GET ${asked} ${every}; good is ${good}; ${counts}`;
}

function routeLines(
  { routes, pools }: BalancerSettings, given: readonly RouteOptions[], tcp: boolean,
): readonly string[] {
  if (routes === undefined) return [`none: everything goes to pool ${[...pools.keys()][0] ?? ''}`];
  const matches = routes.map((route, i) => matchText(route, given[i] ?? {}));
  const width = Math.min(MAX_WIDTH, Math.max(...matches.map(({ length }) => length)));
  const digits = String(routes.length).length;
  const lines = routes.flatMap((route, i) => {
    const own = given[i] ?? {};
    const number = `${String(i + 1).padStart(digits)}. `;
    const indent = ' '.repeat(number.length + 2);
    return [
      `${number}${(matches[i] ?? '').padEnd(width)}  ->  ${actionText(route, own)}`,
      ...[
        ...headerLines('request', route.requestHeaders), ...headerLines('response', route.responseHeaders),
        ...changed(own as Given, {}, (name) => !OF_ROUTES.has(name)),
      ].map((line) => `${indent}${line}`),
    ];
  });
  return [`the first that matches counts; no match is ${tcp ? 'a reset' : '404'}`, ...lines];
}

function matchText({ host, methods }: ParsedRoute, { path = '/' }: RouteOptions): string {
  const place = `${host}${path === '/' ? '' : path}`;
  return `${methods === undefined ? '' : `${methods.join(' ')} `}${place === '' ? 'everything' : place}`;
}

function actionText({ action }: ParsedRoute, { path = '/', stripPrefix, rewrite }: RouteOptions): string {
  switch (action.kind) {
    case 'redirect': {
      const location = action.location.replace(/\/\/[^/]*@/, '//***@');
      return `redirect ${action.status} to ${location} and the rest of the target`;
    }
    case 'answer': {
      const octets = Buffer.byteLength(action.body);
      const headers = [...action.fields.matchAll(/^([^:\r\n]+): (.*)\r$/gm)].map(([, name = '', value = '']) => (
        `${name}: ${visible(name, value)}`));
      return [`answer ${action.status}`, `${octets === 0 ? 'no' : octets} octets`, ...headers].join(', ');
    }
    case 'pool': {
      const strips = stripPrefix === undefined ? '' : `, without ${stripPrefix}`;
      const puts = rewrite === undefined ? '' : `, with ${rewrite} in place of ${path}`;
      return `pool ${action.pool}${strips}${puts}`;
    }
  }
}

function headerLines(side: string, edits: ParsedRoute['requestHeaders']): readonly string[] {
  return edits.map(({ name, value }) => (
    value === null ? `remove ${side} header ${name}` : `set ${side} header ${name}: ${visible(name, value)}`));
}

/** The options that were given and are not the default. */
function changed(given: Given, defaults: Given, of: (name: string) => boolean): readonly string[] {
  return Object.entries(given).filter(([name, value]) => of(name) && value !== undefined && value !== defaults[name])
    .map(([name, value]) => `${name}: ${valueText(name, value)}`);
}

function processLines(
  { workers = 1, drainTimeoutMs, stopDelayMs, reloadTimeoutMs, pidFile, accessLog, admin }: Configuration,
): readonly string[] {
  return [
    `workers: ${workers === 'auto' ? 'auto, one per core' : workers === 1 ? '1, this process' : workers}`,
    `drainTimeout: ${drainTimeoutMs / 1000} s`,
    `stopDelay: ${stopDelayMs / 1000} s`,
    `reloadTimeout: ${reloadTimeoutMs / 1000} s`,
    ...(pidFile === undefined ? [] : [`pidFile: ${pidFile}`]),
    ...(accessLog === undefined ? [] : [`accessLog: ${accessLog.path ?? 'standard output'}, ${accessLog.format}`]),
    ...(admin === undefined ? [] : [`admin: ${adminText(admin)}`]),
  ];
}

function valueText(name: string, value: unknown): string {
  if (SECRET.test(name)) return HIDDEN;
  if (Array.isArray(value)) return value.map((one: unknown) => valueText(name, one)).join(', ');
  if (!isRecord(value)) return typeof value === 'string' ? visible(name, value) : shown(value);
  return Object.entries(value).map(([key, one]) => `${key} ${valueText(key, one)}`).join(', ');
}

/** A text as it is, if it can be shown: it may be a secret, or contain what a terminal acts on. */
function visible(name: string, value: string): string {
  if (SECRET.test(name)) return HIDDEN;
  return /^[\x20-\x7e]+$/.test(value) ? value : shown(value);
}

/** A query may have a token. */
function withoutQuery(path: string): string {
  return path.replace(/\?.*$/, '?...');
}

const HIDDEN = '(hidden)';
/** Names of headers, tags and options whose values may be secrets. */
const SECRET = /auth|cookie|credential|key|pass|pwd|secret|session|signature|token/i;
const MAX_WIDTH = 40;
/** Options of a pool that have no line of their own. */
const OF_POOLS: ReadonlySet<string> = new Set(
  POOL_OPTION_NAMES.filter((name) => !['upstreams', 'strategy', 'shadow', 'healthCheck'].includes(name)));
/** Those of layer 4: `idleTimeoutMs` belongs to the front of HTTP. */
const TCP_POOLS: ReadonlySet<string> = new Set([...OF_POOLS, 'idleTimeoutMs']);
const OF_ROUTES: ReadonlySet<string> = new Set([
  'host', 'serverName', 'path', 'methods', 'pool', 'stripPrefix', 'rewrite', 'redirect', 'status', 'answer',
  'requestHeaders', 'responseHeaders',
]);
const ELSEWHERE: ReadonlySet<string> = new Set([...POOL_OPTION_NAMES, 'pools', 'routes', ...HOOK_NAMES]);
