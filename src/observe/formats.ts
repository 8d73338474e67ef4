/**
 * The formats of the access log. Each makes one line, without its end.
 */
import { jsonText, quotable } from './escape.ts';
import { JsonLine } from './json-line.ts';
import type { LoggedExchange } from './logged-exchange.ts';

export type Format = (exchange: LoggedExchange) => string;

/** JSON, with the headers at the end. */
export function jsonFormat(headers: readonly string[] | true | undefined): Format {
  const named = headers === true || headers === undefined ? undefined : headers.map((name) => name.toLowerCase());
  const line = new JsonLine();
  if (headers === undefined) return (exchange) => `${line.write(exchange)}}`;
  return (exchange) => `${line.write(exchange)},"headers":${headersText(exchange, named)}}`;
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

const SECRET: ReadonlySet<string> = new Set([
  'authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key',
]);
/** Thu, 26 Nov 2026 15:43:52 GMT */
const DATE = /^\w+, (\d\d) (\w+) (\d+) ([\d:]+)/;
