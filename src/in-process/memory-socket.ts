/**
 * A connection within the process: two streams, of which each gives what the other one took.
 */
import { Duplex } from 'node:stream';

/** One end. It has what code expects of a socket that it serves, as far as that means anything without a network. */
export class MemorySocket extends Duplex {
  /** The balancer is on the same host. */
  readonly remoteAddress = '127.0.0.1';
  readonly remoteFamily = 'IPv4';
  #peer: MemorySocket | undefined;
  /** Called when the other end can take more. */
  #onRoom: (() => void) | undefined;

  /** A new connection: both its ends. */
  static pair(): readonly [MemorySocket, MemorySocket] {
    const one = new MemorySocket();
    const other = new MemorySocket();
    one.#peer = other;
    other.#peer = one;
    return [one, other];
  }

  override _read(): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    const onRoom = peer.#onRoom;
    peer.#onRoom = undefined;
    onRoom?.();
  }

  /** Breaks the connection off; the other end emits `error`. This one does not: it may be somebody else's by now. */
  fail(error: Error): void {
    if (this.#peer === undefined) this.destroy();
    else this.#peer.destroy(error);
  }

  /** A piece arrives in a later turn, as over a network: no reader is called by what it calls. */
  override _write(piece: Buffer, _encoding: BufferEncoding, done: () => void): void {
    setImmediate(() => {
      const peer = this.#peer;
      // A peer that is gone destroys this end too.
      if (peer === undefined || peer.destroyed || peer.push(piece)) done();
      else this.#onRoom = done;
    });
  }

  override _final(done: () => void): void {
    setImmediate(() => {
      const peer = this.#peer;
      if (peer?.destroyed === false) peer.push(null);
      done();
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const peer = this.#peer;
    const onRoom = this.#onRoom;
    this.#peer = this.#onRoom = undefined;
    onRoom?.();
    // Later, so that what was written before arrives before; and as over a network, the error stays here.
    if (peer !== undefined) setImmediate(() => peer.destroy());
    done(error);
  }

  /** For what serves sockets: there is no Nagle's algorithm to turn off. */
  setNoDelay(): this {
    return this;
  }

  /** As `setNoDelay`: the other end cannot vanish unseen. */
  setKeepAlive(): this {
    return this;
  }

  /** As `setNoDelay`: the balancer's timeouts hold for both ends. */
  setTimeout(): this {
    return this;
  }

  /** As `setNoDelay`: it keeps no process alive. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
