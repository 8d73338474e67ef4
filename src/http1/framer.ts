/**
 * Body framing as it is sent (RFC 9112 §§6, 7): the octets around the data, and how much data is still owed.
 */
import { CHUNKED, type Framing, LENGTH, NONE } from './framing.ts';

/** Frames one body after the other, as `BodyReader` reads them. */
export class BodyFramer {
  #framing: Framing = NONE;
  #owed = 0;

  /** Starts a new body; `length` is the announced one, used for {@link LENGTH} only. */
  start(framing: Framing, length: number): void {
    this.#framing = framing;
    this.#owed = framing === LENGTH ? length : 0;
  }

  /** What precedes `length` octets of data; `length` is above 0, since an empty chunk would be the last one. */
  before(length: number): string {
    if (this.#framing === CHUNKED) return `${length.toString(16)}\r\n`;
    if (this.#framing === LENGTH) this.#owed -= length;
    return '';
  }

  /** What follows the data. */
  after(): string {
    return this.#framing === CHUNKED ? '\r\n' : '';
  }

  /** Ends the body. `trailers` are whole field lines; only a chunked body can carry them. */
  end(trailers: string): string {
    const last = this.#framing === CHUNKED ? `0\r\n${trailers}\r\n` : '';
    this.#framing = NONE;
    return last;
  }

  /** Whether data differs from the announced length: whatever follows would be taken for the rest of this body. */
  get owes(): boolean {
    return this.#owed !== 0;
  }
}
