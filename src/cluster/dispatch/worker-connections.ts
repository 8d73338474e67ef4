/**
 * The worker's side of dispatch: the connections that the primary handed to it, until they have closed.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { guarded } from '../../guard.ts';
import type { ConnectionNews } from './dispatcher.ts';

export class WorkerConnections {
  readonly #tell: (news: ConnectionNews) => void;
  readonly #onFault: (what: string, cause: unknown) => void;
  /** How many are open. There is no Set of them: one that churns with connections keeps garbage alive. */
  open = 0;
  /** Those that came before there was a listener. */
  #early: Socket[] = [];
  #listener: ((socket: Socket) => unknown) | undefined;
  /** Those that have closed, and are yet to be told to the primary. */
  #closed: number[] = [];
  #onEmpty: () => void = () => undefined;

  /** `onFault` is called when the program's listener fails. Its connection is closed then. */
  constructor(tell: (news: ConnectionNews) => void, onFault: (what: string, cause: unknown) => void) {
    this.#tell = tell;
    this.#onFault = onFault;
  }

  /** From now on `listener` serves the connections. */
  readonly onConnection = (listener: (socket: Socket) => void): void => {
    this.#listener = listener;
    for (const socket of this.#early.splice(0)) this.#serve(socket);
  };

  /** From now on a server of node:http, which does not listen itself, serves the connections. */
  feed(server: Server): void {
    // The server checks its timeouts for heads and requests only after this event.
    server.emit('listening');
    this.onConnection((socket) => {
      server.emit('connection', socket);
    });
  }

  /** Takes a connection; `undefined` if it closed on the way. */
  take(connection: number, socket: Socket | undefined): void {
    // Before a byte is read: until this is told, the primary may give the connection to another worker.
    this.#tell({ taken: [connection], closed: [] });
    if (socket === undefined) {
      this.#onClosed(connection);
      return;
    }
    // As a server of node:http that listens sets them.
    socket.setNoDelay(true);
    socket.allowHalfOpen = true;
    this.open++;
    socket.once('close', () => {
      this.#onClosed(connection);
      if (--this.open === 0) this.#onEmpty();
    });
    if (this.#listener === undefined) this.#early.push(socket);
    else this.#serve(socket);
  }

  /** Resolves when all connections have closed. */
  closed(): Promise<void> {
    if (this.open === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  #serve(socket: Socket): void {
    guarded(() => this.#listener?.(socket), (what, cause) => {
      socket.destroy();
      this.#onFault(what, cause);
    });
  }

  /** Connections that close in one turn of the event loop are told together. */
  #onClosed(connection: number): void {
    if (this.#closed.push(connection) > 1) return;
    setImmediate(() => {
      this.#tell({ taken: [], closed: this.#closed });
      this.#closed = [];
    });
  }
}
