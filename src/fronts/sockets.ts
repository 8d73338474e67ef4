/**
 * The way in for sockets: passes their events to the connections that serve them.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../errors.ts';
import { type ServedSocket, SocketEvents } from '../streams/socket-events.ts';
import { type AdoptedConnection, DownstreamConnection } from './connection.ts';
import type { Front } from './front.ts';

export class DownstreamSockets {
  readonly #front: Front;
  readonly #events = new SocketEvents();

  constructor(front: Front) {
    this.#front = front;
  }

  /** Serves a connection that nothing else uses. */
  serveOwn(socket: Socket): DownstreamConnection {
    this.#events.take(socket);
    return this.serve(socket);
  }

  /** Serves one connection. `options` are for one that an http server had before. */
  serve(socket: ServedSocket, options?: AdoptedConnection): DownstreamConnection {
    const fault = this.#events.listen(socket);
    const connection = new DownstreamConnection(this.#front, socket, options);
    if (fault !== undefined) connection.sinkFailed(fault.cause);
    return connection;
  }

  /**
   * Serves an upgrade request that a node:http server has read. `bytes` are its head and what arrived after it, `peer`
   * is the stream that knows the address of the other end.
   */
  upgrade(stream: Duplex, bytes: Buffer, peer: Duplex): void {
    const connection = this.serve(stream, { peer });
    // The http server does not take the socket back: it can serve no second request.
    connection.drain(Infinity);
    connection.received(bytes);
  }

  /** Answers an upgrade request that cannot be served, and closes. */
  refuse(stream: Duplex, code: ErrorCode, peer: Duplex): void {
    this.serve(stream, { peer }).refuse(code);
  }
}
