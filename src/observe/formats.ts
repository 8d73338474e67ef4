/**
 * The formats of the access log. Each makes one line, without its end.
 */
import { jsonText, quotable } from './escape.ts';
import type { LoggedExchange } from './logged-exchange.ts';

export type Format = (exchange: LoggedExchange) => string;

/** JSON: the time, then the names of `finished` in their order, null for what there is not, then the headers. */
export function jsonFormat(headers: readonly string[] | true | undefined): Format {
  const named = headers === true || headers === undefined ? undefined : headers.map((name) => name.toLowerCase());
  return (exchange) => {
    const { status, attempts, bytesIn, bytesOut, startedAt, queuedMs, firstByteMs, durationMs } = exchange;
    const line = `{"time":"${endOf(exchange).toISOString()}","id":${text(exchange.id)}` +
      `,"method":${text(exchange.method)},"target":${text(exchange.target)},"host":${text(exchange.host)}` +
      `,"protocol":${text(exchange.protocol)},"scheme":${text(exchange.scheme)}` +
      `,"remoteAddress":${text(exchange.remoteAddress)},"status":${status},"code":${text(exchange.code)}` +
      `,"pool":${text(exchange.pool)},"upstream":${text(exchange.upstream?.origin)},"attempts":${attempts}` +
      `,"bytesIn":${bytesIn},"bytesOut":${bytesOut},"startedAt":${startedAt},"queuedMs":${ms(queuedMs)}` +
      `,"firstByteMs":${firstByteMs === undefined ? 'null' : ms(firstByteMs)},"durationMs":${ms(durationMs)}` +
      `,"state":${stateText(exchange.state)}` +
      // Layer 4 has it in place of what it leaves empty.
      (exchange.scheme === 'tcp' ? `,"serverName":${text(exchange.serverName)}` : '');
    return headers === undefined ? `${line}}` : `${line},"headers":${headersText(exchange, named)}}`;
  };
}

/** The Common Log Format, in UTC. */
export function common(exchange: LoggedExchange): string {
  const { remoteAddress, method, target, protocol, status, bytesOut } = exchange;
  const request = method === '' ? '-' : `${quotable(method)} ${quotable(target)} HTTP/${protocol}`;
  const [, day, month, year, time] = DATE.exec(endOf(exchange).toUTCString()) ?? [];
  const address = remoteAddress === '' ? '-' : quotable(remoteAddress);
  return `${address} - - [${day}/${month}/${year}:${time} +0000] "${request}" ${status} ${bytesOut}`;
}

/** The Combined Log Format of nginx and Apache: Common, with Referer and User-Agent. */
export function combined(exchange: LoggedExchange): string {
  const { requestHeaders } = exchange;
  const [referer, agent] = ['referer', 'user-agent'].map((name) => quotable(requestHeaders.get(name) ?? '-'));
  return `${common(exchange)} "${referer}" "${agent}"`;
}

/** When it ended: lines are in this order. */
function endOf({ startedAt, durationMs }: Pick<LoggedExchange, 'startedAt' | 'durationMs'>): Date {
  return new Date(startedAt + durationMs);
}

function text(value: string | undefined): string {
  return value === undefined || value === '' ? 'null' : jsonText(value);
}

/** In milliseconds, to the microsecond. */
function ms(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** The embedder's state, if it is plain data and short: it may as well be a whole request, with all its parts. */
function stateText(state: unknown): string {
  if (state === undefined || !isPlain(state)) return 'null';
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

function headersText({ requestHeaders }: LoggedExchange, named: readonly string[] | undefined): string {
  const found = new Map<string, string>();
  for (const [name, value] of requestHeaders) {
    const key = name.toLowerCase();
    if (named?.includes(key) === false) continue;
    if (named === undefined && SECRET.has(key)) found.set(key, '[redacted]');
    else found.set(key, found.has(key) ? `${found.get(key) ?? ''}, ${value}` : value);
  }
  return `{${[...found].map(([name, value]) => `${jsonText(name)}:${jsonText(value)}`).join(',')}}`;
}

function escaped(character: string): string {
  return jsonText(character).slice(1, -1);
}

const SECRET: ReadonlySet<string> = new Set([
  'authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key',
]);
const MAX_STATE = 4_096;
const NOT_ASCII = /[\x7f-\uffff]/g;
/** Thu, 26 Nov 2026 15:43:52 GMT */
const DATE = /^\w+, (\d\d) (\w+) (\d+) ([\d:]+)/;
