/**
 * Writes lines to a stream whose reader may be gone, or may have stopped reading.
 */
import type { Writable } from 'node:stream';

/**
 * The lines of a log on standard output or error, which must not hold up or end what it tells of:
 * - Where its reader has gone away (journald restarts, a log pipe ends, a disk is full) the line is lost, and nothing
 *   else: the stream tells of that by an 'error', which would end the process. Errors of what others write to the
 *   stream are left to them.
 * - Where its reader is there and does not read (a stopped terminal, a log shipper that hangs), lines wait in memory,
 *   256 KiB of them. Those beyond that are lost, and a line says how many as soon as it can be written.
 */
export class LogStream {
  readonly #stream: Writable;
  #lost = 0;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  /** Writes a line, or several. */
  write(text: string): void {
    if (this.#stream.writableLength > MAX_WAITING) {
      // What waits is written first, then 'drain' follows.
      if (this.#lost === 0) this.#stream.once('drain', this.#tell);
      this.#lost += text.split('\n').length;
      return;
    }
    this.#tell();
    this.#put(text);
  }

  /** Says what was lost. */
  readonly #tell = (): void => {
    if (this.#lost === 0) return;
    const lines = this.#lost === 1 ? '1 line was' : `${this.#lost} lines were`;
    this.#lost = 0;
    this.#stream.off('drain', this.#tell);
    this.#put(`equipoise: ${lines} lost here: the reader of this log did not keep up`);
  };

  #put(text: string): void {
    try {
      this.#stream.write(`${text}\n`, (error) => {
        // The 'error' follows this call.
        if (error) this.#stream.once('error', () => undefined);
      });
    } catch {
      // Node writes to files at once, and some of its versions throw from within.
    }
  }
}

const MAX_WAITING = 256 * 1024;
