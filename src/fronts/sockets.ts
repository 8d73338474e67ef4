/**
 * The way in for sockets: passes their events to the connections that serve them.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../errors.ts';
import { type AdoptedConnection, DownstreamConnection, type ServedSocket } from './connection.ts';
import type { Front } from './front.ts';

/** A stream as its source sees it: null is the end. */
interface PushesBytes {
  readonly push: (this: ServedSocket, bytes: Buffer | null) => boolean;
}

/**
 * All sockets share the same listeners, which find the connection through the socket (`this`): four closures for each
 * of ten thousand idle connections would take an eighth of their memory.
 */
export class DownstreamSockets {
  readonly #front: Front;
  readonly #onData: (this: ServedSocket, bytes: Buffer) => void;
  readonly #onEnd: (this: ServedSocket) => void;
  readonly #onClose: (this: ServedSocket) => void;
  readonly #push: PushesBytes['push'];

  constructor(front: Front) {
    this.#front = front;
    this.#onData = function onData(bytes) {
      this.servedBy?.received(bytes);
    };
    this.#onEnd = function onEnd() {
      this.servedBy?.ended();
    };
    this.#push = function push(bytes) {
      const connection = this.servedBy;
      if (bytes === null || connection?.paused !== false) {
        // From here on it is an ordinary stream, which buffers and emits its end. Not deleted: that would make the
        // socket a slow object in V8.
        this.push = (Object.getPrototypeOf(this) as PushesBytes).push;
        return this.push(bytes);
      }
      connection.received(bytes);
      return true;
    };
    this.#onClose = function onClose() {
      this.servedBy?.closed();
    };
  }

  /**
   * Serves a connection that nothing else uses. Data enters a stream by its `push`. While nothing is held back it is
   * taken there, which saves the stream's share of each read, 4% of all CPU time. If a future Node bypasses `push`, the
   * data arrives by 'data'.
   */
  serveOwn(socket: Socket): DownstreamConnection {
    socket.push = this.#push;
    return this.serve(socket);
  }

  /** Serves one connection. `options` are for one that an http server had before. */
  serve(socket: ServedSocket, options?: AdoptedConnection): DownstreamConnection {
    const fault = this.#listenForData(socket);
    socket.on('end', this.#onEnd);
    // The downstream may reset: an error ends what is under way, and 'close' follows.
    socket.on('error', this.#onClose);
    socket.on('close', this.#onClose);
    const connection = new DownstreamConnection(this.#front, socket, options);
    if (fault !== undefined) connection.sinkFailed(fault.cause);
    return connection;
  }

  /** Returns what was thrown, if anything: this makes the stream, which may be the embedder's, flow. */
  #listenForData(socket: ServedSocket): { readonly cause: unknown } | undefined {
    try {
      socket.on('data', this.#onData);
      return undefined;
    } catch (cause) {
      return { cause };
    }
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
