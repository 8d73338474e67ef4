/**
 * Field lines (RFC 9112 §5): one scanner for heads and trailers, and the fields that must not be forwarded.
 */
import { CLASS, COLON, CR, FIELD_VALUE, HTAB, items, LF, nameIs, SP, TOKEN, trimmed } from './grammar.ts';

/** The result of a scan. */
export type Scan = typeof FIELD | typeof END | typeof INCOMPLETE | typeof MALFORMED;
export const FIELD = 0;
/** The empty line after the last field. */
export const END = 1;
/** The line is not complete yet. */
export const INCOMPLETE = 2;
export const MALFORMED = 3;
/** The section has more fields than allowed. */
export const TOO_MANY = 4;

/** Looks at each field of a section. */
export interface FieldTaker {
  /** Looks at the field that `line` has scanned. Returns true to take it out of what is forwarded. */
  takes(line: FieldScanner): boolean;
}

/**
 * Reads one field line at a time and keeps the positions of its parts, so that a scan allocates nothing. It reads
 * octets: reading the characters of a string takes V8 three times as long.
 */
export class FieldScanner {
  nameLength = 0;
  /** Where the next line starts. */
  next = 0;
  /** The lines of the last section that its taker did not take, each with its CRLF. */
  passed = '';
  #bytes: Uint8Array = NOTHING;
  /** The same octets as latin1, to slice. */
  #text = '';
  #nameStart = 0;
  #valueStart = 0;
  /** The position of the CR after the value; spaces may precede it. */
  #valueEnd = 0;

  /**
   * Scans the lines from `at` to the empty line that ends them; `next` is then the position after it. `text` contains
   * the octets to scan, from the start of `bytes`.
   */
  section(
    bytes: Uint8Array, text: string, at: number, maxFields: number, taker: FieldTaker,
  ): typeof END | typeof INCOMPLETE | typeof MALFORMED | typeof TOO_MANY {
    this.#bytes = bytes;
    this.#text = text;
    const found = this.#lines(bytes, text, at, maxFields, taker);
    // An idle connection must not keep either alive.
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
    // Consecutive forwarded fields are copied as one run.
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

  /** Scans the line at `start`. A line that starts with a space (obs-fold, RFC 9112 §5.2) is malformed. */
  #scan(bytes: Uint8Array, start: number, end: number): Scan {
    // An imported binding is looked up at each use, which would take a third of the time of these loops.
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

  /** Whether the scanned name is the lower-case `name`. The caller has compared the lengths. */
  is(name: string): boolean {
    for (let i = 0; i < name.length; i++) {
      const c = this.#bytes[this.#nameStart + i] ?? 0;
      // Letters only: setting the lower-case bit would also turn '\r' into '-'.
      if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== name.charCodeAt(i)) return false;
    }
    return true;
  }

  /** Whether the scanned name begins with `X-Forwarded-`, or the same with `_` for `-`. */
  isForwarded(): boolean {
    // One octet decides for most names: few begin with an x.
    if (this.nameLength < FORWARDED.length || ((this.#bytes[this.#nameStart] ?? 0) | 0x20) !== 0x78) return false;
    return this.posesAs(FORWARDED);
  }

  /** The scanned line, with its CRLF. */
  whole(): string {
    return this.#text.slice(this.#nameStart, this.next);
  }

  /**
   * Whether the scanned name is or begins with `name` for a recipient that treats `_` like `-`, as CGI and its
   * descendants do (RFC 3875 §4.1.18: both become HTTP_X_Y). Call it only if {@link FieldScanner.is} returned false.
   */
  posesAs(name: string): boolean {
    for (let i = 0; i < name.length; i++) {
      const c = this.#bytes[this.#nameStart + i] ?? 0;
      const wanted = name.charCodeAt(i);
      if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== wanted && (c !== UNDERSCORE || wanted !== HYPHEN)) return false;
    }
    return true;
  }

  /** Whether the scanned value starts with the lower-case `word`, in any case. `word` consists of letters. */
  startsWith(word: string): boolean {
    if (this.#valueEnd - this.#valueStart < word.length) return false;
    for (let i = 0; i < word.length; i++) {
      if (((this.#bytes[this.#valueStart + i] ?? 0) | 0x20) !== word.charCodeAt(i)) return false;
    }
    return true;
  }

  /** The scanned value, including any spaces after it. */
  rawValue(): string {
    return this.#text.slice(this.#valueStart, this.#valueEnd);
  }

  /** The scanned value without the spaces after it. A tab stays: Node's parser rejects one after a length. */
  strictValue(): string {
    let end = this.#valueEnd;
    while (end > this.#valueStart && this.#bytes[end - 1] === SP) end--;
    return this.#text.slice(this.#valueStart, end);
  }

  /** The scanned value without the spaces and tabs around it. */
  value(): string {
    return trimmed(this.#text, this.#valueStart, this.#valueEnd);
  }
}

/**
 * A block of field lines without those that `connection`, the value of the Connection field, nominates (RFC 9110
 * §7.6.1). The block never contains what routes a request or what the balancer adds, so those cannot be nominated away;
 * the framing is kept.
 */
export function withoutNominated(block: string, connection: string): string {
  const nominated = new Set(items(connection));
  nominated.delete('content-length');
  return filterFields(block, (name) => !nominated.has(name));
}

/** Returns the field lines of a trailer section that are forwarded. */
export type TrailerFilter = (block: string) => string;

/**
 * A response's trailer section without the fields that trailers must not contain (RFC 9110 §6.5.1): those that frame,
 * route or authenticate, also when spelled with `_` for `-`.
 */
export function responseTrailers(block: string): string {
  return block === '' ? block : filterFields(block, mayEndResponse);
}

/**
 * The same for a request, also without X-Forwarded-*: an upstream that merges trailers into the head would take those
 * for the balancer's. In a response the upstream may send them.
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

/** The first value of a field in a block, by its lower-case name. The block may end with the empty line. */
export function valueIn(block: string, name: string): string | undefined {
  for (let at = 0; at < block.length;) {
    const end = block.indexOf('\r\n', at);
    const colon = block.indexOf(':', at);
    if (colon - at === name.length && colon < end && nameIs(block, at, name)) return trimmed(block, colon + 1, end);
    at = end + 2;
  }
  return undefined;
}

/** The fields of a block as a flat list of names and values, as node:http's `writeHead` takes it. */
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

export function filterFields(block: string, keep: (name: string) => boolean): string {
  let kept = '';
  for (let at = 0; at < block.length;) {
    const end = block.indexOf('\r\n', at) + 2;
    if (keep(block.slice(at, block.indexOf(':', at)).toLowerCase())) kept += block.slice(at, end);
    at = end;
  }
  return kept;
}
