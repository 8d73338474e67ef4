/**
 * A body that somebody else's ReadableStream gives, pulled piece by piece into a sink.
 */
import { disowned, isThenable, messageOf } from '../../guard.ts';
import { shown } from '../../options/checks.ts';

/** Where a body goes. Nothing is told after {@link BodySink.end}, {@link BodySink.failed}, or a cancel. */
export interface BodySink {
  /** A piece of the body, never an empty one. It belongs to the sink. */
  data(bytes: Buffer): void;
  /** The body is complete. */
  end(): void;
  /** The body broke off, or is none that can be sent. */
  failed(cause: unknown): void;
}

/** What is needed of a ReadableStream's reader. The stream may be of another realm, or a library's. */
export interface BodySource {
  read(): PromiseLike<{ readonly done: boolean; readonly value?: unknown }>;
  cancel(reason?: unknown): unknown;
}

/**
 * Locks a stream for us. Throws a TypeError where it is locked already, or no stream; `what` names it in the message.
 */
export function sourceOf(stream: unknown, what: string): BodySource {
  const { locked, getReader } = objectOf(stream, what, 'a ReadableStream') as {
    readonly locked?: unknown; readonly getReader?: unknown;
  };
  if (typeof getReader !== 'function') throw new TypeError(`${what} must be a ReadableStream (got ${shown(stream)})`);
  if (locked === true) throw new TypeError(`${what} is locked: something reads it already`);
  const reader = getReader.call(stream) as BodySource & { readonly closed?: unknown };
  // Its rejection is that of read() once more.
  const { closed } = reader;
  if (isThenable(closed)) disowned(closed);
  return reader;
}

/** `value` as an object. Throws a TypeError where it is none. */
export function objectOf(value: unknown, what: string, must: string): object {
  if (typeof value === 'object' && value !== null) return value;
  throw new TypeError(`${what} must be ${must} (got ${shown(value)})`);
}

/** Reads one piece at a time, the next one when the sink has had the last, and none while it is paused. */
export class BodyPull {
  readonly #source: BodySource;
  readonly #sink: BodySink;
  /** A read is under way, or its piece is being handed over. */
  #reading = false;
  #paused = false;
  #over = false;
  /** The piece that was read last, until the sink has it. */
  #kept: Buffer | undefined;
  /** Whether there is no further piece. */
  #ended = false;
  /** Reads since the event loop last had its turn. */
  #streak = 0;

  constructor(source: BodySource, sink: BodySink) {
    this.#source = source;
    this.#sink = sink;
  }

  /** Starts to read, or goes on after {@link BodyPull.pause}. */
  resume(): void {
    this.#paused = false;
    if (!this.#reading && !this.#over) void this.#run();
  }

  /** Holds what comes. One piece may be on its way: it is kept. */
  pause(): void {
    this.#paused = true;
  }

  /** The body is not wanted any more: the sink hears nothing of it, and its source may let go of what it holds. */
  cancel(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#kept = undefined;
    cancelled(this.#source, reason);
  }

  /** What the source throws is told to the sink. */
  async #run(): Promise<void> {
    this.#reading = true;
    try {
      // Later: no sink is called by what it calls, even where a pause has kept a piece for it.
      await Promise.resolve();
      while (this.#isWanted()) {
        if (this.#kept === undefined && !this.#ended) await this.#read();
        if (this.#isWanted()) this.#handOver();
      }
    } catch (cause) {
      this.#fail(cause);
    } finally {
      this.#reading = false;
    }
  }

  #isWanted(): boolean {
    return !this.#paused && !this.#over;
  }

  async #read(): Promise<void> {
    // A source that always has something at once would never let anything else happen.
    if (++this.#streak >= MAX_STREAK) {
      this.#streak = 0;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#over) return;
    }
    const result: unknown = await this.#source.read();
    if (this.#over) return;
    const { done, value } = objectOf(result, 'the result of read()', 'an object') as {
      readonly done?: unknown; readonly value?: unknown;
    };
    if (done === true) this.#ended = true;
    else this.#kept = bytesOf(value);
  }

  #handOver(): void {
    const bytes = this.#kept;
    this.#kept = undefined;
    if (bytes !== undefined) {
      if (bytes.length > 0) this.#sink.data(bytes);
    } else if (this.#ended) {
      this.#sink.end();
      this.#over = true;
    }
  }

  #fail(cause: unknown): void {
    if (this.#over) return;
    this.cancel(cause);
    this.#sink.failed(cause);
  }
}

/** Cancels a source. What it throws or rejects with concerns nobody: it was told that it is not wanted. */
export function cancelled(source: BodySource, reason: unknown): void {
  try {
    const done = source.cancel(reason);
    if (isThenable(done)) disowned(done);
  } catch {
    // As a rejection.
  }
}

/** The octets of a piece, not copied. Throws a TypeError where it is none. */
function bytesOf(value: unknown): Buffer {
  if (!isUint8Array(value)) {
    const how = typeof value === 'string' ? '; encode text with a TextEncoderStream' : '';
    throw new TypeError(`a piece of a body must be a Uint8Array (got ${kindOf(value)})${how}`);
  }
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/** Whether this is a Uint8Array of whatever realm: `instanceof` knows one realm only. */
function isUint8Array(value: unknown): value is Uint8Array {
  return tagOf?.call(value) === 'Uint8Array';
}

/** What a value is, without what is in it: that may be large, or a secret. */
function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  try {
    return `an object: ${Object.prototype.toString.call(value).slice(8, -1)}`;
  } catch (cause) {
    return messageOf(cause);
  }
}

/** Of a typed array the name of its kind, which no object can fake; undefined of anything else. */
// eslint-disable-next-line @typescript-eslint/unbound-method -- it is called on what is asked about
const tagOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)?.get;
/** Reads in a row before the event loop has its turn. */
const MAX_STREAK = 32;
