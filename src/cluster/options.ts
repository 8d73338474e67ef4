/**
 * The options of `launch`, and the one place where they are checked: one error names everything that is wrong.
 */
import {
  integers, isRecord, onlyKnown, optionalFunction, type Range, record, shown, socketPath, timeSource,
} from '../options/checks.ts';
import { systemRng, systemTime } from '../loop/clock.ts';
import type { TimeSource } from '../loop/time-source.ts';
import { BalancerError } from '../errors.ts';
import type { ListenOptions } from '../options/listen.ts';
import { strategyProblem } from '../options/strategy-check.ts';
import type { Strategy, WorkerCandidate } from '../strategy.ts';
import type { LaunchEvent } from './events.ts';
import { checkSetup, DRAIN_LIMITS, MAX_MS, type ReloadOptions, workerCount } from './reload-options.ts';

/** The options of `launch`. */
export interface LaunchOptions {
  /** How many workers: an integer >= 1, or `'auto'`, one per core that this process may use. Default `'auto'`. */
  readonly workers?: number | 'auto';
  /**
   * How long workers may drain at the end of the launch. Then they cut what is left; one that does not end within
   * another second is killed. Default 10,000 ms.
   */
  readonly drainTimeoutMs?: number;
  /**
   * From the signal to stop (or `close()`) to the drain. Meanwhile workers keep accepting, and those that die are
   * replaced; `context.stopping` aborts at once. It gives load balancers in front time to notice. Default 0 ms.
   */
  readonly stopDelayMs?: number;
  /**
   * How long workers that a reload has replaced may drain, for WebSockets or downloads, say. At the end of the launch
   * `drainTimeoutMs` limits them as well. At most 32 such workers are kept, or four for each worker that serves; beyond
   * that the oldest must end at once. Default 3,600,000 ms, an hour.
   */
  readonly reloadTimeoutMs?: number;
  /**
   * What workers read as `context.setup`: a value that is serializable as JSON. A reload can change it. A worker that
   * replaces a dead one gets the value of the launch or of the last reload that succeeded. Default: undefined.
   */
  readonly setup?: unknown;
  /**
   * Called in the primary before each reload. What it returns, or resolves with, holds from then on. If it fails, the
   * reload fails and nothing changes. Not called for `reload(options)`, which says itself what changes.
   */
  readonly onReload?: () => ReloadOptions | undefined | Promise<ReloadOptions | undefined>;
  /**
   * A worker whose event loop is blocked for longer than this is killed and replaced; at least 100 ms. Default 0:
   * never, since an app may have long computations.
   */
  readonly hungTimeoutMs?: number;
  /** A worker that takes longer than this to become ready has failed. Default 60,000 ms; 0: no limit. */
  readonly startTimeoutMs?: number;
  /**
   * Who accepts connections. `'shared'`, the default: the workers, from one socket. The next connection goes to a
   * worker that is idle, so shares are uneven. `'primary'`: Node's round-robin, in which the primary accepts and hands
   * connections out in turn. Shares are nearly even, at one and a half times the cost per connection; a connection on
   * its way to a worker that dies is neither answered nor closed for as long as the primary lives.
   */
  readonly distribution?: 'primary' | 'shared';
  /**
   * The primary accepts connections on `listen`, and hands each to the ready worker that this strategy picks. A worker
   * that does not take what it was sent is not a candidate while there is another. Workers do not listen: `run` returns
   * a server that does not listen, or takes the connections by `onConnection`. If the strategy declines or fails, the
   * connection is closed. Default: none, see `distribution`.
   */
  readonly dispatch?: Strategy<WorkerCandidate>;
  /** Where the primary listens. Required with `dispatch`, and not allowed without it. */
  readonly listen?: ListenOptions;
  /**
   * Takes the lines of the log, in the primary, each with the event that it is about, if any. Default: standard error;
   * the launch outlives its reader.
   */
  readonly log?: (line: string, event?: LaunchEvent) => void;
  /** Called with each event, in the primary. */
  readonly onEvent?: (event: LaunchEvent) => void;
  /** Where time comes from, for tests. */
  readonly time?: TimeSource;
  /** The jitter of delays: numbers in [0, 1). Default `Math.random`. */
  readonly rng?: () => number;
}

/** All options, complete. */
export interface LaunchSettings extends
  Required<Omit<LaunchOptions, 'workers' | 'log' | 'onEvent' | 'dispatch' | 'listen' | 'onReload'>> {
  readonly workers: number;
  readonly onReload: LaunchOptions['onReload'];
  readonly onEvent: (event: LaunchEvent) => unknown;
  readonly dispatch: DispatchSettings | undefined;
  readonly log: ((line: string, event?: LaunchEvent) => unknown) | undefined;
}

export interface DispatchSettings {
  readonly strategy: Strategy<WorkerCandidate>;
  readonly listen: ListenOptions;
}

/** Checks and completes the options. Throws OPTIONS_INVALID with everything that is wrong with them. */
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
    workers: workerCount(options['workers'], problems),
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

/** Checks what `launch` is to run. Throws OPTIONS_INVALID. */
export function checkRun(run: unknown): void {
  if (typeof run === 'function') return;
  const isServer = isRecord(run) && typeof run['listen'] === 'function';
  const how = isServer ? 'launch(() => server.listen(8080))' : 'launch(() => app.listen(8080))';
  const got = isServer ? 'a server' : shown(run);
  throw new BalancerError('OPTIONS_INVALID',
    `run: must be a function that each worker calls to start serving, e.g. ${how} (got ${got})`);
}

function dispatchOf(strategy: unknown, listen: unknown, problems: string[]): DispatchSettings | undefined {
  if (strategy === undefined) {
    if (listen !== undefined) problems.push('listen: only with dispatch; without dispatch, workers listen in run');
    return undefined;
  }
  const problem = strategyProblem(strategy);
  if (problem !== undefined) problems.push(`dispatch: ${problem}`);
  if (!isRecord(listen) || !['port', 'path', 'fd'].some((key) => key in listen)) {
    problems.push(`listen: must say where the primary listens, e.g. { port: 8000 } (got ${shown(listen)})`);
  } else if (typeof listen['path'] === 'string') socketPath(listen['path'], 'listen.path', problems);
  return { strategy: strategy as Strategy<WorkerCandidate>, listen: listen as ListenOptions };
}

const NUMBERS = {
  ...DRAIN_LIMITS,
  hungTimeoutMs: { fallback: 0, min: 100, max: MAX_MS },
  startTimeoutMs: { fallback: 60_000, min: 0, max: MAX_MS },
} as const satisfies Readonly<Record<string, Range>>;

const KNOWN: ReadonlySet<string> = new Set([
  'workers', ...Object.keys(NUMBERS), 'distribution', 'dispatch', 'listen', 'setup', 'onReload', 'log',
  'onEvent', 'time', 'rng',
]);
