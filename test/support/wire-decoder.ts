/**
 * Decodes messages strictly by RFC 9112, independently of src: what cannot be decoded throws.
 */

export type FieldLine = readonly [name: string, value: string];

interface DecodedHead {
  /** In the order of arrival. */
  readonly lines: readonly FieldLine[];
  /** Values by lower-case name, in order. */
  readonly fields: ReadonlyMap<string, readonly string[]>;
  /** Where the body starts. */
  readonly end: number;
}

interface DecodedRequestHead extends DecodedHead {
  readonly method: string;
  readonly target: string;
}

export interface DecodedMessage extends DecodedRequestHead {
  readonly body: string;
  readonly trailers: readonly FieldLine[];
}

/** What a recording upstream keeps of a message. */
export type RecordedMessage = Pick<DecodedMessage, 'method' | 'target' | 'fields' | 'body'>;

export interface DecodedResponse extends DecodedHead {
  readonly status: number;
  readonly reason: string;
  readonly body: string;
  readonly trailers: readonly FieldLine[];
  /** Whether it is complete; `next` is then its end. */
  readonly whole: boolean;
  readonly next: number;
}

/** Decodes the requests of one connection as they arrive. */
export class RequestDecoder {
  #held = '';
  #head: DecodedRequestHead | undefined;
  #body: Body | undefined;

  add(text: string): void {
    this.#held += text;
  }

