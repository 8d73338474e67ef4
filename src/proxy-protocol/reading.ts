/**
 * Reads the PROXY header of one connection, and hands the connection on.
 */
import type { Socket } from 'node:net';
import type { ParsedProxy, ProxyHeader } from './header.ts';
import type { ProxyRefusalReason } from './options.ts';
import { parseProxyHeader } from './parse.ts';

/** What comes of it: one of these calls, once. */
export interface ReadingUser {
  /** The header is read; what came behind it is in the socket again. */
  read(header: ProxyHeader): void;
  /** There is no valid header. */
  failed(reason: ProxyRefusalReason, why: string): void;
  /** The peer has sent nothing and closed the connection, as many health checks do. */
  closed(): void;
}

/** Begins to read. When it is done, it leaves no listener and no timer behind. */
export class Reading {
  readonly #socket: Socket;
  readonly #user: ReadingUser;
  readonly #timer: NodeJS.Timeout;
  readonly #timeoutMs: number;
  #held: Buffer | undefined;
  readonly #onReadable = (): void => {
    this.#read();
  };
  readonly #onEnd = (): void => {
    this.#gone();
  };
  readonly #onTime = (): void => {
    this.#fail('late', `no whole PROXY header came within ${this.#timeoutMs} ms`);
  };

  constructor(socket: Socket, timeoutMs: number, user: ReadingUser) {
    this.#socket = socket;
    this.#user = user;
    this.#timeoutMs = timeoutMs;
    this.#timer = setTimeout(this.#onTime, timeoutMs);
    // Not 'data': what follows the header must stay in the socket for whatever reads it next, be it a TLS socket or the
    // parser of node:http, which 'data' would have made to flow by then.
    socket.on('readable', this.#onReadable);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onEnd);
    socket.on('close', this.#onEnd);
  }

  #read(): void {
    const socket = this.#socket;
    const bytes = socket.read() as Buffer | null;
    if (bytes === null) return;
    const all = this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes]);
    const parsed = parseProxyHeader(all);
    switch (parsed.kind) {
      case 'partial':
        this.#held = all;
        break;
      case 'invalid':
        this.#fail(...whyInvalid(parsed));
        break;
      case 'header':
        this.#leave();
        if (parsed.length < all.length) socket.unshift(all.subarray(parsed.length));
        this.#user.read(parsed.header);
    }
  }

  /** The peer sends no more. */
  #gone(): void {
    if (this.#held !== undefined) {
      this.#fail('incomplete', 'it ended within its PROXY header');
      return;
    }
    this.#leave();
    this.#user.closed();
  }

  #fail(reason: ProxyRefusalReason, why: string): void {
    this.#leave();
    this.#held = undefined;
    this.#user.failed(reason, why);
  }

  #leave(): void {
    const socket = this.#socket;
    clearTimeout(this.#timer);
    socket.off('readable', this.#onReadable);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onEnd);
    socket.off('close', this.#onEnd);
  }
}

function whyInvalid({ begun, why }: ParsedProxy & { readonly kind: 'invalid' }): [ProxyRefusalReason, string] {
  return begun ? ['malformed', `its PROXY header is malformed: ${why}`] : ['missing', 'it sent no PROXY header'];
}
