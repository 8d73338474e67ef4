/**
 * An upstream on node:http, to test the balancer between real servers and clients.
 */
import http, { type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { UNTIMED } from './fronts.ts';
import { atEnd } from './scope.ts';
import { Signal } from './wait.ts';

export interface HttpUpstream {
  readonly origin: string;
  readonly server: Server;
}

/** Starts a server on a free port. It ends with the test, which fails if a connection to it is left open. */
export async function startHttpUpstream(t: TestContext, listener?: RequestListener): Promise<HttpUpstream> {
  const server = http.createServer(UNTIMED, listener);
  const sockets = new Set<Socket>();
  const signal = new Signal();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      signal.raise();
    });
  });
  atEnd(t, async () => {
    server.close();
    try {
      await signal.until(() => sockets.size === 0, () => `the end of ${sockets.size} connections to an upstream`);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
