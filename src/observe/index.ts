/**
 * The public names of equipoise/observe.
 */
export { accessLog } from './access-log.ts';
export type { AccessLog, AccessLogOptions, Observed } from './access-log-options.ts';
export type { LoggedExchange } from './logged-exchange.ts';
export { traceWith } from './traces.ts';
export type {
  Attributes, OpenTelemetryApi, OpenTelemetryContext, OpenTelemetrySpan, OpenTelemetryTracer, TraceOptions, Traces,
} from './trace-options.ts';
