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

/** For each octet the classes it belongs to. Indexed by a character of a latin1 string. */
export const CLASS: Uint8Array = classes();

/** More octets than most heads have. What stands behind, such as a body, need not become text to read one. */
export const USUAL_HEAD_BYTES = 4_096;

/** What is held where nothing is. */
export const NO_BYTES: Buffer = Buffer.alloc(0);

/** Bounds on what is read from either side. */
export interface HeadLimits {
  /** Octets of a whole head, first line and empty line included. */
  readonly maxHeadBytes: number;
  /** Octets of the request line. */
  readonly maxRequestLineBytes: number;
  /** Field lines of a head, and of a trailer section. */
  readonly maxFields: number;
}

/** Bounds on what frames a chunked body, from either side. */
export interface BodyLimits extends Pick<HeadLimits, 'maxFields'> {
  /** Octets of a chunk-size line, its extensions and its CRLF included. */
  readonly maxChunkLineBytes: number;
  /** Octets of all chunk extensions of a body, so that a trickle of data can't carry a flood of them. */
  readonly maxChunkExtensionBytes: number;
  /** Octets of a trailer section, its empty line included. */
  readonly maxTrailerBytes: number;
}

/** Whether `text` has the lower-case `name` at `at`, in any case. `name` is a token without upper-case letters. */
export function nameIs(text: string, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const c = text.charCodeAt(at + i);
    // Letters only: the bit that makes them lower case would also turn '\r' into '-'.
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** The part of `text` between `from` and `to` without spaces and tabs at its ends (OWS, RFC 9110 §5.6.3). */
export function trimmed(text: string, from: number, to: number): string {
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  while (to > from && isBlank(text.charCodeAt(from))) from++;
  return text.slice(from, to);
}

/** Whether a comma-separated list holds the lower-case `token`, in any case. */
export function listHas(list: string, token: string): boolean {
  if (list.length === token.length) return nameIs(list, 0, token);
  return list.length > token.length && items(list).includes(token);
}

/** The items of a comma-separated list, in lower case. */
export function items(list: string): string[] {
  // Not by trim(): it takes more for a space than HTTP does.
  return list.toLowerCase().split(',').map((item) => trimmed(item, 0, item.length));
}

/** Two lines of a list field as one (RFC 9110 §5.3). */
export function joined(list: string, value: string): string {
  return list === '' ? value : `${list}, ${value}`;
}

/**
 * Whether the connection persists, by the value of its Connection field in one of the two usual forms, `keep-alive` and
 * `close` alone; undefined for any other.
 */
export function plainPersistence(connection: string): boolean | undefined {
  if (connection.length === 10 && nameIs(connection, 0, 'keep-alive')) return true;
  return connection.length === 5 && nameIs(connection, 0, 'close') ? false : undefined;
}

/** A Content-Length value (RFC 9112 §6.2: 1*DIGIT), or -1 where it is none or beyond exact integers. */
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
    // obs-text (0x80-0xff) passes byte for byte: RFC 9110 §5.5 allows it, and Node's parser does.
    if (visible || c === SP || c === HTAB) table[c] = (table[c] ?? 0) | FIELD_VALUE;
    // A target is ASCII (RFC 3986 §2), and '#' would start a fragment, which it never has (RFC 9112 §3.2).
    if (visible && c < 0x7f && c !== 0x23) table[c] = (table[c] ?? 0) | TARGET;
    if (visible && c < 0x7f && !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(c))) {
      table[c] = (table[c] ?? 0) | TOKEN;
    }
  }
  return table;
}
