/**
 * Command line and configuration file together: what to listen on, and the options of the balancer.
 */
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { leastConnections } from '../../strategies/least-connections.ts';
import { random } from '../../strategies/random.ts';
import { roundRobin } from '../../strategies/round-robin.ts';
import { shown } from '../checks.ts';
import type { BalancerOptions } from '../options.ts';
import { readOptions } from '../settings.ts';
import type { Strategy } from '../strategy.ts';
import type { Arguments } from './arguments.ts';
import { connectUpstream } from './connect.ts';
import { type ListenAddress, readListen } from './listen.ts';
import { inTime, Unsettled } from './patience.ts';

/** All that a run needs. */
export interface Configuration {
  readonly listen: readonly ListenAddress[];
  readonly drainTimeoutMs: number;
  /** From the signal to stop to the end of accepting: not ready meanwhile. */
  readonly stopDelayMs: number;
  /** What old workers have to finish after a reload. */
  readonly reloadTimeoutMs: number;
  /** Processes that serve: one each; `undefined` is this one. */
  readonly workers: number | 'auto' | undefined;
  readonly pidFile: string | undefined;
  readonly options: BalancerOptions;
  /** What the configuration file holds, if that is a file of JSON. */
  readonly json: Json | undefined;
}

/** The content of a configuration file. */
export type Json = Readonly<Record<string, unknown>>;

/**
 * Completes the arguments with the configuration file and the defaults; adds what is wrong to `problems`. Where `json`
 * is given, that is what the file holds, whatever is on the disk.
 */
export async function configure(args: Arguments, problems: string[], json?: Json): Promise<Configuration> {
  const { config: source = '' } = args;
  const file = json ?? (source === '' ? {} : await readConfig(source, problems));
  const {
    // A demonstration is for whoever starts it, not for the network.
    listen: fileListen = args.demo ? '127.0.0.1:8080' : 8080,
    strategy: fileStrategy, drainTimeout: fileDrain = 10, workers: fileWorkers = 1, pidFile: filePid,
    stopDelay: fileStopDelay = 0, reloadTimeout: fileReload = 3_600, ...rest
  } = file;
  const listen: unknown[] = args.listen.length > 0 ? [...args.listen] : [fileListen].flat();
  if (listen.length === 0) problems.push('listen: none given; leave it out for 8080');
  const given = args.upstreams.length > 0 ? { upstreams: args.upstreams } : {};
  const chosen = args.strategy ?? fileStrategy;
  const strategy = typeof chosen === 'string' ? await loadStrategy(chosen, problems) : chosen;
  const options: Record<string, unknown> = { upstreams: [], connect: connectUpstream, ...rest, ...given };
  if (strategy !== undefined) options['strategy'] = strategy;
  if (!args.demo && Array.isArray(options['upstreams']) && options['upstreams'].length === 0) {
    problems.push('upstreams: none given; name at least one, e.g. http://127.0.0.1:3001, or try --demo');
  }
  if (args.demo && (args.upstreams.length > 0 || 'upstreams' in rest)) {
    problems.push('--demo: brings its own upstreams; leave out the others');
  }
  readOptions(options, problems);
  return {
    listen: listen.map((value) => readListen(value, { at: 'listen' }, problems)).filter((one) => one !== undefined),
    drainTimeoutMs: milliseconds(args.drainTimeout ?? fileDrain, 'drain-timeout', problems),
    stopDelayMs: milliseconds(args.stopDelay ?? fileStopDelay, 'stop-delay', problems),
    reloadTimeoutMs: milliseconds(args.reloadTimeout ?? fileReload, 'reload-timeout', problems),
    workers: workers(args.workers ?? fileWorkers, problems),
    pidFile: pidFile(args.pidFile ?? filePid, problems),
    options: options as unknown as BalancerOptions,
    json: source.endsWith('.json') ? file : undefined,
  };
}

/** The strategies by name: a literal table, so that nothing is loaded that was not asked for by a path. */
const STRATEGIES: Readonly<Record<string, () => Strategy>> = {
  random: () => random(),
  'round-robin': () => roundRobin(),
  'least-connections': () => leastConnections(),
};

async function loadStrategy(name: string, problems: string[]): Promise<unknown> {
  const known = Object.hasOwn(STRATEGIES, name) ? STRATEGIES[name] : undefined;
  if (known !== undefined) return known();
  if (!/^\.{0,2}[\\/]|^[A-Za-z]:|\.[cm]?[jt]s$/.test(name)) {
    problems.push(`strategy: ${name} is unknown; choose ${Object.keys(STRATEGIES).join(', ')}, or give a ./file`);
    return undefined;
  }
  const exported = await load(name, 'strategy', problems);
  if (typeof exported !== 'function') return exported;
  try {
    const made: unknown = await inTime(Promise.resolve((exported as () => unknown)()));
    if (made === undefined) problems.push(`strategy: the factory in ${name} returns nothing; return a strategy`);
    return made;
  } catch (error) {
    const what = error instanceof Unsettled ? 'failed' : 'threw';
    problems.push(`strategy: the factory in ${name} ${what}: ${message(error)}`);
    return undefined;
  }
}

async function readConfig(path: string, problems: string[]): Promise<Record<string, unknown>> {
  const value = await load(path, 'config', problems);
  if (value === undefined) return {};
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  problems.push(`config: ${path} holds no object of options`);
  return {};
}

/** The content of a JSON file, or what a module default-exports. */
async function load(path: string, option: string, problems: string[]): Promise<unknown> {
  try {
    if (path.endsWith('.json')) return JSON.parse(await readFile(path, 'utf8')) as unknown;
    // A module is loaded once under one name; a reload wants what it says now.
    const { mtimeMs } = await stat(path);
    const loading: Promise<unknown> = import(`${pathToFileURL(resolve(path)).href}?${mtimeMs}`);
    const module = await inTime(loading) as { readonly default?: unknown };
    if (module.default !== undefined) return module.default;
    problems.push(`${option}: ${path} has no default export`);
  } catch (error) {
    problems.push(`${option}: cannot load ${path}: ${message(error)}`);
  }
  return undefined;
}

function milliseconds(value: unknown, name: string, problems: string[]): number {
  const seconds = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof seconds === 'number' && seconds >= 0 && seconds <= MAX_SECONDS) return Math.round(seconds * 1000);
  problems.push(`${name}: must be a number of seconds from 0 to ${MAX_SECONDS} (got ${shown(value)})`);
  return 0;
}

/** How many processes are to serve; undefined where this one does it alone. */
function workers(value: unknown, problems: string[]): number | 'auto' | undefined {
  if (value === 'auto') return value;
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= MAX_WORKERS) {
    return count === 1 ? undefined : count;
  }
  problems.push(`workers: ${String(value)} is neither a whole number from 1 to ${MAX_WORKERS} nor auto`);
  return undefined;
}

function pidFile(value: unknown, problems: string[]): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value;
  problems.push('pid-file: is no path');
  return undefined;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A day. */
const MAX_SECONDS = 86_400;
/** As many as the launcher takes. */
const MAX_WORKERS = 1_024;
