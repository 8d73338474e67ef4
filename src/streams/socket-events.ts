/**
 * Passes the events of sockets to what serves them.
 */
import type { Duplex } from 'node:stream';

/** What serves a socket. */
export interface SocketReader {
  /** Whether it can take no more for now. */
  readonly paused: boolean;
  received(bytes: Buffer): void;
  /** The other side has ended its half, or was reset. */
  ended(): void;
  /** The socket failed or is closed. May be called more than once. */
  closed(): void;
}

/**
 * A socket, and what serves it. It is kept on the socket itself, as node:http keeps its parser there: a Map that churns
 * with connections keeps garbage alive (see `Roster`).
 */
export interface ServedSocket extends Duplex {
  servedBy?: SocketReader | undefined;
}

/** A stream as its source sees it: null is the end. */
interface PushesBytes {
  readonly push: (this: ServedSocket, bytes: Buffer | null) => boolean;
}

/**
 * All sockets share the same listeners, which find what serves the socket through the socket (`this`): four closures
 * for each of ten thousand idle connections would take an eighth of their memory.
 */
export class SocketEvents {
  readonly #onData: (this: ServedSocket, bytes: Buffer) => void;
  readonly #onEnd: (this: ServedSocket) => void;
  readonly #onClose: (this: ServedSocket) => void;
  readonly #push: PushesBytes['push'];

  constructor() {
    this.#onData = function onData(bytes) {
      this.servedBy?.received(bytes);
    };
    this.#onEnd = function onEnd() {
      this.servedBy?.ended();
    };
    this.#push = function push(bytes) {
      const reader = this.servedBy;
      if (bytes === null || reader?.paused !== false) {
        // From here on it is an ordinary stream, which buffers and emits its end. Not deleted: that would make the
        // socket a slow object in V8.
        this.push = (Object.getPrototypeOf(this) as PushesBytes).push;
        return this.push(bytes);
      }
      reader.received(bytes);
      return true;
    };
    this.#onClose = function onClose() {
      this.servedBy?.closed();
    };
  }

  /**
   * For a socket that nothing else reads. Data enters a stream by its `push`. While nothing is held back it is taken
   * there, which saves the stream's share of each read, 4% of all CPU time. If a future Node bypasses `push`, the data
   * arrives by 'data'. To be called before {@link SocketEvents.listen}.
   */
  take(socket: ServedSocket): void {
    socket.push = this.#push;
  }

  /** Listens to a socket. Returns what was thrown, if anything: this makes the stream, perhaps the embedder's, flow. */
  listen(socket: ServedSocket): { readonly cause: unknown } | undefined {
    const fault = this.#listenForData(socket);
    socket.on('end', this.#onEnd);
    // The other side may reset: an error ends what is under way, and 'close' follows.
    socket.on('error', this.#onClose);
    socket.on('close', this.#onClose);
    return fault;
  }

  #listenForData(socket: ServedSocket): { readonly cause: unknown } | undefined {
    try {
      socket.on('data', this.#onData);
      return undefined;
    } catch (cause) {
      return { cause };
    }
  }
}
