/**
 * Ends TLS on the `tls:` listeners: HTTP/1.1 goes to the balancer's fast path, HTTP/2 to a server of node:http2. In
 * layer 4, whatever the connection carries goes to the balancer.
 */
import type { Http2Server } from 'node:http2';
import type { Server, Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import type { Balancer } from '../../balancer.ts';
import { copyProxied } from '../../proxy-protocol/of-socket.ts';
import { SocketEvents } from '../../streams/socket-events.ts';
import { createHttp2Server, type Http2Limits } from '../http2.ts';
import { reasonOf } from './certificates.ts';
import { GONE, Handshakes } from './handshakes.ts';
import { peekServerName } from './server-name.ts';
import type { TlsSettings } from './settings.ts';

/** What is put before a connection is served, and calls `next` with it. */
export type BeforeServing = (socket: Socket, next: (socket: Socket) => void) => void;

export interface TlsMeans {
  readonly balancer: Balancer;
  /** Whether it balances raw connections: then no protocol is negotiated (ALPN). */
  readonly tcp: boolean;
  /** The key of session tickets. */
  readonly ticketKey: Buffer;
  readonly log: (line: string) => void;
  /** Gives monotonic milliseconds. */
  readonly now: () => number;
  readonly before?: BeforeServing | undefined;
  /** The balancer's, for HTTP/2. */
  readonly limits?: Http2Limits;
}

/** Node keeps it from version 20 to 26: the connection below TLS. */
interface OverSocket extends TLSSocket {
  readonly _parent?: Socket;
}

export class TlsListeners {
  readonly #balancer: Balancer;
  readonly #before: BeforeServing;
  /** Undefined in layer 4. */
  readonly #http2: Http2Server | undefined;
  readonly #handshakes: Handshakes;
  readonly #events = new SocketEvents();
  #settings: TlsSettings;
  #ticketKey: Buffer;
  /**
   * For each context in force a server that begins handshakes with it, once it is needed; it does not listen. A change
   * of settings replaces them: handshakes that have begun go on by the old ones, and no connection notices.
   */
  #enders = new Map<number, tls.Server>();

  constructor(settings: TlsSettings, { balancer, tcp, ticketKey, log, now, before, limits }: TlsMeans) {
    this.#balancer = balancer;
    this.#before = before ?? ((socket, next) => {
      next(socket);
    });
    this.#settings = settings;
    this.#ticketKey = ticketKey;
    this.#http2 = tcp ? undefined : createHttp2Server(balancer, limits).on('session', (session) => {
      this.#acceptedBy?.emit('session', session);
    });
    this.#handshakes = new Handshakes(settings, log, now);
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
        if (this.#settings.contexts.all.length === 1) this.#begin(served, 0);
        else {
          peekServerName(served, (name) => {
            this.#begin(served, this.#settings.contexts.find(name));
          });
        }
      });
    });
    return server;
  }

  /** From the next handshake on, these hold. */
  apply(settings: TlsSettings): void {
    this.#settings = settings;
    this.#handshakes.limits = settings;
    this.#enders = new Map();
  }

  /** Tickets are issued with this key from now on; those of another one cost a whole handshake. */
  setTicketKey(key: Buffer): void {
    this.#ticketKey = key;
    for (const ender of this.#enders.values()) ender.setTicketKeys(key);
  }

  /** Once the balancer is closed. */
  close(): void {
    this.#handshakes.stop();
  }

  /** The server that accepted a connection. */
  readonly #from = new WeakMap<Socket, Server>();
  /** While a session of HTTP/2 begins: what listens on this server learns of it, as if it were the server's own. */
  #acceptedBy: Server | undefined;

  #begin(socket: Socket, context: number): void {
    const ender = this.#enders.get(context) ?? this.#make(context);
    this.#enders.set(context, ender);
    ender.emit('connection', socket);
  }

  #make(context: number): tls.Server {
    const { contexts, clientCa, clientOptional, http2 } = this.#settings;
    const asks = clientCa.length > 0;
    return tls.createServer({
      ...contexts.all[context],
      ...(this.#http2 === undefined ? {} : { ALPNProtocols: http2 ? ['h2', 'http/1.1'] : ['http/1.1'] }),
      requestCert: asks,
      rejectUnauthorized: asks && !clientOptional,
      // Ours counts from the beginning of the connection.
      handshakeTimeout: 0,
      ticketKeys: this.#ticketKey,
    }).on('secureConnection', (socket: OverSocket) => {
      this.#serve(socket, asks);
    }).on('tlsClientError', (error, socket: OverSocket) => {
      if (socket._parent !== undefined) this.#handshakes.fail(socket._parent, whyFailed(error, socket));
    });
  }

  #serve(socket: OverSocket, asks: boolean): void {
    const { _parent: raw } = socket;
    if (raw === undefined) {
      socket.destroy();
      return;
    }
    if (asks && !socket.authorized && socket.getPeerX509Certificate() !== undefined) {
      this.#handshakes.fail(raw, untrusted(socket));
      socket.destroy();
      return;
    }
    this.#handshakes.complete(raw);
    // What a PROXY header said of the client is on the connection below.
    copyProxied(raw, socket);
    // Listeners of the server that accepted the connection learn that its handshake is over.
    const from = this.#from.get(raw);
    from?.emit('secureConnection', socket);
    if (this.#http2 === undefined || socket.alpnProtocol !== 'h2') {
      // Nothing but the balancer reads it, as with `listen`. What came with the handshake is in its buffer, and goes
      // first.
      if (socket.readableLength === 0) this.#events.take(socket);
      this.#balancer.accept(socket);
      return;
    }
    this.#acceptedBy = from;
    try {
      this.#http2.emit('connection', socket);
    } finally {
      this.#acceptedBy = undefined;
    }
  }
}

function whyFailed(error: Error, socket: TLSSocket): string {
  const { code } = error as NodeJS.ErrnoException;
  // The type says that there always is one.
  const { authorizationError } = socket as { readonly authorizationError: unknown };
  if (typeof authorizationError === 'string') return untrusted(socket);
  switch (code) {
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
