/**
 * What comes of a response while a hook is still deciding about its head: what one read brought, since reading stops
 * until the hook is done.
 */

/** Takes the pieces again, in their order. */
export interface PieceTaker {
  body(bytes: Buffer, from: number, to: number, text: string): void;
  ended(trailers: string): void;
}

export class HeldResponse {
  readonly #pieces: Buffer[] = [];
  #trailers: string | undefined;

  /** Keeps a copy: the buffer is read into again. */
  body(bytes: Buffer, from: number, to: number): void {
    this.#pieces.push(Buffer.from(bytes.subarray(from, to)));
  }

  ended(trailers: string): void {
    this.#trailers = trailers;
  }

  get whole(): boolean {
    return this.#trailers !== undefined;
  }

  giveTo(taker: PieceTaker): void {
    for (const piece of this.#pieces) taker.body(piece, 0, piece.length, '');
    if (this.#trailers !== undefined) taker.ended(this.#trailers);
  }
}
