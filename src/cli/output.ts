/**
 * What the binary writes: its one line on standard output, its log on standard error.
 */
import type { Writable } from 'node:stream';
import { LogStream } from '../cluster/log-stream.ts';

export class Output {
  readonly #streams: readonly Writable[];
  readonly #out: LogStream;
  readonly #log: LogStream;

  /**
   * Has this process outlive the readers of its output. When one goes away (a log pipe ends, a terminal is closed, a
   * disk is full), the stream tells of it by an 'error', which would end the process unless somebody listens. There is
   * nobody left to tell; what is written is lost until it can be written again.
   */
  constructor(out: Writable, log: Writable) {
    this.#streams = [out, log];
    this.#out = new LogStream(out);
    this.#log = new LogStream(log);
    for (const stream of this.#streams) stream.on('error', () => undefined);
  }

  /** Writes a line, or several, to standard output. */
  readonly say = (text: string): void => {
    this.#out.write(text);
  };

  /** Writes a line to the log, or several, each with our name. */
  readonly log = (text: string): void => {
    this.#log.write(text.replace(/^/gm, 'equipoise: '));
  };

  /**
   * Resolves when everything is written, or when its reader has been given long enough: with whether something is left,
   * which would keep this process from ending for as long as nobody reads.
   */
  async finished(): Promise<boolean> {
    const waiting = this.#streams.filter(({ writableLength }) => writableLength > 0);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FINISH_MS);
    });
    await Promise.race([Promise.all(waiting.map(written)), late]);
    clearTimeout(timer);
    return this.#streams.some(({ writableLength }) => writableLength > 0);
  }
}

/** Resolves when what waits now is written, or cannot be. */
function written(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}

/** Less than what the launcher gives to a worker that has drained. */
const FINISH_MS = 500;
