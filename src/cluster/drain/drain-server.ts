/**
 * Drains a server of node:http without losing a request that it could have answered.
 */
import type { Server, ServerResponse } from 'node:http';
import net, { type Socket } from 'node:net';
import { systemTime } from '../../loop/clock.ts';
import type { TimeSource } from '../../loop/time-source.ts';

export interface DrainOptions {
  /** After this time, the connections that are left are cut. Default: no limit. `launch` passes one. */
  readonly timeoutMs?: number;
  /** When it aborts, the connections that are left are cut. `launch` passes one. */
  readonly signal?: AbortSignal;
  /** How long an idle connection stays open for a request that is on its way. Default 500 ms. */
  readonly graceMs?: number;
  /** Where time comes from, for tests. */
  readonly time?: TimeSource;
}

/**
 * Stops accepting, and answers what is in flight and what still arrives on open connections, with `Connection: close`.
 * Closes connections that have been idle for `graceMs`. Resolves when no connection is left, with how many were cut.
 * Works for `node:http` and `node:https`, and for what is built on them, such as Express. Connections that were
 * upgraded (WebSockets) belong to the code that took them: none is cut, and it resolves when they have ended.
 */
export function drainServer(server: Server, options: DrainOptions = {}): Promise<{ readonly cut: number }> {
  return drainConnections(server, () => closed(server), options);
}

/** As `drainServer`, for a server that does not listen: `over` resolves when none of its connections is left. */
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
    // The first listener for an event would change what the server does.
    if (server.listenerCount(event) === 0) continue;
    server.prependListener(event, (_request: unknown, response: ServerResponse) => {
      endConnectionWith(response);
    });
  }
  // From now on, the server itself closes connections that are idle for this long after a response.
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
    // Stops what http.Server has besides net.Server: its check for slow connections.
    server.close();
  }
  return { cut };
}

/**
 * Resolves when the server no longer listens, and all its connections are closed. The `close` of `node:http` would cut
 * idle connections at once, and lose requests that are on their way.
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

/** Closes connections that wait for a request. Node does not count those that have had none yet as idle. */
function closeIdle(server: Server): void {
  server.closeIdleConnections();
  for (const socket of connectionsOf(server)) if (socket.bytesRead === 0) socket.destroy();
}

/**
 * The connections of a server. Node has no public list, so this reads the one that `closeIdleConnections` uses, which
 * is the same from Node 18 to 26. Without it, what is in flight is answered all the same, and its connection closed
 * when it has been idle.
 */
function connectionsOf(server: Server): HttpSocket[] {
  const key = Object.getOwnPropertySymbols(server).find(({ description }) => description === 'http.server.connections');
  const list = key === undefined ? undefined : (server as unknown as Record<symbol, unknown>)[key];
  const parsers = (list as { all?(): readonly { readonly socket?: HttpSocket | null }[] } | undefined)?.all?.() ?? [];
  return parsers.flatMap(({ socket }) => socket ?? []);
}

/** A connection, and the response that it waits for. */
type HttpSocket = Socket & { readonly _httpMessage?: ServerResponse | null };

const TICK_MS = 50;
