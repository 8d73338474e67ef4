/**
 * `equipoise/tls`: connections to `https:` upstreams.
 */
export { tlsConnect, type TlsConnectOptions } from './tls-connect.ts';
