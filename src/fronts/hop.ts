/**
 * Who is on the other end of a connection.
 */
import type { Hop } from '../http1/forwarding.ts';
import type { FrontRules } from './front.ts';

/** What is known of a socket's far end. `encrypted` is set by TLS sockets. */
export function hopOf(
  socket: { readonly remoteAddress?: string | undefined; readonly encrypted?: boolean },
  rules: FrontRules,
): Hop {
  const remote = socket.remoteAddress ?? '';
  // An IPv4 client of a dual-stack listener shows as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2).
  const address = remote.startsWith('::ffff:') ? remote.slice(7) : remote;
  return { address, proto: socket.encrypted === true ? 'https' : 'http', trusted: rules.trusts(address) };
}
