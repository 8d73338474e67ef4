/**
 * Makes a balancer listen on all configured addresses. If one fails, explains why.
 */
import { chmodSync, existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import type { Balancer } from '../balancer.ts';
import { listenOnPath } from '../cluster/stale-socket.ts';
import { messageOf } from '../guard.ts';
import { addressText, authorityText } from '../options/listen.ts';
import type { ListenAddress } from './listen.ts';

type Listen = Balancer['listen'];

/** How to listen for each purpose. */
export interface Ways {
  readonly http: Listen;
  readonly tls: Listen;
  readonly redirect: Listen;
}

/** An address that is listened on. */
export interface Bound {
  readonly as: ListenAddress['as'];
  readonly address: AddressInfo | string;
  /** As a person reads it. */
  readonly text: string;
}

/** Listens on all addresses. Resolves with them; rejects with one line that says what is wrong. */
export async function listenEverywhere(ways: Ways, listen: readonly ListenAddress[]): Promise<readonly Bound[]> {
  const bound: Bound[] = [];
  // A redirect needs to know where TLS is ended.
  const inOrder = [...listen].sort((one, other) => Number(one.as === 'redirect') - Number(other.as === 'redirect'));
  for (const where of inOrder) {
    const { as } = where;
    try {
      const address = await listenAt(ways, where);
      bound[listen.indexOf(where)] = { as, address, text: shownAddress(address, as) };
    } catch (error) {
      throw new Error(`listen: ${whyNot(where, error)}`, { cause: error });
    }
  }
  return bound;
}

async function listenAt(ways: Ways, { as, ...where }: ListenAddress): Promise<AddressInfo | string> {
  const listen = ways[as ?? 'http'];
  if (!('path' in where)) return listen(where);
  const { mode, ...options } = where;
  if (mode === undefined) return listenOnPath(where.path, () => listen(options));
  const address = await listenOnPath(where.path, () => withUmask(~mode & 0o777, () => listen(options)));
  // Exactly this mode: the umask that the process was started with may take away more.
  chmodSync(where.path, mode);
  return address;
}

/**
 * Runs `bind`, which binds a socket before it returns, with at least this umask: nobody else can connect before the
 * mode is set.
 */
export function withUmask<T>(mask: number, bind: () => T): T {
  const before = process.umask(mask);
  process.umask(before | mask);
  try {
    return bind();
  } finally {
    process.umask(before);
  }
}

/** The umask with which a process must bind these addresses. In a cluster, that is the primary. */
export function umaskOf(listen: readonly ListenAddress[]): number {
  return listen.reduce((mask, where) => (
    'path' in where && where.mode !== undefined ? mask | (~where.mode & 0o777) : mask), 0);
}

function shownAddress(address: AddressInfo | string, as: ListenAddress['as']): string {
  return typeof address === 'string' ? addressText(address) : urlText(address.address, address.port, as);
}

/** The URL to type into a browser; for every interface, that of the loopback interface. */
export function urlText(host: string | undefined, port: number, as?: ListenAddress['as']): string {
  const scheme = as === 'tls' ? 'https' : 'http';
  const url = isEveryInterface(host) ? `every interface, ${scheme}://127.0.0.1:${port}`
    : `${scheme}://${authorityText(host, port)}`;
  return as === 'redirect' ? `${url} (redirects to https)` : url;
}

export function isEveryInterface(host: string | undefined): host is undefined | '::' | '0.0.0.0' {
  return host === undefined || host === '::' || host === '0.0.0.0';
}

/** The address as the configuration has it. */
function configured(where: ListenAddress): string {
  if ('path' in where) return addressText(where.path);
  if ('fd' in where) return `fd:${where.fd}`;
  const { host, port } = where;
  return host === undefined ? String(port) : authorityText(host, port);
}

export function whyNot(where: ListenAddress, error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  const at = configured(where);
  if (code === 'EADDRINUSE') {
    // For a path, the message says what is there.
    const what = /is in use: (.*)$/.exec(messageOf(error))?.[1] ?? 'stop what listens there, or choose another address';
    return `${at} is in use (EADDRINUSE): ${what}`;
  }
  if ('path' in where && !where.path.startsWith('\0')) {
    // Node reports EACCES for a missing directory as well.
    if (existsSync(dirname(where.path))) return `${at}: ${code === 'EACCES' ? NO_PERMISSION : messageOf(error)}`;
    return `${at}: the directory ${dirname(where.path)} does not exist`;
  }
  if ('fd' in where) return `${at} is not a listening socket that this process was given: ${messageOf(error)}`;
  if ('path' in where) return `${at}: ${messageOf(error)}`;
  switch (code) {
    case 'EACCES': return `${at}: ${NO_PERMISSION}; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL': return `${at} is not an address of this machine (EADDRNOTAVAIL)`;
    case 'ENOTFOUND': return `${at}: this name has no address (ENOTFOUND)`;
    default: return `${at}: ${messageOf(error)}`;
  }
}

const NO_PERMISSION = 'no permission (EACCES)';
