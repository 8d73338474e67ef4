/**
 * Runs an example as a user does: as a program of its own, on a free port. It must end with code 0 after SIGTERM, and
 * must have logged nothing else than it was to.
 */
import assert from 'node:assert/strict';
import http, { type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket, WebSocketServer } from 'ws';
import { Binary } from '../support/process-binary.ts';
import { atEnd } from '../support/scope.ts';
import { within } from '../support/wait.ts';

export interface Example {
  readonly port: number;
  readonly program: Binary;
}

export function pathOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

const LISTENING = /^listening on http:\/\/[^,\s]*:(\d+)/m;

export interface Start {
  readonly args?: readonly string[];
  /** A copy to run instead, in a folder with the packages that it imports. */
  readonly path?: string;
  /** What it may log. */
  readonly logged?: RegExp;
}

/** Starts an example with settings, its environment; it ends with the test. */
export async function startExample(
  t: TestContext, name: string, settings: Readonly<Record<string, string>> = {},
  { args = [], path = pathOf(name), logged = /^$/ }: Start = {},
): Promise<Example> {
  const program = new Binary(args, { program: path, env: { PORT: '0', ...settings } });
  atEnd(t, async () => {
    program.signal('SIGTERM');
    try {
      const { code, signal, stderr } = await program.exit();
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr);
      assert.match(stderr, logged);
    } finally {
      await program.stop();
    }
  });
  await program.printed(LISTENING);
  return { port: Number(LISTENING.exec(program.stdout)?.[1]), program };
}

/** Makes a server listen until the test ends; returns its origin. */
export async function listening(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Starts an upstream; returns its origin. */
export function startUpstream(t: TestContext, listener: RequestListener): Promise<string> {
  return listening(t, http.createServer(listener));
}

/** An upstream that answers with what it was asked, as JSON, and echoes what comes by WebSocket. */
export interface Echo {
  readonly origin: string;
  /** The requests and handshakes that have arrived. */
  readonly requests: IncomingMessage[];
}

export async function startEcho(t: TestContext, name = 'upstream'): Promise<Echo> {
  const requests: IncomingMessage[] = [];
  const server = http.createServer((request, response) => {
    requests.push(request);
    const { method, url, headers } = request;
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => {
      body += piece;
    }).on('end', () => {
      response.setHeader('content-type', 'application/json').setHeader('server', name);
      response.end(JSON.stringify({ name, method, url, headers, body }));
    });
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    requests.push(request);
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.on('message', (data, isBinary) => {
        client.send(data, { binary: isBinary });
      });
    });
  });
  atEnd(t, () => {
    for (const client of sockets.clients) client.terminate();
  });
  return { origin: await listening(t, server), requests };
}

/** What an `Echo` was asked. */
export interface Asked {
  readonly name: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function asked(text: string): Asked {
  return JSON.parse(text) as Asked;
}

/** Sends `text` by WebSocket and resolves with the echo; for a handshake that is refused, with its status. */
export async function echoed(
  port: number, path: string, text: string, headers: Readonly<Record<string, string>> = {},
): Promise<string | number> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
  const closed = new Promise((resolve) => {
    socket.once('close', resolve);
  });
  try {
    return await within(new Promise<string | number>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('unexpected-response', (request: http.ClientRequest, { statusCode = 0 }: IncomingMessage) => {
        request.destroy();
        resolve(statusCode);
      });
      socket.once('open', () => {
        socket.send(text);
      });
      socket.once('message', (data: Buffer) => {
        resolve(data.toString());
      });
    }), () => 'an echo by WebSocket');
  } finally {
    socket.once('error', () => undefined).close();
    await closed;
  }
}
