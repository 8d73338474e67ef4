/**
 * The servers that listen for a balancer: those of `listen`, and those of the embedder (`serve`).
 */
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { BalancerError } from '../errors.ts';
import { shown } from '../options/checks.ts';
import type { ListenOptions } from '../options/listen.ts';
import type { Http2Sessions } from './http2-sessions.ts';
import { ServedConnections } from './served-connections.ts';

/** A server that listens, or is about to. */
interface OpenServer {
  /** Rejects its `listen`; undefined once it listens. */
  failed: ((cause: Error) => void) | undefined;
  /** Those of an embedder's server. */
  readonly connections: ServedConnections | undefined;
}

export class Servers {
  readonly #open = new Map<Server, OpenServer>();
  /** Servers that `serve` has taken. */
  readonly #served = new WeakSet<Server>();
  readonly #report: (error: BalancerError) => void;
  readonly #sessions: Http2Sessions | undefined;

  /** `report` is told of errors of servers that listen; `sessions`, where HTTP is served, of those of HTTP/2. */
  constructor(report: (error: BalancerError) => void, sessions?: Http2Sessions) {
    this.#report = report;
    this.#sessions = sessions;
  }

  /** Whether an embedder's server that listens for the balancer accepted this connection. */
  accepted(socket: Socket): boolean {
    for (const { connections } of this.#open.values()) if (connections?.has(socket) === true) return true;
    return false;
  }

  /** As `balancer.serve`, for a server of the embedder. Throws OPTIONS_INVALID if it cannot be served. */
  serve(server: unknown, where: ListenOptions): Promise<AddressInfo | string> {
    const problem = !(server instanceof net.Server) ? `${NO_SERVER} (got ${shown(server)})`
      : this.#served.has(server) ? 'this server was passed to serve before; create one for each call'
      : server.listening ? 'this server is listening already; serve makes it listen, so leave out its own listen'
      : undefined;
    if (problem !== undefined) throw new BalancerError('OPTIONS_INVALID', `invalid options: serve.server: ${problem}`);
    const own = server as Server;
    this.#served.add(own);
    const listening = this.listen(own, where, new ServedConnections(own, this.#sessions));
    listening.catch(() => {
      this.#served.delete(own);
    });
    return listening;
  }

  /** Resolves with the address once the server accepts connections; rejects with the system's error. */
  listen(server: Server, where: ListenOptions, connections?: ServedConnections): Promise<AddressInfo | string> {
    return new Promise((resolve, reject) => {
      const onError = (cause: Error): void => {
        this.#report(new BalancerError('ACCEPT_FAILED', undefined, { cause }));
      };
      const onClose = (): void => {
        this.#open.delete(server);
        connections?.leave();
        server.off('error', onError).off('error', failed).off('listening', onListening).off('close', onClose);
      };
      const failed = (cause: Error): void => {
        onClose();
        reject(cause);
      };
      const onListening = (): void => {
        entry.failed = undefined;
        server.off('error', failed).on('error', onError);
        resolve(server.address() ?? '');
      };
      const entry: OpenServer = { failed, connections };
      this.#open.set(server, entry);
      server.once('error', failed).once('listening', onListening).once('close', onClose);
      try {
        server.listen(where);
      } catch (cause) {
        failed(cause as Error);
      }
    });
  }

  /** Stops listening. Idle connections go from `idleAt` on. Resolves when no connection is left. */
  async close(idleAt: number): Promise<void> {
    await Promise.all([...this.#open].map(([server, { failed, connections }]) => new Promise<void>((resolve) => {
      // The lookup of its host name may not be finished: `listen` would never settle.
      failed?.(new BalancerError('CLOSING'));
      connections?.drain(idleAt);
      // Not the `close` of node:http or node:http2, which cut idle connections at once: requests may be on their way.
      net.Server.prototype.close.call(server, () => {
        resolve();
      });
    })));
  }

  sweep(now: number): void {
    for (const { connections } of this.#open.values()) connections?.sweep(now);
  }

  /** Cuts the connections of embedders' servers that are left. Returns how many of them may have lost something. */
  cut(): number {
    let lost = 0;
    for (const { connections } of this.#open.values()) lost += connections?.cut() ?? 0;
    return lost;
  }
}

const NO_SERVER = 'must be a server of node:net, node:tls, node:http, node:https or node:http2';
