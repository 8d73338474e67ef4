/**
 * The public function: decides which role this process has.
 */
import cluster from 'node:cluster';
import type { Launched } from './launched.ts';
import { checkRun, type LaunchOptions, parseLaunchOptions } from './options.ts';
import { supervise } from './primary.ts';
import { isLaunchedWorker } from './process-role.ts';
import type { Run } from './run.ts';
import { runInForeignWorker } from './worker/foreign-worker.ts';
import { runInWorker } from './worker/launched-worker.ts';

/**
 * Runs `run` in several processes that share their ports. `launch` starts this program again for each worker. In a
 * worker it calls `run`; in the first process, the primary, it supervises. What must happen only once belongs after
 * `await launch(...)`, or behind `cluster.isPrimary`.
 *
 * Signals to the primary: SIGTERM and SIGINT drain all workers, a second one kills them; SIGHUP reloads; SIGTTIN and
 * SIGTTOU add and remove a worker. There it resolves when all workers are gone, with the exit code, which it also sets
 * as `process.exitCode`: 0 after a drain, even if workers cut what took too long; 1 if a worker had to be killed; the
 * exit code of a worker (or 1) that failed before the launch was complete. In a worker it resolves with 0 when the
 * worker has drained, and rejects if `run` or its drain fails.
 *
 * Under another cluster (PM2's cluster mode, or a program's own `node:cluster`) this process is a worker already, and
 * its primary is not ours: `run` runs in this process. SIGTERM, SIGINT and the loss of the primary drain it. Channels
 * have no other members, so it leads. With `dispatch` it accepts on `listen` itself. `reload` and `resize` throw; the
 * other primary does that.
 *
 * Throws OPTIONS_INVALID. Call it once in a program.
 */
export function launch(run: Run, options: LaunchOptions = {}): Launched {
  checkRun(run);
  const settings = parseLaunchOptions(options);
  if (isLaunchedWorker) return runInWorker(run, settings);
  return cluster.isPrimary ? supervise(settings) : runInForeignWorker(run, settings);
}
