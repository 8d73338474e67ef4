/**
 * Serves an application over connections within the process, by a server of node:http that never listens. What the
 * application throws, or rejects with, breaks the connection, as if its process had died; it does not end this one.
 */
import { type IncomingMessage, Server, type ServerOptions, ServerResponse } from 'node:http';
import { guarded, isThenable, messageOf } from '../guard.ts';
import { MemorySocket } from './memory-socket.ts';

/** A server of the application's own, or what serves its requests. */
export type Listeners = Pick<Server, 'listenerCount' | 'rawListeners'>;

type Listener = (this: unknown, ...args: readonly unknown[]) => unknown;

export class AppServer extends Server {
  readonly #origin: string;
  readonly #app: Listeners;

  constructor(origin: string, app: Listeners) {
    super(OPTIONS);
    this.#origin = origin;
    this.#app = app;
    // The balancer limits what it accepts.
    this.maxHeadersCount = 0;
    for (const event of SERVED) {
      this.on(event, (...args: [request: IncomingMessage, other: unknown, head?: unknown]) => {
        this.#serve(event, args);
      });
    }
  }

  /** Node asks its server whether it has listeners for upgrades and expectations: the application says. */
  override listenerCount(event: string | symbol): number {
    return isServed(event) && event !== 'request' ? this.#app.listenerCount(event) : super.listenerCount(event);
  }

  /** Serves the far end of a connection. */
  serve(socket: MemorySocket): void {
    this.emit('connection', socket);
  }

  #serve(event: Served, args: readonly [request: IncomingMessage, other: unknown, ...unknown[]]): void {
    const [{ socket }, other] = args as readonly [request: { readonly socket: unknown }, ...unknown[]];
    const fault = (what: string, cause: unknown): void => {
      const error = new Error(`the in-process upstream ${this.#origin} ${what}: ${messageOf(cause)}`, { cause });
      // Its response may be complete: the connection serves another request then.
      const isOver = other instanceof ServerResponse && other.writableFinished;
      if (!isOver && socket instanceof MemorySocket) socket.fail(error);
      else process.emitWarning(error);
    };
    for (const listener of this.#app.rawListeners(event) as Listener[]) {
      guarded(() => {
        const returned = Reflect.apply(listener, this.#app, args);
        if (!isThenable(returned)) this.#refuseResponse(returned);
        else return returned.then((value: unknown) => {
          this.#refuseResponse(value);
        });
        return undefined;
      }, fault);
    }
  }

  /** A fetch handler that was given as a request listener would never answer. */
  #refuseResponse(returned: unknown): void {
    const isResponse = typeof returned === 'object' && returned instanceof Response;
    if (isResponse) throw new TypeError(`is a fetch handler: write { '${this.#origin}': { fetch } }`);
  }
}

function isServed(event: string | symbol): event is Served {
  return (SERVED as readonly unknown[]).includes(event);
}

const SERVED = ['request', 'checkContinue', 'checkExpectation', 'upgrade'] as const;
type Served = typeof SERVED[number];

/** Timeouts and limits are the balancer's: what it sends is not to be refused. */
const OPTIONS: ServerOptions = { keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0, maxHeaderSize: 1 << 20 };
