/**
 * What can be said about traces, and its check. What is needed of `@opentelemetry/api` is written down here, since
 * nothing of ours depends on that package.
 */
import { BalancerError } from '../errors.ts';
import { flag, isRecord, onlyKnown, shown } from '../options/checks.ts';

/** `@opentelemetry/api`, as far as it is used: pass the module, `import * as api from '@opentelemetry/api'`. */
export interface OpenTelemetryApi {
  readonly trace: {
    getTracer(name: string): OpenTelemetryTracer;
    getSpan(context: OpenTelemetryContext): OpenTelemetrySpan | undefined;
    setSpan(context: OpenTelemetryContext, span: OpenTelemetrySpan): OpenTelemetryContext;
    deleteSpan(context: OpenTelemetryContext): OpenTelemetryContext;
  };
  readonly context: {
    active(): OpenTelemetryContext;
    with<T>(context: OpenTelemetryContext, call: () => T): T;
  };
  readonly propagation: {
    extract<C>(context: OpenTelemetryContext, carrier: C, getter: {
      get(carrier: C, key: string): string | undefined;
      keys(carrier: C): string[];
    }): OpenTelemetryContext;
    inject<C>(context: OpenTelemetryContext, carrier: C, setter: {
      set(carrier: C, key: string, value: string): void;
    }): void;
    fields(): string[];
  };
  readonly ROOT_CONTEXT?: OpenTelemetryContext;
}

/** A context, which only the API looks into. */
export interface OpenTelemetryContext {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): OpenTelemetryContext;
  deleteValue(key: symbol): OpenTelemetryContext;
}

export interface OpenTelemetryTracer {
  startSpan(
    name: string, options: { readonly kind: number; readonly attributes: Attributes }, context: OpenTelemetryContext,
  ): OpenTelemetrySpan;
}

export interface OpenTelemetrySpan {
  spanContext(): { traceId: string; spanId: string; traceFlags: number; isRemote?: boolean | undefined };
  isRecording(): boolean;
  setAttributes(attributes: Attributes): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(): void;
}

export type Attributes = Record<string, string | number | boolean>;

export interface TraceOptions {
  /** The user's `@opentelemetry/api`. */
  readonly api: OpenTelemetryApi;
  /** Whether spans tell the query of the target; signatures in it are redacted. Default true. */
  readonly query?: boolean;
}

export interface Traces {
  /** Stops: exchanges that begin from now on get no spans. Those under way keep theirs, which end with them. */
  close(): void;
}

/** Throws OPTIONS_INVALID, with every problem in one message. */
export function checkTraces(balancer: unknown, options: unknown): void {
  const problems: string[] = [];
  if (balancer !== 'all' && typeof (balancer as { readonly on?: unknown } | null | undefined)?.on !== 'function') {
    problems.push(`traceWith: the first argument must be a balancer, or 'all' (got ${shown(balancer)})`);
  }
  if (!isRecord(options)) problems.push(`traceWith: the options must be an object (got ${shown(options)})`);
  else {
    onlyKnown(options, '', KNOWN, problems);
    flag(options['query'], 'query', problems);
    if (!isApi(options['api'])) {
      const how = "import * as api from '@opentelemetry/api'";
      problems.push(`api: must be the module @opentelemetry/api, by ${how} (got ${shown(options['api'])})`);
    }
  }
  if (problems.length > 0) throw new BalancerError('OPTIONS_INVALID', problems.join('\n'));
}

function isApi(api: unknown): boolean {
  const { trace, context, propagation } = (api ?? {}) as Partial<Record<string, Partial<Record<string, unknown>>>>;
  return typeof trace?.['getTracer'] === 'function' && typeof context?.['with'] === 'function'
    && typeof propagation?.['inject'] === 'function';
}

const KNOWN: ReadonlySet<string> = new Set(['api', 'query']);
