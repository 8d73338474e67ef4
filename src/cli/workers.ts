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
import type { Order } from '../observe/index.ts';
import { addressText } from '../options/listen.ts';
import { REOPENING } from './access-log.ts';
import type { Arguments } from './arguments.ts';
import type { Beginning } from './beginning.ts';
import { type Configuration, configure, type Json } from './config.ts';
import type { ListenAddress } from './listen.ts';
import { factsOf } from './log-line.ts';
import { umaskOf } from './listening.ts';
import type { PassedSockets } from './passed-sockets.ts';
import type { Contents } from './pem-files.ts';
import type { PidFile } from './pid-file.ts';
import { serve } from './serve.ts';
import { keyOfText, keyText, TicketKeys } from './tls/tickets.ts';
import { WorkingDirectory } from './working-directory.ts';

const FAILED = 1;
/** A worker that is unresponsive for this long will not recover by itself. */
const HUNG_TIMEOUT_MS = 10_000;

/** What the primary sends to a worker. */
interface Setup {
  readonly json?: Json;
  /** The certificates and keys that the primary has read and checked. */
  readonly pem: Contents;
  /** The sockets that were passed to the primary, which listens on them. */
  readonly passed?: PassedSockets;
  /** That of the primary, before it narrowed its own for the sockets that it binds. */
  readonly umask: number;
}

/** What the primary sends to a worker: to reopen the access log; the key of session tickets; what admins ordered. */
interface ToWorker {
  readonly reopen?: boolean;
  readonly ticketKey?: string;
  readonly orders?: readonly Order[];
}

/** What a worker sends to the primary: when it is ready; what admins have ordered; and what it needs. */
interface FromWorker {
  readonly line?: string;
  readonly adminLine?: string | undefined;
  readonly orders?: readonly Order[];
  readonly wantsOrders?: boolean;
  readonly wantsTicketKey?: boolean;
}

