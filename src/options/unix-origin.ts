/**
 * Unix sockets as origins: `unix:/run/app.sock`, and `unix:@name` for an abstract one (Linux).
 */
import { MAX_SOCKET_PATH, shown } from './checks.ts';

/** As an `Origin`, with a path in place of host and port. */
export interface UnixOrigin {
  readonly origin: string;
  readonly protocol: 'unix:';
  readonly host: string;
  readonly port: number;
  readonly authority: string;
  readonly path: string;
}

/** Undefined if it is not such an origin. `unix:///run/app.sock`, as other programs write it, is accepted as well. */
export function parseUnix(text: string): UnixOrigin | undefined {
  const rest = restOf(text);
  if (rest === undefined || problemOf(rest) !== undefined) return undefined;
  const name = rest.replace(/^\/+/, '/');
  // The path of an abstract socket begins with a NUL.
  const path = name.startsWith('@') ? `\0${name.slice(1)}` : name;
  return { origin: `unix:${name}`, protocol: 'unix:', host: 'localhost', port: 0, authority: 'localhost', path };
}

/** What is wrong with a text that was meant to be such an origin; undefined if it was meant to be another one. */
export function unixProblem(text: string): string | undefined {
  const rest = restOf(text);
  if (rest !== undefined) return `${problemOf(rest) ?? ''} (got ${shown(text)})`;
  // As in nginx's configuration, and a plain path.
  const path = /^(?:https?:\/\/unix:)?(\/[^:]+)(?::.*)?$/i.exec(text.trim())?.[1];
  return path === undefined ? undefined : `must be an origin (got ${shown(text)}); did you mean unix:${path}?`;
}

/** What follows the scheme. */
function restOf(text: string): string | undefined {
  return /^\s*unix:(.*)$/is.exec(text)?.[1]?.trimEnd();
}

function problemOf(rest: string): string | undefined {
  if (CONTROL.test(rest)) return 'the path of a Unix socket must not contain control characters';
  if (rest.startsWith('@')) {
    if (process.platform !== 'linux') return 'abstract sockets exist on Linux alone; write unix:/path';
    if (rest.length === 1) return 'must name an abstract socket, e.g. unix:@app';
  } else if (!rest.startsWith('/') || /^\/\/[^/]/.test(rest)) {
    return 'must be unix: and an absolute path, e.g. unix:/run/app.sock, or unix:@name for an abstract socket';
  } else if (rest.endsWith('/')) return 'must name a socket, not a directory, e.g. unix:/run/app.sock';
  if (/,mode=[^/]*$/.test(rest)) return 'has a mode, which is for sockets to listen on; leave it out';
  const octets = Buffer.byteLength(rest.replace(/^\/+/, '/'));
  if (octets <= MAX_SOCKET_PATH) return undefined;
  return `the path of a Unix socket must have at most ${MAX_SOCKET_PATH} octets, and has ${octets}`;
}

/** They would end or forge a line of a log. */
const CONTROL = /[\x00-\x1f\x7f]/;
