/**
 * Lines of the access log as octets. Pieces are written to where the lines are handed over from: no string is put
 * together for each line, none outlives a garbage collection, and none is encoded in the end.
 */
import { jsonText } from './escape.ts';

export class LineBuffer {
  #bytes: Buffer = Buffer.allocUnsafeSlow(INITIAL);
  /** Where whole lines end, and where the next piece goes. */
  #end = 0;
  #at = 0;
  /** Memory that was given back. */
  #spare: Buffer | undefined;

  /** Octets of the lines, and of the pieces behind them. */
  get length(): number {
    return this.#at;
  }

  /** Ends a line. */
  end(): void {
    this.#room(1)[this.#at++] = LF;
    this.#end = this.#at;
  }

  /** Removes the pieces behind the last whole line. */
  drop(): void {
    this.#at = this.#end;
  }

  /** Removes the lines and returns them. The memory is theirs until it is given back. */
  take(): Buffer {
    const lines = this.#bytes.subarray(0, this.#end);
    this.#bytes = this.#spare ?? Buffer.allocUnsafeSlow(INITIAL);
    this.#spare = undefined;
    this.#end = this.#at = 0;
    return lines;
  }

  /** Allows the memory of lines to be used again. */
  giveBack({ buffer }: Buffer): void {
    if (buffer.byteLength <= MAX_SPARE) this.#spare = Buffer.from(buffer);
  }

  octets(piece: Uint8Array): void {
    this.#room(piece.length).set(piece, this.#at);
    this.#at += piece.length;
  }

  /** Text in ASCII. */
  ascii(text: string): void {
    this.#at += this.#room(text.length).write(text, this.#at, 'latin1');
  }

  /** Any text, in UTF-8. */
  utf8(text: string): void {
    this.#at += this.#room(Buffer.byteLength(text)).write(text, this.#at, 'utf8');
  }

  /** A JSON string. */
  json(text: string): void {
    const { length } = text;
    const bytes = this.#room(length + 2);
    let at = this.#at;
    bytes[at++] = QUOTE;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code < SPACE || code > TILDE || code === QUOTE || code === BACKSLASH) {
        this.ascii(jsonText(text));
        return;
      }
      bytes[at++] = code;
    }
    bytes[at++] = QUOTE;
    this.#at = at;
  }

  number(value: number): void {
    // Beyond that, and for what is not an integer, which is rare.
    if (value >>> 0 !== value) {
      this.ascii(String(value));
      return;
    }
    let digits = 1;
    for (let limit = 10; value >= limit; limit *= 10) digits++;
    this.#digits(value, digits);
  }

  /** Three digits. */
  thousandths(value: number): void {
    this.#digits(value, 3);
  }

  /** A number of milliseconds, to the microsecond. */
  milliseconds(ms: number): void {
    const us = Math.round(ms * 1_000);
    const whole = Math.floor(us / 1_000);
    this.number(whole);
    const rest = us - whole * 1_000;
    if (rest === 0) return;
    this.#room(1)[this.#at++] = POINT;
    this.thousandths(rest);
    while (this.#bytes[this.#at - 1] === ZERO) this.#at--;
  }

  #digits(value: number, count: number): void {
    const bytes = this.#room(count);
    for (let at = this.#at + count - 1, left = value; at >= this.#at; at--) {
      const next = Math.floor(left / 10);
      bytes[at] = ZERO + left - next * 10;
      left = next;
    }
    this.#at += count;
  }

  /** The memory, with room for `length` more octets. */
  #room(length: number): Buffer {
    const needed = this.#at + length;
    if (needed <= this.#bytes.length) return this.#bytes;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#at));
    return this.#bytes = larger;
  }
}

const INITIAL = 16_384;
/** Twice what is gathered under load. */
const MAX_SPARE = 524_288;
const LF = 0x0a;
const SPACE = 0x20;
const QUOTE = 0x22;
const POINT = 0x2e;
const ZERO = 0x30;
const BACKSLASH = 0x5c;
const TILDE = 0x7e;
