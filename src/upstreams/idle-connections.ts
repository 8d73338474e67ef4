/**
 * The connections to one upstream: idle ones are used again, the newest first.
 */
import type { Settings } from '../options/parse.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import { type ConnectionRules, UpstreamConnection } from './connection.ts';
import type { Dialler } from './dial.ts';

/** What of the settings idle connections go by. */
export type IdleConnectionRules = ConnectionRules & Pick<Settings,
  | 'upstreamIdleTimeoutMs' | 'maxIdlePerUpstream' | 'tunnelIdleTimeoutMs'
  | 'maxUpstreamConnectionMs' | 'maxRequestsPerUpstreamConnection'>;

export class IdleConnections {
  readonly #upstream: ParsedUpstream;
  readonly #rules: IdleConnectionRules;
  readonly #dialler: Dialler;
  readonly #rng: () => number;
  /** Oldest first. */
  readonly #idle: UpstreamConnection[] = [];
  /** Those that belong to one downstream connection each, idle or not: nobody else is given one. */
  readonly #bound: UpstreamConnection[] = [];
  readonly #onGone: (connection: UpstreamConnection) => void;
  #closed = false;

  /** `rng` is for the jitter of greatest ages. */
  constructor(upstream: ParsedUpstream, rules: IdleConnectionRules, dialler: Dialler, rng: () => number) {
    this.#upstream = upstream;
    this.#rules = rules;
    this.#dialler = dialler;
    this.#rng = rng;
    this.#onGone = (connection) => {
      for (const list of [this.#idle, this.#bound]) {
        const at = list.indexOf(connection);
        if (at >= 0) list.splice(at, 1);
      }
    };
  }

  get idle(): number {
    return this.#idle.length;
  }

  /**
   * The idle connection used last, or a new one that has yet to connect. The newest is the least likely to have been
   * closed meanwhile, and the others can age and go when there is less to do. `fresh` asks for a new one. Throws
   * CONNECT_UNUSABLE.
   */
  take(fresh: boolean, now: number): UpstreamConnection {
    const idle = fresh ? undefined : this.#idle.pop();
    return idle ?? this.dial(now);
  }

  /** A new connection that has yet to connect. Throws CONNECT_UNUSABLE. */
  dial(now: number): UpstreamConnection {
    return new UpstreamConnection(this.#upstream, this.#rules, this.#dialler, now, this.#onGone);
  }

  /** Takes a connection back after an exchange and keeps it if it can serve another. */
  give(connection: UpstreamConnection, now: number): void {
    const seconds = connection.keepAliveSeconds;
    if (!connection.release()) return;
    // A second less than the upstream keeps it, for the way there (undici does the same).
    const idleMs = seconds < 0 ? this.#rules.upstreamIdleTimeoutMs : (seconds - 1) * 1000;
    const { maxIdlePerUpstream, maxRequestsPerUpstreamConnection, maxUpstreamConnectionMs } = this.#rules;
    // Some sooner than others, so that connections that were opened together are not all closed together.
    connection.retireAt ??= connection.born + maxUpstreamConnectionMs * (1 - AGE_JITTER * this.#rng());
    const until = Math.min(now + idleMs, connection.retireAt);
    const usedUp = connection.uses >= maxRequestsPerUpstreamConnection;
    if (this.#closed || usedUp || until <= now || this.#idle.length >= maxIdlePerUpstream) {
      connection.destroy();
      return;
    }
    connection.idleUntil = until;
    this.#idle.push(connection);
  }

  /** Has a connection that is in use belong to a downstream connection from now on. */
  bind(connection: UpstreamConnection): void {
    connection.idleUntil = Infinity;
    this.#bound.push(connection);
  }

  /** Lets a bound connection be used again. */
  takeBound(connection: UpstreamConnection): void {
    connection.idleUntil = Infinity;
  }

  /**
   * Takes a bound connection back after an exchange. It idles for as long as its downstream connection, or the
   * upstream, keeps it; like a tunnel it is worth more than others, since a user would have to authenticate anew.
   */
  giveBound(connection: UpstreamConnection, now: number): void {
    const seconds = connection.keepAliveSeconds;
    if (!connection.release()) return;
    if (this.#closed) connection.destroy();
    else connection.idleUntil = now + (seconds < 0 ? this.#rules.tunnelIdleTimeoutMs : Math.max(1, seconds - 1) * 1000);
  }

  /** This process was paused: the upstream, and what is between, have counted that time for idle connections. */
  age(ms: number): void {
    for (const list of [this.#idle, this.#bound]) for (const connection of list) connection.idleUntil -= ms;
  }

  /** Closes the connections that have idled long enough. */
  sweep(now: number): void {
    this.#closeIdle(this.#idle, now);
    if (this.#bound.length > 0) this.#closeIdle(this.#bound, now);
  }

  /** Closes idle connections, but for bound ones. */
  clear(): void {
    for (const connection of [...this.#idle]) connection.destroy();
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

/** How much sooner than at the greatest age a connection may be closed, as a part of it. */
const AGE_JITTER = 0.1;
