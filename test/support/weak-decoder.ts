/**
 * A request parser that can be made lax in the ways that some servers are. Otherwise it is strict (RFC 9112), and stops
 * at the first error.
 */
import type { RecordedMessage } from './wire-decoder.ts';

/** Known ways to misread a request; each has misled a server behind a proxy. */
export const LAXITIES = {
  'bare-lf': 'takes a bare LF for the end of a line',
  'bare-cr': 'takes a bare CR for the end of a line',
  'nul-ends': 'takes a NUL for the end of a line',
  'nul-cuts': 'reads a line as a C string: up to a NUL',
  'obs-fold': 'joins folded lines',
  'space-colon': 'allows spaces before the colon',
  'bad-fields': 'skips lines that are not fields',
  'wide-blanks': 'trims VT, FF, NBSP and NEL as well, and allows control characters',
  'underscores': 'takes _ for - in field names',
  'request-line': 'splits the request line at any blanks, and needs no version',
  'first-length': 'takes the first of several lengths',
  'last-length': 'takes the last of several lengths',
  'number-length': 'reads lengths with a sign, in hex, or followed by anything',
  'te-ignored': 'knows no Transfer-Encoding: takes Content-Length, or no body',
  'cl-over-te': 'takes Content-Length even if there is a Transfer-Encoding',
  'te-over-cl': 'takes Transfer-Encoding even if there is a Content-Length',
  'te-substring': 'takes any coding that contains "chunked" for chunked',
  'size-0x': 'reads chunk sizes with 0x',
  'size-sign': 'reads chunk sizes with a sign',
  'size-blanks': 'reads chunk sizes with spaces around them',
  'size-32': 'keeps chunk sizes in 32 bits',
  'size-64': 'keeps chunk sizes in 64 bits',
  'extension-lf': 'allows anything in chunk extensions, even LF',
  'chunk-end': 'skips two octets after a chunk, whatever they are',
  'last-chunk': 'ends a chunked body at the line of the last chunk',
  'bodiless': 'reads no body of GET, HEAD, DELETE and OPTIONS',
} as const;
export type Laxity = keyof typeof LAXITIES;

/** What was parsed from the bytes of one connection. */
export interface Reading {
  readonly messages: readonly RecordedMessage[];
  /** What is wrong with the rest, which is not parsed. */
  readonly fault: string | undefined;
  /** Where the first incomplete message starts, and its head if that is complete. */
  readonly end: number;
  readonly begun: Omit<RecordedMessage, 'body'> | undefined;
}

/** Parses `text`, everything that a connection carried. */
export function decode(text: string, ...lax: readonly Laxity[]): Reading {
  const messages: RecordedMessage[] = [];
  const reader = new Reader(text, new Set(lax));
  for (let end = 0; ; end = reader.at) {
    try {
      const message = reader.message();
      if (message === undefined) return { messages, fault: undefined, end, begun: reader.begun };
      messages.push(message);
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      return { messages, fault: fault.message, end, begun: reader.begun };
    }
  }
}

