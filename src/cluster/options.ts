/**
 * What a launch is made from, and the one place where it is checked: all problems are told in one error.
 */
import { availableParallelism } from 'node:os';
import {
  integers, isRecord, onlyKnown, optionalFunction, type Range, record, shown, socketPath, timeSource,
} from '../options/checks.ts';
import { systemRng, systemTime, type TimeSource } from '../loop/clock.ts';
import { BalancerError } from '../errors.ts';
import { messageOf } from '../guard.ts';
import type { ListenOptions } from '../options/listen.ts';
import { strategyProblem } from '../options/strategy-check.ts';
import type { Strategy, WorkerCandidate } from '../strategy.ts';
import type { LaunchEvent } from './events.ts';
import type { ReloadOptions } from './supervise/plan.ts';

/** The options of `launch`. */
export interface LaunchOptions {
  /** How many workers: a whole number from 1, or `'auto'`, one per core that this process may use. Default `'auto'`. */
  readonly workers?: number | 'auto';
  /**
   * How long what is in flight may take to end when workers drain at the end of the launch. Then they cut what is left;
   * one that does not end within another second is killed. Default 10,000 ms.
   */
  readonly drainTimeoutMs?: number;
  /**
   * From the signal to stop (or `close()`) to the drain: workers go on accepting meanwhile, and those that die are
   * replaced; `context.stopping` aborts at once. For whoever sends requests here and needs a while to hear that this
   * one is about to go. Default 0 ms.
   */
  readonly stopDelayMs?: number;
  /**
   * How long workers that a reload has replaced may take for what they have in flight, such as WebSockets or downloads;
   * at the end of the launch they have `drainTimeoutMs`, too. At most 32 old workers are kept, or four times as many as
   * serve: beyond that the oldest must end at once. Default 3,600,000 ms, an hour.
   */
  readonly reloadTimeoutMs?: number;
  /**
   * What workers read as `context.setup`: a value that JSON can carry. A reload can change it, and workers that make up
   * for dead ones get the value of the launch or the last reload that succeeded. Default: undefined.
   */
  readonly setup?: unknown;
  /**
   * Called in the primary before each reload: what it returns, or resolves with, holds from then on. Where it fails, so
   * does the reload, and nothing changes. Not called for `reload(options)`, which says itself what is to change.
   */
  readonly onReload?: () => ReloadOptions | undefined | Promise<ReloadOptions | undefined>;
  /**
   * A worker whose event loop is blocked for longer than this is killed and replaced; from 100 ms. Default 0: never,
   * since a plain app may have long computations.
   */
  readonly hungTimeoutMs?: number;
  /** A worker that takes longer than this to become ready has failed. Default 60,000 ms; 0: no limit. */
  readonly startTimeoutMs?: number;
  /**
   * Who accepts connections. `'shared'`, the default: the workers, from a socket that they share. Whoever is free takes
   * the next one, so shares are uneven. `'primary'`: Node's own round-robin: the primary accepts and hands them out in
   * turn: nearly even, at one and a half times the cost for a connection; one that is on its way to a worker which dies
   * then is neither answered nor closed, for as long as the primary lives.
   */
  readonly distribution?: 'primary' | 'shared';
  /**
   * Has the primary accept connections on `listen`, and hand each to the worker that this strategy picks among those
   * that are ready (and not blocked: one that has not taken what it was sent gets no more while there is another). The
   * workers do not listen: `run` returns a server that does not, or takes the connections by `onConnection`. A strategy
   * that declines or fails has the connection closed. Default: none, see `distribution`.
   */
  readonly dispatch?: Strategy<WorkerCandidate>;
  /** Where the primary listens for `dispatch`; not without it. */
  readonly listen?: ListenOptions;
  /** Takes the lines of the log, in the primary. Default: standard error, where it outlives its reader. */
  readonly log?: (line: string) => void;
  /** Hears of all that happens, in the primary. */
  readonly onEvent?: (event: LaunchEvent) => void;
  /** Where time comes from, for tests. */
  readonly time?: TimeSource;
  /** Where the jitter of delays comes from: numbers in [0, 1). Default `Math.random`. */
  readonly rng?: () => number;
}

/** All options, complete. */
export interface LaunchSettings extends
  Required<Omit<LaunchOptions, 'workers' | 'log' | 'onEvent' | 'dispatch' | 'listen' | 'onReload'>> {
  readonly workers: number;
  readonly onReload: LaunchOptions['onReload'];
  readonly onEvent: (event: LaunchEvent) => unknown;
  readonly dispatch: { readonly strategy: Strategy<WorkerCandidate>; readonly listen: ListenOptions } | undefined;
  readonly log: ((line: string) => unknown) | undefined;
}

