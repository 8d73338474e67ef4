/**
 * How the binary connects to upstreams: by the user's `connect` if there is one, and over TLS to `https:` upstreams.
 */
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import type { BalancerOptions } from '../options/options.ts';
import { tlsConnect, type TlsConnectOptions } from '../tls/index.ts';
import type { UpstreamTls } from './upstream-tls.ts';

type Connect = NonNullable<BalancerOptions['connect']>;

/** Opens a TLS connection to an `https:` upstream, and leaves others to the core. */
export function connectUpstream(settings: UpstreamTls): Connect {
  let connect: Connect | undefined;
  return (upstream, means) => {
    if (!upstream.origin.startsWith('https:')) return undefined;
    // Not before it is needed: reading the authorities takes tens of milliseconds.
    connect ??= tlsConnect(optionsOf(settings));
    return connect(upstream, means);
  };
}

/** Asks `own` first. If it returns undefined, an `https:` upstream still gets TLS, never cleartext. */
export function connectBy(own: Connect, otherwise: Connect): Connect {
  return (...given) => own(...given) ?? otherwise(...given);
}

function optionsOf({ ca, cert, key, servername, insecure }: UpstreamTls): TlsConnectOptions {
  return {
    ...(ca.length === 0 ? {} : { ca: [...usualAuthorities(), ...ca.map(({ pem }) => pem)] }),
    ...(cert === undefined || key === undefined ? {} : { cert: cert.pem, key: key.pem }),
    ...(servername === undefined ? {} : { servername }),
    rejectUnauthorized: !insecure,
  };
}

/** Whom Node trusts where no authorities are given: its own list, or the system's, and NODE_EXTRA_CA_CERTS. */
function usualAuthorities(): readonly string[] {
  // Since Node 22.15.
  const { getCACertificates } = tls as { readonly getCACertificates?: (type: 'default') => readonly string[] };
  if (getCACertificates !== undefined) return getCACertificates('default');
  const { NODE_EXTRA_CA_CERTS: extra = '' } = process.env;
  return extra === '' ? tls.rootCertificates : [...tls.rootCertificates, ...textOf(extra)];
}

/** The content of a file that Node has read before; if that failed, Node has warned and does without it. */
function textOf(path: string): readonly string[] {
  try {
    return [readFileSync(path, 'utf8')];
  } catch {
    return [];
  }
}
