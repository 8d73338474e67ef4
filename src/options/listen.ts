/**
 * Where to listen: the type, its check, and how an address is written.
 */
import type { AddressInfo } from 'node:net';
import { integer, onlyKnown, shown, socketPath } from './checks.ts';

/** Where to listen: a port, a Unix socket, or a socket that is already open (systemd's socket activation). */
export type ListenOptions =
  | { readonly port: number; readonly host?: string; readonly backlog?: number }
  | { readonly path: string; readonly backlog?: number }
  | { readonly fd: number };

/**
 * Checks where to listen. `own` lists keys that the caller checks itself. Returns a copy, since a server reads the
 * options again later; undefined if they name no place, or several. Adds what is wrong to `problems`.
 */
export function readListenOptions(
  given: Readonly<Record<string, unknown>>, at: string, problems: string[], own: readonly string[] = [],
): ListenOptions | undefined {
  const { port, host, path, fd, backlog } = given;
  const before = problems.length;
  onlyKnown(given, `${at}.`, new Set([...KEYS.port, 'path', 'fd', ...own]), problems);
  const places = Object.entries({ port, path, fd }).filter(([, value]) => value !== undefined);
  const place = places[0]?.[0] as keyof typeof KEYS | undefined;
  if (place === undefined || places.length > 1) {
    // A misspelt name, reported already, is probably the one that is missing.
    if (problems.length > before) return undefined;
    problems.push(`${at}: must have exactly one of port, path and fd, e.g. { "port": 8080 } (got ${shown(given)})`);
    return undefined;
  }
  const options = Object.entries({ port, host, path, fd, backlog }).filter(([, value]) => value !== undefined);
  for (const [key] of options) {
    if (!KEYS[place].includes(key)) problems.push(`${at}.${key}: cannot be used with ${place}; leave it out`);
  }
  if (port !== undefined) checkPort(port, `${at}.port`, problems);
  if (host !== undefined && !isText(host)) {
    problems.push(`${at}.host: must be a name or an address, e.g. "127.0.0.1" (got ${shown(host)})`);
  }
  if (isText(path)) socketPath(path, `${at}.path`, problems);
  else if (path !== undefined) {
    problems.push(`${at}.path: must be the path of a Unix socket, e.g. "/run/equipoise.sock" (got ${shown(path)})`);
  }
  if (fd !== undefined && !isWhole(fd, MAX_FD)) {
    problems.push(`${at}.fd: must be the number of an open file descriptor, e.g. 3 (got ${shown(fd)})`);
  }
  integer(backlog, `${at}.backlog`, { fallback: DEFAULT_BACKLOG, min: 0 }, problems);
  return Object.fromEntries(options) as unknown as ListenOptions;
}

export function checkPort(port: unknown, at: string, problems: string[]): void {
  if (!isWhole(port, MAX_PORT)) {
    problems.push(`${at}: the port must be an integer from 0 to ${MAX_PORT} (got ${shown(port)})`);
  }
}

/** A bound address in its usual notation: `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/equipoise.sock`. */
export function addressText(address: AddressInfo | string): string {
  // An abstract name begins with a NUL.
  if (typeof address === 'string') return `unix:${address.replace(/^\0/, '@')}`;
  return authorityText(address.address, address.port);
}

/** `host:port`, with brackets around an IPv6 address (RFC 3986 §3.2.2). */
export function authorityText(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isWhole(value: unknown, max: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}

/** The keys that go with each kind of place. */
const KEYS: Readonly<Record<'port' | 'path' | 'fd', readonly string[]>> = {
  port: ['port', 'host', 'backlog'],
  path: ['path', 'backlog'],
  fd: ['fd'],
};
const MAX_PORT = 65_535;
const MAX_FD = 2 ** 31 - 1;
/** Node's default. */
const DEFAULT_BACKLOG = 511;
