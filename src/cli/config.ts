/**
 * Combines the command line and the configuration file: where to listen, and the options of the balancer.
 */
import { dirname, resolve } from 'node:path';
import { isRecord, onlyKnown, shown } from '../options/checks.ts';
import type { BalancerOptions } from '../options/options.ts';
import { OPTION_NAMES, readOptions } from '../options/parse.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import { readTcpOptions, TCP_OPTION_NAMES } from '../options/tcp.ts';
import type { Arguments } from './arguments.ts';
import { descriptorLimit, fit } from './descriptors.ts';
import { type ListenAddress, readListen } from './listen.ts';
import type { Findings } from './tls/certificates.ts';
import type { AccessLogSettings } from './access-log.ts';
import { type AdminSettings, readAdmin } from './admin-settings.ts';
import { isJson, load } from './load.ts';
import type { LogFormat } from './log-line.ts';
import { withoutCode } from './only-in-modules.ts';
import { passedAddresses } from './passed-sockets.ts';
import { completePools, connectOf } from './pools.ts';
import { type Contents, PemFiles } from './pem-files.ts';
import { type ProxyProtocol, readProxyProtocol } from './proxy-protocol.ts';
import { loadStrategy } from './strategies.ts';
import { checkRawTls, isTcp, rawListeners } from './tcp.ts';
import type { TlsSettings } from './tls/settings.ts';
import { insecureWarning, readUpstreamTls, type UpstreamTls } from './upstream-tls.ts';

/** Everything that a run needs. */
export interface Configuration {
  readonly listen: readonly ListenAddress[];
  /** Whether to listen on the sockets that systemd passes, which are in `listen`. */
  readonly systemd: boolean;
  readonly drainTimeoutMs: number;
  /** How long to keep accepting after the signal to stop, while already not ready. */
  readonly stopDelayMs: number;
  /** How long old workers may take to finish after a reload. */
  readonly reloadTimeoutMs: number;
  /** The number of serving processes; undefined: this process serves. */
  readonly workers: number | 'auto' | undefined;
  readonly pidFile: string | undefined;
  /** Undefined without an access log. */
  readonly accessLog: AccessLogSettings | undefined;
  /** Of the log of the process. */
  readonly logFormat: LogFormat;
  /** Undefined without an admin listener. */
  readonly admin: AdminSettings | undefined;
  /** Whose PROXY header the listeners read; undefined if they read none. */
  readonly proxyProtocol: ProxyProtocol | undefined;
  /** Undefined without `tls:` listeners. */
  readonly tls: TlsSettings | undefined;
  /** Whether raw connections are balanced (layer 4); then the options are those of `createTcpBalancer`. */
  readonly tcp: boolean;
  readonly options: BalancerOptions;
  /** What the configuration file says, as it stands there. */
  readonly given: Json;
  /** The content of the configuration file, if it is a JSON file. */
  readonly json: Json | undefined;
  /** How to connect to the `https:` upstreams of each pool. */
  readonly upstreamTls: ReadonlyMap<string, UpstreamTls>;
  /** The PEM files of `tls` and `upstreamTls`, for workers. */
  readonly pem: Contents;
  /** Lines for the log at the start: not mistakes, but worth knowing. */
  readonly warnings: readonly string[];
}

/** The content of a configuration file. */
export type Json = Readonly<Record<string, unknown>>;

/**
 * Completes the arguments from the configuration file and the defaults. Adds what is wrong to `problems`. If `json` is
 * given, it is used as the content of the file, and the disk is not read; nor for the certificates and keys in `pem`.
 */
