/**
 * The public names of equipoise.
 */
export { type Balancer, createBalancer } from './balancer.ts';
export type { CloseOptions, DrainOptions, HandleOptions } from './options/calls.ts';
export type { ConfigureOptions } from './options/changes.ts';
export { inProcess, type InProcessApp } from './in-process/in-process.ts';
export type { ListenOptions } from './options/listen.ts';
export type { Channel, ChannelMember, ChannelSeat } from './channel.ts';
export type { TimeSource } from './loop/time-source.ts';
export type { BalancerEvents, FinishedExchange, Listener, ReceivedHeaders } from './events.ts';
export type { Meter, Metering, ShadowEstimate, ShadowFigures, Traffic } from './meter.ts';
export { BalancerError, type ErrorCode, type ErrorSource } from './errors.ts';
export type {
  BalancerOptions, FrontOptions, HealthCheckOptions, PoolOptions, Report, UpstreamOptions,
} from './options/options.ts';
export {
  type Config, defineConfig, type ListenConfig, type PoolConfig, type StrategyConfig, type StrategyName,
  type UpstreamTlsConfig,
} from './options/define-config.ts';
export type { RouteAnswer, RouteOptions } from './options/route-options.ts';
export type { BalancerPool } from './pools/balancer-pool.ts';
export type { AttemptTrace, ExchangeTrace, TracedRequest } from './tracing.ts';
export type {
  Answered, Candidate, LoadReport, Outcome, PickContext, PickRequest, Strategy, Upstream,
} from './strategy.ts';
export {
  createTcpBalancer, type TcpBalancer, type TcpBalancerOptions, type TcpConfigureOptions, type TcpFrontOptions,
  type TcpHealthCheckOptions, type TcpPoolOptions, type TcpRouteOptions, type TcpUpstreamOptions,
} from './tcp/index.ts';
export type {
  AnsweredExchange, ExchangeLimits, HookError, HookExchange, HookHeaders, HookRequest, HookResponse, HookResult, Hooks,
  HookTransform,
} from './hooks.ts';
