/**
 * The HTTP/2 connections that brought requests. They belong to the embedder's server: here they get their GOAWAY when
 * the balancer closes, and those that abuse it are closed.
 */
import type { IncomingMessage } from 'node:http';
import type { ServerHttp2Session } from 'node:http2';
import { BalancerError } from '../errors.ts';
import type { Clock } from '../loop/clock.ts';
import type { Downstreams, OpenDownstream } from './downstreams.ts';

/** What the sessions need of their front. */
export interface SessionHost {
  readonly clock: Clock;
  readonly downstreams: Downstreams;
  readonly closing: boolean;
  report(error: BalancerError): void;
}

export class Http2Sessions {
  readonly #host: SessionHost;
  readonly #known = new WeakMap<ServerHttp2Session, DownstreamSession>();

  constructor(host: SessionHost) {
    this.#host = host;
  }

  /** The session of a request. Undefined if the request has none any more. */
  of(request: IncomingMessage): DownstreamSession | undefined {
    const { stream } = request as { readonly stream?: { readonly session?: ServerHttp2Session } };
    const session = stream?.session;
    if (session === undefined) return undefined;
    let known = this.#known.get(session);
    if (known === undefined) this.#known.set(session, known = new DownstreamSession(this.#host, session));
    return known;
  }
}

export class DownstreamSession implements OpenDownstream {
  place = -1;
  /** Its requests count for themselves. */
  readonly busy = false;
  readonly #host: SessionHost;
  readonly #session: ServerHttp2Session;
  /** When to stop taking new streams. */
  #closeAt = Infinity;
  /** How many streams it may still abandon; it regains them by time, and by those that it lets be answered. */
  #patience = MAX_PATIENCE;
  #patientAt: number;

  constructor(host: SessionHost, session: ServerHttp2Session) {
    this.#host = host;
    this.#session = session;
    this.#patientAt = host.clock.now;
    if (host.closing) {
      // The request that made it known is served.
      session.close();
      return;
    }
    host.downstreams.add(this);
    session.once('close', () => {
      this.#leave();
    });
  }

  /**
   * Announces that it closes, and still takes the streams that are on their way: a GOAWAY with the last possible stream
   * (RFC 9113 §6.8). After `deadline`, it ends with the last stream that is open then.
   */
  drain(deadline: number): void {
    this.#closeAt = deadline;
    if (!this.#session.destroyed) this.#session.goaway(NO_ERROR, MAX_STREAM_ID);
  }

  sweep(now: number): boolean {
    if (now < this.#closeAt) return false;
    this.destroy();
    return true;
  }

  /** Takes no more streams. Those that are open end for themselves; the server that owns the connection may cut it. */
  destroy(): void {
    this.#leave();
    this.#session.close();
  }

  /** A stream was answered. */
  answered(): void {
    if (this.#patience < MAX_PATIENCE) this.#patience++;
  }

  /**
   * The client has reset a stream before it was answered in full. That costs it little and us a request, so a client
   * that does so again and again (CVE-2023-44487) loses its connection.
   */
  abandoned(): void {
    const { now } = this.#host.clock;
    const regained = ((now - this.#patientAt) * REGAINED_PER_SECOND) / 1_000;
    this.#patientAt = now;
    this.#patience = Math.min(this.#patience + regained, MAX_PATIENCE) - 1;
    if (this.#patience >= 0 || this.#session.destroyed) return;
    this.#host.report(new BalancerError('DOWNSTREAM_GONE', RESETS));
    // Not undefined, which stands for the code 0; and no error, which each stream would emit.
    this.#session.destroy(NO_CAUSE, ENHANCE_YOUR_CALM);
  }

  #leave(): void {
    this.#host.downstreams.remove(this);
  }
}

const RESETS = 'an HTTP/2 client reset more requests than it let be answered: its connection was closed';
/** A browser that leaves a page abandons all that it had asked for: at most as many as may be open at once. */
const MAX_PATIENCE = 200;
/** Below the 33 of nghttp2, whose limit of 1,000 at once is what Node has (since 18.18.2 and 20.8.1). */
const REGAINED_PER_SECOND = 20;
const NO_CAUSE = null as unknown as undefined;
/** RFC 9113 §7. */
const NO_ERROR = 0;
const ENHANCE_YOUR_CALM = 11;
const MAX_STREAM_ID = 2 ** 31 - 1;
