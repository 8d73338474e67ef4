/**
 * The body of a request, kept for another attempt as long as it is small.
 */
import { NO_BYTES } from '../http1/grammar.ts';
import type { MessageWriter } from '../streams/message-writer.ts';

export class Replay {
  #maxBytes = 0;
  /** One growing buffer: a list of one-byte pieces would take a hundred times their size. */
  #kept = NO_BYTES;
  #length = 0;
  #whole = true;
  /** A whole body that stays where it is: it is kept without a copy. */
  #lasting: Buffer | undefined;

  /** Starts with a body of which up to `maxBytes` are kept, or all of it if it comes as `lasting`, in one piece. */
  start(maxBytes: number, lasting: Buffer | undefined): void {
    this.#maxBytes = maxBytes;
    this.clear();
    this.#lasting = lasting;
  }

  /** Drops what is kept: the body won't be sent again. */
  clear(): void {
    this.#kept = NO_BYTES;
    this.#length = 0;
    this.#whole = true;
    this.#lasting = undefined;
  }

  /** Keeps a copy of a piece that is being sent; drops everything once it exceeds `maxBytes`. */
  keep(bytes: Buffer, from: number, to: number): void {
    if (bytes === this.#lasting || this.#length + to - from <= this.#maxBytes) this.hold(bytes, from, to);
    else this.#drop();
  }

  /** Keeps a copy of a piece that can't be sent yet, whatever its size. */
  hold(bytes: Buffer, from: number, to: number): void {
    if (!this.#whole) return;
    if (bytes === this.#lasting) {
      this.#kept = bytes;
      this.#length = to;
      return;
    }
    const length = this.#length + to - from;
    if (length > this.#kept.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#kept.length, MIN_BYTES));
      this.#kept.copy(larger, 0, 0, this.#length);
      this.#kept = larger;
    }
    bytes.copy(this.#kept, this.#length, from, to);
    this.#length = length;
  }

  /** Whether everything received of the body is kept. */
  get whole(): boolean {
    return this.#whole;
  }

  /** Writes what is kept. */
  writeTo(writer: MessageWriter): void {
    writer.data(this.#kept, 0, this.#length);
    if (this.#length > this.#maxBytes && this.#kept !== this.#lasting) this.#drop();
  }

  #drop(): void {
    this.#whole = false;
    this.#kept = NO_BYTES;
  }
}

const MIN_BYTES = 512;
