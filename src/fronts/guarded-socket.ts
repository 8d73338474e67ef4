/**
 * The socket of a downstream connection. It may be somebody else's stream: what its methods throw ends the connection,
 * and nothing else.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isResettable } from '../streams/end-or-reset.ts';
import type { Hop } from '../http1/forwarding.ts';
import type { FrontRules } from './front.ts';
import { hopOf } from './hop.ts';

/** What is told of a socket that throws. */
export interface SocketOwner {
  /** Nothing more can be done on it. Called in a turn of its own: the call that failed may be deep in an exchange. */
  sinkFailed(cause: unknown): void;
  /** It could not be destroyed, and may never emit 'close'. */
  closeFailed(cause: unknown): void;
}

export class GuardedSocket<S extends Duplex = Duplex> {
  readonly stream: S;
  readonly #peer: Duplex;
  readonly #rules: FrontRules;
  readonly #owner: SocketOwner;
  #hop: Hop | undefined;
  #paused = false;

  /** `peer` is the stream that knows who is on the other end. */
  constructor(stream: S, peer: Duplex, rules: FrontRules, owner: SocketOwner) {
    this.stream = stream;
    this.#peer = peer;
    this.#rules = rules;
    this.#owner = owner;
  }

  get hop(): Hop {
    this.#hop ??= hopOf(this.#peer, this.#rules);
    return this.#hop;
  }

  /** Whether reading is paused. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Pauses reading, or resumes it. */
  pause(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    this.guard(() => paused ? this.stream.pause() : this.stream.resume());
  }

  /** Whether destroying it now loses nothing: all is with the kernel, and no close_notify of TLS is due. */
  get flushed(): boolean {
    return this.stream.writableLength === 0 && this.stream instanceof Socket && this.hop.proto === 'http';
  }

  /** Destroys it. With `reset`, the other end can tell that from an end, if there is a way to. */
  destroy(reset: boolean): void {
    const { stream } = this;
    try {
      if (reset && isResettable(stream)) stream.resetAndDestroy();
      else stream.destroy();
    } catch (cause) {
      this.#owner.closeFailed(cause);
    }
  }

  /** Calls into the stream. */
  guard(call: () => unknown): void {
    try {
      call();
    } catch (cause) {
      queueMicrotask(() => {
        this.#owner.sinkFailed(cause);
      });
    }
  }
}
