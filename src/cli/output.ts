/**
 * The output of the binary: one line on standard output, the log on standard error.
 */
import type { Writable } from 'node:stream';
import { LogStream } from '../cluster/log-stream.ts';
import { type Facts, jsonLine, type LogFormat } from './log-line.ts';

export class Output {
  readonly #streams: readonly Writable[];
  readonly #out: LogStream;
  readonly #log: LogStream;
  /** Text until it is known what is wanted. */
  #format: LogFormat = 'text';

  /**
   * Lets this process outlive the readers of its output. When one goes away (a log pipe ends, a terminal closes, the
   * disk is full), the stream emits 'error', which would end the process without a listener. There is nowhere left to
   * report it; output is lost until the stream can be written again.
   */
  constructor(out: Writable, log: Writable) {
    this.#streams = [out, log];
    this.#out = new LogStream(out);
    this.#log = new LogStream(log, (lost) => this.#line(lost, { event: 'log-lost', level: 'warn' }));
    for (const stream of this.#streams) stream.on('error', () => undefined);
  }

  /** Writes one or more lines to standard output. */
  readonly say = (text: string): void => {
    this.#out.write(text);
  };

  /** Writes a long text to standard output. Resolves when its reader has it all, or is gone. */
  readonly print = async (text: string): Promise<void> => {
    this.say(text);
    const [out] = this.#streams;
    if (out !== undefined) await written(out);
  };

  /** Writes to the log: one or more lines, each prefixed with our name; or one line in JSON, with `facts`. */
  readonly log = (text: string, facts?: Facts): void => {
    this.#log.write(this.#line(text, facts));
  };

  /** How the log is written from now on. In JSON, warnings of Node are lines of it, too. */
  set format(format: LogFormat) {
    if (format === this.#format) return;
    this.#format = format;
    process.off('warning', this.#onWarning);
    if (format === 'text') return;
    // Node's own listener prints text.
    process.removeAllListeners('warning').on('warning', this.#onWarning);
  }

  readonly #onWarning = ({ name, message, stack, ...more }: Error): void => {
    const { code } = more as { readonly code?: unknown };
    const named = typeof code === 'string' ? { code } : {};
    this.log(`${name}: ${message}`, { event: 'warning', level: 'warn', ...named, stack });
  };

  #line(text: string, facts?: Facts): string {
    return this.#format === 'json' ? jsonLine(text, facts) : text.replace(/^/gm, 'equipoise: ');
  }

  /**
   * Resolves when everything is written, or after a short wait: with whether something is left, which would keep this
   * process alive until somebody reads it.
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

/** Resolves when what is buffered now has been written or has failed. */
function written(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}

/** Less than the launcher allows a drained worker for its exit. */
const FINISH_MS = 500;
