/**
 * The connections of an embedder's server: what a close of the balancer needs to know of those that are not ours, such
 * as a TLS handshake under way, a kept connection of node:http, or an HTTP/2 session.
 */
import type { ServerResponse } from 'node:http';
import type { ServerHttp2Session } from 'node:http2';
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type Placed, Roster } from '../loop/roster.ts';
import type { Http2Sessions } from './http2-sessions.ts';

/** A connection as Node's servers keep it: the names with an underscore are the same from Node 20 to 26. */
interface HttpSocket extends Socket {
  /** The response that node:http is to send. */
  readonly _httpMessage?: ServerResponse | null;
}

interface WrappingSocket extends TLSSocket {
  /** The connection below TLS. */
  readonly _parent?: Socket;
}

/** What the servers of Node offer that a connection may come from. */
type AnyServer = Server & {
  /** Of node:http and node:https. */
  readonly closeIdleConnections?: () => void;
  /** Of node:tls and what is built on it. */
  readonly setSecureContext?: unknown;
};

class ServedConnection implements Placed {
  place = -1;
  readonly raw: Socket;
  /** What is spoken on: `raw`, or the TLS socket on top of it; undefined during the handshake. */
  socket: HttpSocket | undefined;
  session: ServerHttp2Session | undefined;

  constructor(raw: Socket, handshakes: boolean) {
    this.raw = raw;
    this.socket = handshakes ? undefined : raw;
  }
}

export class ServedConnections {
  readonly #server: AnyServer;
  readonly #sessions: Http2Sessions | undefined;
  readonly #open = new Roster<ServedConnection>();
  /** By `raw` and by the TLS socket on it. */
  readonly #bySocket = new WeakMap<Socket, ServedConnection>();
  /** Whether a connection begins with a TLS handshake. */
  readonly #handshakes: boolean;
  /** The connection of the last event. */
  #latest: ServedConnection | undefined;
  /** When to close what is idle, and when to give up handshakes, once it drains. */
  #idleAt = Infinity;
  #handshakesUntil = Infinity;

  /** `sessions` are told of those of HTTP/2. */
  constructor(server: Server, sessions: Http2Sessions | undefined) {
    this.#server = server;
    this.#sessions = sessions;
    this.#handshakes = this.#server.setSecureContext !== undefined;
    // Before the server's own listeners, which may make a session or destroy the socket.
    server.prependListener('connection', this.#onConnection);
    server.prependListener('secureConnection', this.#onSecure);
    server.on('session', this.#onSession);
  }

  has(socket: Socket): boolean {
    return this.#bySocket.has(socket);
  }

  /** Removes all listeners from the server. */
  leave(): void {
    this.#server.off('connection', this.#onConnection);
    this.#server.off('secureConnection', this.#onSecure);
    this.#server.off('session', this.#onSession);
    for (const event of REQUESTS) this.#server.off(event, lastOfConnection);
  }

  /** Finishes what is in flight; from `idleAt` on, closes what is idle. */
  drain(idleAt: number): void {
    this.#idleAt = idleAt;
    this.#handshakesUntil = idleAt + HANDSHAKE_GRACE_MS;
    for (const event of REQUESTS) {
      // The first listener for an event would change what the server does.
      if (this.#server.listenerCount(event) > 0) this.#server.prependListener(event, lastOfConnection);
    }
  }

  sweep(now: number): void {
    if (now < this.#idleAt) return;
    this.#server.closeIdleConnections?.();
    for (const connection of [...this.#open.entries]) {
      const { raw, socket, session } = connection;
      // A session that came since has no GOAWAY until its first stream, or until it has had time for one.
      if (session !== undefined) {
        if (now >= this.#handshakesUntil) session.close();
      // A client that has begun a handshake is about to send a request; one that is silent may stay so.
      } else if (socket === undefined) {
        if (raw.bytesRead === 0 || now >= this.#handshakesUntil) raw.destroy();
      } else if (this.#isIdle(socket)) socket.destroy();
    }
  }

  /** Cuts all that are left. Returns how many of them may have lost something. */
  cut(): number {
    let lost = 0;
    for (const { raw, socket, session } of [...this.#open.entries]) {
      if (raw.destroyed || socket?.destroyed === true) continue;
      if (socket !== undefined && session === undefined && !this.#isIdle(socket)) lost++;
      session?.destroy();
      socket?.destroy();
      raw.destroy();
    }
    return lost;
  }

  /** Whether node:http waits for a request on it. It counts only those as idle that have had one. */
  #isIdle(socket: HttpSocket): boolean {
    const speaksHttp1 = this.#server.closeIdleConnections !== undefined || 'alpnProtocol' in socket;
    if (!speaksHttp1 || REQUESTS.every((event) => this.#server.listenerCount(event) === 0)) return false;
    return this.#server.closeIdleConnections === undefined ? !socket._httpMessage : socket.bytesRead === 0;
  }

  readonly #onConnection = (raw: Socket): void => {
    const connection = new ServedConnection(raw, this.#handshakes);
    this.#open.add(connection);
    this.#bySocket.set(raw, connection);
    this.#latest = connection;
    raw.once('close', () => {
      this.#open.remove(connection);
    });
  };

  readonly #onSecure = (socket: WrappingSocket): void => {
    const { _parent: raw } = socket;
    const connection = raw && this.#bySocket.get(raw);
    this.#latest = connection;
    if (connection === undefined) return;
    connection.socket = socket;
    this.#bySocket.set(socket, connection);
  };

  /** Node makes a session within the event of its connection. */
  readonly #onSession = (session: ServerHttp2Session): void => {
    if (this.#latest !== undefined) this.#latest.session = session;
    this.#sessions?.add(session);
  };
}

function lastOfConnection(_request: unknown, response: ServerResponse): void {
  response.shouldKeepAlive = false;
}

const REQUESTS = ['request', 'checkContinue', 'checkExpectation'];
/** How long a handshake that has begun may take to become a request, once the balancer is closing. */
const HANDSHAKE_GRACE_MS = 5_000;
