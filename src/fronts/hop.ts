/**
 * Identifies the other end of a connection.
 */
import type { Duplex } from 'node:stream';
import type { Hop } from '../http1/forwarding.ts';
import type { FrontRules } from './front.ts';

/** What a stream tells about its other end: its address if it is a socket, `https` if it is a TLS socket. */
export function hopOf(stream: Duplex | undefined, rules: FrontRules): Hop {
  const { remoteAddress: remote = '', encrypted } = (stream ?? {}) as { remoteAddress?: string; encrypted?: boolean };
  // A dual-stack listener shows IPv4 clients as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2).
  const address = remote.startsWith('::ffff:') ? remote.slice(7) : remote;
  const trusted = (address !== '' || !isGone(stream)) && rules.trusts(address);
  return { address, proto: encrypted === true ? 'https' : 'http', trusted };
}

/** Whether this is the TCP connection of a peer that has reset it: unlike one on a Unix socket, it had an address. */
function isGone(stream: Duplex | undefined): boolean {
  return (stream as { readonly localAddress?: unknown } | undefined)?.localAddress !== undefined;
}
