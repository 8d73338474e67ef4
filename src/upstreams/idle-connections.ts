/**
 * The connections to one upstream: idle ones are reused, the most recently used first.
 */
import type { Settings } from '../options/parse.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import { ownHeader } from '../proxy-protocol/of-socket.ts';
import { formatProxyHeader } from '../proxy-protocol/parse.ts';
import { type ConnectionRules, UpstreamConnection } from './connection.ts';
import type { Dialler } from './dial.ts';
import { DialledStream, type StreamUser } from './dialled-stream.ts';

/** The settings that idle connections use. */
export type IdleConnectionRules = ConnectionRules & Pick<Settings,
  | 'upstreamIdleTimeoutMs' | 'maxIdlePerUpstream' | 'tunnelIdleTimeoutMs' | 'proxyProtocol'
  | 'maxUpstreamConnectionMs' | 'maxRequestsPerUpstreamConnection'>;

export class IdleConnections {
  readonly #upstream: ParsedUpstream;
  readonly #rules: IdleConnectionRules;
  readonly #dialler: Dialler;
  readonly #rng: () => number;
  /** Oldest first. */
  readonly #idle: UpstreamConnection[] = [];
  /** Idle ones that began with the PROXY header of one downstream connection each: see {@link keep}. Oldest first. */
  readonly #kept: UpstreamConnection[] = [];
  /** Those that belong to one downstream connection each, idle or not, and are given to no other. */
  readonly #bound: UpstreamConnection[] = [];
  readonly #onGone: (connection: UpstreamConnection) => void;
  #closed = false;
  /** Connections that began before that serve no further exchange. */
  #since = -Infinity;

  /** `rng` is for the jitter of maximum ages. */
  constructor(upstream: ParsedUpstream, rules: IdleConnectionRules, dialler: Dialler, rng: () => number) {
    this.#upstream = upstream;
    this.#rules = rules;
    this.#dialler = dialler;
    this.#rng = rng;
    this.#onGone = (connection) => {
      for (const list of [this.#idle, this.#kept, this.#bound]) {
        const at = list.indexOf(connection);
        if (at >= 0) list.splice(at, 1);
      }
    };
  }

  get idle(): number {
    return this.#idle.length;
  }

  /**
   * The most recently used idle connection, or a new one that is still connecting. The most recent is the least likely
   * to have been closed meanwhile, and the others can expire when there is less to do. `fresh` asks for a new one.
   * Throws CONNECT_UNUSABLE.
   */
  take(fresh: boolean, now: number): UpstreamConnection {
    const idle = fresh ? undefined : this.#idle.pop();
    return idle ?? this.dial(now);
  }

