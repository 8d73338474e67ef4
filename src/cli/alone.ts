/**
 * Serves in a single process, without workers.
 */
import { messageOf } from '../guard.ts';
import { REOPENING } from './access-log.ts';
import type { Arguments } from './arguments.ts';
import type { Beginning } from './beginning.ts';
import { type Configuration, configure } from './config.ts';
import type { Facts, Log } from './log-line.ts';
import type { PidFile } from './pid-file.ts';
import { Reloads } from './reload.ts';
import { serve, type Serving } from './serve.ts';
import { TicketKeys } from './tls/tickets.ts';
import { WorkingDirectory } from './working-directory.ts';

/** Serves until a signal stops it and it has drained. Rejects if it cannot serve. */
export async function serveAlone(
  args: Arguments, configuration: Configuration, pidFile: PidFile, { output, signals, started }: Beginning,
): Promise<void> {
  const { log, say } = output;
  let current = configuration;
  const directory = new WorkingDirectory();
  const asked: { by?: string } = {};
  const stop = new Promise<string>((resolve) => {
    signals.onStop((signal) => {
      if (asked.by !== undefined) process.exit(1);
      asked.by = signal;
      resolve(signal);
    });
  });
  const reloads = await Reloads.of(args, current);
  const tickets = current.tls && new TicketKeys();
  const means = { demo: args.demo, log, ticketKey: tickets?.current };
  const serving = await serve(current, means).catch((error: unknown) => {
    if (asked.by === undefined) throw error;
    // In a cluster of another program, its sockets may be gone, with the processes that served.
    log(`${asked.by}: stopped before it was ready: ${messageOf(error)}`, { event: 'stopped', signal: asked.by });
  });
  if (serving === undefined) return;
  try {
    pidFile.write(current.pidFile);
  } catch (error) {
    await serving.close({ timeoutMs: 0, delayMs: 0 });
    throw error;
  }
  started();
  const rotate = ({ tls }: Configuration): void => {
    if (tls === undefined) return;
    tickets?.rotate(tls.ticketRotationMs, (key) => {
      serving.setTicketKey(key);
    });
  };
  rotate(current);
  signals.onReopen(() => {
    const reopens = configuration.accessLog?.path !== undefined;
    if (reopens) log(REOPENING, { event: 'reopening' });
    return reopens && serving.reopen();
  });
  if (serving.adminLine !== undefined) log(serving.adminLine, { event: 'admin-listening' });
  say(serving.line);
  signals.onReload(oneAtATime(async () => {
    try {
      directory.follow();
      current = await reload(args, current, serving, reloads, pidFile, log);
      rotate(current);
    } catch (error) {
      log(`not reloaded, nothing has changed:\n${messageOf(error)}`, { event: 'reload-failed', level: 'error' });
    }
  }));
  const signal = await stop;
  signals.onReload(() => {
    log('SIGHUP: ignored, since this process is stopping', { event: 'signal-ignored', signal: 'SIGHUP' });
  });
  const { drainTimeoutMs: timeoutMs, stopDelayMs: delayMs } = current;
  const delayed = delayMs === 0 ? '' : `still accepting for ${delayMs / 1000} s, then `;
  log(`${signal}: ${delayed}finishing what is in flight, for ${timeoutMs / 1000} s at most`,
    { event: 'stopping', signal, delayMs, timeoutMs });
  const cut = await serving.close({ timeoutMs, delayMs });
  const cuts: Facts = { event: 'cut', level: 'warn', cut };
  if (cut === 1) log('1 connection was cut: it took longer than the drain timeout', cuts);
  if (cut > 1) log(`${cut} connections were cut: they took longer than the drain timeout`, cuts);
}

/**
 * Applies what can change at run time from the configuration file, and the certificates. Resolves with the
 * configuration now in force. If one of them is wrong, rejects and changes nothing.
 */
async function reload(
  args: Arguments, current: Configuration, serving: Serving, reloads: Reloads, pidFile: PidFile,
  log: Log,
): Promise<Configuration> {
  const hasFile = !args.demo && args.config !== undefined;
  if (!hasFile && current.tls === undefined && (args.demo || args.ca.length === 0)) {
    const why = args.demo ? 'the upstreams of --demo are built in' : 'no configuration file was given (--config)';
    log(`SIGHUP: nothing to reload: ${why}`, { event: 'reload-failed', level: 'warn' });
    return current;
  }
  const problems: string[] = [];
  const next = await configure(args, problems);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  for (const warning of next.warnings) log(warning, { event: 'configuration-warning', level: 'warn' });
  if (!hasFile) {
    // By flags: those of listeners, and the authorities of upstreams.
    if (!args.demo && args.ca.length > 0) await reloads.apply(serving.balancer, next);
    if (next.tls !== undefined) serving.secure(next.tls);
    log('reloaded: the certificates', { event: 'reloaded' });
    return next;
  }
  pidFile.write(next.pidFile);
  const fixed = await reloads.apply(serving.balancer, next);
  if (next.tls !== undefined) serving.secure(next.tls);
  const certificates = current.tls === undefined ? '' : 'the certificates, ';
  log(`reloaded: ${certificates}upstreams, pools, routes, hooks, upstreamTls, drainTimeout, stopDelay, reloadTimeout ` +
    'and pidFile', { event: 'reloaded' });
  if (fixed.length > 0) {
    log(`not reloaded: to change ${fixed.join(', ')} takes a restart, or --workers`,
      { event: 'not-reloaded', level: 'warn' });
  }
  return next;
}

/** Returns a function that runs `task`. Calls during a run cause one more run after it. */
function oneAtATime(task: () => Promise<void>): () => void {
  let wanted = false;
  let running = false;
  const run = async (): Promise<void> => {
    running = true;
    try {
      while (wanted) {
        wanted = false;
        await task();
      }
    } finally {
      running = false;
    }
  };
  return () => {
    wanted = true;
    if (!running) void run();
  };
}
