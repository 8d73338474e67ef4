/**
 * The connections of the embedder's http servers, as far as a meter wants to know: how many there are, and what they
 * carry. They are seen through their requests, from the first one on.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { guardedValue } from '../guard.ts';
import type { Outgoing } from '../streams/message-writer.ts';

/** Connections since the balancer was created, and the octets that they have carried. */
export interface Carried extends Outgoing {
  connections: number;
  received: number;
}

/** A stream of HTTP/2, as the compat API shows it. */
interface Http2Stream {
  readonly session?: { readonly socket: Socket };
}

/** What was counted of one connection. */
interface Counted {
  received: number;
  sent: number;
}

export class ServerConnections {
  /** How many of them are open. */
  open = 0;
  readonly #carried: Carried;
  readonly #counted = new WeakMap<object, Counted>();

  constructor(carried: Carried) {
    this.#carried = carried;
  }

  /** Counts what the connection of `request` has carried since the last time. It may be a foreign object. */
  count(request: IncomingMessage): void {
    guardedValue(() => {
      // All streams of an HTTP/2 session share its connection; each has a socket object of its own.
      const { stream, socket: own } = request as { readonly stream?: Http2Stream; readonly socket?: Socket };
      const session = stream?.session;
      const socket = session?.socket ?? own;
      if (socket === undefined) return;
      const connection = session ?? socket;
      const counted = this.#counted.get(connection);
      if (counted === undefined) this.#meet(connection, socket);
      else this.#add(counted, socket);
    }, () => undefined);
  }

  #meet(connection: object, socket: Socket): void {
    // One that a library made up has no end.
    if (socket.destroyed || typeof socket.once !== 'function') return;
    const counted = { received: 0, sent: 0 };
    this.#counted.set(connection, counted);
    this.#carried.connections++;
    this.open++;
    this.#add(counted, socket);
    const closed = (own: Partial<Socket>): void => {
      this.open--;
      guardedValue(() => {
        this.#add(counted, own);
      }, () => undefined);
    };
    // Called on the connection itself: what an HTTP/2 session shows in its place is unusable by then.
    socket.once('close', function (this: Partial<Socket>) {
      closed(this);
    });
  }

  #add(counted: Counted, { bytesRead, bytesWritten }: Partial<Socket>): void {
    const received = Math.max(counted.received, bytesRead ?? 0);
    const sent = Math.max(counted.sent, bytesWritten ?? 0);
    this.#carried.received += received - counted.received;
    this.#carried.sent += sent - counted.sent;
    counted.received = received;
    counted.sent = sent;
  }
}
