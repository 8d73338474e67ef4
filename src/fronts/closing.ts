/**
 * Closes a downstream connection in order: our side first, the rest when the downstream has read the answer and closes
 * too (RFC 9112 §9.6). Closing at once with bytes unread would reset the connection, and the answer could be lost.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../loop/clock.ts';

export class Closing {
  /** When to stop waiting, in the clock's time. */
  deadline: number;
  /** Whether our side is closed; the downstream's is not yet. */
  lingering = false;
  /** Whether the connection was closed in another way meanwhile. */
  #over = false;
  readonly #clock: Clock;
  readonly #end: () => void;

  /**
   * Waits until all bytes have left, at most `idleTimeoutMs`, then calls `end`, which ends the socket. Not before: once
   * its end is queued, a socket can no longer be reset. Throws what the socket throws.
   */
  constructor(socket: Duplex, clock: Clock, idleTimeoutMs: number, end: () => void) {
    this.#clock = clock;
    this.#end = end;
    this.deadline = clock.now + idleTimeoutMs;
    const sent = (): void => {
      if (!this.#over) this.#shut();
    };
    if (socket.writableLength === 0) this.#shut();
    else if (socket.writableEnded) socket.once('finish', sent);
    else socket.write('', sent);
  }

  /** The connection is closed already. */
  cancel(): void {
    this.#over = true;
  }

  #shut(): void {
    this.lingering = true;
    this.deadline = this.#clock.now + LINGER_MS;
    this.#end();
  }
}

/** How long the downstream has to close after us. */
const LINGER_MS = 2_000;
