/**
 * Message bodies (RFC 9112 §§6, 7): finds where a body ends and removes chunk framing, validating every octet of it.
 */
import { END, FieldScanner, type FieldTaker, INCOMPLETE, type TrailerFilter } from './fields.ts';
import { CHUNKED, type Framing, LENGTH, NONE } from './framing.ts';
import { type BodyLimits, CLASS, CR, FIELD_VALUE, HTAB, LF, SP, TOKEN } from './grammar.ts';
import { SplitHead } from './split-head.ts';

/**
 * Reads one body after the other. Each {@link BodyReader.read} leaves the data it found as one contiguous part of the
 * buffer, `from` to `to`. Data with chunk framing in between is moved together in place, so that a read allocates
 * nothing and the data can be passed on with one write.
 */
export class BodyReader {
  /** Whether the body has ended. */
  done = true;
  /** Whether the framing was malformed. Nothing more is read then. */
  malformed = false;
  /** The data of the last read: `bytes[from]` to `bytes[to - 1]`. */
  from = 0;
  to = 0;
  /** The trailer fields to forward, each with its CRLF, once the body is done. */
  trailers = '';

  #framing: Framing = NONE;
  /** Remaining octets of the body or of the chunk. */
  #left = 0;
  #state = SIZE;
  #digits = 0;
  /** Octets of the current chunk-size line, and of all extensions so far. */
  #line = 0;
  #extensions = 0;
  /** The trailer section; made when one comes. */
  #section: SplitHead | undefined;
  readonly #limits: BodyLimits;
  readonly #passing: TrailerFilter;

  /** `passing` selects the trailer fields to forward. */
  constructor(limits: BodyLimits, passing: TrailerFilter) {
    this.#limits = limits;
    this.#passing = passing;
  }

  /** Starts a new body; `length` is used for {@link LENGTH} only. */
  start(framing: Framing, length: number): void {
    this.#framing = framing;
    this.#left = framing === LENGTH ? length : 0;
    this.#state = SIZE;
    this.#digits = this.#line = this.#extensions = 0;
    this.#section?.clear();
    this.trailers = '';
    this.from = this.to = 0;
    this.malformed = false;
    this.done = framing === NONE || (framing === LENGTH && length === 0);
  }