export async function configure(
  args: Arguments, problems: string[], json?: Json, pem?: Contents,
): Promise<Configuration> {
  const file = await readConfig(args.config, json, problems);
  const tcp = isTcp(args, file.values, problems);
  const { ca, insecureUpstreams: insecure } = args;
  const files = new PemFiles(pem);
  const upstreamTls = await readUpstreamTls(
    { ca, insecure, values: file.values, resolve: file.resolve }, files, problems);
  const { read, send } = readProxyProtocol(args.proxyProtocol, file.values['proxyProtocol'], problems);
  // The pool `default` has an option of the same name.
  const ofBalancer = { ...file, values: { ...file.values, proxyProtocol: send } };
  const { options, warnings } = await balancerOptions(args, ofBalancer, upstreamTls, tcp, problems);
  const { listen: found, systemd } = addresses(args, file, problems);
  const listen = tcp ? rawListeners(found, problems) : found;
  if (tcp) checkRawTls(file.values['tls'], problems);
  return {
    listen,
    systemd,
    proxyProtocol: read,
    tls: await tls(args, file, listen, files, { problems, warnings }),
    drainTimeoutMs: seconds(given(args, file, 'drainTimeout', 10), problems),
    stopDelayMs: seconds(given(args, file, 'stopDelay', 0), problems),
    reloadTimeoutMs: seconds(given(args, file, 'reloadTimeout', 3_600), problems, MAX_RELOAD_SECONDS),
    workers: workers(given(args, file, 'workers', 1), problems),
    pidFile: pidFile(given(args, file, 'pidFile', undefined), problems),
    accessLog: accessLog(
      given(args, file, 'accessLog', undefined), given(args, file, 'accessLogFormat', undefined), problems),
    logFormat: logFormat(given(args, file, 'logFormat', 'text'), problems),
    tcp,
    admin: readAdmin(
      given(args, file, 'admin', undefined), given(args, file, 'adminTokenFile', undefined),
      { value: file.values['adminHosts'], at: 'adminHosts', resolve: file.resolve }, problems),
    options: options as unknown as BalancerOptions,
    given: file.values,
    json: args.config !== undefined && isJson(args.config) && !file.failed ? file.values : undefined,
    upstreamTls,
    // All of them were read by now.
    pem: files.contents,
    warnings,
  };
}

/** A configuration file. */
interface ConfigFile {
  readonly values: Readonly<Record<string, unknown>>;
  /** Whether it could not be read: then nothing is reported as missing from it. */
  readonly failed: boolean;
  /** Resolves a path, relative to the file. */
  readonly resolve: (path: string) => string;
}

/** A value and its source: the command line, else the file, else the default. */
interface Given {
  readonly value: unknown;
  /** Its name in messages: `pid-file`, `pidFile`. */
  readonly at: string;
  readonly resolve: (path: string) => string;
}

async function readConfig(path: string | undefined, json: Json | undefined, problems: string[]): Promise<ConfigFile> {
  const none = { values: {}, failed: false, resolve: (part: string) => part };
  if (path === undefined || path === '') return none;
  const before = problems.length;
  const value = json ?? await load(path, 'config', problems);
  if (problems.length > before) return { ...none, failed: true };
  const beside = { failed: false, resolve: (part: string) => resolve(dirname(path), part) };
  if (isRecord(value)) {
    const values = isJson(path) ? withoutCode(value, problems) : { ...value };
    onlyKnown(values, '', KNOWN, problems, LISTED);
    return { ...beside, values };
  }
  const got = typeof value === 'function' ? 'a function; export what it returns' : shown(value);
  problems.push(`config: ${path} must contain an object, e.g. { "upstreams": ["http://127.0.0.1:3001"] } (got ${got})`);
  return { ...none, failed: true };
}

function given(args: Arguments, file: ConfigFile, name: keyof typeof FLAGS, fallback: unknown): Given {
  if (args[name] !== undefined) return { value: args[name], at: FLAGS[name], resolve: (path) => path };
  const { [name]: value = fallback } = file.values;
  return { value, at: name, resolve: file.resolve };
}

