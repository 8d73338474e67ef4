/**
 * Which processes are workers of a launch. That a process is a worker of `node:cluster` says too little: it may have
 * been forked by PM2, or by a program's own cluster, which know nothing of us.
 */
import cluster from 'node:cluster';

const NAME = 'EQUIPOISE_WORKER';

/** What a launch adds to the environment of its workers. */
export const WORKER_ENV: Readonly<Record<string, string>> = { [NAME]: 'new' };

/**
 * Whether this process is a worker of a launch. In a worker of another cluster, and in what a worker of ours starts,
 * it is not.
 */
export const isLaunchedWorker: boolean = readMark();

/** Whether this process is a worker of somebody else's cluster: there `launch` runs in this very process. */
export const isForeignWorker: boolean = cluster.isWorker && !isLaunchedWorker;

/** A worker puts its own id in the mark's place, so that child processes that inherit it are not taken for it. */
function readMark(): boolean {
  if (!cluster.isWorker) return false;
  const own = String(process.pid);
  if (process.env[NAME] === WORKER_ENV[NAME]) process.env[NAME] = own;
  return process.env[NAME] === own;
}
