/**
 * Three small upstreams for a first try.
 */
import http, { type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The running upstreams. */
export interface Demo {
  readonly origins: readonly string[];
  close(): void;
}

/** Starts them on free ports of the loopback interface. Each names itself in its answer. */
export async function startDemo(): Promise<Demo> {
  const servers = await Promise.all(NAMES.map(startOne));
  return {
    origins: servers.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    close: () => {
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

const NAMES = ['A', 'B', 'C'];

async function startOne(name: string): Promise<Server> {
  const server = http.createServer((request, response) => {
    request.resume();
    response.setHeader('Content-Type', 'text/plain');
    response.setHeader('Cache-Control', 'no-store');
    response.end(`Hello from upstream ${name}: ${request.method ?? ''} ${request.url ?? ''}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return server;
}
