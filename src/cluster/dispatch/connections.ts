/**
 * The worker's side of dispatch: the connections that it was handed, until they have closed.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { guarded } from '../../guard.ts';
import type { ConnectionNews } from './dispatcher.ts';

export class Connections {
  readonly #tell: (news: ConnectionNews) => void;
  readonly #onFault: (what: string, cause: unknown) => void;
  /** How many are open. They are not kept: a Set that churns with connections would keep each other's garbage alive. */
  open = 0;
  /** Those that came before anybody wanted them. */
  #early: Socket[] = [];
  #listener: ((socket: Socket) => unknown) | undefined;
  /** Those that have closed, and were not told of yet. */
  #closed: number[] = [];
  #onEmpty: () => void = () => undefined;

  /** `onFault` hears of what the program's listener throws; the connection is closed then. */
  constructor(tell: (news: ConnectionNews) => void, onFault: (what: string, cause: unknown) => void) {
    this.#tell = tell;
    this.#onFault = onFault;
  }

  /** Has `listener` serve the connections. */
  readonly onConnection = (listener: (socket: Socket) => void): void => {
    this.#listener = listener;
    for (const socket of this.#early.splice(0)) this.#serve(socket);
  };

  /** Has a server of node:http that does not listen serve them. */
  feed(server: Server): void {
    // Its time limits for heads and requests begin with this event.
    server.emit('listening');
    this.onConnection((socket) => {
      server.emit('connection', socket);
    });
  }

  /** Takes a connection; `undefined` is one that was over before it came. */
  take(connection: number, socket: Socket | undefined): void {
    // At once, before a byte of it is read: until it is told, the primary may give the connection to another worker.
    this.#tell({ taken: [connection], closed: [] });
    if (socket === undefined) {
      this.#over(connection);
      return;
    }
    // What a listening server of node:http has its connections be.
    socket.setNoDelay(true);
    socket.allowHalfOpen = true;
    this.open++;
    socket.once('close', () => {
      this.#over(connection);
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

  /** Those that close in one turn of the event loop are told together. */
  #over(connection: number): void {
    if (this.#closed.push(connection) > 1) return;
    setImmediate(() => {
      this.#tell({ taken: [], closed: this.#closed });
      this.#closed = [];
    });
  }
}
