/**
 * What one exchange comes to, for the event `finished`, for tracers, and for `Server-Timing`. While it runs, only
 * numbers are kept; the event itself is made at its end, and only if somebody listens.
 */
import { type BalancerError, type ErrorCode, meaningOf } from '../errors.ts';
import type { DecidedExchange, FinishedExchange } from '../events.ts';
import type { RequestHead } from '../http1/request.ts';
import type { ResponseHead } from '../http1/response.ts';
import type { Upstream } from '../strategy.ts';
import { Decision, withLine } from './decision.ts';
import type { Downstream } from './downstream.ts';
import { requestId } from './request-id.ts';
import { ToldExchange } from './told-exchange.ts';
import type { ExchangeServices } from './services.ts';
import { isTraced, Trace } from './trace.ts';

/** The exchange that ends. */
export interface Accounted {
  readonly head: RequestHead;
  readonly downstream: Downstream;
  readonly pool: { readonly name: string };
  readonly attempt: { readonly last: Upstream | undefined };
  readonly upload: {
    /** Octets of request body. */
    readonly received: number;
  };
  /** What its hooks see; undefined without hooks. */
  readonly view: { readonly request: { readonly id: string }; readonly state: unknown } | undefined;
}

/** The account of one exchange at a time. */
export class Account {
  /** Octets of response body that were handed to the downstream. */
  sent = 0;
  /** Attempts begun. */
  attempts = 0;
  /** Whether the request belongs to a pool: where there are routes, one of them may have found it. */
  hasPool = false;
  /** Whether there were tracers when it began. */
  isTraced = false;
  /** What they see; undefined without any. */
  trace: Trace | undefined;
  /** Why it goes where it goes; undefined unless somebody wants to know. */
  decision: Decision | undefined;
  readonly #services: ExchangeServices;
  #id = '';
  #target = '';
  /** The status that went downstream; 0 before. */
  #status = 0;
  #code: ErrorCode | undefined;
  #error: BalancerError | undefined;
  /** Whether it failed once the response had begun. */
  #broken = false;
  /** Whether somebody wanted to know from the start. If not, times are those of the last tick of the clock. */
  #precise = false;
  #epoch = 0;
  #began = 0;
  /** When the response head went downstream, and when it began to wait; -1 if it does not. */
  #headAt = -1;
  #queuedAt = -1;
  #queuedMs = 0;
  /** Made, and not told yet. */
  #event: FinishedExchange | undefined;
  #decided: DecidedExchange | undefined;

  constructor(services: ExchangeServices) {
    this.#services = services;
  }

