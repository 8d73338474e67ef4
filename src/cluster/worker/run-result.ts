/**
 * What `run` returned: when it serves, and how to drain it. For workers of a launch and of another cluster alike.
 */
import cluster from 'node:cluster';
import type { Server } from 'node:http';
import { isRecord, shown } from '../../options/checks.ts';
import type { TimeSource } from '../../loop/time-source.ts';
import { BalancerError } from '../../errors.ts';
import type { WorkerConnections } from '../dispatch/worker-connections.ts';
import type { DrainLimit } from '../drain/deadline.ts';
import { closed, drainConnections } from '../drain/drain-server.ts';
import type { Drain } from '../run.ts';

/** How a drain ended. */
export interface DrainResult {
  /** How many connections were cut, as far as is known. */
  readonly cut: number;
  /** Whether connections are left, such as WebSockets, that end only with the process. */
  readonly left: boolean;
}

export type DrainRun = (limit: DrainLimit) => Promise<DrainResult>;

/**
 * Of a worker that was told to drain before it served, and failed to start. That is not its failure: what it needs may
 * be gone by then, with the workers that served.
 */
export const UNSERVED: DrainResult = { cut: 0, left: true };

/**
 * Resolves when what `run` returned serves, with how to drain it. With `connections`, which the primary accepts, a
 * server does not listen, but gets those.
 */
export async function whenServing(
  returned: unknown, time: TimeSource, connections?: WorkerConnections,
): Promise<DrainRun> {
  if (typeof returned === 'function') return (limit) => drainBy(returned as Drain, limit);
  if (!isServer(returned)) {
    throw new BalancerError('OPTIONS_INVALID', 'run: must return a server, or a function that drains what it ' +
      `started, e.g. (limit) => drainServer(server, limit) (got ${shown(returned)})`);
  }
  if (connections === undefined) {
    await listening(returned);
    const count = (): Promise<number> => new Promise((resolve) => {
      returned.getConnections((_error, open) => {
        resolve(open);
      });
    });
    return (limit) => drainOrCut(returned, () => closed(returned), count, limit, time);
  }
  connections.feed(returned);
  const count = (): Promise<number> => Promise.resolve(connections.open);
  return (limit) => drainOrCut(returned, () => connections.closed(), count, limit, time);
}

/** Ends this worker, if it is one, after its drain. */
export function endWorker({ left }: DrainResult): void {
  // What is left ends with the process: in a worker, `kill` disconnects, and exits with 0.
  if (left) cluster.worker?.kill();
  else cluster.worker?.disconnect();
}

async function drainBy(drain: Drain, limit: DrainLimit): Promise<DrainResult> {
  const result = await drain(limit);
  const cut = isRecord(result) && typeof result['cut'] === 'number' ? result['cut'] : 0;
  return { cut, left: false };
}

/**
 * Drains a server, and cuts what is left when the time is over. It cannot close connections that were upgraded: these
 * end with the process.
 */
async function drainOrCut(
  server: Server, over: () => Promise<void>, count: () => Promise<number>, { signal }: DrainLimit, time: TimeSource,
): Promise<DrainResult> {
  let cut = 0;
  const drained = drainConnections(server, over, { time }).then(() => false);
  const timedOut = aborted(signal).then(async () => {
    cut = await count();
    server.closeAllConnections();
    await elapsed(time, CLOSE_MS);
    return true;
  });
  const left = await Promise.race([drained, timedOut]);
  return { cut, left };
}

/** Resolves when the signal aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => {
      resolve();
    }, { once: true });
  });
}

/** Resolves after `ms`. */
function elapsed(time: TimeSource, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = time.every(ms, () => {
      stop();
      resolve();
    });
  });
}

/** Resolves when the server listens. */
async function listening(server: Server): Promise<void> {
  if (server.listening) return;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).once('listening', () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function isServer(value: unknown): value is Server {
  return typeof value === 'object' && value !== null && 'closeIdleConnections' in value && 'listening' in value;
}

/** How long connections that were cut may take to close. */
const CLOSE_MS = 100;
