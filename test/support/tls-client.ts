/**
 * Clients of the binary's `tls:` listeners.
 */
import http2 from 'node:http2';
import https from 'node:https';
import type { Socket } from 'node:net';
import tls, { type ConnectionOptions, TLSSocket } from 'node:tls';
import type { Binary } from './process-binary.ts';

export interface SecureAnswer {
  readonly status: number;
  readonly body: string;
  /** The Common Name of the certificate that was seen. */
  readonly cn: string;
}

/** The first port that it ends TLS on. */
export async function httpsPort(binary: Binary): Promise<number> {
  const line = await binary.ready();
  const port = /https:\/\/[^, ]*:(\d+)/.exec(line)?.[1];
  if (port === undefined) throw new Error(`no https port in ${JSON.stringify(line)}`);
  return Number(port);
}

/** Asks for `path` over HTTP/1.1 on a connection of its own. */
export function getSecure(port: number, path = '/', options: https.RequestOptions = {}): Promise<SecureAnswer> {
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false, ...options };
    https.request(to, (response) => {
      const cn = cnOf(response.socket);
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => (body += part)).on('error', reject).on('end', () => {
        resolve({ status: response.statusCode ?? 0, body, cn });
      });
    }).on('error', reject).end();
  });
}

/** As `getSecure`, over HTTP/2. */
export function getHttp2(port: number, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    session.on('error', reject);
    const stream = session.request({ ':path': path });
    let body = '';
    stream.setEncoding('utf8').on('data', (part: string) => (body += part)).on('error', reject).on('end', () => {
      session.close();
      resolve(body);
    });
  });
}

/** A handshake. Resolves with the socket. */
export function handshake(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options }, () => {
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

/** The Common Name of the certificate for a server name. */
export async function cnFor(port: number, options: ConnectionOptions = {}): Promise<string> {
  const socket = await handshake(port, options);
  const cn = cnOf(socket);
  socket.destroy();
  return cn;
}

function cnOf(socket: Socket): string {
  return socket instanceof TLSSocket ? String(socket.getPeerCertificate().subject.CN) : '';
}
