/**
 * The header lines of a request as they came, for `finished`: read only when somebody asks.
 */
import type { ReceivedHeaders } from '../events.ts';
import { fieldPairs } from '../http1/fields.ts';

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
    const pairs = fieldPairs(this.#lines);
    for (let i = 0; i < pairs.length; i += 2) yield [pairs[i] ?? '', pairs[i + 1] ?? ''];
  }
}
