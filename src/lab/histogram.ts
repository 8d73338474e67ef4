/**
 * Latencies in bounded memory: counts by size. Means are exact.
 */

/** A histogram of times from nanoseconds to years, in milliseconds. */
export class Histogram {
  readonly #bits: number;
  /** Counts of times from 2^-20 to 2^44 ms, each power of two in equal steps; smaller and larger ones at the ends. */
  readonly #counts: Float64Array;
  #count = 0;
  #sum = 0;
  #max = 0;

  /** Quantiles are exact to one part in 2 to the power of `bits`. */
  constructor(bits = 9) {
    this.#bits = bits;
    this.#counts = new Float64Array(POWERS << bits);
  }

  add(ms: number): void {
    this.#count++;
    this.#sum += ms;
    if (ms > this.#max) this.#max = ms;
    const at = this.#slotOf(ms);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  get count(): number {
    return this.#count;
  }

  /** 0 when there is nothing in it. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  get max(): number {
    return this.#max;
  }

  /** The time that a share `q` of all did not exceed; 0 when there is nothing in it. */
  quantile(q: number): number {
    if (!(q >= 0 && q <= 1)) throw new RangeError(`a quantile must be in [0, 1] (got ${q})`);
    if (this.#count === 0) return 0;
    const wanted = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    for (let at = 0; at < this.#counts.length; at++) {
      seen += this.#counts[at] ?? 0;
      if (seen >= wanted) return Math.min(this.#max, this.#middleOf(at));
    }
    return this.#max;
  }

  #slotOf(ms: number): number {
    if (!(ms > 2 ** LOWEST)) return 0;
    // The exponent and the first bits of the fraction of a double (IEEE 754).
    VIEW.setFloat64(0, ms);
    const high = VIEW.getUint32(0);
    const power = (high >>> 20) - 1023 - LOWEST;
    if (power >= POWERS) return this.#counts.length - 1;
    return (power << this.#bits) + ((high & 0xfffff) >>> (20 - this.#bits));
  }

  #middleOf(slot: number): number {
    const steps = 1 << this.#bits;
    return 2 ** ((slot >> this.#bits) + LOWEST) * (1 + (slot % steps + 0.5) / steps);
  }
}

const LOWEST = -20;
const POWERS = 64;
const VIEW = new DataView(new ArrayBuffer(8));