  /** A new connection, still connecting. `opening`, as latin1, is sent first. Throws CONNECT_UNUSABLE. */
  dial(now: number, opening = ''): UpstreamConnection {
    return new UpstreamConnection(this.#upstream, this.#rules, this.#dialler, now, this.#onGone, opening);
  }

  /** A new connection for a probe. Throws CONNECT_UNUSABLE. */
  dialProbe(now: number): UpstreamConnection {
    const { proxyProtocol } = this.#rules;
    const opening = proxyProtocol === 0 ? '' : formatProxyHeader(ownHeader(proxyProtocol)).toString('latin1');
    return this.dial(now, opening);
  }

  /** A stream for another protocol than HTTP, which is never idle. Otherwise as `dial`. Throws CONNECT_UNUSABLE. */
  stream(user: StreamUser, opening: string): DialledStream {
    return new DialledStream(this.#upstream, this.#dialler, user, opening);
  }

  /** Takes a connection back after an exchange, and keeps it if it can serve another one. */
  give(connection: UpstreamConnection, now: number): void {
    if (!this.#reusable(connection, now)) return;
    if (this.#idle.length >= this.#rules.maxIdlePerUpstream) connection.destroy();
    else this.#idle.push(connection);
  }

  /**
   * Takes a connection back that can serve only the downstream connection whose PROXY header it began with. Returns
   * whether it is kept. Where there are too many, the one that was idle for the longest is closed.
   */
  keep(connection: UpstreamConnection, now: number): boolean {
    if (!this.#reusable(connection, now)) return false;
    this.#kept.push(connection);
    if (this.#kept.length > this.#rules.maxIdlePerUpstream) this.#kept[0]?.destroy();
    return !connection.destroyed;
  }

  /** A kept connection is used again. */
  takeKept(connection: UpstreamConnection): void {
    const at = this.#kept.indexOf(connection);
    if (at >= 0) this.#kept.splice(at, 1);
  }

  /** Whether a connection can serve another exchange, and until when: else it is closed. */
  #reusable(connection: UpstreamConnection, now: number): boolean {
    const seconds = connection.keepAliveSeconds;
    if (!connection.release()) return false;
    // A second less than the upstream keeps it, for the time on the wire (undici does the same).
    const idleMs = seconds < 0 ? this.#rules.upstreamIdleTimeoutMs : (seconds - 1) * 1000;
    const { maxRequestsPerUpstreamConnection, maxUpstreamConnectionMs } = this.#rules;
    // With jitter, so that connections that were opened together are not closed together.
    connection.retireAt ??= connection.born + maxUpstreamConnectionMs * (1 - AGE_JITTER * this.#rng());
    const until = Math.min(now + idleMs, connection.retireAt);
    const usedUp = connection.uses >= maxRequestsPerUpstreamConnection || connection.born < this.#since;
    if (this.#closed || usedUp || until <= now) {
      connection.destroy();
      return false;
    }
    connection.idleUntil = until;
    return true;
  }

  /** From now on, a connection that is in use belongs to a downstream connection. */
  bind(connection: UpstreamConnection): void {
    connection.idleUntil = Infinity;
    this.#bound.push(connection);
  }

  /** A bound connection is used again. */
  takeBound(connection: UpstreamConnection): void {
    connection.idleUntil = Infinity;
  }

  /**
   * Takes a bound connection back after an exchange. Like a tunnel it is kept longer than others, until the downstream
   * connection or the upstream closes it: without it, the user would have to authenticate again.
   */
  giveBound(connection: UpstreamConnection, now: number): void {
    const seconds = connection.keepAliveSeconds;
    if (!connection.release()) return;
    if (this.#closed) connection.destroy();
    else connection.idleUntil = now + (seconds < 0 ? this.#rules.tunnelIdleTimeoutMs : Math.max(1, seconds - 1) * 1000);
  }

  /** The process was paused for `ms`. The upstream, and what is in between, have counted that time. */
  age(ms: number): void {
    for (const list of [this.#idle, this.#kept, this.#bound]) for (const connection of list) connection.idleUntil -= ms;
  }

  /** Closes the connections that were idle for too long. */
  sweep(now: number): void {
    this.#closeIdle(this.#idle, now);
    if (this.#kept.length > 0) this.#closeIdle(this.#kept, now);
    if (this.#bound.length > 0) this.#closeIdle(this.#bound, now);
  }

  /** Closes idle connections, except bound ones. */
  clear(): void {
    for (const connection of [...this.#idle, ...this.#kept]) connection.destroy();
  }

  /** Has later exchanges use connections that are opened from `now` on, bound ones aside. */
  renew(now: number): void {
    this.#since = now;
    this.clear();
  }

  /** Closes idle connections, and those in use as soon as they are given back. */
  close(): void {
    this.#closed = true;
    this.clear();
    for (const connection of [...this.#bound]) if (connection.idle) connection.destroy();
  }

  #closeIdle(connections: readonly UpstreamConnection[], now: number): void {
    for (let i = connections.length - 1; i >= 0; i--) {
      const connection = connections[i];
      if (connection !== undefined && now >= connection.idleUntil) connection.destroy();
    }
  }
}

/** How much earlier than at its maximum age a connection may be closed, as a fraction of it. */
const AGE_JITTER = 0.1;
