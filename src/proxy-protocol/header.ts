/**
 * A PROXY header: what a proxy in front says of the connection that it forwards. The protocol is HAProxy's
 * (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt).
 */

/** A PROXY header, of either version. */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** Whether the proxy made the connection for itself, as for a health check: there is no client then. */
  readonly local: boolean;
  /**
   * The client, and the address that it connected to. Undefined if the header does not say (LOCAL, UNKNOWN, UNSPEC):
   * then the real addresses of the connection count.
   */
  readonly source: ProxyAddress | undefined;
  readonly destination: ProxyAddress | undefined;
  /** The host name that the client asked for, by SNI for example. */
  readonly authority: string | undefined;
  /** Undefined if the client did not use TLS, or the header does not say. */
  readonly tls: ProxyTls | undefined;
}

/** One end of a connection. That of a Unix socket has a path, which may be empty. */
export type ProxyAddress =
  | { readonly family: 'IPv4' | 'IPv6'; readonly address: string; readonly port: number }
  | { readonly family: 'Unix'; readonly path: string };

/** The TLS connection between the client and the proxy. */
export interface ProxyTls {
  /** E.g. `TLSv1.3`. */
  readonly version: string | undefined;
  readonly cipher: string | undefined;
  /** The common name of the client's certificate. */
  readonly commonName: string | undefined;
  /** Whether the client presented a certificate, on this connection or earlier in its TLS session. */
  readonly certificate: boolean;
  /** Whether it did, and the proxy verified it. */
  readonly verified: boolean;
}

/** What the octets at the start of a connection are. */
export type ParsedProxy =
  /** A header, which ends at `length`. */
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly length: number }
  /** The beginning of one. */
  | { readonly kind: 'partial' }
  /** Not the beginning of one: `begun` says whether it looked like one at first. */
  | { readonly kind: 'invalid'; readonly begun: boolean; readonly why: string };

export const PARTIAL: ParsedProxy = { kind: 'partial' };

/** Something that looked like a header and is none. */
export function malformed(why: string): ParsedProxy {
  return { kind: 'invalid', begun: true, why };
}
