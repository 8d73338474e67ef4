/**
 * Whose worker this process is: a launch's, or another cluster's. `cluster.isWorker` alone does not tell: PM2, or a
 * program's own cluster, may have forked it.
 */
import cluster from 'node:cluster';

const NAME = 'EQUIPOISE_WORKER';

/** What a launch adds to the environment of its workers. */
export const WORKER_ENV: Readonly<Record<string, string>> = { [NAME]: 'new' };

/** Whether this process is a worker of a launch. Processes that such a worker starts are not. */
export const isLaunchedWorker: boolean = readMark();

/** Whether this process is a worker of another cluster. There `launch` runs in this process. */
export const isForeignWorker: boolean = cluster.isWorker && !isLaunchedWorker;

/** A worker replaces the mark by its process id, so that child processes, which inherit it, are not taken for it. */
function readMark(): boolean {
  if (!cluster.isWorker) return false;
  const own = String(process.pid);
  if (process.env[NAME] === WORKER_ENV[NAME]) process.env[NAME] = own;
  return process.env[NAME] === own;
}
