/**
 * Writes lines to a stream whose reader may be gone, or may have stopped reading.
 */
import type { Writable } from 'node:stream';

/**
 * The lines of a log on standard output or error. Logging must neither block nor end the process:
 * - If the reader is gone (journald restarts, a log pipe ends, a disk is full), the line is lost. The stream emits an
 *   'error' for it, which would end the process without a listener. Errors of what others write are left to them.
 * - If the reader does not read (a stopped terminal, a log shipper that hangs), up to 256 KiB of lines wait in memory.
 *   More lines are lost, and a line says how many as soon as it can be written.
 */
export class LogStream {
  readonly #stream: Writable;
  readonly #lostLine: (text: string) => string;
  #lost = 0;

  /** `lostLine` writes the line that says how many were lost. */
  constructor(stream: Writable, lostLine = (text: string): string => `equipoise: ${text}`) {
    this.#stream = stream;
    this.#lostLine = lostLine;
  }

  /** Writes one line, or several. */
  write(text: string): void {
    if (this.#stream.writableLength > MAX_WAITING) {
      // 'drain' comes when the lines that wait are written.
      if (this.#lost === 0) this.#stream.once('drain', this.#tellLost);
      this.#lost += text.split('\n').length;
      return;
    }
    this.#tellLost();
    this.#put(text);
  }

  readonly #tellLost = (): void => {
    if (this.#lost === 0) return;
    const lines = this.#lost === 1 ? '1 line was' : `${this.#lost} lines were`;
    this.#lost = 0;
    this.#stream.off('drain', this.#tellLost);
    this.#put(this.#lostLine(`${lines} lost here: the reader of this log did not keep up`));
  };

  #put(text: string): void {
    try {
      this.#stream.write(`${text}\n`, (error) => {
        // The 'error' follows this call.
        if (error) this.#stream.once('error', () => undefined);
      });
    } catch {
      // Node writes to files synchronously, and some versions throw.
    }
  }
}

const MAX_WAITING = 256 * 1024;
