/**
 * Active health checks: from time to time one small request, or just a connect, over a connection of its own. Probes
 * are not traffic: they involve no strategy and appear in no count.
 */
import { BalancerError, endingOf, type ErrorCode } from '../errors.ts';
import { NONE } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response.ts';
import { type HealthCheck, sameHealthCheck } from '../options/health-check.ts';
import type { ConnectionUser, UpstreamConnection } from './connection.ts';
import type { ManagedUpstream } from './managed-upstream.ts';

/** Receives the results of probes. */
export interface ProbeListener {
  /** Enough probes in a row found the upstream up, or down. */
  verdict(up: boolean): void;
  /** A response head has come, of whatever status. */
  responded(head: ResponseHead): void;
  /** A probe could not be made, and the upstream was not at fault. */
  failed(error: BalancerError): void;
}

/** The probes of one upstream, one at a time. */
export class Probe implements ConnectionUser {
  readonly #upstream: ManagedUpstream;
  readonly #check: HealthCheck;
  readonly #rng: () => number;
  readonly #listener: ProbeListener;
  #connection: UpstreamConnection | undefined;
  #next: number;
  #deadline = 0;
  /** Results in a row that contradict `up`. */
  #against = 0;
  #up: boolean;

  /** The first probe comes at a random time within the first interval, so that those of many upstreams are spread. */
  constructor(
    upstream: ManagedUpstream, check: HealthCheck, rng: () => number, now: number, listener: ProbeListener,
  ) {
    this.#upstream = upstream;
    this.#check = check;
    this.#rng = rng;
    this.#listener = listener;
    this.#next = now + check.intervalMs * rng();
    this.#up = !upstream.health.down;
  }

  /** Whether `check` says to probe in the way that this probe does. */
  follows(check: HealthCheck | undefined): boolean {
    // An update parses all options again: equal ones are not a change.
    return sameHealthCheck(this.#check, check);
  }

  /** Whether the upstream is considered up, as it is until probes find it down. */
  get up(): boolean {
    return this.#up;
  }

  /** How often to sweep it, in milliseconds, for its interval and its timeout to be accurate. */
  get tickMs(): number {
    return Math.max(MIN_TICK_MS, Math.floor(Math.min(this.#check.intervalMs, this.#check.timeoutMs) / TICKS));
  }

  /** Begins a probe that is due, or ends one that takes too long. */
  sweep(now: number): void {
    if (this.#connection !== undefined) {
      if (now >= this.#deadline) this.#end(false);
    } else if (now >= this.#next) this.#start(now);
  }

  /** Ends a probe without a result. */
  stop(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.destroy();
  }

  connected(): void {
    const { path, host } = this.#check;
    const connection = this.#connection;
    if (connection === undefined) return;
    if (path === undefined) {
      // A PROXY header, if there is one: upstreams log connections that end without it.
      connection.writer.flush();
      this.#end(true);
      return;
    }
    const authority = host ?? this.#upstream.settings.authority;
    const text = `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: equipoise\r\nConnection: close\r\n\r\n`;
    connection.writer.begin(text, NONE);
    connection.writer.end('');
    connection.writer.flush();
  }

  interim(): void {
    // The final response counts.
  }

  responded(head: ResponseHead): void {
    const { status } = head;
    this.#listener.responded(head);
    this.#end(status >= this.#check.minStatus && status <= this.#check.maxStatus);
  }

  body(): void {
    // Ignored: the head has decided.
  }

  ended(): void {
    // The head has decided.
  }

  readEnd(): boolean {
    return true;
  }

  flushed(): void {
    // The request is one small write.
  }

  failed(code: ErrorCode, cause: Error | undefined): void {
    if (endingOf(code, 'connect').fault === 'own') this.#giveUp(new BalancerError(code, undefined, { cause }));
    else this.#end(false);
  }

  #start(now: number): void {
    const { intervalMs, timeoutMs } = this.#check;
    // Counted from when this one was due, or each late tick would make the interval longer.
    const due = Math.max(this.#next, now - intervalMs);
    this.#next = due + intervalMs * (1 - JITTER / 2 + JITTER * this.#rng());
    this.#deadline = now + timeoutMs;
    try {
      this.#connection = this.#upstream.connections.dialProbe(now);
    } catch (cause) {
      this.#giveUp(cause instanceof BalancerError ? cause : new BalancerError('INTERNAL_ERROR', undefined, { cause }));
      return;
    }
    this.#connection.begin(this, 'GET', '');
    if (this.#connection.ready) this.connected();
  }

  /** Ends a probe that says nothing about the upstream. */
  #giveUp(error: BalancerError): void {
    this.stop();
    this.#listener.failed(error);
  }

  #end(good: boolean): void {
    if (this.#connection === undefined) return;
    this.stop();
    this.#judge(good);
  }

  #judge(good: boolean): void {
    if (good === this.#up) {
      this.#against = 0;
      return;
    }
    if (++this.#against < (good ? this.#check.rise : this.#check.fall)) return;
    this.#against = 0;
    this.#up = good;
    this.#listener.verdict(good);
  }
}

/** Sweeps per interval or timeout, so that neither lasts much longer than configured. */
const TICKS = 8;
const MIN_TICK_MS = 10;
/** The spread of intervals, as a fraction. */
const JITTER = 0.2;
