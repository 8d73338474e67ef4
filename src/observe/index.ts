/**
 * The public names of equipoise/observe.
 */
export { accessLog } from './access-log.ts';
export type { AccessLog, AccessLogOptions, Observed } from './access-log-options.ts';
export type { LoggedExchange } from './logged-exchange.ts';
export { type Admin, createAdmin } from './admin/admin.ts';
export type { AdminOptions } from './admin/admin-options.ts';
export type { Administered, AdministeredPool } from './admin/administered.ts';
export type { Order } from './admin/orders.ts';
export { createMetrics, type Metrics, type Scrape } from './metrics.ts';
export type { Measured, MetricsOptions } from './metrics-options.ts';
export type { PromRegistry } from './registry.ts';
export { traceWith } from './traces.ts';
export type {
  Attributes, OpenTelemetryApi, OpenTelemetryContext, OpenTelemetrySpan, OpenTelemetryTracer, TraceOptions, Traces,
} from './trace-options.ts';
