/**
 * The characters of HTTP/1.1 (RFC 9110 §5, RFC 9112 §2) and the limits that bound what is read.
 */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;

/** Bits of {@link CLASS}. */
export const TOKEN = 1;
export const FIELD_VALUE = 2;
export const TARGET = 4;

/** The classes of each octet. */
export const CLASS: Uint8Array = classes();

/** Larger than most heads. When a head is read, bytes beyond this, such as a body, do not become text at first. */
export const USUAL_HEAD_BYTES = 4_096;

/** The empty buffer. */
export const NO_BYTES: Buffer = Buffer.alloc(0);

/** Limits on a head, from either side. */
export interface HeadLimits {
  /** Octets of a whole head, first line and empty line included. */
  readonly maxHeadBytes: number;
  /** Octets of the request line. */
  readonly maxRequestLineBytes: number;
  /** Field lines of a head, and of a trailer section. */
  readonly maxFields: number;
}

/** Limits on the framing of a chunked body, from either side. */
export interface BodyLimits extends Pick<HeadLimits, 'maxFields'> {
  /** Octets of a chunk-size line, its extensions and its CRLF included. */
  readonly maxChunkLineBytes: number;
  /** Octets of all chunk extensions of a body together, so that little data cannot carry a flood of them. */
  readonly maxChunkExtensionBytes: number;
  /** Octets of a trailer section, its empty line included. */
  readonly maxTrailerBytes: number;
}

/** Whether the lower-case `name` is in `text` at `at`, in any case. `name` is a token without upper-case letters. */
export function nameIs(text: string, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const c = text.charCodeAt(at + i);
    // Letters only: setting the lower-case bit would also turn '\r' into '-'.
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** The part of `text` from `from` to `to`, without spaces and tabs at either end (OWS, RFC 9110 §5.6.3). */
export function trimmed(text: string, from: number, to: number): string {
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  while (to > from && isBlank(text.charCodeAt(from))) from++;
  return text.slice(from, to);
}

/** Whether a comma-separated list contains the lower-case `token`, in any case. */
export function listHas(list: string, token: string): boolean {
  if (list.length === token.length) return nameIs(list, 0, token);
  return list.length > token.length && items(list).includes(token);
}

/** The items of a comma-separated list, in lower case. */
export function items(list: string): string[] {
  // Not trim(), which removes more than HTTP's white space.
  return list.toLowerCase().split(',').map((item) => trimmed(item, 0, item.length));
}

/** The values of two lines of a list field as one (RFC 9110 §5.3). */
export function joined(list: string, value: string): string {
  return list === '' ? value : `${list}, ${value}`;
}

/**
 * Whether the connection persists, if the value of Connection is one of the two usual ones, just `keep-alive` or just
 * `close`; undefined for any other value.
 */
export function plainPersistence(connection: string): boolean | undefined {
  if (connection.length === 10 && nameIs(connection, 0, 'keep-alive')) return true;
  return connection.length === 5 && nameIs(connection, 0, 'close') ? false : undefined;
}

/** A Content-Length value (RFC 9112 §6.2: 1*DIGIT), or -1 if it is malformed or not a safe integer. */
export function contentLength(value: string): number {
  if (value.length === 0 || value.length > 16) return -1;
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : -1;
}

function isBlank(c: number): boolean {
  return c === SP || c === HTAB;
}

function classes(): Uint8Array {
  const table = new Uint8Array(256);
  for (let c = 0; c < 256; c++) {
    const visible = c > SP && c !== 0x7f;
    // obs-text (0x80-0xff) passes unchanged: RFC 9110 §5.5 allows it, and so does Node's parser.
    if (visible || c === SP || c === HTAB) table[c] = (table[c] ?? 0) | FIELD_VALUE;
    // A target is ASCII (RFC 3986 §2) and has no fragment, which '#' would start (RFC 9112 §3.2).
    if (visible && c < 0x7f && c !== 0x23) table[c] = (table[c] ?? 0) | TARGET;
    if (visible && c < 0x7f && !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(c))) {
      table[c] = (table[c] ?? 0) | TOKEN;
    }
  }
  return table;
}
