/**
 * The ways into a balancer, so that one test can use each of them.
 */
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Server } from 'node:net';
import type { Balancer } from '../../src/balancer.ts';

/** An open way in. */
export interface FrontDoor {
  readonly port: number;
  /** Closes what the balancer does not close itself. */
  close(): Promise<void>;
}

export interface FrontKind {
  readonly name: string;
  open(balancer: Balancer): Promise<FrontDoor>;
}

/** The fast path: the balancer listens itself. */
export const SOCKET: FrontKind = {
  name: 'socket',
  async open(balancer) {
    const address = await balancer.listen({ port: 0, host: '127.0.0.1' });
    return { port: (address as AddressInfo).port, close: () => Promise.resolve() };
  },
};

/** Embedded: a server of node:http with `handle` and `upgrade`. */
export const NODE_HTTP: FrontKind = {
  name: 'node:http',
  open: (balancer) => serve(http.createServer(UNTIMED, balancer.handle).on('upgrade', balancer.upgrade)),
};

/** A server of node:net whose connections the balancer serves. */
export const ACCEPT: FrontKind = {
  name: 'accept',
  open: (balancer) => serve(net.createServer({ allowHalfOpen: true }, balancer.accept)),
};

export const FRONTS: readonly FrontKind[] = [SOCKET, NODE_HTTP];

/** Embedded, with middleware that sees each request and each upgrade before the balancer does. */
export function behind(
  middleware: (request: IncomingMessage) => void, options: http.ServerOptions = {},
  prepare: (server: http.Server) => void = () => undefined,
): FrontKind {
  return {
    name: 'node:http behind middleware',
    open: (balancer) => {
      const server = http.createServer({ ...UNTIMED, ...options }, (request, response) => {
        middleware(request);
        balancer.handle(request, response);
      });
      prepare(server);
      return serve(server.on('upgrade', (request, socket, head) => {
        middleware(request);
        balancer.upgrade(request, socket, head);
      }));
    },
  };
}

/** Makes a server listen on a free port. */
export async function serve(server: Server): Promise<FrontDoor> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      if (server instanceof http.Server || server instanceof https.Server) server.closeAllConnections();
    }),
  };
}

/** The timeouts of node:http run in real time, so no test may depend on them. */
export const UNTIMED: http.ServerOptions = { keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0 };
