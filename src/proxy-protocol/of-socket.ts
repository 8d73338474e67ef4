/**
 * What a socket says of its client, as a PROXY header, and what a header says, on the socket.
 */
import { guardedValue } from '../guard.ts';
import type { ProxyAddress, ProxyHeader, ProxyTls } from './header.ts';

/** The properties of a socket that are read and set here. Sockets of TLS have the last ones. */
interface Proxied {
  readonly remoteAddress?: unknown;
  readonly remotePort?: unknown;
  readonly localAddress?: unknown;
  readonly localPort?: unknown;
  readonly encrypted?: unknown;
  readonly authorized?: unknown;
  readonly servername?: unknown;
  readonly proxyHeader?: ProxyHeader | undefined;
  readonly getProtocol?: unknown;
}

/** The PROXY header that was read on a socket; undefined if none was, or it was that of a health check of the proxy. */
export function proxyHeaderOf(socket: object): ProxyHeader | undefined {
  return (socket as Proxied).proxyHeader;
}

/**
 * Shows what a header says on its socket: own properties take the place of `remoteAddress`, `remotePort` and
 * `remoteFamily`, `encrypted` is true if the client used TLS, and `proxyHeader` is the header.
 */
export function showOnSocket(socket: object, header: ProxyHeader): void {
  const { source, local, tls } = header;
  if (local) return;
  const shown: Record<string, unknown> = { proxyHeader: header };
  if (source !== undefined) {
    const isIp = source.family !== 'Unix';
    // Of a client on a Unix socket, a socket of Node has no address either.
    shown['remoteAddress'] = isIp ? source.address : undefined;
    shown['remotePort'] = isIp ? source.port : undefined;
    shown['remoteFamily'] = isIp ? source.family : undefined;
  }
  if (tls !== undefined) shown['encrypted'] = true;
  define(socket, shown);
}

/** Shows on `to`, such as a TLS socket, what a PROXY header said on the socket below it, if there was one. */
export function copyProxied(from: object, to: object): void {
  const given: Record<string, unknown> = {};
  for (const name of NAMES) {
    const own = Object.getOwnPropertyDescriptor(from, name);
    if (own !== undefined) given[name] = own.value;
  }
  define(to, given);
}

/** The header for an upstream that serves the client of this socket. Undefined stands for a client without a socket. */
export function describeSocket(socket: object | undefined, version: 1 | 2): ProxyHeader {
  const {
    remoteAddress, remotePort, localAddress, localPort, proxyHeader, servername,
  } = (socket ?? {}) as Proxied;
  return {
    version,
    local: false,
    source: addressOf(remoteAddress, remotePort),
    // Where the client connected to the proxy in front, not where that connected to us.
    destination: proxyHeader?.destination ?? addressOf(localAddress, localPort),
    authority: typeof servername === 'string' && servername !== '' ? servername : proxyHeader?.authority,
    tls: proxyHeader?.tls ?? tlsOf(socket ?? {}),
  };
}

/** The header of a connection that we make for ourselves: a probe. */
export function ownHeader(version: 1 | 2): ProxyHeader {
  return {
    version, local: true, source: undefined, destination: undefined, authority: undefined, tls: undefined,
  };
}

function addressOf(address: unknown, port: unknown): ProxyAddress | undefined {
  if (typeof address !== 'string' || typeof port !== 'number') return undefined;
  // A dual-stack listener shows IPv4 clients as ::ffff:a.b.c.d; a link-local address has a zone, which means nothing
  // to the upstream.
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  return { family: plain.includes(':') ? 'IPv6' : 'IPv4', address: plain, port };
}

function tlsOf(socket: object): ProxyTls | undefined {
  const { encrypted, authorized, getProtocol } = socket as Proxied;
  if (encrypted !== true) return undefined;
  // It may be the embedder's stream.
  const version = guardedValue((): unknown => {
    return typeof getProtocol === 'function' ? getProtocol.call(socket) : undefined;
  }, () => undefined);
  const certificate = authorized === true;
  return {
    version: typeof version === 'string' ? version : undefined,
    cipher: undefined,
    commonName: undefined,
    certificate,
    verified: certificate,
  };
}

function define(socket: object, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    // They are accessors of the prototype, which assignment would call.
    Object.defineProperty(socket, name, { value, writable: true, enumerable: true, configurable: true });
  }
}

const NAMES = ['remoteAddress', 'remotePort', 'remoteFamily', 'encrypted', 'proxyHeader'] as const;
