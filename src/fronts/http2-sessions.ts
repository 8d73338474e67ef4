/**
 * The HTTP/2 connections of embedders' servers: of a server that was passed to `serve` all, of others those that have
 * brought a request. This is the one place that sends them GOAWAY when the balancer closes. Those that abuse it are
 * closed.
 */
import type { IncomingMessage } from 'node:http';
import type { ServerHttp2Session } from 'node:http2';
import { BalancerError } from '../errors.ts';
import type { Clock } from '../loop/clock.ts';

/** What the sessions need of their front. */
export interface SessionHost {
  readonly clock: Clock;
  readonly closing: boolean;
  report(error: BalancerError): void;
}

export class Http2Sessions {
  readonly #host: SessionHost;
  readonly #open = new Map<ServerHttp2Session, DownstreamSession>();

  constructor(host: SessionHost) {
    this.#host = host;
  }

  /** The session of a request. Undefined if the request has none any more. */
  of(request: IncomingMessage): DownstreamSession | undefined {
    const { stream } = request as { readonly stream?: { readonly session?: ServerHttp2Session } };
    const session = stream?.session;
    if (session === undefined || session.destroyed) return undefined;
    const known = this.#open.get(session);
    if (known !== undefined) return known;
    const added = this.#add(session);
    // The request that made it known is served.
    if (this.#host.closing) session.close();
    return added;
  }

  /** A session that may bring requests. One that begins while the balancer closes ends with its first stream. */
  add(session: ServerHttp2Session): void {
    if (session.destroyed || this.#open.has(session)) return;
    this.#add(session);
    if (!this.#host.closing) return;
    session.once('stream', () => {
      session.close();
    });
  }

  /**
   * Has each send a GOAWAY: it takes no further streams, and ends with the last that is open. node:http2 ignores new
   * streams after any GOAWAY, so one that announces it first (RFC 9113 §6.8) would only leave them unanswered. Clients
   * know from the last stream in the GOAWAY which requests they can send again.
   */
  close(): void {
    for (const session of this.#open.keys()) session.close();
  }

  #add(session: ServerHttp2Session): DownstreamSession {
    const added = new DownstreamSession(this.#host, session);
    this.#open.set(session, added);
    session.once('close', () => {
      this.#open.delete(session);
    });
    return added;
  }
}

export class DownstreamSession {
  readonly #host: SessionHost;
  readonly #session: ServerHttp2Session;
  /** How many streams it may still abandon; it regains them by time, and by those that it lets be answered. */
  #patience = MAX_PATIENCE;
  #patientAt: number;

  constructor(host: SessionHost, session: ServerHttp2Session) {
    this.#host = host;
    this.#session = session;
    this.#patientAt = host.clock.now;
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
}

const RESETS = 'an HTTP/2 client reset more requests than it let be answered: its connection was closed';
/** A browser that leaves a page abandons all that it had asked for: at most as many as may be open at once. */
const MAX_PATIENCE = 200;
/** Below the 33 of nghttp2, whose limit of 1,000 at once is what Node has (since 18.18.2 and 20.8.1). */
const REGAINED_PER_SECOND = 20;
const NO_CAUSE = null as unknown as undefined;
/** RFC 9113 §7. */
const ENHANCE_YOUR_CALM = 11;
