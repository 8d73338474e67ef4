/**
 * Field lines (RFC 9112 §5): one scanner for heads and trailers, and what must not pass on.
 */
import { CLASS, COLON, CR, FIELD_VALUE, HTAB, items, LF, nameIs, SP, TOKEN, trimmed } from './grammar.ts';

/** What a scan found. */
export type Scan = typeof FIELD | typeof END | typeof INCOMPLETE | typeof MALFORMED;
export const FIELD = 0;
/** The empty line after the last field. */
export const END = 1;
/** The text stops before the line does. */
export const INCOMPLETE = 2;
export const MALFORMED = 3;
/** A section of more fields than are allowed. */
export const TOO_MANY = 4;

/** Who reads a section, field by field. */
export interface FieldTaker {
  /** Looks at the field that `line` has scanned. Returns true to take it: it is not passed on then. */
  takes(line: FieldScanner): boolean;
}

/**
 * Reads one field line at a time and keeps where its parts are, so that a scan makes no garbage. It looks at octets: a
 * character of a string takes V8 three times as long.
 */
export class FieldScanner {
  nameLength = 0;
  /** Where the next line starts. */
  next = 0;
  /** The lines of the last section that its taker left, each with its CRLF. */
  passed = '';
  #bytes: Uint8Array = NOTHING;
  /** The same as latin1, to take parts from. */
  #text = '';
  #nameStart = 0;
  #valueStart = 0;
  /** Where the value's CR is; spaces may stand before it. */
  #valueEnd = 0;

  /**
   * Scans the lines from `at` to the empty line that ends them; `next` is behind it then. `text` holds the first octets
   * of `bytes`, as many as there are to scan.
   */
  section(
    bytes: Uint8Array, text: string, at: number, maxFields: number, taker: FieldTaker,
  ): typeof END | typeof INCOMPLETE | typeof MALFORMED | typeof TOO_MANY {
    this.#bytes = bytes;
    this.#text = text;
    const found = this.#lines(bytes, text, at, maxFields, taker);
    // Neither is to be kept alive by a connection that idles.
    this.#bytes = NOTHING;
    this.#text = '';
    return found;
  }

