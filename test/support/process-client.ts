/**
 * Plain requests to a process under test, and plain upstreams behind it.
 */
import http, { type IncomingHttpHeaders, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { gate, Signal, within } from './wait.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Where the process listens: a port of the loopback interface, another address, or a Unix socket. */
export type Where = number | { readonly host: string; readonly port: number } | { readonly socketPath: string };

/** Sends one request on its own connection. */
export async function get(where: Where, path = '/', options: http.RequestOptions = {}): Promise<Answer> {
  const response = await begin(where, path, options);
  let body = '';
  for await (const part of response.setEncoding('latin1')) body += String(part);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

/** As `get`, up to the head of the response. */
export function begin(where: Where, path: string, options: http.RequestOptions = {}): Promise<IncomingMessage> {
  const address = typeof where === 'number' ? { host: '127.0.0.1', port: where } : where;
  return new Promise((resolve, reject) => {
    http.request({ ...address, path, agent: false, ...options }, resolve).on('error', reject).end();
  });
}

/**
 * Orders something of an upstream, by an admin listener, until all workers have confirmed it: each time they have two
 * seconds, which a busy machine may not give them.
 */
export async function order(admin: number, origin: string, what: 'drain' | 'activate', workers: number): Promise<void> {
  const path = `/upstreams/default/${encodeURIComponent(origin)}/${what}`;
  let last = '';
  const confirmed = async (): Promise<void> => {
    for (;;) {
      const { status, body } = await get(admin, path, { method: 'POST' });
      last = `${status} ${body}`;
      if (status === 200 && (JSON.parse(body) as { readonly confirmed: number }).confirmed === workers) return;
      if (status !== 202) throw new Error(`${what}: ${last}`);
    }
  };
  await within(confirmed(), () => `${workers} workers to confirm: ${what}; the last answer is ${last}`);
}

/** Starts an upstream; it ends with the test. Returns its origin. */
export async function startUpstream(t: TestContext, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listening(t, http.createServer(listener))}`;
}

/** Starts an upstream that answers with a name. Returns its origin. */
export function startNamed(t: TestContext, name: string): Promise<string> {
  return startUpstream(t, (request, response) => {
    request.resume();
    response.end(name);
  });
}

/** An upstream that starts an answer and holds back the rest until released. */
export interface HoldingUpstream {
  readonly origin: string;
  /** Resolves when `times` requests have arrived. */
  readonly asked: (times?: number) => Promise<void>;
  readonly release: () => void;
}

/** Starts one. It sends `start` of the body at once, and `rest` when it is released. */
export async function startHolding(t: TestContext, start: string, rest: string): Promise<HoldingUpstream> {
  const signal = new Signal();
  const released = gate();
  let requests = 0;
  const origin = await startUpstream(t, (_request, response) => {
    response.setHeader('Content-Length', start.length + rest.length);
    if (start !== '') response.write(start);
    requests++;
    signal.raise();
    void released.opened.then(() => response.end(rest));
  });
  return {
    origin,
    asked: (times = 1) => signal.until(() => requests >= times, () => `${times} requests at the upstream`),
    release: released.open,
  };
}

/** Makes a server listen on a free port until the test ends. Returns the port. */
export async function listening(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** Where this process looks next: far from where processes look that start shortly before or after it. */
let candidate = 20_000 + process.pid * 61 % 12_000;

/**
 * A free port for a program that needs its number. It is below those that the system assigns, so that no other test can
 * get it before the program listens; and no second call gets it either.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = candidate++;
    const server = net.createServer();
    const isFree = await new Promise((resolve) => {
      server.once('error', () => { resolve(false); });
      server.listen(port, () => { resolve(true); });
    });
    if (isFree !== true) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
