/**
 * HTTP/2 behind a TLS listener. The server never listens: it is handed the sockets whose ALPN is `h2`, by
 * `emit('connection', socket)`.
 */
import http2, { type Http2Server } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Balancer } from '../balancer.ts';

export interface Http2Limits {
  /** Streams that a client may have open at once on one connection. Default 128, as nginx. */
  readonly maxConcurrentStreams?: number;
  /** The balancer's `maxFields`. Default 100. */
  readonly maxFields?: number;
  /** The balancer's `maxHeadBytes`. Default 16,384. */
  readonly maxHeadBytes?: number;
  /** The balancer's `keepAliveTimeoutMs`: without traffic for so long, a connection is closed. Default 60,000. */
  readonly keepAliveTimeoutMs?: number;
}

/** A server of HTTP/2 for connections that were accepted elsewhere. The balancer ends its sessions. */
export function createHttp2Server(balancer: Balancer, {
  maxConcurrentStreams = 128, maxFields = 100, maxHeadBytes = 16_384, keepAliveTimeoutMs = 60_000,
}: Http2Limits = {}): Http2Server {
  const server = http2.createServer({
    settings: {
      enableConnectProtocol: true,
      maxConcurrentStreams,
      // HPACK counts 32 octets more for each field (RFC 7541 §4.1). What is beyond our limits, but below these, is
      // answered with 431; beyond these, the stream is reset.
      maxHeaderListSize: 2 * maxHeadBytes + 32 * maxFields,
    },
    // Pseudo-headers, and cookies that are split (RFC 9113 §8.2.3), count as pairs.
    maxHeaderListPairs: 2 * maxFields + 8,
  }, balancer.handle).on('connect', balancer.upgrade);
  server.on('session', (session) => {
    session.setTimeout(keepAliveTimeoutMs, () => {
      session.close();
    });
  });
  server.on('connection', (socket: Duplex) => {
    // An HTTP/2 session waits for the client to close the connection, for ever if need be.
    socket.once('finish', () => {
      const timer = setTimeout(() => socket.destroy(), LINGER_MS);
      socket.once('close', () => {
        clearTimeout(timer);
      });
    });
  });
  return server;
}

/** How long a client has to close a connection after us. */
const LINGER_MS = 2_000;
