/**
 * TLS to `https:` upstreams, for the binary: the core knows no TLS.
 */
import net, { type LookupFunction } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';

/**
 * Opens the connection to an `https:` upstream; plain ones are left to the core. Certificates are verified against the
 * system's (NODE_EXTRA_CA_CERTS adds to them).
 */
export function connectUpstream(
  upstream: { readonly origin: string; readonly host: string; readonly port: number },
  { lookup }: { readonly lookup: LookupFunction },
): TLSSocket | undefined {
  const { origin, host, port } = upstream;
  if (!origin.startsWith('https:')) return undefined;
  // Server Name Indication takes names only (RFC 6066 §3).
  const name = net.isIP(host) === 0 ? { servername: host } : {};
  // The core turns off Nagle's algorithm on whatever it is given.
  return tls.connect({ host, port, lookup, ALPNProtocols: ['http/1.1'], ...name });
}
