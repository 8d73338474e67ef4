/**
 * What `run` started, and how it ends: in a worker, or alone in a process that somebody else's cluster runs.
 */
import type { Server } from 'node:http';
import { isRecord } from '../options/checks.ts';
import type { TimeSource } from '../loop/clock.ts';
import { BalancerError } from '../errors.ts';
import type { Connections } from './dispatch/connections.ts';
import type { DrainLimit } from './deadline.ts';
import { closed, drainConnections } from './drain-server.ts';
import type { Drain } from './launch.ts';

/** How a drain ended. */
export interface DrainEnd {
  /** How many connections were cut, as far as is known. */
  readonly cut: number;
  /** Whether some are still there, such as WebSockets, and end with the process. */
  readonly left: boolean;
}

/** Ends what is served. */
export type End = (limit: DrainLimit) => Promise<DrainEnd>;

/**
 * Resolves with how to end what `run` returned, as soon as it serves. With `connections`, which others accept, a server
 * does not listen, and is fed with them.
 */
export async function served(returned: unknown, time: TimeSource, connections?: Connections): Promise<End> {
  if (typeof returned === 'function') return (limit) => endBy(returned as Drain, limit);
  if (!isServer(returned)) {
    throw new BalancerError('OPTIONS_INVALID',
      'run: returned neither a server nor a function; return how to drain, e.g. (limit) => drainServer(server, limit)');
  }
  if (connections === undefined) {
    await listening(returned);
    const count = (): Promise<number> => new Promise((resolve) => {
      returned.getConnections((_error, open) => {
        resolve(open);
      });
    });
    return (limit) => endServer(returned, () => closed(returned), count, limit, time);
  }
  connections.feed(returned);
  const count = (): Promise<number> => Promise.resolve(connections.open);
  return (limit) => endServer(returned, () => connections.closed(), count, limit, time);
}

async function endBy(drain: Drain, limit: DrainLimit): Promise<DrainEnd> {
  const result = await drain(limit);
  const cut = isRecord(result) && typeof result['cut'] === 'number' ? result['cut'] : 0;
  return { cut, left: false };
}

/**
 * Drains a server, and cuts what is left when the time is over. Connections that were upgraded are beyond its reach:
 * these end with the process.
 */
async function endServer(
  server: Server, over: () => Promise<void>, count: () => Promise<number>, { signal }: DrainLimit, time: TimeSource,
): Promise<DrainEnd> {
  let cut = 0;
  const drained = drainConnections(server, over, { time }).then(() => false);
  const isOver = aborted(signal).then(async () => {
    cut = await count();
    server.closeAllConnections();
    await once(time, CLOSE_MS);
    return true;
  });
  const left = await Promise.race([drained, isOver]);
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
function once(time: TimeSource, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = time.every(ms, () => {
      stop();
      resolve();
    });
  });
}

/** Resolves when a server listens. */
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

/** What connections that were cut have to close. */
const CLOSE_MS = 100;
