/**
 * Heads and trailer sections that are split over several reads.
 */
import { LF, NO_BYTES } from './grammar.ts';

/**
 * Gathers the octets of one head until it is whole. A head that comes in one read is parsed where it lies: nothing is
 * copied or allocated for it.
 */
export class SplitHead {
  /** What has come of the head, from its start; octets beyond `size` belong to what follows. */
  bytes = NO_BYTES;
  size = 0;
  /** Octets that were kept from earlier reads. */
  #kept = 0;
  /** Where the last read started. */
  #at = 0;

  /** Whether a part of a head was kept, and the rest is still to come. */
  get begun(): boolean {
    return this.#kept > 0;
  }

  /**
   * Adds what one read brought, `bytes` from `at` to `end`, as far as the head stays within `maxBytes`. Returns whether
   * to parse it now: a head that comes octet by octet is parsed once for each whole line, not once for each octet.
   */
  add(bytes: Buffer, at: number, end: number, maxBytes: number): boolean {
    const kept = this.#kept;
    const to = Math.min(end, at + maxBytes - kept);
    this.#at = at;
    this.size = kept + to - at;
    if (kept === 0) {
      this.bytes = at === 0 ? bytes : bytes.subarray(at, to);
      return true;
    }
    this.bytes = Buffer.concat([this.bytes, bytes.subarray(at, to)], this.size);
    return this.size >= maxBytes || this.bytes.includes(LF, kept);
  }

  /** Keeps a copy of an incomplete head. Returns where in the last read it stopped. */
  keep(): number {
    const next = this.#at + this.size - this.#kept;
    if (this.#kept === 0) this.bytes = Buffer.from(this.bytes.subarray(0, this.size));
    this.#kept = this.size;
    return next;
  }

  /** Forgets a head that was `length` octets long. Returns where in the last read it ended. */
  end(length: number): number {
    const next = this.#at + length - this.#kept;
    this.clear();
    return next;
  }

  clear(): void {
    this.bytes = NO_BYTES;
    this.size = this.#kept = 0;
  }
}
