/**
 * The public names of equipoise/tcp.
 */
export { createTcpBalancer, type TcpBalancer } from './tcp-balancer.ts';
export type {
  TcpBalancerOptions, TcpConfigureOptions, TcpFrontOptions, TcpHealthCheckOptions, TcpPoolOptions, TcpRouteOptions,
  TcpUpstreamOptions,
} from '../options/tcp-options.ts';
