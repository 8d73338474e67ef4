/**
 * Reads requests from a downstream connection: heads, bodies, and the rest of bodies that are no longer needed. Holds
 * back what arrives early: bodies that are not wanted yet, and pipelined requests.
 */
import { BodyReader } from '../http1/body.ts';
import { requestTrailers } from '../http1/fields.ts';
import type { Framing } from '../http1/framing.ts';
import type { BodyLimits, HeadLimits } from '../http1/grammar.ts';
import type { RequestHead } from '../http1/request.ts';
import { SplitHead } from '../http1/split-head.ts';

/** The result of reading a head. */
export type HeadRead = typeof WHOLE | typeof PARTIAL | typeof REFUSED;
export const WHOLE = 0;
export const PARTIAL = 1;
/** The head's `error` says why. */
export const REFUSED = 2;

export class RequestReader {
  readonly #limits: HeadLimits & BodyLimits;
  readonly #head = new SplitHead();
  /** Made for the first body; kept until the next head is awaited. */
  #body: BodyReader | undefined;
  #held: Buffer | undefined;
  #at = 0;
  #discarded = 0;

  constructor(limits: HeadLimits & BodyLimits) {
    this.#limits = limits;
  }

  /** Adds received bytes after those held. */
  add(bytes: Buffer): void {
    this.#held = this.#held === undefined ? bytes : Buffer.concat([this.#held.subarray(this.#at), bytes]);
    this.#at = 0;
  }

  /** What is held from {@link RequestReader.add} on; undefined once all of it is read. */
  get held(): Buffer | undefined {
    return this.#held;
  }

  /** Octets that are held. */
  get heldBytes(): number {
    return this.#held === undefined ? 0 : this.#held.length - this.#at;
  }

  /** Whether the start of a head was read, and the rest is still to come. */
  get midHead(): boolean {
    return this.#head.begun;
  }

  /** The part of a partial or refused head that has arrived. */
  get headBytes(): Buffer {
    return this.#head.bytes;
  }

  /** Reads a head from `held`, the bytes held. */
  readHead(held: Buffer, head: RequestHead): HeadRead {
    const split = this.#head;
    const worth = split.add(held, this.#at, held.length, this.#limits.maxHeadBytes);
    const length = worth ? head.parse(split.bytes, split.size, this.#limits) : 0;
    if (length < 0) return REFUSED;
    this.#moveTo(length === 0 ? split.keep() : split.end(length), held);
    return length === 0 ? PARTIAL : WHOLE;
  }

  /** Prepares for a body. */
  startBody(framing: Framing, length: number): void {
    this.#body ??= new BodyReader(this.#limits, requestTrailers);
    this.#body.start(framing, length);
  }

  /** Whether the body that was started has been read to its end. */
  get bodyRead(): boolean {
    return this.#body?.done === true;
  }

  get trailers(): string {
    return this.#body?.trailers ?? '';
  }

  /** Reads body data from `held`, the bytes held. The data is between `from` and `to` of the returned reader. */
  readBody(held: Buffer): BodyReader {
    const body = this.#body ??= new BodyReader(this.#limits, requestTrailers);
    this.#moveTo(body.read(held, this.#at, held.length), held);
    return body;
  }

  /** Skips the rest of a body. Returns false if it is malformed, or too long to be worth skipping. */
  discard(held: Buffer): boolean {
    const body = this.readBody(held);
    this.#discarded += body.to - body.from;
    return !body.malformed && this.#discarded <= MAX_DISCARDED_BYTES;
  }

  /** The next thing to read is a head. */
  expectHead(): void {
    this.#body = undefined;
    this.#discarded = 0;
  }

  /** Forgets all that is held. */
  clear(): void {
    this.#held = undefined;
    this.#head.clear();
  }

  #moveTo(at: number, held: Buffer): void {
    this.#at = at;
    if (at >= held.length) this.#held = undefined;
  }
}

/** The most that is skipped of a body to keep the connection: beyond that, a new connection is cheaper. */
const MAX_DISCARDED_BYTES = 1_048_576;
