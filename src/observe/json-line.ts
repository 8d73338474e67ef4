/**
 * A line of the access log in JSON. Logging every request must stay a small part of serving it. A text that is put
 * together from pieces costs by the piece, once here and once more when it is written; so what repeats from request to
 * request (the second, the host, the upstream, ...) is one piece with the names around it, and made once.
 */
import { jsonText } from './escape.ts';
import type { LoggedExchange } from './logged-exchange.ts';

export class JsonLine {
  readonly #ended = new Second(
    (second) => `{"time":"${new Date(second * 1_000).toISOString().slice(0, -'000Z'.length)}`, 'Z","id":');
  readonly #started = new Second((second) => `,"startedAt":${second}`, ',"queuedMs":');
  readonly #queued = new Duration(',"firstByteMs":');
  readonly #firstByte = new Duration(',"durationMs":');
  readonly #duration = new Duration(',"state":');
  readonly #method = new Method();
  readonly #entrance = new Entrance();
  readonly #ways = new Map<string, Way>();
  /** For what was sent nowhere. */
  readonly #nowhere = new Way('null');

  /** The names of `finished` in their order, after the time; null for what there is not. Not the end of the line. */
  write(exchange: LoggedExchange): string {
    const { startedAt, durationMs } = exchange;
    return this.#ended.text(startedAt + durationMs) + textOrNull(exchange.id) +
      this.#method.text(exchange.method) + textOrNull(exchange.target) + this.#entrance.text(exchange) +
      textOrNull(exchange.remoteAddress) + this.#way(exchange.upstream?.origin).text(exchange) +
      String(exchange.bytesOut) + this.#started.text(startedAt) + this.#queued.text(exchange.queuedMs) +
      this.#firstByte.text(exchange.firstByteMs) + this.#duration.text(durationMs) + lastOf(exchange);
  }

  #way(origin: string | undefined): Way {
    if (origin === undefined) return this.#nowhere;
    let way = this.#ways.get(origin);
    if (way === undefined) {
      if (this.#ways.size >= MAX_WAYS) this.#ways.clear();
      this.#ways.set(origin, way = new Way(jsonText(origin)));
    }
    return way;
  }
}

/** The method, which is often the same as the one before. */
class Method {
  #method: string | undefined;
  #text = '';

  text(method: string): string {
    if (method !== this.#method) {
      this.#method = method;
      this.#text = onePiece(`,"method":${textOrNull(method)},"target":`);
    }
    return this.#text;
  }
}

/** What was asked for by that name, and how. */
class Entrance {
  #host: string | undefined;
  #protocol: LoggedExchange['protocol'] = '';
  #scheme: LoggedExchange['scheme'] = '';
  #text = '';

  text({ host, protocol, scheme }: LoggedExchange): string {
    if (host !== this.#host || protocol !== this.#protocol || scheme !== this.#scheme) {
      this.#host = host;
      this.#protocol = protocol;
      this.#scheme = scheme;
      this.#text = onePiece(`,"host":${textOrNull(host)},"protocol":${textOrNull(protocol)}` +
        `,"scheme":${textOrNull(scheme)},"remoteAddress":`);
    }
    return this.#text;
  }
}

/** What came of exchanges with one upstream: often the same. */
class Way {
  readonly #origin: string;
  #status = NaN;
  #code: string | undefined;
  #pool: string | undefined;
  #attempts = 0;
  #bytesIn = 0;
  #text = '';

  constructor(origin: string) {
    this.#origin = origin;
  }

  text({ status, code, pool, attempts, bytesIn }: LoggedExchange): string {
    if (status !== this.#status || code !== this.#code || pool !== this.#pool || attempts !== this.#attempts ||
      bytesIn !== this.#bytesIn) {
      this.#status = status;
      this.#code = code;
      this.#pool = pool;
      this.#attempts = attempts;
      this.#bytesIn = bytesIn;
      this.#text = onePiece(`,"status":${status},"code":${textOrNull(code)},"pool":${textOrNull(pool)}` +
        `,"upstream":${this.#origin},"attempts":${attempts},"bytesIn":${bytesIn},"bytesOut":`);
    }
    return this.#text;
  }
}

/** A time in milliseconds since 1970, and what follows it. */
class Second {
  readonly #write: (second: number) => string;
  /** For each thousandth. */
  readonly #ends: readonly string[];
  #second = NaN;
  #text = '';

  /** `write` makes the text of a second, to which three digits can be added. */
  constructor(write: (second: number) => string, next: string) {
    this.#write = write;
    this.#ends = Array.from({ length: 1_000 }, (_, n) => onePiece(`${String(n).padStart(3, '0')}${next}`));
  }

  text(ms: number): string {
    const second = Math.floor(ms / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = onePiece(this.#write(second));
    }
    return this.#text + (this.#ends[Math.floor(ms) - second * 1_000] ?? '');
  }
}

/** Milliseconds, to the microsecond, and what follows them. */
class Duration {
  readonly #zero: string;
  readonly #none: string;
  /** For each thousandth: '', '.001', ..., '.01', ... */
  readonly #ends: readonly string[];

  constructor(next: string) {
    this.#zero = `0${next}`;
    this.#none = `null${next}`;
    this.#ends = Array.from({ length: 1_000 }, (_, n) => onePiece(`${String(n / 1_000).slice(1)}${next}`));
  }

  text(ms: number | undefined): string {
    if (ms === 0) return this.#zero;
    if (ms === undefined) return this.#none;
    const us = Math.round(ms * 1_000);
    const whole = Math.floor(us / 1_000);
    return String(whole) + (this.#ends[us - whole * 1_000] ?? '');
  }
}

function lastOf(exchange: LoggedExchange): string {
  const { state } = exchange;
  if (state === undefined && exchange.scheme !== 'tcp') return 'null';
  return (state === undefined ? 'null' : stateText(state)) +
    // Layer 4 has it in place of what it leaves empty.
    (exchange.scheme === 'tcp' ? `,"serverName":${textOrNull(exchange.serverName)}` : '');
}

function textOrNull(value: string | undefined): string {
  return value === undefined || value === '' ? 'null' : jsonText(value);
}

/** The embedder's state, if it is plain data and short: it may as well be a whole request, with all its parts. */
function stateText(state: unknown): string {
  if (!isPlain(state)) return 'null';
  try {
    const json = JSON.stringify(state) as string | undefined;
    return json === undefined || json.length > MAX_STATE ? 'null' : json.replace(NOT_ASCII, escaped);
  } catch {
    // Circular, or with a `toJSON` that throws.
    return 'null';
  }
}

function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function escaped(character: string): string {
  return jsonText(character).slice(1, -1);
}

/** The same text in one piece. */
function onePiece(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

const MAX_STATE = 4_096;
const MAX_WAYS = 1_000;
const NOT_ASCII = /[\x7f-\uffff]/g;
