/**
 * A line of the access log in JSON. Logging every request must stay a small part of serving it, and a line costs by the
 * piece; so what repeats from request to request (the second, the host, the upstream, ...) is one piece with the names
 * around it, and made once.
 */
import { jsonText } from './escape.ts';
import type { LineBuffer } from './line-buffer.ts';
import type { LoggedExchange } from './logged-exchange.ts';

export class JsonLine {
  readonly #ended = new Second(
    (second) => `{"time":"${new Date(second * 1_000).toISOString().slice(0, -'000Z'.length)}`);
  readonly #started = new Second((second) => `,"startedAt":${second}`);
  readonly #method = new Method();
  readonly #entrance = new Entrance();
  readonly #ways = new Map<string, Way>();
  /** For what was sent nowhere. */
  readonly #nowhere = new Way('null');

  /** The names of `finished` in their order, after the time; null for what there is not. Not the end of the line. */
  write(exchange: LoggedExchange, to: LineBuffer): void {
    const { startedAt, durationMs, state } = exchange;
    // What the embedder has made may run code of its own: not in the middle of a line.
    const last = state === undefined && exchange.scheme !== 'tcp' ? NO_STATE : octets(lastOf(exchange));
    this.#ended.write(startedAt + durationMs, to);
    to.octets(ID);
    textOrNull(exchange.id, to);
    to.octets(this.#method.octets(exchange.method));
    textOrNull(exchange.target, to);
    to.octets(this.#entrance.octets(exchange));
    textOrNull(exchange.remoteAddress, to);
    to.octets(this.#way(exchange.upstream?.origin).octets(exchange));
    to.number(exchange.bytesOut);
    this.#started.write(startedAt, to);
    to.octets(QUEUED);
    msOrNull(exchange.queuedMs, to);
    to.octets(FIRST_BYTE);
    msOrNull(exchange.firstByteMs, to);
    to.octets(DURATION);
    msOrNull(durationMs, to);
    to.octets(last);
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
  #octets = NONE;

  octets(method: string): Uint8Array {
    if (method !== this.#method) {
      this.#method = method;
      this.#octets = octets(`,"method":${text(method)},"target":`);
    }
    return this.#octets;
  }
}

/** What was asked for by that name, and how. */
class Entrance {
  #host: string | undefined;
  #protocol: LoggedExchange['protocol'] = '';
  #scheme: LoggedExchange['scheme'] = '';
  #octets = NONE;

  octets({ host, protocol, scheme }: LoggedExchange): Uint8Array {
    if (host !== this.#host || protocol !== this.#protocol || scheme !== this.#scheme) {
      this.#host = host;
      this.#protocol = protocol;
      this.#scheme = scheme;
      this.#octets = octets(`,"host":${text(host)},"protocol":${text(protocol)}` +
        `,"scheme":${text(scheme)},"remoteAddress":`);
    }
    return this.#octets;
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
  #octets = NONE;

  constructor(origin: string) {
    this.#origin = origin;
  }

  octets({ status, code, pool, attempts, bytesIn }: LoggedExchange): Uint8Array {
    if (status !== this.#status || code !== this.#code || pool !== this.#pool || attempts !== this.#attempts ||
      bytesIn !== this.#bytesIn) {
      this.#status = status;
      this.#code = code;
      this.#pool = pool;
      this.#attempts = attempts;
      this.#bytesIn = bytesIn;
      this.#octets = octets(`,"status":${status},"code":${text(code)},"pool":${text(pool)}` +
        `,"upstream":${this.#origin},"attempts":${attempts},"bytesIn":${bytesIn},"bytesOut":`);
    }
    return this.#octets;
  }
}

/** A time in milliseconds since 1970, by its second and the rest. */
class Second {
  readonly #text: (second: number) => string;
  #second = NaN;
  #octets = NONE;

  /** `text` makes the text of a second, to which three digits can be added. */
  constructor(text: (second: number) => string) {
    this.#text = text;
  }

  write(ms: number, to: LineBuffer): void {
    const second = Math.floor(ms / 1_000);
    if (second !== this.#second) {
      this.#octets = octets(this.#text(second));
      this.#second = second;
    }
    to.octets(this.#octets);
    to.thousandths(Math.floor(ms) - second * 1_000);
  }
}

function lastOf({ state, scheme, serverName }: LoggedExchange): string {
  return `,"state":${state === undefined ? 'null' : stateText(state)}` +
    // Layer 4 has it in place of what it leaves empty.
    (scheme === 'tcp' ? `,"serverName":${text(serverName)}` : '');
}

function text(value: string | undefined): string {
  return value === undefined || value === '' ? 'null' : jsonText(value);
}

function textOrNull(value: string, to: LineBuffer): void {
  if (value === '') to.octets(NULL);
  else to.json(value);
}

function msOrNull(ms: number | undefined, to: LineBuffer): void {
  if (ms === undefined) to.octets(NULL);
  else to.milliseconds(ms);
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

function octets(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

const NONE = octets('');
const NULL = octets('null');
const ID = octets('Z","id":');
const QUEUED = octets(',"queuedMs":');
const FIRST_BYTE = octets(',"firstByteMs":');
const DURATION = octets(',"durationMs":');
const NO_STATE = octets(',"state":null');
const MAX_STATE = 4_096;
const MAX_WAYS = 1_000;
const NOT_ASCII = /[\x7f-\uffff]/g;
