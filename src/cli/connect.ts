/**
 * How the binary connects to upstreams: by the user's `connect` if there is one, and over TLS to `https:` upstreams.
 */
import net from 'node:net';
import tls from 'node:tls';
import type { BalancerOptions } from '../options/options.ts';

type Connect = NonNullable<BalancerOptions['connect']>;

/**
 * Opens a TLS connection to an `https:` upstream, and leaves `http:` to the core. Certificates are verified against
 * Node's default authorities (NODE_EXTRA_CA_CERTS adds to them).
 */
export const connectUpstream: Connect = (upstream, { lookup }) => {
  const { origin, host, port } = upstream;
  if (!origin.startsWith('https:')) return undefined;
  // Server Name Indication must not hold an IP address (RFC 6066 §3).
  const name = net.isIP(host) === 0 ? { servername: host } : {};
  // No setNoDelay here: the core does that.
  return tls.connect({ host, port, lookup, ALPNProtocols: ['http/1.1'], ...name });
};

/** Asks `own` first. If it returns undefined, an `https:` upstream still gets TLS, never cleartext. */
export function connectBy(own: Connect): Connect {
  return (...given) => own(...given) ?? connectUpstream(...given);
}