  /**
   * Starts with a request for `target`, before routes and hooks change it. `asksWhy`: its response says why it went
   * where it went.
   */
  start(target: string, asksWhy: boolean): void {
    const { clock, events, rules, sampler } = this.#services;
    const isNoted = asksWhy || (events.heard('decided') && sampler.takes(clock.now));
    this.decision = isNoted ? new Decision(asksWhy) : undefined;
    this.#id = '';
    this.#target = target;
    this.isTraced = isTraced();
    this.#precise = isNoted || this.isTraced || rules.serverTiming || events.heard('finished');
    if (this.#precise) this.#epoch = clock.source.epoch();
    this.#began = this.#precise || events.meters.current !== undefined ? clock.source.now() : clock.now;
    this.sent = this.attempts = this.#status = this.#queuedMs = 0;
    this.#headAt = this.#queuedAt = -1;
    this.#code = this.#error = this.trace = undefined;
    this.#broken = false;
  }

  /** Tells tracers that it has begun; `route` is the path of its route. */
  beginTrace({ head, downstream }: Accounted, route: string | undefined): Trace {
    const trace = this.trace = new Trace(this.#services, { head, downstream, target: this.#target, route });
    trace.started();
    return trace;
  }

  /** It waits for room, unless it does already. */
  queued(): void {
    if (this.#queuedAt < 0) this.#queuedAt = this.#now;
  }

  /** It waits no longer. */
  unqueued(): void {
    if (this.#queuedAt < 0) return;
    this.#queuedMs += this.#now - this.#queuedAt;
    this.#queuedAt = -1;
  }

  /** The head of the final response goes downstream. */
  responded(status: number): void {
    this.#status = status;
    this.#headAt = this.#now;
  }

  /** It failed; `error` is given where more than its code is known. The first failure counts: others follow from it. */
  failed(code: ErrorCode, error?: BalancerError): void {
    this.#broken = this.#status !== 0;
    if (this.#code !== undefined) return;
    this.#code = code;
    this.#error = error;
  }

  /** The header that tells a browser of the times up to the response, whose head took `latencyMs`. */
  serverTiming(latencyMs: number): string {
    const queued = `queue;dur=${tenths(this.#queuedMs)}`;
    return `Server-Timing: ${queued}, upstream;dur=${tenths(latencyMs)}, attempts;desc="${this.attempts}"\r\n`;
  }

  /** Adds to the head of a response why, if the request asked. */
  explain(head: ResponseHead): void {
    if (this.decision?.isAsked === true) head.fields += this.decision.line(head.status);
  }

  /** As `explain`, for a head that is shared with other exchanges: that stays as it is. */
  explained(head: ResponseHead): ResponseHead {
    return this.decision?.isAsked === true ? withLine(head, this.decision.line(head.status)) : head;
  }

  /** It is over: makes the events that somebody listens to. */
  close(exchange: Accounted): void {
    const { clock, events } = this.#services;
    if (this.trace !== undefined || events.heard('finished')) this.#event = this.#made(exchange);
    const { decision } = this;
    if (decision !== undefined && events.heard('decided')) this.#decided = this.#decidedBy(decision, exchange);
    this.decision = undefined;
    const meter = events.meters.current;
    if (meter !== undefined) {
      const pool = this.hasPool ? exchange.pool.name : '';
      meter.exchange(pool, exchange.head.method, this.#went, clock.source.now() - this.#began);
    }
    this.#target = '';
  }

  /** Tells listeners and tracers, if there is something to tell. */
  tell(): void {
    const event = this.#event;
    const decided = this.#decided;
    const trace = this.trace;
    const error = this.#error;
    const isComplete = this.#status !== 0 && !this.#broken;
    this.#event = this.#decided = this.trace = this.#error = undefined;
    if (event !== undefined) this.#services.events.tell('finished', event);
    if (decided !== undefined) this.#services.events.tell('decided', decided);
    if (event !== undefined) trace?.finished(event, isComplete, error);
  }

  /** The status that went downstream, or that stands for none. */
  get #went(): number {
    if (this.#status !== 0) return this.#status;
    return this.#code === 'CLOSING' ? meaningOf(this.#code).status : LEFT;
  }

  get #now(): number {
    const { clock } = this.#services;
    return this.#precise ? clock.source.now() : clock.now;
  }

  /** The same for all events of one exchange. */
  #idOf({ head, downstream, view }: Pick<Accounted, 'head' | 'downstream' | 'view'>): string {
    if (this.#id === '') this.#id = view === undefined ? idOf(head, downstream.hop.trusted) : view.request.id;
    return this.#id;
  }

  /** Undefined if it never asked for a pick, since the balancer itself answered. */
  #decidedBy({ strategy, attempts }: Decision, exchange: Accounted): DecidedExchange | undefined {
    if (!this.hasPool || (attempts.length === 0 && this.#code === undefined)) return undefined;
    return {
      id: this.#idOf(exchange),
      method: exchange.head.method,
      target: this.#target,
      status: this.#went,
      code: this.#code,
      pool: exchange.pool.name,
      strategy,
      durationMs: Math.max(0, this.#now - this.#began),
      attempts,
    };
  }

  #made({ head, downstream, pool, attempt, upload, view }: Accounted): FinishedExchange {
    const { hop } = downstream;
    const { lines, method, host, version } = head;
    const began = this.#began;
    const durationMs = Math.max(0, this.#now - began);
    return new ToldExchange({
      id: this.#idOf({ head, downstream, view }),
      method,
      target: this.#target,
      host,
      protocol: version,
      scheme: hop.proto,
      remoteAddress: hop.address,
      status: this.#went,
      code: this.#code,
      pool: this.hasPool ? pool.name : undefined,
      upstream: attempt.last,
      attempts: this.attempts,
      bytesIn: upload.received,
      // node:http2 sends no body with a 205, whatever the upstream has sent.
      bytesOut: this.#status === 205 && version === '2.0' ? 0 : this.sent,
      startedAt: this.#precise ? this.#epoch : this.#services.clock.source.epoch() - Math.round(durationMs),
      queuedMs: this.#queuedMs,
      firstByteMs: this.#headAt < 0 ? undefined : Math.max(0, this.#headAt - began),
      durationMs,
      state: view === undefined ? downstream.state : view.state,
    }, lines);
  }
}

/** Milliseconds with one decimal. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** The id that the request has already, else that of a trusted downstream, else a new one. */
function idOf(head: RequestHead, trusted: boolean): string {
  return head.id === '' ? requestId(trusted ? head.header('x-request-id') : undefined) : head.id;
}

/** The status of an exchange whose downstream was gone before a response began, as nginx has it. */
const LEFT = 499;