/** The options of the balancer, checked. */
async function balancerOptions(
  args: Arguments, file: ConfigFile, tls: ReadonlyMap<string, UpstreamTls>, tcp: boolean, problems: string[],
): Promise<{ options: Record<string, unknown>; warnings: string[] }> {
  const own = Object.fromEntries(Object.entries(file.values).filter(([name]) => (
    BALANCER_OPTIONS.has(name) && name !== 'strategy' && name !== 'shadow')));
  // Without upstreams of their own, named pools are all there is.
  const isNamed = own['pools'] !== undefined && own['upstreams'] === undefined && args.upstreams.length === 0;
  const options: Record<string, unknown> = {
    ...(isNamed && !args.demo ? {} : { upstreams: [] }),
    ...own,
    ...await strategies(args, file, problems),
    ...(args.upstreams.length > 0 ? { upstreams: args.upstreams } : {}),
    ...(isNamed && !args.demo ? {} : { connect: connectOf(own, tls.get(DEFAULT_POOL)) }),
    ...(own['pools'] === undefined ? {} : { pools: await completePools(own['pools'], tls, file.resolve, problems) }),
  };
  const { upstreams } = options;
  if (args.demo && (args.upstreams.length > 0 || file.values['upstreams'] !== undefined)) {
    problems.push('--demo: has its own upstreams; leave out the others');
  } else if (!args.demo && Array.isArray(upstreams) && upstreams.length === 0 && !file.failed && !args.unclear) {
    problems.push(`upstreams: none given; name at least one, e.g. ${tcp ? 'tcp://127.0.0.1:6379' : 'http://127.0.0.1:3001, or try --demo'}`);
  }
  const { front: { maxConnections }, pools } = (tcp ? readTcpOptions : readOptions)(options, problems);
  const configured = options['maxConnections'] !== undefined;
  const demand = { maxConnections, configured, maxInFlight: 0, upstreams: 0 };
  for (const pool of pools.values()) {
    demand.maxInFlight += pool.maxInFlight;
    demand.upstreams += pool.upstreams.length;
  }
  const fitting = fit(descriptorLimit(), demand);
  if (fitting.maxConnections !== undefined) options['maxConnections'] = fitting.maxConnections;
  const originsOf = (pool: string): readonly string[] => pools.get(pool)?.upstreams.map(({ origin }) => origin) ?? [];
  return {
    options,
    warnings: [...(fitting.warning === undefined ? [] : [fitting.warning]), ...insecureWarning(tls, originsOf)],
  };
}

/** The strategies of the pool `default`, as far as they are given. */
async function strategies(
  args: Arguments, file: ConfigFile, problems: string[],
): Promise<Readonly<Record<string, unknown>>> {
  const chosen: Record<string, unknown> = {};
  for (const name of ['strategy', 'shadow'] as const) {
    const { value, at, resolve: beside } = given(args, file, name, undefined);
    const strategy = typeof value === 'string' ? await loadStrategy(value, at, beside, problems) : value;
    if (strategy !== undefined) chosen[name] = strategy;
  }
  return chosen;
}

function addresses(
  args: Arguments, file: ConfigFile, problems: string[],
): Pick<Configuration, 'listen' | 'systemd'> {
  // A demo is for the person who starts it, not for the network.
  const { listen = args.demo ? '127.0.0.1:8080' : 8080 } = file.values;
  const from: readonly (readonly [value: unknown, at: string])[] = args.listen.length > 0
    ? args.listen.map((value) => [value, 'listen'])
    : Array.isArray(listen) ? listen.map((value: unknown, i) => [value, `listen[${i}]`]) : [[listen, 'listen']];
  if (from.length === 0) problems.push('listen: must name at least one address; leave it out for 8080');
  const beside = args.listen.length > 0 ? {} : { resolve: file.resolve };
  let systemd = false;
  const seen = new Set<string>();
  const read = from.flatMap(([value, at]): readonly (ListenAddress | undefined)[] => {
    if (value !== 'systemd') {
      const one = readListen(value, { at, ...beside }, problems);
      const place = one && placeOf(one);
      if (place !== undefined && seen.has(place)) problems.push(`${at}: ${shown(value)}: is there twice; list it once`);
      else if (place !== undefined) seen.add(place);
      return [one];
    }
    if (systemd) problems.push(`${at}: systemd is there twice; it stands for all sockets that were passed`);
    systemd = true;
    // What a file says can be checked anywhere.
    const { passed } = args;
    return passed === undefined || (args.check && passed.sockets.length === 0)
      ? [] : passedAddresses(passed, at, problems);
  });
  return { listen: read.filter((one) => one !== undefined), systemd };
}

/** What only one listener can have: an address, or a descriptor. Undefined where the system chooses the port. */
function placeOf(address: ListenAddress): string | undefined {
  if ('path' in address) return address.path;
  if ('fd' in address) return `fd:${address.fd}`;
  return address.port === 0 ? undefined : `${address.host ?? ''}:${address.port}`;
}

