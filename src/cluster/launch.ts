/**
 * The launcher: a primary that supervises, and a worker per core that serves.
 */
import cluster from 'node:cluster';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Channel } from '../channel.ts';
import { workAlone } from './alone.ts';
import type { DrainLimit } from './deadline.ts';
import { isLaunchedWorker } from './mark.ts';
import { checkRun, type LaunchOptions, parseLaunchOptions } from './options.ts';
import type { ReloadOptions } from './supervise/plan.ts';
import { supervise } from './primary.ts';
import type { WorkerInfo } from './supervise/worker-state.ts';
import { work } from './worker.ts';

/**
 * Ends what a worker has in flight: stops accepting, answers the rest, resolves when nothing is left, at the latest
 * when `limit.signal` aborts, which is the time to cut. What it resolves with may say how many connections it cut,
 * `{ cut }`, as that of `drainServer` and of a balancer's `close` does; then the log tells of it. Where it does not
 * resolve, the worker is killed a second later.
 */
export type Drain = (limit: DrainLimit) => unknown;

/**
 * What a worker runs: starts to serve, and returns how to end it, either a server of `node:http` (Express's `listen`
 * returns one), which is drained by `drainServer`, or a function of its own. Its worker is ready when it has resolved
 * and, for a server, listens. With `dispatch` neither listens: a server that is returned gets its connections.
 */
export type Run = (context: RunContext) => Server | Drain | Promise<Server | Drain>;

/** What a worker is given. */
export interface RunContext {
  /**
   * The `setup` of the launch, or of the reload that started this worker; one that makes up for a dead worker has that
   * of the launch or the last reload that succeeded.
   */
  readonly setup: unknown;
  /**
   * Aborts when the launch is told to stop, `stopDelayMs` before this worker drains, or when this worker begins to
   * drain for another reason: for a readiness probe, which should fail from then on.
   */
  readonly stopping: AbortSignal;
  /** With `dispatch`, has `listener` serve the connections that this worker is handed. */
  readonly onConnection: (listener: (socket: Socket) => void) => void;
  /**
   * The channel of this name, on which workers tell each other things through the primary. Each worker joins it once.
   * The worker that joined first leads, until it drains or dies. Where nobody joins, nothing is sent.
   */
  readonly channel: (name: string) => Channel;
}

/** A launch. In the primary it resolves with the exit code when all has ended; never rejects there. */
export interface Launched extends Promise<number> {
  /** The workers as they stand now; in a worker none. */
  readonly workers: readonly WorkerInfo[];
  /**
   * Has new workers take over from all there are, one at a time: their code is that on the disk now. `options` holds
   * from then on; without it, what `onReload` returns does. Resolves with whether all were replaced: false if a new one
   * failed before it was ready (then those that are there go on, by what held before). Asked for during a reload, it
   * follows that. Throws OPTIONS_INVALID.
   */
  reload(options?: ReloadOptions): Promise<boolean>;
  /** Wants another number of workers. Throws OPTIONS_INVALID. */
  resize(workers: number | 'auto'): void;
  /** Drains all workers; in a worker that one. Resolves as the launch does. */
  close(): Promise<number>;
}

/**
 * Runs `run` in several processes that share their ports: this program is started again for each worker, and `launch`
 * called in a worker runs `run`, while in the first process, the primary, it supervises: whatever ought to happen once
 * belongs after `await launch(...)`, or behind `cluster.isPrimary`.
 *
 * In the primary, SIGTERM and SIGINT drain all workers, a second one ends them at once; SIGHUP reloads; SIGTTIN and
 * SIGTTOU add and remove a worker. Resolves when all workers are gone, with the exit code, which it also sets as
 * `process.exitCode`: 0 after a drain, even if workers had to cut what took too long; 1 if a worker had to be killed;
 * and if a worker fails before the launch is complete, its exit code (or 1). In a worker it resolves with 0 when the
 * worker has drained, and rejects with what `run` or its drain failed with.
 *
 * Under another cluster (PM2's cluster mode, a program's own `node:cluster`) this process is a worker already, of a
 * primary that is not ours: `run` runs in it. SIGTERM, SIGINT and the loss of that primary drain it; channels have no
 * other members, so that it leads; with `dispatch` it accepts on `listen` itself, and hands all to its own server;
 * `reload` and `resize` throw, since these are the other primary's to do.
 *
 * Throws OPTIONS_INVALID. Call it once in a program.
 */
export function launch(run: Run, options: LaunchOptions = {}): Launched {
  checkRun(run);
  const settings = parseLaunchOptions(options);
  if (isLaunchedWorker) return work(run, settings);
  return cluster.isPrimary ? supervise(settings) : workAlone(run, settings);
}
