/**
 * Latencies in bounded memory: counts by size. Means are exact.
 */

/** A histogram of times from nanoseconds to years, in milliseconds. */
export class Histogram {
  readonly #bits: number;
  /**
   * Counts of times from 2^-20 to 2^44 ms, each power of two in equal steps; smaller and larger ones at the ends. A
   * power that never came has no row.
   */
  readonly #rows: (Float64Array | undefined)[] = new Array<Float64Array | undefined>(POWERS).fill(undefined);
  #count = 0;
  #sum = 0;
  #max = 0;

  /** Quantiles are exact to one part in 2 to the power of `bits`. */
  constructor(bits = 9) {
    this.#bits = bits;
  }

  add(ms: number): void {
    this.#count++;
    this.#sum += ms;
    if (ms > this.#max) this.#max = ms;
    let power = 0;
    let step = 0;
    if (ms > 2 ** LOWEST) {
      // The exponent and the first bits of the fraction of a double (IEEE 754).
      VIEW.setFloat64(0, ms);
      const high = VIEW.getUint32(0);
      power = (high >>> 20) - 1023 - LOWEST;
      step = (high & 0xfffff) >>> (20 - this.#bits);
      if (power >= POWERS) {
        power = POWERS - 1;
        step = (1 << this.#bits) - 1;
      }
    }
    const row = this.#row(power);
    row[step] = (row[step] ?? 0) + 1;
  }

  /** Adds all that is in another histogram of the same bits. */
  merge(other: Histogram): void {
    if (other.#bits !== this.#bits) throw new RangeError('histograms of different bits cannot be merged');
    this.#count += other.#count;
    this.#sum += other.#sum;
    this.#max = Math.max(this.#max, other.#max);
    for (const [power, from] of other.#rows.entries()) {
      if (from === undefined) continue;
      const row = this.#row(power);
      for (const [step, count] of from.entries()) row[step] = (row[step] ?? 0) + count;
    }
  }

  get count(): number {
    return this.#count;
  }

  /** NaN when there is nothing in it. */
  get mean(): number {
    return this.#sum / this.#count;
  }

  /** 0 when there is nothing in it. */
  get max(): number {
    return this.#max;
  }

  /** The time that a share `q` of all did not exceed; NaN when there is nothing in it. */
  quantile(q: number): number {
    if (!(q >= 0 && q <= 1)) throw new RangeError(`a quantile must be in [0, 1] (got ${q})`);
    if (this.#count === 0) return NaN;
    const wanted = Math.max(1, Math.ceil(q * this.#count));
    const steps = 1 << this.#bits;
    let seen = 0;
    for (const [power, row] of this.#rows.entries()) {
      if (row === undefined) continue;
      for (const [step, count] of row.entries()) {
        seen += count;
        if (seen >= wanted) return Math.min(this.#max, 2 ** (power + LOWEST) * (1 + (step + 0.5) / steps));
      }
    }
    return this.#max;
  }

  #row(power: number): Float64Array {
    return this.#rows[power] ??= new Float64Array(1 << this.#bits);
  }
}

const LOWEST = -20;
const POWERS = 64;
const VIEW = new DataView(new ArrayBuffer(8));
