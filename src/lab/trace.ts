/**
 * Reads an access log for replay: when requests arrived and, where the log has it, how long each took. Understands the
 * balancer's own JSON lines and the Common and Combined formats.
 */
import { isRecord } from '../options/checks.ts';
import { stream } from './random.ts';

/** What a log tells. */
export interface Trace {
  /** When each request arrived, in milliseconds after the first, in order. */
  readonly timesMs: Float64Array;
  /**
   * How long each took, in the same order; where a line does not say, the mean of those that do. Undefined if none
   * does.
   */
  readonly sizesMs: Float64Array | undefined;
  /** How many of the requests have a size of their own. */
  readonly sized: number;
  /** Lines that are not of a known format, and the number of the first, from 1. */
  readonly malformed: number;
  readonly firstMalformed: number | undefined;
  /** Requests that needed no upstream, such as redirects and those refused unread: left out. */
  readonly unserved: number;
  /** Requests logged after others that arrived later. They are put in order. */
  readonly outOfOrder: number;
  /** Requests whose time is known to the second. They are placed within it at random, always in the same way. */
  readonly spread: number;
  /** Whether the log has more requests than were wanted. */
  readonly cut: boolean;
}

export interface TraceOptions {
  /** How many requests to read, from the start of the log; default 5,000,000. */
  readonly most?: number;
}

/**
 * Reads a log: its text, or chunks of it, such as those of `fs.createReadStream(path, 'utf8')`. Keeps 16 octets for
 * each request, and no text.
 */
export async function readTrace(
  text: string | Iterable<string> | AsyncIterable<string>, { most = MOST }: TraceOptions = {},
): Promise<Trace> {
  if (!(Number.isInteger(most) && most >= 1)) throw new RangeError(`most must be an integer ≥ 1 (got ${most})`);
  const reader = new TraceReader(most);
  for await (const chunk of typeof text === 'string' ? [text] : text) {
    reader.read(chunk);
    // Leaving the loop also closes a stream.
    if (reader.full) break;
  }
  return reader.end();
}

class TraceReader {
  readonly #most: number;
  readonly #within = stream(1, 'trace');
  #times = new Float64Array(1_024);
  /** NaN where it is unknown. */
  #sizes = new Float64Array(1_024);
  #count = 0;
  #lines = 0;
  #rest = '';
  /** In a line that is too long to be one. */
  #skipping = false;
  #malformed = 0;
  #firstMalformed: number | undefined;
  #unserved = 0;
  #spread = 0;
  #sized = 0;
  #sum = 0;
  #cut = false;

  constructor(most: number) {
    this.#most = most;
  }

  get full(): boolean {
    return this.#cut;
  }

  read(chunk: string): void {
    let from = 0;
    for (let end; !this.#cut && (end = chunk.indexOf('\n', from)) >= 0; from = end + 1) {
      this.#line(this.#rest + chunk.slice(from, end));
      this.#rest = '';
    }
    if (this.#cut) return;
    if (!this.#skipping) this.#rest += chunk.slice(from);
    if (this.#rest.length <= LONGEST_LINE) return;
    this.#rest = '';
    this.#skipping = true;
  }

  end(): Trace {
    if (this.#rest !== '' || this.#skipping) this.#line(this.#rest);
    const times = this.#times.slice(0, this.#count);
    const sizes = this.#sizes.slice(0, this.#count);
    let outOfOrder = 0;
    let latest = -Infinity;
    for (const time of times) {
      if (time < latest) outOfOrder++;
      else latest = time;
    }
    if (this.#sized > 0) {
      const mean = this.#sum / this.#sized;
      for (let at = 0; at < sizes.length; at++) if (Number.isNaN(sizes[at])) sizes[at] = mean;
    }
    const [timesMs, sizesMs] = outOfOrder === 0 ? [times, sizes] : inOrder(times, sizes);
    const first = timesMs[0] ?? 0;
    for (let at = 0; at < timesMs.length; at++) timesMs[at] = (timesMs[at] ?? 0) - first;
    return {
      timesMs, sizesMs: this.#sized === 0 ? undefined : sizesMs, sized: this.#sized, malformed: this.#malformed,
      firstMalformed: this.#firstMalformed, unserved: this.#unserved, outOfOrder, spread: this.#spread, cut: this.#cut,
    };
  }

  #line(line: string): void {
    this.#lines++;
    if (this.#skipping) {
      this.#skipping = false;
      this.#fault();
      return;
    }
    const text = (this.#lines === 1 ? line.replace(/^\uFEFF/, '') : line).trim();
    if (text === '') return;
    if (text.startsWith('{')) this.#json(text);
    else this.#common(text);
  }

  #json(text: string): void {
    const line = parsed(text);
    const { method, upstream, code, durationMs, queuedMs, firstByteMs, startedAt, time } = line ?? {};
    const took = milliseconds(durationMs);
    const ended = typeof time === 'string' ? Date.parse(time) : NaN;
    const at = moment(startedAt) ?? moment(ended - (took ?? 0));
    if (at === undefined) this.#fault();
    // The log of the balancer has null for what there is not. Other logs may lack the names.
    else if (method === null || (upstream === null && code === null)) this.#unserved++;
    else {
      const whole = took ?? milliseconds(firstByteMs);
      const size = whole === undefined ? undefined : Math.max(0, whole - (milliseconds(queuedMs) ?? 0));
      this.#add(at, upstream === null ? undefined : size);
    }
  }

  #common(text: string): void {
    const [, day = '', month = '', year = '', time = '', hours = '', minutes = ''] = COMMON.exec(text) ?? [];
    const at = moment(Date.parse(`${day} ${month} ${year} ${time} ${hours}${minutes}`));
    if (at === undefined) this.#fault();
    else if (this.#add(at + Math.floor(this.#within() * 1_000_000) / 1_000, undefined)) this.#spread++;
  }

  #add(time: number, size: number | undefined): boolean {
    if (this.#count === this.#most) {
      this.#cut = true;
      return false;
    }
    if (this.#count === this.#times.length) {
      const room = Math.min(this.#most, 2 * this.#count);
      this.#times = grown(this.#times, room);
      this.#sizes = grown(this.#sizes, room);
    }
    this.#times[this.#count] = time;
    this.#sizes[this.#count++] = size ?? NaN;
    if (size !== undefined) {
      this.#sized++;
      this.#sum += size;
    }
    return true;
  }

  #fault(): void {
    this.#malformed++;
    this.#firstMalformed ??= this.#lines;
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    // Counted as malformed.
    return undefined;
  }
}

/** A time that a log can have: from 1970 to 2255. */
function moment(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value <= LATEST ? value : undefined;
}

function milliseconds(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value <= LATEST ? value : undefined;
}

function grown(values: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(length);
  larger.set(values);
  return larger;
}

/** Both lists in the order of the times. */
function inOrder(times: Float64Array, sizes: Float64Array): readonly [Float64Array, Float64Array] {
  const order = Uint32Array.from({ length: times.length }, (_, at) => at);
  order.sort((one, other) => (times[one] ?? 0) - (times[other] ?? 0) || one - other);
  const at = (values: Float64Array): Float64Array => Float64Array.from(order, (index) => values[index] ?? 0);
  return [at(times), at(sizes)];
}

const MOST = 5_000_000;
/** Longer than any line that we write: a file without line ends must not fill the memory. */
const LONGEST_LINE = 2 ** 20;
const LATEST = 9e12;
/** The time in brackets, and the request behind it: 10.0.0.1 - - [26/Nov/2026:15:43:52 +0000] "GET / HTTP/1.1" 200 5 */
const COMMON = / \[(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)\] "/;
