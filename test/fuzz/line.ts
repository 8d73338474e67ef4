/**
 * Connections without a network: the holder of a line reads what is pushed in, and what it writes is kept.
 */
import { Duplex } from 'node:stream';

export class Line extends Duplex {
  /** What was written to it, as latin1, until it is taken. */
  written = '';
  /** Like that of a socket: a downstream's address is passed on. */
  readonly remoteAddress = '192.0.2.7';

  constructor() {
    super({ decodeStrings: false });
  }

  override _read(): void {
    // What comes is pushed.
  }

  override _write(chunk: string | Buffer, _: BufferEncoding, callback: () => void): void {
    this.written += typeof chunk === 'string' ? chunk : chunk.toString('latin1');
    callback();
  }

  /** Makes the holder read these bytes, in place of the network. It may change the buffer, so each gets its own. */
  bring(bytes: string): void {
    if (!this.destroyed) this.push(Buffer.from(bytes, 'latin1'));
  }

  /** The network's side has no more to send. */
  finish(): void {
    if (!this.destroyed) this.push(null);
  }

  /** The network's side is gone. */
  reset(): void {
    if (!this.destroyed) this.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  }

  /** How the holder ended its sending half. */
  get ended(): 'open' | 'end' | 'cut' {
    return this.writableEnded ? 'end' : this.destroyed ? 'cut' : 'open';
  }

  /** Like a socket: earlier writes are sent first. */
  destroySoon(): void {
    this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }
}

/** Resolves when everything that streams deferred has happened: they only use process.nextTick. */
export async function settle(): Promise<void> {
  // Deferred work may defer more: two rounds are enough for an end that makes a stream close.
  await ticked();
  await ticked();
}

export function ticked(): Promise<void> {
  return new Promise(tick);
}

/** Resolves when the balancer has also sent what it defers to the end of a turn, and its effects have happened. */
export async function turned(): Promise<void> {
  await settle();
  await new Promise(setImmediate);
  await settle();
}

const tick = (resolve: () => void): void => {
  process.nextTick(resolve);
};
