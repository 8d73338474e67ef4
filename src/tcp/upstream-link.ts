/**
 * The upstream's side of a connection: one for each attempt. What comes from a stream that an earlier attempt has left
 * behind goes nowhere.
 */
import type { ErrorCode } from '../errors.ts';
import type { MessageWriter } from '../streams/message-writer.ts';
import type { DialledStream, StreamUser } from '../upstreams/dialled-stream.ts';
import type { ManagedUpstream } from '../upstreams/managed-upstream.ts';

/** The connection that it belongs to. */
export interface LinkUser {
  /** The upstream is connected. */
  linked(): void;
  /** Bytes have come, valid until this returns or, if it returns false, until the link is resumed. */
  linkData(bytes: Buffer, length: number): boolean;
  /** The upstream has ended its half, in order. */
  linkEnded(): void;
  /** What was held back has been written, or everything has after `end`. */
  linkDrained(): void;
  /** The upstream could not be connected, or is gone: `code` is undefined if it was reset. The link is closed. */
  linkBroke(code: ErrorCode | undefined, error: Error | undefined): void;
}

export class UpstreamLink implements StreamUser {
  readonly #stream: DialledStream;
  #user: LinkUser | undefined;
  #ended = false;

  /** Begins to connect; `opening`, as latin1, is sent first. Throws CONNECT_UNUSABLE. */
  constructor({ connections }: ManagedUpstream, opening: string) {
    this.#stream = connections.stream(this, opening);
  }

  /** Passes what comes to `user`. Tells it that the link is there even if the stream was open from the start. */
  begin(user: LinkUser): void {
    this.#user = user;
    if (this.#stream.ready) user.linked();
  }

  get writer(): MessageWriter {
    return this.#stream.writer;
  }

  /** Whether the upstream's name is being looked up. */
  get resolving(): boolean {
    return this.#stream.resolving;
  }

  /** Whether our half has ended and everything was written. */
  get finished(): boolean {
    return this.#stream.finished;
  }

  /** Ends our half, behind what was written. */
  end(): void {
    this.#stream.end();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Closes it, by a reset unless both sides have ended: the upstream must not take it for an end. */
  close(): void {
    const reset = !this.#ended || !this.finished;
    this.#user = undefined;
    this.#stream.close(reset);
  }

  // --- what the stream tells

  get idle(): boolean {
    return this.#user === undefined;
  }

  get mayEnd(): boolean {
    return this.#user !== undefined && this.#stream.ready;
  }

  opened(): void {
    this.#user?.linked();
  }

  received(bytes: Buffer, length: number): void {
    if (this.#user?.linkData(bytes, length) === false) this.#stream.pause();
  }

  drained(): void {
    this.#user?.linkDrained();
  }

  ended(): void {
    this.#ended = true;
    this.#user?.linkEnded();
  }

  broke(code: ErrorCode | undefined, error: Error | undefined): void {
    const user = this.#user;
    if (user === undefined) return;
    // Closed behind both ends: nothing is lost.
    if (this.#ended && this.finished && error === undefined) {
      user.linkDrained();
      return;
    }
    this.close();
    user.linkBroke(code, error);
  }
}