  /** The next message, or undefined if more must arrive. Throws on an error. */
  next(): DecodedMessage | undefined {
    if (this.#head === undefined) {
      this.#head = requestHead(this.#held);
      if (this.#head === undefined) return undefined;
      this.#body = bodyOf(this.#head, false);
    }
    const body = this.#body;
    if (body?.read(this.#held) !== true) return undefined;
    const message = { ...this.#head, body: body.data, trailers: body.trailers };
    this.#held = this.#held.slice(body.at);
    this.#head = this.#body = undefined;
    return message;
  }

  /** The part of an incomplete message: its head, and its body so far. */
  get partial(): DecodedMessage | undefined {
    if (this.#head === undefined || this.#body === undefined) return undefined;
    return { ...this.#head, body: this.#body.data, trailers: [] };
  }

  /** Whether nothing has arrived since the last message. */
  get idle(): boolean {
    return this.#held === '';
  }
}

/**
 * Decodes the response to `method` that starts at `at`; undefined if its head is incomplete. `ended` says whether the
 * connection was closed in order after `text`. Throws on an error.
 */
export function decodeResponse(text: string, at: number, method: string, ended: boolean): DecodedResponse | undefined {
  const end = text.indexOf('\r\n\r\n', at);
  if (end < 0) return undefined;
  const [line = '', ...lines] = text.slice(at, end).split('\r\n');
  const start = STATUS_LINE.exec(line);
  if (start === null) throw new Error(`the status line ${JSON.stringify(line.slice(0, 80))}`);
  const status = Number(start[1]);
  const head = { ...fieldsOf(lines), end: end + 4 };
  const bodyless = method === 'HEAD' || status < 200 || status === 204 || status === 304;
  const body = bodyless ? new LengthBody(head.end, 0) : bodyOf(head, true);
  const whole = body.read(text) || (ended && body instanceof RestBody);
  return {
    ...head, status, reason: start[2] ?? '', body: body.data, trailers: body.trailers, whole, next: body.at,
  };
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([^\\s\\0]+) HTTP/1\\.[01]$`);
const STATUS_LINE = /^HTTP\/1\.[01] ([1-9]\d\d)(?: ([^\r\n\0]*))?$/;
const FIELD_LINE = new RegExp(`^(${TOKEN}):[ \\t]*([^\\r\\n\\0]*?)[ \\t]*$`);
const CHUNK_SIZE = /^(0*[0-9a-fA-F]{1,12})(?:;[^\r\n\0]*)?$/;

function requestHead(text: string): DecodedRequestHead | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [line = '', ...lines] = text.slice(0, end).split('\r\n');
  const request = REQUEST_LINE.exec(line);
  if (request === null) throw new Error(`the request line ${JSON.stringify(line.slice(0, 80))}`);
  const [, method = '', target = ''] = request;
  return { ...fieldsOf(lines), method, target, end: end + 4 };
}

function fieldsOf(texts: readonly string[]): Pick<DecodedHead, 'lines' | 'fields'> {
  const lines = texts.map((text) => fieldOf(text, 'field line'));
  const fields = new Map<string, string[]>();
  for (const [name, value] of lines) {
    const values = fields.get(name.toLowerCase());
    if (values === undefined) fields.set(name.toLowerCase(), [value]);
    else values.push(value);
  }
  return { lines, fields };
}

function fieldOf(text: string, what: string): FieldLine {
  const field = FIELD_LINE.exec(text);
  if (field === null) throw new Error(`the ${what} ${JSON.stringify(text.slice(0, 80))}`);
  return [field[1] ?? '', field[2] ?? ''];
}

/** How the body after a head is framed. Throws if the framing is invalid. */
function bodyOf({ fields, end }: DecodedHead, untilClose: boolean): Body {
  const lengths = fields.get('content-length');
  const codings = fields.get('transfer-encoding');
  if (lengths !== undefined && codings !== undefined) throw new Error('both a length and a coding');
  if (codings !== undefined) {
    if (codings.join().toLowerCase() !== 'chunked') throw new Error(`the transfer coding ${codings.join()}`);
    return new ChunkedBody(end);
  }
  if (lengths === undefined) return untilClose ? new RestBody(end) : new LengthBody(end, 0);
  if (!/^\d+$/.test(lengths.join())) throw new Error(`the length ${lengths.join()}`);
  return new LengthBody(end, Number(lengths.join()));
}

interface Body {
  /** The data so far. */
  readonly data: string;
  readonly trailers: readonly FieldLine[];
  /** How far it has been read. */
  readonly at: number;
  /** Reads on in `text`, which has grown since; returns whether the body is complete. */
  read(text: string): boolean;
}

class LengthBody implements Body {
  data = '';
  readonly trailers: readonly FieldLine[] = [];
  at: number;
  readonly #length: number;

  constructor(at: number, length: number) {
    this.at = at;
    this.#length = length;
  }

  read(text: string): boolean {
    const left = this.#length - this.data.length;
    if (left > 0) this.data += text.slice(this.at, this.at + left);
    this.at += Math.min(left, text.length - this.at);
    return this.data.length === this.#length;
  }
}

class RestBody implements Body {
  data = '';
  readonly trailers: readonly FieldLine[] = [];
  at: number;

  constructor(at: number) {
    this.at = at;
  }

  read(text: string): boolean {
    this.data += text.slice(this.at);
    this.at = text.length;
    return false;
  }
}

class ChunkedBody implements Body {
  data = '';
  readonly trailers: FieldLine[] = [];
  at: number;
  #last = false;

  constructor(at: number) {
    this.at = at;
  }

  read(text: string): boolean {
    for (;;) {
      const end = text.indexOf('\r\n', this.at);
      if (end < 0) return false;
      const line = text.slice(this.at, end);
      let next = end + 2;
      if (this.#last) {
        this.at = next;
        if (line === '') return true;
        this.trailers.push(fieldOf(line, 'trailer'));
        continue;
      }
      const size = CHUNK_SIZE.exec(line)?.[1];
      if (size === undefined) throw new Error(`the chunk size ${JSON.stringify(line.slice(0, 80))}`);
      const length = parseInt(size, 16);
      this.#last = length === 0;
      if (length > 0) {
        if (text.length < next + length + 2) return false;
        if (text.slice(next + length, next + length + 2) !== '\r\n') throw new Error('data longer than its chunk');
        this.data += text.slice(next, next + length);
        next += length + 2;
      }
      this.at = next;
    }
  }
}
