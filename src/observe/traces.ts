/**
 * Traces by OpenTelemetry: a server span for each exchange of a balancer, below it a client span for each attempt, and
 * the context of the span passed on to the upstream. It stands on the tracing channels, as any tracer may.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { faultText, guarded } from '../guard.ts';
import type { AttemptTrace, ExchangeTrace } from '../tracing.ts';
import {
  attemptAttributes, clientName, outcomeAttributes, requestAttributes, resultAttributes, serverName,
} from './span-attributes.ts';
import {
  type Attributes, checkTraces, type OpenTelemetryApi, type OpenTelemetryContext, type OpenTelemetrySpan,
  type OpenTelemetryTracer, type TraceOptions, type Traces,
} from './trace-options.ts';

/**
 * Traces the exchanges of `balancer` from now on, or with `'all'` those of every balancer in the process. What `api`
 * throws is reported by the balancer, and ends nothing. Throws OPTIONS_INVALID.
 */
export function traceWith(balancer: object | 'all', options: TraceOptions): Traces {
  checkTraces(balancer, options);
  return new Spans(balancer, options);
}

/** An exchange with its spans. */
interface Spanned {
  /** In which its hooks run, and its attempts are made. */
  readonly context: OpenTelemetryContext;
  /** Undefined where the embedder has one for the request. */
  readonly span: OpenTelemetrySpan | undefined;
}

class Spans implements Traces {
  readonly #balancer: object | 'all';
  readonly #api: OpenTelemetryApi;
  readonly #query: boolean;
  readonly #tracer: OpenTelemetryTracer;
  readonly #exchanges = new WeakMap<ExchangeTrace, Spanned>();
  readonly #attempts = new WeakMap<AttemptTrace, OpenTelemetrySpan>();
  /** Spans that have not ended. */
  #open = 0;
  #closed = false;