  #lines(
    bytes: Uint8Array, text: string, start: number, maxFields: number, taker: FieldTaker,
  ): typeof END | typeof INCOMPLETE | typeof MALFORMED | typeof TOO_MANY {
    const end = text.length;
    let at = start;
    let passed = '';
    // Fields that pass on are copied in runs as long as they go.
    let run = at;
    for (let count = 0; ; count++) {
      const found = this.#scan(bytes, at, end);
      if (found !== FIELD) {
        this.passed = at > run ? passed + text.slice(run, at) : passed;
        return found;
      }
      if (count === maxFields) return TOO_MANY;
      if (taker.takes(this)) {
        if (at > run) passed += text.slice(run, at);
        run = this.next;
      }
      at = this.next;
    }
  }

  /** Scans the line at `at`. A line that starts with a space (obs-fold, RFC 9112 §5.2) is malformed. */
  #scan(bytes: Uint8Array, start: number, end: number): Scan {
    // What is imported is looked up at each use: a third of the time of these loops.
    const classes = CLASS;
    let at = start;
    if (at >= end) return INCOMPLETE;
    let c = bytes[at] ?? 0;
    if (c === CR) {
      this.next = at + 2;
      return at + 1 >= end ? INCOMPLETE : bytes[at + 1] === LF ? END : MALFORMED;
    }
    while (((classes[c] ?? 0) & TOKEN) !== 0 && ++at < end) c = bytes[at] ?? 0;
    if (at >= end) return INCOMPLETE;
    if (c !== COLON || at === start) return MALFORMED;
    this.#nameStart = start;
    this.nameLength = at - start;
    do {
      if (++at >= end) return INCOMPLETE;
      c = bytes[at] ?? 0;
    } while (c === SP || c === HTAB);
    this.#valueStart = at;
    while (((classes[c] ?? 0) & FIELD_VALUE) !== 0 && ++at < end) c = bytes[at] ?? 0;
    if (at + 1 >= end) return at < end && c !== CR ? MALFORMED : INCOMPLETE;
    if (c !== CR || bytes[at + 1] !== LF) return MALFORMED;
    this.#valueEnd = at;
    this.next = at + 2;
    return FIELD;
  }

  /** Whether the scanned name is the lower-case `name`, whose length the caller knows to fit. */
  is(name: string): boolean {
    for (let i = 0; i < name.length; i++) {
      const c = this.#bytes[this.#nameStart + i] ?? 0;
      // Letters only: the bit that makes them lower case would also turn '\r' into '-'.
      if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== name.charCodeAt(i)) return false;
    }
    return true;
  }

  /** Whether the scanned name begins with `X-Forwarded-`, also where `_` stands for `-`. */
  isForwarded(): boolean {
    // Told by one octet for most names: only few begin with an x.
    if (this.nameLength < FORWARDED.length || ((this.#bytes[this.#nameStart] ?? 0) | 0x20) !== 0x78) return false;
    return this.posesAs(FORWARDED);
  }

  /** The scanned line, with its CRLF. */
  whole(): string {
    return this.#text.slice(this.#nameStart, this.next);
  }

  /**
   * Whether the scanned name is `name` for who takes `_` for `-`, as CGI and its heirs do (RFC 3875 §4.1.18: both
   * become HTTP_X_Y), or begins with it. `name` is as for {@link FieldScanner.is}, and not the scanned one itself.
   */
  posesAs(name: string): boolean {
    for (let i = 0; i < name.length; i++) {
      const c = this.#bytes[this.#nameStart + i] ?? 0;
      const wanted = name.charCodeAt(i);
      if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== wanted && (c !== UNDERSCORE || wanted !== HYPHEN)) return false;
    }
    return true;
  }

  /** Whether the scanned value starts with the lower-case `word`, which is made of letters, in whatever case. */
  startsWith(word: string): boolean {
    if (this.#valueEnd - this.#valueStart < word.length) return false;
    for (let i = 0; i < word.length; i++) {
      if (((this.#bytes[this.#valueStart + i] ?? 0) | 0x20) !== word.charCodeAt(i)) return false;
    }
    return true;
  }

  /** The scanned value as it stands, with any spaces behind it. */
  rawValue(): string {
    return this.#text.slice(this.#valueStart, this.#valueEnd);
  }

  /** The scanned value without the spaces behind it; a tab there stays, since Node's parser refuses it in a length. */
  strictValue(): string {
    let end = this.#valueEnd;
    while (end > this.#valueStart && this.#bytes[end - 1] === SP) end--;
    return this.#text.slice(this.#valueStart, end);
  }

  /** The scanned value without the spaces around it. */
  value(): string {
    return trimmed(this.#text, this.#valueStart, this.#valueEnd);
  }
}

/**
 * A block of field lines without those that `connection`, the value of the Connection field, nominates
 * (RFC 9110 §7.6.1). What routes a request, and what the balancer adds, is never in such a block, so it cannot be
 * nominated away; what frames the message stays.
 */
export function withoutNominated(block: string, connection: string): string {
  const nominated = new Set(items(connection));
  nominated.delete('content-length');
  return filterFields(block, (name) => !nominated.has(name));
}

/** Returns the field lines of a trailer section that may pass on. */
export type TrailerFilter = (block: string) => string;

/**
 * A response's trailer section without the fields that a trailer may not carry (RFC 9110 §6.5.1): those that frame,
 * route or authenticate; also where `_` stands for `-`.
 */
export function responseTrailers(block: string): string {
  return block === '' ? block : filterFields(block, mayEndResponse);
}

/**
 * A request's, and also without X-Forwarded-*: an upstream that merges trailers into the head would take those for the
 * balancer's own. In a response they are the upstream's to send.
 */
export function requestTrailers(block: string): string {
  return block === '' ? block : filterFields(block, mayEndRequest);
}

function mayEndResponse(name: string): boolean {
  return !NOT_IN_TRAILERS.has(name.replaceAll('_', '-'));
}

function mayEndRequest(name: string): boolean {
  return mayEndResponse(name) && !name.replaceAll('_', '-').startsWith(FORWARDED);
}

/** The first value of a field in a block, by its lower-case name; the block may end with the empty line. */
export function valueIn(block: string, name: string): string | undefined {
  for (let at = 0; at < block.length;) {
    const end = block.indexOf('\r\n', at);
    const colon = block.indexOf(':', at);
    if (colon - at === name.length && colon < end && nameIs(block, at, name)) return trimmed(block, colon + 1, end);
    at = end + 2;
  }
  return undefined;
}

/** The fields of a block as a flat list of names and values, as `writeHead` of node:http takes it. */
export function fieldPairs(block: string): string[] {
  const pairs: string[] = [];
  for (let at = 0; at < block.length;) {
    const end = block.indexOf('\r\n', at);
    const colon = block.indexOf(':', at);
    pairs.push(block.slice(at, colon), trimmed(block, colon + 1, end));
    at = end + 2;
  }
  return pairs;
}

const FORWARDED = 'x-forwarded-';
const NOTHING = new Uint8Array(0);
const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;

const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'authorization', 'cache-control', 'connection', 'content-encoding', 'content-length', 'content-range', 'content-type',
  'cookie', 'expect', 'forwarded', 'host', 'keep-alive', 'max-forwards', 'proxy-authenticate', 'proxy-authorization',
  'proxy-connection', 'range', 'set-cookie', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'via', 'www-authenticate',
]);

function filterFields(block: string, keep: (name: string) => boolean): string {
  let kept = '';
  for (let at = 0; at < block.length;) {
    const end = block.indexOf('\r\n', at) + 2;
    if (keep(block.slice(at, block.indexOf(':', at)).toLowerCase())) kept += block.slice(at, end);
    at = end;
  }
  return kept;
}
