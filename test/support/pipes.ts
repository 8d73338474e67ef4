/**
 * In-process connections, so that a test controls what arrives in one turn of the event loop.
 */
import { Duplex } from 'node:stream';

/** The balancer's end of a connection; its methods are the other end, for the test. */
export class Pipe extends Duplex {
  /** What was written, one entry per write. */
  readonly written: string[] = [];
  readonly #onWrite: (text: string) => void;

  /** `onWrite` is called with each write. */
  constructor(onWrite: (text: string) => void = () => undefined) {
    super({ decodeStrings: true, allowHalfOpen: true });
    this.#onWrite = onWrite;
  }

  /** Delivers this from the other end. */
  comes(text: string): void {
    this.push(Buffer.from(text, 'latin1'));
  }

  /** Makes the other end close its sending side. */
  ends(): void {
    this.push(null);
  }

  /** Everything that was written. */
  get text(): string {
    return this.written.join('');
  }

  /** As in net.Socket. */
  setNoDelay(): this {
    return this;
  }

  override _read(): void {
    // The test pushes.
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const text = bytes.toString('latin1');
    this.written.push(text);
    this.#onWrite(text);
    done();
  }
}

/** A connection to an upstream, established on the next tick. */
export function connecting(onWrite?: (text: string) => void): Pipe {
  const pipe = new Pipe(onWrite);
  process.nextTick(() => {
    pipe.emit('connect');
  });
  return pipe;
}
