/**
 * Ends TLS on the `tls:` listeners: HTTP/1.1 goes to the balancer's fast path, HTTP/2 to a server of node:http2.
 */
import type { Http2Server } from 'node:http2';
import type { Server, Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import type { Balancer } from '../../balancer.ts';
import { createHttp2Server } from '../http2.ts';
import { reasonOf } from './certificates.ts';
import { GONE, Handshakes } from './handshakes.ts';
import type { TlsSettings } from './settings.ts';

/** What is put before a connection is served, and calls `next` with it. */
export type BeforeServing = (socket: Socket, next: (socket: Socket) => void) => void;

export interface TlsMeans {
  readonly balancer: Balancer;
  /** The key of session tickets. */
  readonly ticketKey: Buffer;
  readonly log: (line: string) => void;
  /** Gives monotonic milliseconds. */
  readonly now: () => number;
  readonly before?: BeforeServing | undefined;
}

/** Node keeps it from version 20 to 26: the connection below TLS. */
interface OverSocket extends TLSSocket {
  readonly _parent?: Socket;
}

export class TlsListeners {
  readonly #balancer: Balancer;
  readonly #before: BeforeServing;
  readonly #http2: Http2Server;
  readonly #handshakes: Handshakes;
  #settings: TlsSettings;
  #ticketKey: Buffer;
  /**
   * Begins handshakes by the settings in force; it does not listen. A change of settings replaces it: those that have
   * begun go on by the old ones, and no connection notices.
   */
  #current: tls.Server;

  constructor(settings: TlsSettings, { balancer, ticketKey, log, now, before }: TlsMeans) {
    this.#balancer = balancer;
    this.#before = before ?? ((socket, next) => {
      next(socket);
    });
    this.#settings = settings;
    this.#ticketKey = ticketKey;
    this.#http2 = createHttp2Server(balancer);
    this.#handshakes = new Handshakes(settings.maxHandshakes, log, now);
    this.#current = this.#make();
  }

  /** Counts of handshakes since the start. */
  get handshakes(): Handshakes['counts'] {
    return this.#handshakes.counts;
  }

  /** A server for `balancer.serve`. */
  createServer(): Server {
    const server = tls.createServer({ noDelay: true });
    // Its own listener would begin handshakes without certificates.
    server.removeAllListeners('connection').on('connection', (socket: Socket) => {
      socket.on('error', ignore);
      this.#before(socket, (served) => {
        if (!this.#handshakes.begin(served)) return;
        this.#from.set(served, server);
        this.#current.emit('connection', served);
      });
    });
    return server;
  }

  /** From the next handshake on, these hold. */
  apply(settings: TlsSettings): void {
    this.#settings = settings;
    this.#handshakes.max = settings.maxHandshakes;
    this.#current = this.#make();
  }

  /** Tickets are issued with this key from now on; those of another one cost a whole handshake. */
  setTicketKey(key: Buffer): void {
    this.#ticketKey = key;
    this.#current.setTicketKeys(key);
  }

  /** Lets the sessions of HTTP/2 end with their streams. */
  close(): void {
    this.#http2.close();
  }

  /** The server that accepted a connection. */
  readonly #from = new WeakMap<Socket, Server>();

  #make(): tls.Server {
    const { contexts, clientCa, clientOptional, handshakeTimeoutMs, http2 } = this.#settings;
    const asks = clientCa.length > 0;
    return tls.createServer({
      ...contexts.fallback,
      ALPNProtocols: http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
      SNICallback: (name, done) => {
        done(null, contexts.find(name));
      },
      requestCert: asks,
      rejectUnauthorized: asks && !clientOptional,
      handshakeTimeout: handshakeTimeoutMs,
      ticketKeys: this.#ticketKey,
    }).on('secureConnection', (socket: OverSocket) => {
      this.#serve(socket, asks);
    }).on('tlsClientError', (error, socket: OverSocket) => {
      this.#handshakes.fail(socket._parent, whyFailed(error, socket));
    });
  }

  #serve(socket: OverSocket, asks: boolean): void {
    const { _parent: raw } = socket;
    if (asks && !socket.authorized && socket.getPeerX509Certificate() !== undefined) {
      this.#handshakes.fail(raw, untrusted(socket));
      socket.destroy();
      return;
    }
    this.#handshakes.complete(raw);
    if (raw !== undefined) {
      copyAddress(raw, socket);
      // Whoever listens on the server that accepted the connection learns that its handshake is over.
      this.#from.get(raw)?.emit('secureConnection', socket);
    }
    if (socket.alpnProtocol === 'h2') this.#http2.emit('connection', socket);
    else this.#balancer.accept(socket);
  }
}

/** What a PROXY line said of the client is on the connection below. */
function copyAddress(from: Socket, to: Socket): void {
  for (const name of ['remoteAddress', 'remotePort', 'remoteFamily']) {
    const own = Object.getOwnPropertyDescriptor(from, name);
    if (own !== undefined) Object.defineProperty(to, name, own);
  }
}

function whyFailed(error: Error, socket: TLSSocket): string {
  const { code } = error as NodeJS.ErrnoException;
  // The type says that there always is one.
  const { authorizationError } = socket as { readonly authorizationError: unknown };
  if (typeof authorizationError === 'string') return untrusted(socket);
  switch (code) {
    case 'ERR_TLS_HANDSHAKE_TIMEOUT': return 'it took too long (tls.handshakeTimeout)';
    case 'ECONNRESET': case 'EPIPE': return GONE;
    case 'ERR_SSL_HTTP_REQUEST': return 'the client speaks HTTP without TLS';
    default: return reasonOf(error);
  }
}

function untrusted(socket: TLSSocket): string {
  return `its certificate is not trusted (${String(socket.authorizationError)}, see tls.clientCa)`;
}

function ignore(): void {
  // 'close' follows.
}
