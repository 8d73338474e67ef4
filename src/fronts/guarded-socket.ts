/**
 * The socket of a downstream connection. It may be the embedder's stream: what its methods throw ends that connection
 * and nothing else.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { destroyByReset } from '../streams/end-or-reset.ts';
import type { Hop } from '../http1/forwarding.ts';
import type { FrontRules } from './front.ts';
import { hopOf } from './hop.ts';

/** Called when a socket throws. */
export interface SocketOwner {
  /** It cannot be used any more. Called in a microtask: the call that failed may be deep in an exchange. */
  sinkFailed(cause: unknown): void;
  /** It could not be destroyed, and may never emit 'close'. */
  closeFailed(cause: unknown): void;
}

export class GuardedSocket {
  readonly #stream: Duplex;
  /** The stream that knows the address of the other end. */
  readonly peer: Duplex;
  readonly #rules: FrontRules;
  readonly #owner: SocketOwner;
  #hop: Hop | undefined;
  #paused = false;

  constructor(stream: Duplex, peer: Duplex, rules: FrontRules, owner: SocketOwner) {
    this.#stream = stream;
    this.peer = peer;
    this.#rules = rules;
    this.#owner = owner;
  }

  get hop(): Hop {
    this.#hop ??= hopOf(this.peer, this.#rules);
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
    this.guard(() => paused ? this.#stream.pause() : this.#stream.resume());
  }

  /** Whether it can be destroyed without loss: the kernel has all data, and TLS has no close_notify to send. */
  get flushed(): boolean {
    return this.#stream.writableLength === 0 && this.#stream instanceof Socket && this.hop.proto === 'http';
  }

  /** Destroys it; with `reset`, by a reset if possible, so that the other end does not take it for an orderly end. */
  destroy(reset: boolean): void {
    const stream = this.#stream;
    try {
      if (reset) destroyByReset(stream);
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
