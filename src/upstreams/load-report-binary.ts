/**
 * ORCA's load report as protobuf (`xds.data.orca.v3.OrcaLoadReport`). Only its fields are known here; others are
 * skipped, and what is cut short ends the report.
 */

/** Takes a metric by its name in ORCA's text form, e.g. `cpu_utilization` or `named_metrics.queue`. */
export type TakeMetric = (name: string, value: number) => void;

/** Hands over the metrics of a report. */
export function binaryMetrics(bytes: Buffer, take: TakeMetric): void {
  const fields = new Fields(bytes);
  while (fields.next()) {
    const { number, value, part } = fields;
    const name = NUMBERS[number];
    const map = MAPS[number];
    if (name !== undefined && value !== undefined) take(name, value);
    else if (map !== undefined && part !== undefined) entry(part, map, take);
  }
}

/** One entry of a map from a name to a number. */
function entry(bytes: Buffer, map: string, take: TakeMetric): void {
  const fields = new Fields(bytes);
  let key = '';
  let number = 0;
  while (fields.next()) {
    if (fields.number === 1 && fields.part !== undefined) key = fields.part.toString('utf8');
    else if (fields.number === 2 && fields.value !== undefined) number = fields.value;
  }
  take(`${map}.${key}`, number);
}

/** Reads one field after the other. */
class Fields {
  number = 0;
  /** A number, or the bytes of what has a length. */
  value: number | undefined;
  part: Buffer | undefined;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Whether there is another field that is whole. */
  next(): boolean {
    this.value = this.part = undefined;
    if (this.#at >= this.#bytes.length) return false;
    const tag = this.#varint();
    this.number = Math.floor(tag / 8);
    const start = this.#at;
    switch (tag % 8) {
      case 0:
        this.value = this.#varint();
        return this.#at <= this.#bytes.length;
      case 1:
        this.#at += 8;
        if (this.#at > this.#bytes.length) return false;
        this.value = this.#bytes.readDoubleLE(start);
        return true;
      case 2: {
        const length = this.#varint();
        const from = this.#at;
        this.#at += length;
        if (this.#at > this.#bytes.length) return false;
        this.part = this.#bytes.subarray(from, this.#at);
        return true;
      }
      case 5:
        this.#at += 4;
        return this.#at <= this.#bytes.length;
      default:
        // Groups are obsolete, and no number has this type.
        return false;
    }
  }

  /** A number of seven bits an octet; exact up to 2^53, and past the end where it is cut short. */
  #varint(): number {
    let value = 0;
    for (let scale = 1, count = 0; count < 10; scale *= 128, count++) {
      const octet = this.#bytes[this.#at++];
      if (octet === undefined) break;
      value += (octet & 127) * scale;
      if (octet < 128) return value;
    }
    this.#at = Infinity;
    return value;
  }
}

const NUMBERS: Readonly<Record<number, string>> = {
  1: 'cpu_utilization', 2: 'mem_utilization', 3: 'rps', 6: 'rps_fractional', 7: 'eps', 9: 'application_utilization',
};
const MAPS: Readonly<Record<number, string>> = { 4: 'request_cost', 5: 'utilization', 8: 'named_metrics' };
