/**
 * The header lines of a request as they came, for `finished`: read only when somebody asks.
 */
import type { ReceivedHeaders } from '../events.ts';

export class ReceivedLines implements ReceivedHeaders {
  readonly #lines: string;

  /** `lines` are whole, each with its CRLF. */
  constructor(lines: string) {
    this.#lines = lines;
  }

  get(name: string): string | null {
    const wanted = name.toLowerCase();
    const values: string[] = [];
    for (const [each, value] of this) if (each.toLowerCase() === wanted) values.push(value);
    return values.length === 0 ? null : values.join(', ');
  }

  * [Symbol.iterator](): IterableIterator<readonly [name: string, value: string]> {
    const lines = this.#lines;
    for (let at = 0, end; (end = lines.indexOf('\r\n', at)) >= 0; at = end + 2) {
      const colon = lines.indexOf(':', at);
      yield [lines.slice(at, colon), lines.slice(colon + 1, end).replace(AROUND, '')];
    }
  }
}

/** The optional white space around a value (RFC 9110 §5.5). */
const AROUND = /^[ \t]+|[ \t]+$/g;
