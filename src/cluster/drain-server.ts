/**
 * Ends a server of node:http in order: nothing that it could have answered is lost.
 */
import type { Server, ServerResponse } from 'node:http';
import net, { type Socket } from 'node:net';
import { systemTime, type TimeSource } from '../loop/clock.ts';

export interface DrainOptions {
  /** After this, the connections that are left are cut. Default: no limit. A drain under `launch` is given one. */
  readonly timeoutMs?: number;
  /** Has the connections that are left cut when it aborts. A drain under `launch` is given one. */
  readonly signal?: AbortSignal;
  /** How long an idle connection stays open for a request that is on its way. Default 500 ms. */
  readonly graceMs?: number;
  /** Where time comes from, for tests. */
  readonly time?: TimeSource;
}

/**
 * Stops accepting, answers what is in flight, and what still comes on open connections, with `Connection: close`;
 * closes connections that have been idle for `graceMs`. Resolves when no connection is left, with the number of those
 * that were cut. Works for `node:http` and `node:https`, and what is built on them, such as Express. Connections that
 * were upgraded (WebSocket) are their owner's to end: it cuts none of them, and resolves when they have ended.
 */
export function drainServer(server: Server, options: DrainOptions = {}): Promise<{ readonly cut: number }> {
  return drainConnections(server, () => closed(server), options);
}

/** As `drainServer`, for one whose connections come from elsewhere: `over` resolves when none is left. */
export async function drainConnections(
  server: Server, over: () => Promise<void>,
  { timeoutMs = Infinity, signal, graceMs = 500, time = systemTime }: DrainOptions = {},
): Promise<{ readonly cut: number }> {
  const start = time.now();
  // The last time that a response ended on a connection that stays open.
  let keptAt = start;
  for (const { _httpMessage: response } of connectionsOf(server)) {
    if (!response) continue;
    if (response.headersSent) {
      response.once('finish', () => {
        keptAt = time.now();
      });
    } else endConnectionWith(response);
  }
  for (const event of ['request', 'checkContinue', 'checkExpectation']) {
    // A listener for an event that nobody listens to would change what the server does.
    if (server.listenerCount(event) === 0) continue;
    server.prependListener(event, (_request: unknown, response: ServerResponse) => {
      endConnectionWith(response);
    });
  }
  // From here on, the server itself closes connections that have been idle so long after a response.
  server.keepAliveTimeout = graceMs;
  let cut = 0;
  const stop = time.every(TICK_MS, () => {
    const now = time.now();
    if (now - keptAt >= graceMs) closeIdle(server);
    if (now - start < timeoutMs && signal?.aborted !== true) return;
    stop();
    server.getConnections((_error, count) => {
      cut = count;
      server.closeAllConnections();
    });
  });
  try {
    await over();
  } finally {
    stop();
    // What http.Server has besides a net.Server: its watch over slow connections.
    server.close();
  }
  return { cut };
}

/**
 * Resolves when the server has stopped to listen, and all its connections are closed. The close of `node:http` itself
 * would cut idle connections at once, with the requests that are on their way.
 */
export function closed(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    net.Server.prototype.close.call(server, (error?: NodeJS.ErrnoException) => {
      if (error === undefined || error.code === 'ERR_SERVER_NOT_RUNNING') resolve();
      else reject(error);
    });
  });
}

function endConnectionWith(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}

/** Closes connections that wait for a request. Node counts those that have had none yet among the busy ones. */
function closeIdle(server: Server): void {
  server.closeIdleConnections();
  for (const socket of connectionsOf(server)) if (socket.bytesRead === 0) socket.destroy();
}

/**
 * The connections of a server. Node shows them to nobody, so this looks at the list that `closeIdleConnections` walks,
 * the same from Node 18 to 26. Where it is not there, what is in flight is answered all the same, and its connection
 * closed when it has been idle.
 */
function connectionsOf(server: Server): HttpSocket[] {
  const key = Object.getOwnPropertySymbols(server).find(({ description }) => description === 'http.server.connections');
  const list = key === undefined ? undefined : (server as unknown as Record<symbol, unknown>)[key];
  const parsers = (list as { all?(): readonly { readonly socket?: HttpSocket | null }[] } | undefined)?.all?.() ?? [];
  return parsers.flatMap(({ socket }) => socket ?? []);
}

/** A connection, and the response that is due on it. */
type HttpSocket = Socket & { readonly _httpMessage?: ServerResponse | null };

const TICK_MS = 50;
