/**
 * A reader of HTTP/1.1 messages for tests: independent of src, and only as complete as the tests need.
 */
import type { Duplex } from 'node:stream';
import { Signal } from './wait.ts';

const EMPTY: Buffer = Buffer.alloc(0);

/** The stream ended, or was reset, before the expected bytes arrived. */
export class Broken extends Error {
  /** `end`: an orderly close by the other side. `reset`: the connection was reset. */
  readonly how: 'end' | 'reset';

  constructor(how: 'end' | 'reset', what: string) {
    super(`${how} before ${what}`);
    this.name = 'Broken';
    this.how = how;
  }
}

/** Reads only as much of a stream as requested. The rest stays unread, so that the sender feels back-pressure. */
export class Inbox {
  readonly #stream: Duplex;
  readonly #signal = new Signal();
  #held: Buffer = EMPTY;
  #ended: 'end' | 'reset' | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('readable', () => {
      this.#signal.raise();
    });
    stream.on('end', () => {
      this.#over('end');
    });
    stream.on('error', () => {
      this.#over('reset');
    });
    stream.on('close', () => {
      this.#over('reset');
    });
  }

  /** How the stream ended, if known. */
  get ended(): 'end' | 'reset' | undefined {
    return this.#ended;
  }

  /** Everything up to and including `mark`, as latin1. */
  async until(mark: string): Promise<string> {
    for (;;) {
      const at = this.#held.indexOf(mark, 0, 'latin1');
      if (at >= 0) return this.#take(at + mark.length).toString('latin1');
      await this.#more(JSON.stringify(mark));
    }
  }

  async exactly(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0;) {
      if (this.#held.length === 0) await this.#more(`${left} more bytes`);
      const part = this.#take(Math.min(left, this.#held.length));
      parts.push(part);
      left -= part.length;
    }
    return parts.length === 1 ? (parts[0] ?? EMPTY) : Buffer.concat(parts);
  }

  /** Discards `length` bytes. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0;) {
      if (this.#held.length === 0) await this.#more(`${left} more bytes`);
      left -= this.#take(Math.min(left, this.#held.length)).length;
    }
  }

  /** The next available bytes; none at the end of the stream. */
  async some(): Promise<Buffer> {
    while (this.#held.length === 0) {
      try {
        await this.#more('more');
      } catch (cause) {
        if (cause instanceof Broken && cause.how === 'end') return EMPTY;
        throw cause;
      }
    }
    return this.#take(this.#held.length);
  }

  /** Everything up to the end of the stream. Fails if it is reset. */
  async rest(): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      const part = await this.some();
      if (part.length === 0) return Buffer.concat(parts);
      parts.push(part);
    }
  }

  /** Discards everything until the stream ends, and returns how it ended. */
  async over(): Promise<'end' | 'reset'> {
    while (this.#ended === undefined) {
      try {
        await this.some();
      } catch (cause) {
        if (!(cause instanceof Broken)) throw cause;
      }
    }
    return this.#ended;
  }

  async #more(what: string): Promise<void> {
    for (;;) {
      const chunk = this.#stream.read() as Buffer | null;
      if (chunk !== null) {
        this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
        return;
      }
      if (this.#ended !== undefined) throw new Broken(this.#ended, `${what} came`);
      await this.#signal.until(
        () => this.#ended !== undefined || this.#stream.readableLength > 0,
        () => `${what}, having ${JSON.stringify(this.#held.toString('latin1').slice(0, 200))}`,
      );
    }
  }

  #take(length: number): Buffer {
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  #over(how: 'end' | 'reset'): void {
    this.#ended ??= how;
    this.#signal.raise();
  }
}

/** A head: its first line and its fields. */
export class Head {
  /** The whole text, including the empty line at its end. */
  readonly text: string;
  readonly line: string;
  readonly fields: readonly (readonly [name: string, value: string])[];

  constructor(text: string) {
    this.text = text;
    const [line = '', ...lines] = text.slice(0, -4).split('\r\n');
    this.line = line;
    this.fields = lines.map((field) => {
      const colon = field.indexOf(':');
      return [field.slice(0, colon), field.slice(colon + 1).trim()] as const;
    });
  }

  /** All values of a field, in order. */
  all(name: string): string[] {
    return this.fields.filter(([other]) => other.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  }

  /** The values of a field, joined as lists are; undefined if it is absent. */
  get(name: string): string | undefined {
    const values = this.all(name);
    return values.length === 0 ? undefined : values.join(', ');
  }
}

/** A body and its trailer lines. */
export interface Body {
  readonly bytes: Buffer;
  readonly trailers: string;
  /** The sizes of its chunks, if it was chunked. */
  readonly chunks: readonly number[];
}

export const NO_BODY: Body = { bytes: EMPTY, trailers: '', chunks: [] };

/** Reads the body that `head` announces; `untilClose` says whether one without a length lasts until the end. */
export async function readBody(inbox: Inbox, head: Head, untilClose: boolean): Promise<Body> {
  if (head.get('transfer-encoding')?.toLowerCase() === 'chunked') return chunkedBody(inbox);
  const length = head.get('content-length');
  if (length !== undefined) return { bytes: await inbox.exactly(Number(length)), trailers: '', chunks: [] };
  return untilClose ? { bytes: await inbox.rest(), trailers: '', chunks: [] } : NO_BODY;
}

async function chunkedBody(inbox: Inbox): Promise<Body> {
  const parts: Buffer[] = [];
  const chunks: number[] = [];
  for (;;) {
    const line = await inbox.until('\r\n');
    const size = Number.parseInt(line, 16);
    if (!(size >= 0)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
    if (size === 0) break;
    chunks.push(size);
    parts.push(await inbox.exactly(size));
    const end = (await inbox.exactly(2)).toString('latin1');
    if (end !== '\r\n') throw new Error(`not the end of a chunk: ${JSON.stringify(end)}`);
  }
  let trailers = '';
  for (;;) {
    const line = await inbox.until('\r\n');
    if (line === '\r\n') break;
    trailers += line;
  }
  return { bytes: Buffer.concat(parts), trailers, chunks };
}

/** Bytes in chunked coding, in chunks of at most `size`, followed by `trailers` (whole lines). */
export function chunked(bytes: Buffer | string, size = Infinity, trailers = ''): Buffer {
  const body = Buffer.from(bytes);
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, Math.min(body.length, at + size));
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
  }
  parts.push(Buffer.from(`0\r\n${trailers}\r\n`));
  return Buffer.concat(parts);
}

/** `length` bytes that depend on their position, so that a lost, doubled or moved piece shows. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 17 + (i >>> 16) * 7) & 0xff;
  return bytes;
}
