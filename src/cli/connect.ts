/**
 * How the binary connects to upstreams: as the user's own `connect` says, else over TLS where the scheme asks for it.
 */
import net from 'node:net';
import tls from 'node:tls';
import type { BalancerOptions } from '../options/options.ts';

type Connect = NonNullable<BalancerOptions['connect']>;

/**
 * Opens the connection to an `https:` upstream; plain ones are left to the core. Certificates are verified against the
 * system's (NODE_EXTRA_CA_CERTS adds to them).
 */
export const connectUpstream: Connect = (upstream, { lookup }) => {
  const { origin, host, port } = upstream;
  if (!origin.startsWith('https:')) return undefined;
  // Server Name Indication takes names only (RFC 6066 §3).
  const name = net.isIP(host) === 0 ? { servername: host } : {};
  // The core turns off Nagle's algorithm on whatever it is given.
  return tls.connect({ host, port, lookup, ALPNProtocols: ['http/1.1'], ...name });
};

/** Asks `own` first. What it leaves to us is opened as ever: what is to be encrypted never goes out in cleartext. */
export function connectBy(own: Connect): Connect {
  return (...given) => own(...given) ?? connectUpstream(...given);
}
