/**
 * Tells tracers of exchanges and attempts, on channels of `node:diagnostics_channel`: a registry in memory, through
 * which a tracer finds us without our doing. An exchange asks once whether anybody subscribes; if not, that is all.
 */
import { type Channel, channel } from 'node:diagnostics_channel';
import { BalancerError, type ErrorCode } from '../errors.ts';
import type { FinishedExchange } from '../events.ts';
import { faultText, guarded } from '../guard.ts';
import type { Hop } from '../http1/forwarding.ts';
import type { RequestHead } from '../http1/request.ts';
import { requestHead } from '../http1/serialise.ts';
import type { Upstream } from '../strategy.ts';
import type { AttemptTrace, ExchangeTrace, TracedRequest } from '../tracing.ts';
import type { Downstream } from './downstream.ts';
import { HeaderLines } from './hooks/header-lines.ts';
import { ReceivedLines } from './received-lines.ts';
import type { ExchangeServices } from './services.ts';

/** The channels of a TracingChannel of this name. */
class Channels {
  readonly #start: Channel;
  readonly #end: Channel;
  readonly #asyncStart: Channel;
  readonly #asyncEnd: Channel;
  readonly #error: Channel;

  constructor(name: string) {
    this.#start = channel(`tracing:${name}:start`);
    this.#end = channel(`tracing:${name}:end`);
    this.#asyncStart = channel(`tracing:${name}:asyncStart`);
    this.#asyncEnd = channel(`tracing:${name}:asyncEnd`);
    this.#error = channel(`tracing:${name}:error`);
  }

  get observed(): boolean {
    return this.#start.hasSubscribers || this.#asyncEnd.hasSubscribers || this.#error.hasSubscribers
      || this.#asyncStart.hasSubscribers || this.#end.hasSubscribers;
  }

  started(message: object): void {
    this.#start.publish(message);
  }

  returned(message: object): void {
    this.#end.publish(message);
  }

  over(message: { readonly error: unknown }): void {
    if (message.error !== undefined) this.#error.publish(message);
    this.#asyncStart.publish(message);
    this.#asyncEnd.publish(message);
  }
}

const EXCHANGES = new Channels('equipoise.exchange');
const ATTEMPTS = new Channels('equipoise.attempt');

/** Whether anybody subscribes. Ask before an exchange is traced. */
export function isTraced(): boolean {
  return EXCHANGES.observed || ATTEMPTS.observed;
}

/** The exchange that is traced. */
export interface Traced {
  readonly head: RequestHead;
  readonly downstream: Downstream;
  /** Before its route changed it. */
  readonly target: string;
  readonly route: string | undefined;
}

/** One exchange. Made for it alone: subscribers may keep it. */
export class Trace implements ExchangeTrace {
  readonly balancer: object;
  readonly request: TracedRequest;
  readonly route: string | undefined;
  run: ExchangeTrace['run'];
  result: FinishedExchange | undefined;
  complete = false;
  error: BalancerError | undefined;
  readonly #report: ExchangeServices['report'];

  constructor({ balancer, report }: ExchangeServices, { head, downstream, target, route }: Traced) {
    const { method, host, version, lines } = head;
    const { hop, embedded = false } = downstream;
    this.balancer = balancer;
    this.request = {
      method,
      target,
      host,
      protocol: version,
      scheme: hop.proto,
      remoteAddress: hop.address,
      client: clientOf(head, hop),
      embedded,
      headers: new ReceivedLines(lines),
    };
    this.route = route;
    this.#report = report;
  }

  report(what: string, cause: unknown): void {
    this.#report(new BalancerError('HOOK_FAILED', `a tracer ${what}`, { cause }), undefined);
  }

  /** Calls a hook, once, the way that a subscriber asked for. */
  within<T>(hook: () => T): T {
    const { run } = this;
    if (run === undefined) return hook();
    let called: { readonly result: T } | undefined;
    const once = (): T => (called ??= { result: hook() }).result;
    guarded(() => run(once), (what, cause) => {
      this.report(`${faultText(what, cause)}, in run`, cause);
    });
    return once();
  }

  started(): void {
    EXCHANGES.started(this);
  }

  returned(): void {
    EXCHANGES.returned(this);
  }

  /** It is over. `error` says why it failed, where more than the code of the result is known. */
  finished(result: FinishedExchange, complete: boolean, error: BalancerError | undefined): void {
    this.result = result;
    this.complete = complete;
    this.error = error ?? (result.code === undefined ? undefined : new BalancerError(result.code as ErrorCode));
    EXCHANGES.over(this);
  }
}

/** An attempt that has begun. */
export interface BegunAttempt {
  readonly number: number;
  readonly mirror: boolean;
  readonly pool: string;
  readonly upstream: Upstream;
  readonly head: RequestHead;
  readonly host: string;
}

/** One attempt. */
export class TracedAttempt implements AttemptTrace {
  readonly exchange: ExchangeTrace;
  readonly number: number;
  readonly mirror: boolean;
  readonly pool: string;
  readonly upstream: Upstream;
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly headers: HeaderLines;
  status: number | undefined;
  error: BalancerError | undefined;
  readonly #head: RequestHead;

  constructor(exchange: ExchangeTrace, { number, mirror, pool, upstream, head, host }: BegunAttempt) {
    this.exchange = exchange;
    this.number = number;
    this.mirror = mirror;
    this.pool = pool;
    this.upstream = upstream;
    this.method = head.method;
    this.target = head.target;
    this.host = host;
    this.headers = new HeaderLines('request', head.lines, head.fields);
    this.#head = head;
  }

  started(): void {
    ATTEMPTS.started(this);
    ATTEMPTS.returned(this);
  }

  /** The head to send, with what subscribers made of its headers. */
  requestHead(host: string, forwarding: string): string {
    const { headers } = this;
    headers.seal('the request was sent');
    return requestHead(this.#head, headers.host ?? host, headers.withoutTaken(forwarding), headers.sent);
  }

  /** It has settled; `code` says why it failed, if it did. */
  settled(status: number | undefined, code: ErrorCode | undefined): void {
    this.headers.seal('the attempt is over');
    this.status = status;
    this.error = code === undefined ? undefined : this.error ?? new BalancerError(code);
    ATTEMPTS.over(this);
  }
}

/** The client as a trusted downstream tells of it, else the downstream itself. */
function clientOf(head: RequestHead, hop: Hop): TracedRequest['client'] {
  const { host, forwardedFor, forwardedProto, forwardedHost } = head;
  if (!hop.trusted) return { address: hop.address, scheme: hop.proto, host };
  return {
    address: firstOf(forwardedFor) ?? hop.address,
    scheme: firstOf(forwardedProto)?.toLowerCase() ?? hop.proto,
    host: firstOf(forwardedHost) ?? host,
  };
}

/** The first item of a list, which the hop nearest to the client wrote; undefined of an empty one. */
function firstOf(list: string): string | undefined {
  const [first = ''] = list.split(',', 1);
  return first.trim() || undefined;
}
