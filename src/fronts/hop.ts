/**
 * Who is on the other end of a connection.
 */
import type { Duplex } from 'node:stream';
import type { Hop } from '../http1/forwarding.ts';
import type { FrontRules } from './front.ts';

/** What is known of a stream's far end: an address if it is a socket, encryption if it is a TLS socket. */
export function hopOf(stream: Duplex | undefined, rules: FrontRules): Hop {
  const { remoteAddress: remote = '', encrypted } = (stream ?? {}) as { remoteAddress?: string; encrypted?: boolean };
  // An IPv4 client of a dual-stack listener shows as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2).
  const address = remote.startsWith('::ffff:') ? remote.slice(7) : remote;
  return { address, proto: encrypted === true ? 'https' : 'http', trusted: rules.trusts(address) };
}