  constructor(balancer: object | 'all', { api, query = true }: TraceOptions) {
    this.#balancer = balancer;
    this.#api = api;
    this.#query = query;
    this.#tracer = api.trace.getTracer('equipoise');
    subscribe(`${EXCHANGE}:start`, this.#exchangeBegins);
    subscribe(`${EXCHANGE}:asyncEnd`, this.#exchangeEnds);
    subscribe(`${ATTEMPT}:start`, this.#attemptBegins);
    subscribe(`${ATTEMPT}:asyncEnd`, this.#attemptEnds);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    unsubscribe(`${EXCHANGE}:start`, this.#exchangeBegins);
    this.#leave();
  }

  /** Leaves the channels, once every span that has begun has ended. */
  #leave(): void {
    if (!this.#closed || this.#open > 0) return;
    unsubscribe(`${EXCHANGE}:asyncEnd`, this.#exchangeEnds);
    unsubscribe(`${ATTEMPT}:start`, this.#attemptBegins);
    unsubscribe(`${ATTEMPT}:asyncEnd`, this.#attemptEnds);
  }

  readonly #exchangeBegins = (message: unknown): void => {
    const trace = message as ExchangeTrace;
    if (this.#balancer !== 'all' && trace.balancer !== this.#balancer) return;
    this.#guarded(trace, () => {
      const spanned = this.#spanned(trace);
      this.#exchanges.set(trace, spanned);
      this.#open++;
      const { run } = trace;
      trace.run = (hook) => this.#api.context.with(spanned.context, run === undefined ? hook : () => run(hook));
    });
  };

  readonly #exchangeEnds = (message: unknown): void => {
    const trace = message as ExchangeTrace;
    const spanned = this.#exchanges.get(trace);
    if (spanned === undefined) return;
    this.#exchanges.delete(trace);
    this.#guarded(trace, () => {
      if (spanned.span !== undefined) this.#end(spanned.span, resultAttributes(trace), trace.error);
    });
    this.#ended();
  };

  readonly #attemptBegins = (message: unknown): void => {
    const attempt = message as AttemptTrace;
    const { exchange } = attempt;
    const spanned = this.#exchanges.get(exchange);
    if (spanned === undefined) return;
    this.#guarded(exchange, () => {
      const { trace } = this.#api;
      const options = { kind: CLIENT, attributes: attemptAttributes(attempt, this.#query) };
      const span = this.#tracer.startSpan(clientName(attempt), options, spanned.context);
      this.#attempts.set(attempt, span);
      this.#open++;
      this.#inject(trace.setSpan(spanned.context, span), attempt);
    });
  };

  readonly #attemptEnds = (message: unknown): void => {
    const attempt = message as AttemptTrace;
    const span = this.#attempts.get(attempt);
    if (span === undefined) return;
    this.#attempts.delete(attempt);
    this.#guarded(attempt.exchange, () => {
      this.#end(span, outcomeAttributes(attempt), attempt.error);
    });
    this.#ended();
  };

  /** Starts the server span, unless the embedder has one already. */
  #spanned(trace: ExchangeTrace): Spanned {
    const { context, propagation, trace: spans, ROOT_CONTEXT } = this.#api;
    const active = context.active();
    // On a connection of our own, what is active is what was so when it began to listen.
    if (trace.request.embedded && this.#isOfRequest(active)) return { context: active, span: undefined };
    const parent = propagation.extract(ROOT_CONTEXT ?? spans.deleteSpan(active), trace.request.headers, GETTER);
    const options = { kind: SERVER, attributes: requestAttributes(trace, this.#query) };
    const span = this.#tracer.startSpan(serverName(trace), options, parent);
    return { context: spans.setSpan(parent, span), span };
  }

  /**
   * Whether a span of this process is active, as where the embedder's own server is instrumented: one that records, or
   * that was not sampled. One that has ended is of the time when the server was started.
   */
  #isOfRequest(active: OpenTelemetryContext): boolean {
    const span = this.#api.trace.getSpan(active);
    if (span === undefined) return false;
    const { isRemote, traceFlags } = span.spanContext();
    return isRemote !== true && (span.isRecording() || (traceFlags & SAMPLED) === 0);
  }

  /** Has the upstream continue the trace, in place of what the downstream sent about it. */
  #inject(context: OpenTelemetryContext, { headers }: AttemptTrace): void {
    const { propagation } = this.#api;
    const written = new Set<string>();
    propagation.inject(context, headers, {
      set: (carrier, name, value) => {
        carrier.set(name, value);
        written.add(name.toLowerCase());
      },
    });
    if (written.size === 0) return;
    // A `tracestate` would belong to another trace. Baggage belongs to none.
    for (const name of propagation.fields()) {
      if (!written.has(name.toLowerCase()) && name.toLowerCase() !== 'baggage') headers.delete(name);
    }
  }

  #end(span: OpenTelemetrySpan, attributes: Attributes, error: Error | undefined): void {
    if (span.isRecording()) {
      span.setAttributes(attributes);
      // Why is said by the status of the response, where nothing else failed.
      if (attributes['error.type'] !== undefined) {
        span.setStatus({ code: ERROR, ...(error && { message: error.message }) });
      }
    }
    span.end();
  }

  #ended(): void {
    this.#open--;
    this.#leave();
  }

  #guarded(trace: ExchangeTrace, call: () => void): void {
    guarded(call, (what, cause) => {
      trace.report(faultText(what, cause), cause);
    });
  }
}

/** The headers of a request, for a propagator. */
const GETTER = {
  get: (headers: ExchangeTrace['request']['headers'], name: string): string | undefined => {
    return headers.get(name) ?? undefined;
  },
  keys: (headers: ExchangeTrace['request']['headers']): string[] => Array.from(headers, ([name]) => name),
};

const EXCHANGE = 'tracing:equipoise.exchange';
const ATTEMPT = 'tracing:equipoise.attempt';
/** SpanKind.SERVER, SpanKind.CLIENT, SpanStatusCode.ERROR and TraceFlags.SAMPLED, whatever the API's copy of them. */
const SERVER = 1;
const CLIENT = 2;
const ERROR = 2;
const SAMPLED = 1;
