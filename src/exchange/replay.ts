/**
 * The body of a request, kept for another attempt as long as it is small.
 */
import type { MessageWriter } from '../http1/writer.ts';

export class Replay {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #length = 0;
  #whole = true;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Starts with a new body. */
  start(): void {
    if (this.#length > 0) this.#pieces = [];
    this.#length = 0;
    this.#whole = true;
  }

  /** Keeps a copy of a piece, unless it is too much: then all is let go. */
  keep(bytes: Buffer, from: number, to: number): void {
    if (!this.#whole) return;
    this.#length += to - from;
    this.#whole = this.#length <= this.#maxBytes;
    if (this.#whole) this.#pieces.push(Buffer.from(bytes.subarray(from, to)));
    else this.#pieces = [];
  }

  /** Whether all that has come is here. */
  get whole(): boolean {
    return this.#whole;
  }

  /** Writes what has come so far. */
  writeTo(writer: MessageWriter): void {
    for (const piece of this.#pieces) writer.data(piece, 0, piece.length);
  }
}
