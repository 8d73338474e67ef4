/**
 * The public names of equipoise/proxy-protocol.
 */
export type { ParsedProxy, ProxyAddress, ProxyHeader, ProxyTls } from './header.ts';
export { proxyHeaderOf } from './of-socket.ts';
export type { ProxyRefusal, ProxyRefusalReason, ReadProxyOptions } from './options.ts';
export { formatProxyHeader, parseProxyHeader } from './parse.ts';
export { readProxy, type ReadsProxy } from './read-proxy.ts';
