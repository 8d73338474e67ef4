/**
 * A line of the access log in JSON. Logging every request must stay a small part of serving it: what repeats from
 * request to request (the second, the host, the upstream, ...) is turned into text once, and numbers are written
 * without their general conversion.
 */
import { jsonText } from './escape.ts';
import type { LoggedExchange } from './logged-exchange.ts';

export class JsonLine {
  readonly #method = new Repeated();
  readonly #host = new Repeated();
  readonly #remoteAddress = new Repeated();
  readonly #pool = new Repeated();
  readonly #origins = new Map<string, string>();
  readonly #ended = new Second((second) => new Date(second * 1_000).toISOString().slice(0, -'000Z'.length));
  readonly #started = new Second(String);

  /** The names of `finished` in their order, after the time; null for what there is not. Not the end of the line. */
  write(exchange: LoggedExchange): string {
    const { startedAt, durationMs, queuedMs, firstByteMs, target, state } = exchange;
    return `{"time":"${this.#ended.text(Math.floor(startedAt + durationMs))}Z","id":${textOrNull(exchange.id)}` +
      `,"method":${this.#method.text(exchange.method)},"target":${textOrNull(target)}` +
      `,"host":${this.#host.text(exchange.host)},"protocol":${protocolText(exchange.protocol)}` +
      `,"scheme":${schemeText(exchange.scheme)},"remoteAddress":${this.#remoteAddress.text(exchange.remoteAddress)}` +
      `,"status":${exchange.status},"code":${textOrNull(exchange.code)},"pool":${this.#pool.text(exchange.pool)}` +
      `,"upstream":${this.#originText(exchange.upstream?.origin)},"attempts":${exchange.attempts}` +
      `,"bytesIn":${exchange.bytesIn},"bytesOut":${exchange.bytesOut},"startedAt":${this.#started.text(startedAt)}` +
      `,"queuedMs":${milliseconds(queuedMs)},"firstByteMs":${
        firstByteMs === undefined ? 'null' : milliseconds(firstByteMs)}` +
      `,"durationMs":${milliseconds(durationMs)},"state":${state === undefined ? 'null' : stateText(state)}` +
      // Layer 4 has it in place of what it leaves empty.
      (exchange.scheme === 'tcp' ? `,"serverName":${textOrNull(exchange.serverName)}` : '');
  }

  #originText(origin: string | undefined): string {
    if (origin === undefined) return 'null';
    let text = this.#origins.get(origin);
    if (text === undefined) {
      if (this.#origins.size >= MAX_ORIGINS) this.#origins.clear();
      this.#origins.set(origin, text = jsonText(origin));
    }
    return text;
  }
}

/** A text that is often the same as the one before. */
class Repeated {
  #value: string | undefined;
  #text = 'null';

  text(value: string | undefined): string {
    if (value !== this.#value) {
      this.#value = value;
      this.#text = textOrNull(value);
    }
    return this.#text;
  }
}

/** A time in milliseconds since 1970, as the text of its second and three digits. */
class Second {
  readonly #write: (second: number) => string;
  #second = NaN;
  #text = '';

  constructor(write: (second: number) => string) {
    this.#write = write;
  }

  text(ms: number): string {
    const second = Math.floor(ms / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = this.#write(second);
    }
    return this.#text + (DIGITS[ms - second * 1_000] ?? String(ms));
  }
}

/** To the microsecond. */
function milliseconds(ms: number): string {
  const us = Math.round(ms * 1_000);
  const whole = Math.floor(us / 1_000);
  return `${whole}${FRACTIONS[us - whole * 1_000] ?? ''}`;
}

function textOrNull(value: string | undefined): string {
  return value === undefined || value === '' ? 'null' : jsonText(value);
}

function protocolText(protocol: LoggedExchange['protocol']): string {
  return protocol === '1.1' ? '"1.1"' : textOrNull(protocol);
}

function schemeText(scheme: LoggedExchange['scheme']): string {
  return scheme === 'http' ? '"http"' : textOrNull(scheme);
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

const MAX_STATE = 4_096;
const MAX_ORIGINS = 1_000;
const NOT_ASCII = /[\x7f-\uffff]/g;
/** 000 to 999. */
const DIGITS = Array.from({ length: 1_000 }, (_, n) => String(n).padStart(3, '0'));
/** What stands behind a whole number for so many thousandths: '', '.001', ..., '.01', ... */
const FRACTIONS = DIGITS.map((digits) => `.${digits}`.replace(/\.?0+$/, ''));