/** In the primary: runs workers until a signal stops it. Resolves with the exit code; rejects if it cannot start. */
export async function supervise(
  args: Arguments, configuration: Configuration, pidFile: PidFile, { output, signals, started }: Beginning,
): Promise<number> {
  const { log, say } = output;
  await clearSockets(socketsOf(configuration));
  // The primary binds Unix sockets for its workers, at any time: nobody may connect before their mode is set.
  const umask = process.umask(umaskOf(socketsOf(configuration)));
  process.umask(umask | umaskOf(socketsOf(configuration)));
  const common = { umask, ...(args.passed === undefined ? {} : { passed: args.passed }) };
  let current = configuration;
  const directory = new WorkingDirectory();
  let line: string | undefined;
  let adminLine: string | undefined;
  /** The primary outlives all workers: what was drained stays so, even if all of them die at once. */
  let orders: readonly Order[] = [];
  const outcome = { failed: false };
  const tickets = new TicketKeys();
  const tellAll = (message: ToWorker): void => {
    for (const worker of Object.values(cluster.workers ?? {})) {
      if (worker?.isConnected() === true) worker.send(message, undefined, ignore);
    }
  };
  const rotate = ({ tls }: Configuration): void => {
    if (tls === undefined) return;
    tickets.rotate(tls.ticketRotationMs, (key) => {
      tellAll({ ticketKey: keyText(key) });
    });
  };
  rotate(configuration);
  cluster.on('message', (worker, told: FromWorker | undefined) => {
    line ??= told?.line;
    adminLine ??= told?.adminLine;
    orders = told?.orders ?? orders;
    if (!worker.isConnected()) return;
    if (told?.wantsOrders === true) worker.send({ orders } satisfies ToWorker, undefined, ignore);
    if (told?.wantsTicketKey === true) {
      worker.send({ ticketKey: keyText(tickets.current) } satisfies ToWorker, undefined, ignore);
    }
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
      log(messageOf(error), { event: 'pid-file', level: 'error' });
      return false;
    }
  };
  const launched = launch(() => {
    throw new Error('the primary does not serve');
  }, {
    ...settingsOf(configuration, common),
    hungTimeoutMs: HUNG_TIMEOUT_MS,
    log: (text, event) => {
      log(text, event && factsOf(event));
    },
    onReload: async () => {
      directory.follow();
      const next = await read(args);
      const before = socketsOf(current);
      await clearSockets(socketsOf(next).filter((where) => !before.some((one) => samePath(one, where))));
      for (const warning of next.warnings) log(warning, { event: 'configuration-warning', level: 'warn' });
      current = next;
      output.format = next.logFormat;
      process.umask(umask | umaskOf(socketsOf(next)));
      rotate(next);
      return settingsOf(next, common);
    },
    onEvent: ({ type }) => {
      if (type === 'reloaded') writePidFile();
      if (type !== 'launched') return;
      started();
      if (adminLine !== undefined) log(adminLine, { event: 'admin-listening' });
      if (writePidFile()) say(line ?? '');
      else {
        outcome.failed = true;
        void launched.close();
      }
    },
  });
  signals.onReopen(() => {
    if (current.accessLog?.path === undefined) return false;
    log(REOPENING, { event: 'reopening' });
    // Not by the signal: it would open the debugger of a worker that is just starting.
    tellAll({ reopen: true });
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
    return await launch(async ({ channel, setup, stopping }) => {
      const { json, pem, umask, passed } = setup as Setup;
      process.umask(umask);
      const configuration = await read(passed === undefined ? args : { ...args, passed }, json, pem);
      output.format = configuration.logFormat;
      // A channel takes one member of each worker, so each pool has one of its own.
      const peers = (pool: string): Channel => channel(`upstreams of ${pool}`);
      const ticketKey = configuration.tls && await askTicketKey();
      const admin = configuration.admin && { channel, stopping, orders: await askOrders(), onOrders: tellOrders };
      const means = { demo: args.demo, log: output.log, peers, ticketKey, ...(admin === undefined ? {} : { admin }) };
      // Told to drain before it listens, it does not: the sockets may be gone, with the workers that served.
      if (stopping.aborted) return () => undefined;
      const serving = await serve(configuration, means);
      cluster.worker?.on('message', (told: ToWorker | undefined) => {
        if (told?.reopen === true) serving.reopen();
        if (told?.ticketKey !== undefined) serving.setTicketKey(keyOfText(told.ticketKey));
      });
      // It may have changed while the listeners opened.
      if (ticketKey !== undefined) process.send?.({ wantsTicketKey: true } satisfies FromWorker);
      // One that is sent to the whole process group.
      signals.onReopen(() => serving.reopen());
      process.send?.({ line: serving.line, adminLine: serving.adminLine } satisfies FromWorker);
      started();
      return async ({ timeoutMs, signal }) => {
        serving.draining();
        signal.addEventListener('abort', () => void serving.close({ timeoutMs: 0, delayMs: 0 }));
        return { cut: await serving.close({ timeoutMs, delayMs: 0 }) };
      };
    }, { hungTimeoutMs: HUNG_TIMEOUT_MS });
  } catch {
    // The primary knows why, and logs it.
    return FAILED;
  }
}

/** In a worker: what admins have ordered before it began, from the primary. */
function askOrders(): Promise<readonly Order[]> {
  return new Promise((resolve) => {
    const onMessage = (told: ToWorker | undefined): void => {
      if (told?.orders === undefined) return;
      cluster.worker?.off('message', onMessage);
      resolve(told.orders);
    };
    cluster.worker?.on('message', onMessage);
    process.send?.({ wantsOrders: true } satisfies FromWorker);
  });
}

function tellOrders(orders: readonly Order[]): void {
  if (process.connected) process.send?.({ orders } satisfies FromWorker, undefined, undefined, ignore);
}

/** In a worker: the key of session tickets, from the primary. */
function askTicketKey(): Promise<Buffer> {
  return new Promise((resolve) => {
    const onMessage = (told: ToWorker | undefined): void => {
      if (told?.ticketKey === undefined) return;
      cluster.worker?.off('message', onMessage);
      resolve(keyOfText(told.ticketKey));
    };
    cluster.worker?.on('message', onMessage);
    process.send?.({ wantsTicketKey: true } satisfies FromWorker);
  });
}

/** The launcher's settings of a configuration. */
function settingsOf(
  { workers = 1, drainTimeoutMs, stopDelayMs, reloadTimeoutMs, json, pem }: Configuration,
  common: Pick<Setup, 'passed' | 'umask'>,
): {
  readonly workers: number | 'auto';
  readonly drainTimeoutMs: number;
  readonly stopDelayMs: number;
  readonly reloadTimeoutMs: number;
  readonly setup: Setup;
} {
  const setup = { ...(json && { json }), pem, ...common };
  return { workers, drainTimeoutMs, stopDelayMs, reloadTimeoutMs, setup };
}

/** Reads the configuration. Rejects with every problem found. */
async function read(args: Arguments, json?: Json, pem?: Contents): Promise<Configuration> {
  const problems: string[] = [];
  const configuration = await configure(args, problems, json, pem);
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

function socketsOf({ listen, admin }: Configuration): readonly ListenAddress[] {
  return admin === undefined ? listen : [...listen, admin.where];
}

function samePath(one: ListenAddress, other: ListenAddress): boolean {
  return 'path' in one && 'path' in other && one.path === other.path;
}
