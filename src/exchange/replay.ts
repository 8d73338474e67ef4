/**
 * The body of a request, kept for another attempt as long as it is small.
 */
import { NO_BYTES } from '../http1/grammar.ts';
import type { MessageWriter } from '../streams/message-writer.ts';

export class Replay {
  readonly #maxBytes: number;
  /** One buffer that grows: pieces of an octet each would cost a hundred times what they hold. */
  #kept = NO_BYTES;
  #length = 0;
  #whole = true;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Lets go of all: the body is of no more use, or another one begins. */
  clear(): void {
    this.#kept = NO_BYTES;
    this.#length = 0;
    this.#whole = true;
  }

  /** Keeps a copy of a piece that is being sent, unless it is too much: then all is let go. */
  keep(bytes: Buffer, from: number, to: number): void {
    if (this.#length + to - from <= this.#maxBytes) this.hold(bytes, from, to);
    else this.#letGo();
  }

  /** Keeps a copy of a piece that cannot be sent yet, however much it is. */
  hold(bytes: Buffer, from: number, to: number): void {
    if (!this.#whole) return;
    const length = this.#length + to - from;
    if (length > this.#kept.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#kept.length, MIN_BYTES));
      this.#kept.copy(larger, 0, 0, this.#length);
      this.#kept = larger;
    }
    bytes.copy(this.#kept, this.#length, from, to);
    this.#length = length;
  }

  /** Whether all that has come is here. */
  get whole(): boolean {
    return this.#whole;
  }

  /** Writes what has come so far. */
  writeTo(writer: MessageWriter): void {
    writer.data(this.#kept, 0, this.#length);
    if (this.#length > this.#maxBytes) this.#letGo();
  }

  #letGo(): void {
    this.#whole = false;
    this.#kept = NO_BYTES;
  }
}

const MIN_BYTES = 512;