class Fault extends Error {}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([!-~\\x80-\\xff]+) HTTP/1\\.[01]$`);
const LAX_REQUEST_LINE = new RegExp(`^\\s*(${TOKEN})\\s+([^\\s\\0]+)(?:\\s.*)?$`, 's');
const NAME = new RegExp(`^${TOKEN}$`);
const VALUE = /^[\t -~\x80-\xff]*$/;
const BLANKS = /^[\t ]+|[\t ]+$/g;
const WIDE_BLANKS = /^[\t\v\f \x85\xa0]+|[\t\v\f \x85\xa0]+$/g;
const BODILESS = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);

/** Reads one message after another. */
class Reader {
  at = 0;
  begun: Reading['begun'];
  readonly #text: string;
  readonly #lax: ReadonlySet<Laxity>;
  /** What ends a line. */
  readonly #ends: RegExp;

  constructor(text: string, lax: ReadonlySet<Laxity>) {
    this.#text = text;
    this.#lax = lax;
    // A CR at the end of what has arrived may yet be followed by its LF.
    const cr = lax.has('bare-cr') ? '|\\r(?=[^])' : '';
    this.#ends = new RegExp(`\\r\\n${cr}${lax.has('bare-lf') ? '|\\n' : ''}${lax.has('nul-ends') ? '|\\0' : ''}`, 'g');
  }

  /** The next message; undefined if more must arrive. */
  message(): RecordedMessage | undefined {
    this.begun = undefined;
    let line = this.#line();
    while (line === '') line = this.#line();
    if (line === undefined) return undefined;
    const [, method, target] = (this.#lax.has('request-line') ? LAX_REQUEST_LINE : REQUEST_LINE).exec(line) ?? [];
    if (method === undefined || target === undefined) throw new Fault(`the request line ${JSON.stringify(line)}`);
    const fields = this.#fields();
    if (fields === undefined) return undefined;
    this.begun = { method, target, fields };
    const body = this.#body(method, fields);
    return body === undefined ? undefined : { ...this.begun, body };
  }

  /** The next line without its end; undefined if more must arrive. */
  #line(): string | undefined {
    this.#ends.lastIndex = this.at;
    const end = this.#ends.exec(this.#text);
    return end === null ? undefined : this.#cut(end.index, end.index + end[0].length);
  }

  #cut(end: number, next: number): string {
    const line = this.#text.slice(this.at, end);
    this.at = next;
    return this.#lax.has('nul-cuts') ? line.replace(/\0.*$/s, '') : line;
  }

  #fields(): RecordedMessage['fields'] | undefined {
    const fields = new Map<string, string[]>();
    let last: string[] = [];
    for (;;) {
      const line = this.#line();
      if (line === undefined) return undefined;
      if (line === '') return fields;
      if (/^[\t ]/.test(line) && this.#lax.has('obs-fold')) {
        last.push(`${last.pop() ?? ''} ${line}`.replace(BLANKS, ''));
        continue;
      }
      const field = this.#field(line);
      if (field === undefined) {
        if (this.#lax.has('bad-fields')) continue;
        throw new Fault(`the field line ${JSON.stringify(line)}`);
      }
      const [name, value] = field;
      last = fields.get(name) ?? [];
      last.push(value);
      fields.set(name, last);
    }
  }

  #field(line: string): readonly [name: string, value: string] | undefined {
    const colon = line.indexOf(':');
    if (colon < 0) return undefined;
    let name = line.slice(0, colon).toLowerCase();
    let value = line.slice(colon + 1).replace(BLANKS, '');
    if (this.#lax.has('space-colon')) name = name.replace(/[\t ]+$/, '');
    if (this.#lax.has('wide-blanks')) {
      name = name.replace(WIDE_BLANKS, '');
      value = value.replace(WIDE_BLANKS, '');
    } else if (!VALUE.test(value)) return undefined;
    if (this.#lax.has('underscores')) name = name.replaceAll('_', '-');
    return NAME.test(name) ? [name, value] : undefined;
  }

  #body(method: string, fields: RecordedMessage['fields']): string | undefined {
    const lax = this.#lax;
    let lengths = fields.get('content-length') ?? [];
    let codings = lax.has('te-ignored') ? [] : fields.get('transfer-encoding') ?? [];
    if (lax.has('bodiless') && BODILESS.has(method)) return '';
    if (lengths.length > 0 && codings.length > 0) {
      if (lax.has('cl-over-te')) codings = [];
      else if (lax.has('te-over-cl')) lengths = [];
      else throw new Fault('both a length and a coding');
    }
    if (codings.length > 0) {
      const coding = codings.join().toLowerCase();
      if (lax.has('te-substring') ? coding.includes('chunked') : coding === 'chunked') return this.#chunks();
      throw new Fault(`the coding ${coding}`);
    }
    if (lax.has('first-length')) lengths = lengths.join().split(',').slice(0, 1);
    else if (lax.has('last-length')) lengths = lengths.join().split(',').slice(-1);
    const length = lengths.join().trim();
    if (length === '') return '';
    if (lax.has('number-length')) return this.#take(Number.parseInt(length) || 0);
    if (!/^\d+$/.test(length)) throw new Fault(`the length ${length}`);
    return this.#take(Number(length));
  }

  #take(length: number): string | undefined {
    const from = this.at;
    this.at += length;
    return this.at > this.#text.length ? undefined : this.#text.slice(from, this.at);
  }

  #chunks(): string | undefined {
    for (let body = ''; ;) {
      const line = this.#lax.has('extension-lf') ? this.#lineToCrLf() : this.#line();
      if (line === undefined) return undefined;
      const length = this.#size(line);
      // After the last chunk: trailers, which are fields, or nothing.
      if (length === 0) return this.#lax.has('last-chunk') || this.#fields() !== undefined ? body : undefined;
      const data = this.#take(length);
      if (data === undefined) return undefined;
      body += data;
      const end = this.#lax.has('chunk-end') ? this.#take(2) : this.#line();
      if (end === undefined) return undefined;
      if (end !== '' && !this.#lax.has('chunk-end')) throw new Fault('data longer than its chunk');
    }
  }

  #lineToCrLf(): string | undefined {
    const end = this.#text.indexOf('\r\n', this.at);
    return end < 0 ? undefined : this.#cut(end, end + 2);
  }

  #size(line: string): number {
    const lax = this.#lax;
    const semicolon = line.indexOf(';');
    let size = semicolon < 0 ? line : line.slice(0, semicolon);
    const sound = semicolon < 0 || lax.has('extension-lf') || VALUE.test(line.slice(semicolon));
    if (lax.has('size-blanks')) size = size.trim();
    if (lax.has('size-sign')) size = size.replace(/^[+-]/, '');
    if (lax.has('size-0x')) size = size.replace(/^0x/i, '');
    if (!sound || !/^[0-9a-f]+$/i.test(size)) throw new Fault(`the chunk size ${JSON.stringify(line)}`);
    const octets = BigInt(`0x${size}`);
    if (lax.has('size-32')) return Number(octets & 0xffff_ffffn);
    if (lax.has('size-64')) return Number(octets & 0xffff_ffff_ffff_ffffn);
    if (octets > 0xffff_ffff_ffffn) throw new Fault(`the chunk size ${size}`);
    return Number(octets);
  }
}
