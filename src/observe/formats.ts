/**
 * The formats of the access log. Each writes one line, without its end.
 */
import { jsonText, quotable } from './escape.ts';
import { JsonLine } from './json-line.ts';
import type { LineBuffer } from './line-buffer.ts';
import type { LoggedExchange } from './logged-exchange.ts';

export type Format = (exchange: LoggedExchange, to: LineBuffer) => void;

/** JSON, with the headers at the end. */
export function jsonFormat(headers: readonly string[] | true | undefined): Format {
  const named = headers === true || headers === undefined ? undefined : headers.map((name) => name.toLowerCase());
  const line = new JsonLine();
  return (exchange, to) => {
    const rest = headers === undefined ? END : Buffer.from(`,"headers":${headersText(exchange, named)}}`);
    line.write(exchange, to);
    to.octets(rest);
  };
}

/** A format whose lines are ASCII. */
export function textFormat(text: (exchange: LoggedExchange) => string): Format {
  return (exchange, to) => {
    to.ascii(text(exchange));
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

const END = Buffer.from('}');
const SECRET: ReadonlySet<string> = new Set([
  'authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key',
]);
/** Thu, 26 Nov 2026 15:43:52 GMT */
const DATE = /^\w+, (\d\d) (\w+) (\d+) ([\d:]+)/;
