/**
 * Waiting for what is due before: node:http hands over an upgrade at once, though requests that were pipelined before
 * it may still be without their answers. On its socket nothing may be written before those have left.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** A socket of node:http, and the response that is due on it. Its name has been the same for years. */
export type HttpSocket = Socket & { readonly _httpMessage?: ServerResponse | null };

/** Waits on a socket that its server's parser has let go of, and keeps what comes meanwhile. */
export class TurnToAnswer {
  readonly #socket: HttpSocket;
  readonly #maxHeldBytes: number;
  readonly #onTurn: (held: Buffer) => void;
  #held: Buffer[] = [];
  #heldBytes = 0;

  /**
   * Calls `onTurn`, at once where nothing is due, with what has come until then; never, where the downstream goes, or
   * the last response closes the connection. `parsed` says that a parser still reads the socket: what comes is its.
   */
  constructor(socket: HttpSocket, parsed: boolean, maxHeldBytes: number, onTurn: (held: Buffer) => void) {
    this.#socket = socket;
    this.#maxHeldBytes = maxHeldBytes;
    this.#onTurn = onTurn;
    if (!socket._httpMessage) {
      onTurn(Buffer.alloc(0));
      return;
    }
    // node:http listens no more: not for errors, nor for room for the rest of a response, nor for the end.
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
    // The last response may have been the last on the connection.
    if (this.#socket.writable) this.#onTurn(Buffer.concat(this.#held));
  };

  readonly #onData = (bytes: Buffer): void => {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= this.#maxHeldBytes) this.#socket.pause();
  };

  /** One that says no more while it waits is taken to be gone, as node:http takes it. */
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
    // What goes wrong with a socket that closes is nobody's news; with one that goes on, its next owner's.
    if (socket.writable) socket.off('error', this.#onError);
    socket._httpMessage?.off('finish', this.#await);
  };
}
