/**
 * Serves by workers: the primary's part and the worker's part.
 *
 * The primary reads the configuration at the start and on SIGHUP, and sends it to the workers, so a worker that is
 * respawned later uses the last good configuration, whatever is on disk by then. This works for JSON files only:
 * modules may export functions, which cannot be sent, so each worker loads modules from disk itself.
 */
import cluster from 'node:cluster';
import type { Channel } from '../channel.ts';
import { launch } from '../cluster/index.ts';
import { removeStaleSocket } from '../cluster/stale-socket.ts';
import { messageOf } from '../guard.ts';
import { addressText } from '../options/listen.ts';
import { REOPENING } from './access-log.ts';
import type { Arguments } from './arguments.ts';
import type { Beginning } from './beginning.ts';
import { type Configuration, configure, type Json } from './config.ts';
import type { ListenAddress } from './listen.ts';
import { umaskOf } from './listening.ts';
import type { PassedSockets } from './passed-sockets.ts';
import type { PidFile } from './pid-file.ts';
import { serve } from './serve.ts';
import type { Files } from './upstream-tls.ts';

const FAILED = 1;
/** A worker that is unresponsive for this long will not recover by itself. */
const HUNG_TIMEOUT_MS = 10_000;

/** What the primary sends to a worker. */
interface Setup {
  readonly json?: Json;
  /** The contents of other files that the configuration names. */
  readonly files: Files;
  /** The sockets that were passed to the primary, which listens on them. */
  readonly passed?: PassedSockets;
  /** That of the primary, before it narrowed its own for the sockets that it binds. */
  readonly umask: number;
}

/** What the primary sends to a worker that serves: to reopen the access log. */
interface ToWorker {
  readonly reopen?: boolean;
}

/** What a worker sends to the primary: the line that says it is ready. */
interface FromWorker {
  readonly line?: string;
}

/** In the primary: runs workers until a signal stops it. Resolves with the exit code; rejects if it cannot start. */
export async function supervise(
  args: Arguments, configuration: Configuration, pidFile: PidFile, { output, signals, started }: Beginning,
): Promise<number> {
  const { log, say } = output;
  await clearSockets(configuration.listen);
  // The primary binds Unix sockets for its workers, at any time: nobody may connect before their mode is set.
  const umask = process.umask(umaskOf(configuration.listen));
  process.umask(umask | umaskOf(configuration.listen));
  const common = { umask, ...(args.passed === undefined ? {} : { passed: args.passed }) };
  let current = configuration;
  let line: string | undefined;
  const outcome = { failed: false };
  cluster.on('message', (_worker, told: FromWorker | undefined) => {
    line ??= told?.line;
  });
  const writePidFile = (): boolean => {
    try {
      const narrow = process.umask(umask);
      try {
        pidFile.write(current.pidFile);
      } finally {
        process.umask(narrow);
      }
      return true;
    } catch (error) {
      log(messageOf(error));
      return false;
    }
  };
  const launched = launch(() => {
    throw new Error('the primary does not serve');
  }, {
    ...settingsOf(configuration, common),
    hungTimeoutMs: HUNG_TIMEOUT_MS,
    log,
    onReload: async () => {
      const next = await read(args);
      await clearSockets(next.listen.filter((where) => !current.listen.some((one) => samePath(one, where))));
      for (const warning of next.warnings) if (!current.warnings.includes(warning)) log(warning);
      current = next;
      process.umask(umask | umaskOf(next.listen));
      return settingsOf(next, common);
    },
    onEvent: ({ type }) => {
      if (type === 'reloaded') writePidFile();
      if (type !== 'launched') return;
      started();
      if (writePidFile()) say(line ?? '');
      else {
        outcome.failed = true;
        void launched.close();
      }
    },
  });
  signals.onReopen(() => {
    if (current.accessLog?.path === undefined) return false;
    log(REOPENING);
    // Not by the signal: it would open the debugger of a worker that is just starting.
    for (const worker of Object.values(cluster.workers ?? {})) {
      if (worker?.isConnected() === true) worker.send({ reopen: true } satisfies ToWorker, undefined, ignore);
    }
    return true;
  });
  // The launcher listens to SIGTERM and SIGINT now.
  signals.leave();
  if (signals.hungUp) void launched.reload();
  const code = await launched;
  return outcome.failed ? FAILED : code;
}

/** In a worker: serves until the primary stops it. Resolves with the exit code. */
export async function work(args: Arguments, { output, signals, started }: Beginning): Promise<number> {
  try {
    return await launch(async ({ channel, setup }) => {
      const { json, files, umask, ...passed } = setup as Setup;
      process.umask(umask);
      const configuration = await read({ ...args, ...passed }, json, files);
      // A channel takes one member of each worker, so each pool has one of its own.
      const peers = (pool: string): Channel => channel(`upstreams of ${pool}`);
      const serving = await serve(configuration, { demo: args.demo, log: output.log, peers });
      cluster.worker?.on('message', (told: ToWorker | undefined) => {
        if (told?.reopen === true) serving.reopen();
      });
      // One that is sent to the whole process group.
      signals.onReopen(() => serving.reopen());
      process.send?.({ line: serving.line } satisfies FromWorker);
      started();
      return async ({ timeoutMs, signal }) => {
        signal.addEventListener('abort', () => void serving.close({ timeoutMs: 0, delayMs: 0 }));
        return { cut: await serving.close({ timeoutMs, delayMs: 0 }) };
      };
    }, { hungTimeoutMs: HUNG_TIMEOUT_MS });
  } catch {
    // The primary knows why, and logs it.
    return FAILED;
  }
}

/** The launcher's settings of a configuration. */
function settingsOf(
  { workers = 1, drainTimeoutMs, stopDelayMs, reloadTimeoutMs, json, files }: Configuration,
  common: Pick<Setup, 'passed' | 'umask'>,
): {
  readonly workers: number | 'auto';
  readonly drainTimeoutMs: number;
  readonly stopDelayMs: number;
  readonly reloadTimeoutMs: number;
  readonly setup: Setup;
} {
  const setup = json === undefined ? { files, ...common } : { json, files, ...common };
  return { workers, drainTimeoutMs, stopDelayMs, reloadTimeoutMs, setup };
}

/** Reads the configuration. Rejects with every problem found. */
async function read(args: Arguments, json?: Json, files?: Files): Promise<Configuration> {
  const problems: string[] = [];
  const configuration = await configure(args, problems, json, files);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return configuration;
}

/** Removes Unix sockets that a crash left behind, before any worker listens. Rejects if one is in use. */
async function clearSockets(listen: readonly ListenAddress[]): Promise<void> {
  for (const where of listen) {
    if (!('path' in where)) continue;
    const found = await removeStaleSocket(where.path);
    if (found.kind === 'taken') {
      throw new Error(`listen: ${addressText(where.path)} is in use (EADDRINUSE): ${found.why}`);
    }
  }
}

function ignore(): void {
  // The worker is gone.
}

function samePath(one: ListenAddress, other: ListenAddress): boolean {
  return 'path' in one && 'path' in other && one.path === other.path;
}