  /** Reads `bytes` from `at` to `end`. Returns where it stopped: `end`, or the first octet after the message. */
  read(bytes: Buffer, at: number, end: number): number {
    this.from = this.to = at;
    if (this.done || this.malformed) return at;
    if (this.#framing === CHUNKED) return this.#chunks(bytes, at, end);
    if (this.#framing === LENGTH) {
      this.to = Math.min(end, at + this.#left);
      this.#left -= this.to - at;
      this.done = this.#left === 0;
    } else this.to = end;
    return this.to;
  }

  #chunks(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end) {
      if (this.#state === DATA) {
        const stop = Math.min(end, at + this.#left);
        this.#keep(bytes, at, stop);
        this.#left -= stop - at;
        at = stop;
        if (this.#left === 0) this.#state = DATA_CR;
      } else if (this.#state === TRAILERS) {
        at = this.#trailerBytes(bytes, at, end);
        if (this.done) return at;
      } else {
        this.#state = this.#step(bytes[at++] ?? 0);
      }
      if (this.#state === BROKEN) {
        this.malformed = true;
        return at;
      }
    }
    return at;
  }

  /** The state after one octet of chunk framing (RFC 9112 §7.1). */
  #step(c: number): number {
    switch (this.#state) {
      case SIZE: {
        const digit = hexDigit(c);
        if (digit >= 0) {
          if (++this.#digits > MAX_SIZE_DIGITS) return BROKEN;
          this.#left = this.#left * 16 + digit;
          return this.#left > MAX_CHUNK_BYTES ? BROKEN : SIZE;
        }
        if (this.#digits === 0) return BROKEN;
        this.#line = this.#digits + CRLF_BYTES;
        this.#digits = 0;
        return c === CR ? SIZE_LF : c === SEMICOLON ? this.#extended(EXTENSION) : BROKEN;
      }
      case SIZE_LF:
        if (c !== LF) return BROKEN;
        return this.#left === 0 ? TRAILERS : DATA;
      case DATA_CR:
        return c === CR ? DATA_LF : BROKEN;
      case DATA_LF:
        return c === LF ? SIZE : BROKEN;
      default:
        return c === CR ? this.#extensionStep(c) : this.#extended(this.#extensionStep(c));
    }
  }

  /** Counts one more octet of extensions. Returns `state` if that is within the limits. */
  #extended(state: number): number {
    const { maxChunkLineBytes, maxChunkExtensionBytes } = this.#limits;
    const tooLong = ++this.#line > maxChunkLineBytes || ++this.#extensions > maxChunkExtensionBytes;
    return tooLong ? BROKEN : state;
  }

  /** Chunk extensions are validated and dropped: they are hop-by-hop (RFC 9112 §7.1.1). */
  #extensionStep(c: number): number {
    const isToken = ((CLASS[c] ?? 0) & TOKEN) !== 0;
    switch (this.#state) {
      case EXTENSION:
        return isToken ? EXTENSION_NAME : BROKEN;
      case EXTENSION_NAME:
        if (isToken) return EXTENSION_NAME;
        return c === EQUALS ? EXTENSION_EQUALS : afterExtension(c);
      case EXTENSION_EQUALS:
        return isToken ? EXTENSION_VALUE : c === QUOTE ? EXTENSION_QUOTED : BROKEN;
      case EXTENSION_VALUE:
        return isToken ? EXTENSION_VALUE : afterExtension(c);
      case EXTENSION_QUOTED:
        if (c === QUOTE) return EXTENSION_END;
        if (c === BACKSLASH) return EXTENSION_ESCAPED;
        return ((CLASS[c] ?? 0) & FIELD_VALUE) !== 0 ? EXTENSION_QUOTED : BROKEN;
      case EXTENSION_ESCAPED:
        return c === HTAB || c === SP || (c > SP && c < 0x7f) ? EXTENSION_QUOTED : BROKEN;
      default:
        return afterExtension(c);
    }
  }

  #trailerBytes(bytes: Buffer, at: number, end: number): number {
    const { maxTrailerBytes, maxFields } = this.#limits;
    const section = this.#section ??= new SplitHead();
    if (!section.add(bytes, at, end, maxTrailerBytes)) return section.keep();
    const { size } = section;
    const line = new FieldScanner();
    const found = line.section(section.bytes, section.bytes.toString('latin1', 0, size), 0, maxFields, NOBODY);
    if (found === END && !FRAMING_FIELD.test(line.passed)) {
      this.trailers = this.#passing(line.passed);
      this.done = true;
      return section.end(line.next);
    }
    if (found !== INCOMPLETE || size >= maxTrailerBytes) this.#state = BROKEN;
    return section.keep();
  }

  /** Adds a piece of data to what this read has found, moving it up if there was framing in between. */
  #keep(bytes: Buffer, from: number, to: number): void {
    if (this.to === this.from) {
      this.from = from;
      this.to = to;
      return;
    }
    if (this.to !== from) bytes.copyWithin(this.to, from, to);
    this.to += to - from;
  }
}

const SIZE = 0;
const SIZE_LF = 1;
const DATA = 2;
const DATA_CR = 3;
const DATA_LF = 4;
const TRAILERS = 5;
const EXTENSION = 6;
const EXTENSION_NAME = 7;
const EXTENSION_EQUALS = 8;
const EXTENSION_VALUE = 9;
const EXTENSION_QUOTED = 10;
const EXTENSION_ESCAPED = 11;
const EXTENSION_END = 12;
const BROKEN = 13;

/** A size needs no more; longer runs of zeros only serve to hide something. */
const MAX_SIZE_DIGITS = 16;
/** 2^48: with one more digit it is still a safe integer. */
const MAX_CHUNK_BYTES = 2 ** 48;
const CRLF_BYTES = 2;

/**
 * Framing fields in trailers can only be an attack (RFC 9110 §6.5.1): Node's parser rejects the first two and obeys the
 * others.
 */
const FRAMING_FIELD = /^(?:content-length|transfer-encoding|connection|proxy-connection):/im;

const NOBODY: FieldTaker = { takes: () => false };

const QUOTE = 0x22;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;

function afterExtension(c: number): number {
  return c === SEMICOLON ? EXTENSION : c === CR ? SIZE_LF : BROKEN;
}

function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const letter = c | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
