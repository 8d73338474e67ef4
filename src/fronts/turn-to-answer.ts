/**
 * Delays an upgrade until earlier responses are sent. node:http hands over an upgrade at once, even if requests
 * pipelined before it are still unanswered, and nothing may be written to the socket before those answers.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** A socket of node:http with the response it is sending: a private property, with the same name for years. */
export type HttpSocket = Socket & { readonly _httpMessage?: ServerResponse | null };

/** Waits on a socket that its server's parser has released, and keeps what arrives meanwhile. */
export class TurnToAnswer {
  readonly #socket: HttpSocket;
  readonly #maxHeldBytes: number;
  readonly #onTurn: (held: Buffer) => void;
  #held: Buffer[] = [];
  #heldBytes = 0;

  /**
   * Calls `onTurn` with what has arrived, at once if no response is due; never if the downstream leaves or the last
   * response closes the connection. With `parsed`, a parser still reads the socket and gets what arrives.
   */
  constructor(socket: HttpSocket, parsed: boolean, maxHeldBytes: number, onTurn: (held: Buffer) => void) {
    this.#socket = socket;
    this.#maxHeldBytes = maxHeldBytes;
    this.#onTurn = onTurn;
    if (!socket._httpMessage) {
      onTurn(Buffer.alloc(0));
      return;
    }
    // node:http no longer listens: not for errors, not for 'drain' while it sends a response, not for the end.
    socket.on('error', this.#onError).on('drain', this.#onDrain).on('close', this.#leave);
    if (!parsed) socket.on('data', this.#onData).on('end', this.#onEnd);
    this.#await();
  }

  readonly #await = (): void => {
    const due = this.#socket._httpMessage;
    if (due) {
      due.once('finish', this.#await);
      return;
    }
    this.#leave();
    // The last response may have closed the connection.
    if (this.#socket.writable) this.#onTurn(Buffer.concat(this.#held));
  };

  readonly #onData = (bytes: Buffer): void => {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= this.#maxHeldBytes) this.#socket.pause();
  };

  /** A downstream that ends while it waits is treated as gone, as node:http does. */
  readonly #onEnd = (): void => {
    this.#leave();
    this.#held = [];
    this.#socket.destroy();
  };

  readonly #onDrain = (): void => {
    this.#socket._httpMessage?.emit('drain');
  };

  readonly #onError = (): void => {
    // 'close' follows.
  };

  readonly #leave = (): void => {
    const socket = this.#socket;
    socket.off('drain', this.#onDrain).off('close', this.#leave).off('data', this.#onData).off('end', this.#onEnd);
    // Errors of a closing socket do not matter; those of one that stays open are its next owner's.
    if (socket.writable) socket.off('error', this.#onError);
    socket._httpMessage?.off('finish', this.#await);
  };
}