/** Checks and completes the options. Throws OPTIONS_INVALID with all that is wrong with them. */
export function parseLaunchOptions(given: unknown): LaunchSettings {
  const problems: string[] = [];
  const options = record(given ?? {}, 'options', problems);
  onlyKnown(options, '', KNOWN, problems);
  const hook = <F>(name: string, fallback: F): F => {
    return (optionalFunction(options[name], name, problems) ?? fallback) as F;
  };
  const { distribution = 'shared' } = options;
  if (distribution !== 'primary' && distribution !== 'shared') {
    problems.push(`distribution: must be 'shared' or 'primary' (got ${shown(distribution)})`);
  }
  const settings: LaunchSettings = {
    workers: countOf(options['workers'], problems),
    ...integers(options, '', NUMBERS, problems),
    setup: options['setup'],
    onReload: hook<LaunchOptions['onReload']>('onReload', undefined),
    distribution: distribution as 'primary' | 'shared',
    dispatch: dispatchOf(options['dispatch'], options['listen'], problems),
    log: hook<LaunchOptions['log']>('log', undefined),
    onEvent: hook<(event: LaunchEvent) => void>('onEvent', () => undefined),
    time: timeSource(options['time'], problems) ?? systemTime,
    rng: hook('rng', systemRng),
  };
  checkSetup(options['setup'], problems);
  if (problems.length > 0) throw new BalancerError('OPTIONS_INVALID', problems.join('\n'));
  return settings;
}

/** Checks that workers can be told this. */
export function checkSetup(setup: unknown, problems: string[]): void {
  try {
    const json: unknown = JSON.stringify(setup);
    if (setup === undefined || typeof json === 'string') return;
    problems.push(`setup: must be a value that JSON can carry (got ${shown(setup)})`);
  } catch (cause) {
    problems.push(`setup: must be a value that JSON can carry: ${messageOf(cause)}`);
  }
}

/** Checks that this is something to run. Throws OPTIONS_INVALID. */
export function checkRun(run: unknown): void {
  if (typeof run === 'function') return;
  const isServer = isRecord(run) && typeof run['listen'] === 'function';
  const how = isServer ? 'launch(() => server.listen(8080))' : 'launch(() => app.listen(8080))';
  const got = isServer ? 'a server' : shown(run);
  throw new BalancerError('OPTIONS_INVALID',
    `run: must be a function that starts to serve, called in each worker, e.g. ${how} (got ${got})`);
}

function dispatchOf(strategy: unknown, listen: unknown, problems: string[]): LaunchSettings['dispatch'] {
  if (strategy === undefined) {
    if (listen !== undefined) problems.push('listen: goes with dispatch only; without it, the workers listen');
    return undefined;
  }
  const problem = strategyProblem(strategy);
  if (problem !== undefined) problems.push(`dispatch: ${problem}`);
  if (!isRecord(listen) || !['port', 'path', 'fd'].some((key) => key in listen)) {
    problems.push(`listen: must say where the primary listens, e.g. { port: 8000 } (got ${shown(listen)})`);
  } else if (typeof listen['path'] === 'string') socketPath(listen['path'], 'listen.path', problems);
  return { strategy: strategy as Strategy<WorkerCandidate>, listen: listen as ListenOptions };
}

/** Reads a number of workers. */
export function parseWorkers(value: unknown): number {
  const problems: string[] = [];
  const workers = countOf(value, problems);
  if (problems[0] !== undefined) throw new BalancerError('OPTIONS_INVALID', problems[0]);
  return workers;
}

/** How many workers a value wants. */
export function countOf(value: unknown, problems: string[]): number {
  if (value === undefined || value === 'auto') return availableParallelism();
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_WORKERS) return value;
  problems.push(`workers: must be an integer from 1 to ${MAX_WORKERS} or 'auto' (got ${shown(value)})`);
  return 1;
}

/** A day: whoever waits longer does not wait. */
const MAX_MS = 86_400_000;
/** A month: WebSockets may live long. */
const MAX_RELOAD_MS = 30 * MAX_MS;
export const DRAIN_LIMITS = {
  drainTimeoutMs: { fallback: 10_000, min: 0, max: MAX_MS },
  stopDelayMs: { fallback: 0, min: 0, max: MAX_MS },
  reloadTimeoutMs: { fallback: 3_600_000, min: 0, max: MAX_RELOAD_MS },
} as const satisfies Readonly<Record<string, Range>>;
const NUMBERS = {
  ...DRAIN_LIMITS,
  hungTimeoutMs: { fallback: 0, min: 100, max: MAX_MS },
  startTimeoutMs: { fallback: 60_000, min: 0, max: MAX_MS },
} as const satisfies Readonly<Record<string, Range>>;

const KNOWN: ReadonlySet<string> = new Set([
  'workers', ...Object.keys(NUMBERS), 'distribution', 'dispatch', 'listen', 'setup', 'onReload', 'log',
  'onEvent', 'time', 'rng',
]);
const MAX_WORKERS = 1024;