/** The settings of TLS; undefined if no listener needs them. */
async function tls(
  args: Arguments, file: ConfigFile, listen: readonly ListenAddress[], files: PemFiles, findings: Findings,
): Promise<TlsSettings | undefined> {
  const ofFile = { value: file.values['tls'], resolve: file.resolve };
  const isServed = listen.some(({ as }) => as === 'tls');
  const { problems } = findings;
  if (!isServed && listen.some(({ as }) => as === 'redirect')) {
    problems.push('listen: redirect: leads to the first tls: listener, and there is none; add one, e.g. tls:8443');
  }
  const { tlsCert, tlsKey, tlsClientCa, tlsClientOptional } = args;
  const isMentioned = tlsCert.length + tlsKey.length > 0 || tlsClientCa !== undefined || tlsClientOptional;
  if (isServed || isMentioned || ofFile.value !== undefined) {
    const { readTls } = await import('./tls/settings.ts');
    const before = problems.length;
    const settings = await readTls(args, ofFile, isServed, files, findings);
    if (isServed) return settings;
    // A file may leave it to the command line where to listen.
    if (tlsCert.length > 0 && problems.length === before) {
      problems.push('tls-cert: no listener ends TLS; add one, e.g. --listen tls:8443');
    }
  }
  return undefined;
}

function seconds({ value, at }: Given, problems: string[], max = MAX_SECONDS): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && number >= 0 && number <= max) return Math.round(number * 1000);
  problems.push(`${at}: must be a number of seconds from 0 to ${max} (got ${shown(value)})`);
  return 0;
}

/** The number of serving processes; undefined if this process serves. */
function workers({ value, at }: Given, problems: string[]): number | 'auto' | undefined {
  if (value === 'auto') return value;
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= MAX_WORKERS) {
    return count === 1 ? undefined : count;
  }
  problems.push(`${at}: must be an integer from 1 to ${MAX_WORKERS}, or auto (got ${shown(value)})`);
  return undefined;
}

function pidFile({ value, at, resolve: beside }: Given, problems: string[]): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '') return beside(value);
  problems.push(`${at}: must be a file path, e.g. "/run/equipoise.pid" (got ${shown(value)})`);
  return undefined;
}

function accessLog(to: Given, as: Given, problems: string[]): AccessLogSettings | undefined {
  const { value: format = 'json' } = as;
  const isFormat = format === 'json' || format === 'common' || format === 'combined';
  if (!isFormat) problems.push(`${as.at}: must be json, common or combined (got ${shown(format)})`);
  const { value } = to;
  if (value === undefined) {
    // A file may leave it to the command line whether there is a log.
    const alone = as.value !== undefined && as.at === FLAGS.accessLogFormat;
    if (alone) problems.push(`${as.at}: there is no access log; add --access-log, or leave it out`);
    return undefined;
  }
  if (typeof value === 'string' && value !== '') {
    return { path: value === '-' ? undefined : to.resolve(value), format: isFormat ? format : 'json' };
  }
  problems.push(`${to.at}: must be a file path, or - for standard output (got ${shown(value)})`);
  return undefined;
}

function logFormat({ value, at }: Given, problems: string[]): LogFormat {
  if (value === 'text' || value === 'json') return value;
  problems.push(`${at}: must be text or json (got ${shown(value)})`);
  return 'text';
}

/** The names on the command line of what can be set in the file, too. */
const FLAGS = {
  strategy: 'strategy', shadow: 'shadow', workers: 'workers', drainTimeout: 'drain-timeout', stopDelay: 'stop-delay',
  reloadTimeout: 'reload-timeout', pidFile: 'pid-file', accessLog: 'access-log',
  accessLogFormat: 'access-log-format', logFormat: 'log-format', admin: 'admin', adminTokenFile: 'admin-token-file',
  proxyProtocol: 'proxy-protocol',
} as const;
/** The options of both kinds of balancer. */
const BALANCER_OPTIONS: ReadonlySet<string> = new Set([...OPTION_NAMES, ...TCP_OPTION_NAMES]);
/** What a file may contain besides the options of `createBalancer`. */
const OF_FILES = ['listen', 'tls', 'tcp', ...Object.keys(FLAGS), 'adminHosts', 'upstreamTls'];
/** `$schema` tells editors which JSON schema the file has; it is ignored here. */
const KNOWN: ReadonlySet<string> = new Set([...BALANCER_OPTIONS, ...OF_FILES, '$schema']);
const LISTED = `${[...new Set(['upstreams', ...OF_FILES])].join(', ')}, and all options of createBalancer`;

/** A day. */
const MAX_SECONDS = 86_400;
/** A month: WebSockets can live long. */
const MAX_RELOAD_SECONDS = 30 * MAX_SECONDS;
/** The launcher's limit. */
const MAX_WORKERS = 1_024;
