/**
 * The connections to one upstream: idle ones are used again, the newest first.
 */
import type { ParsedUpstream, Settings } from '../settings.ts';
import { type ConnectionRules, UpstreamConnection } from './connection.ts';

/** What of the settings a pool goes by. */
export type PoolRules = ConnectionRules & Pick<Settings,
  'upstreamIdleTimeoutMs' | 'maxIdlePerUpstream' | 'tunnelIdleTimeoutMs'>;

export class Pool {
  readonly #upstream: ParsedUpstream;
  readonly #rules: PoolRules;
  /** Oldest first. */
  readonly #idle: UpstreamConnection[] = [];
  /** Those that belong to one downstream connection each, idle or not: nobody else is given one. */
  readonly #bound: UpstreamConnection[] = [];
  readonly #onGone: (connection: UpstreamConnection) => void;
  #closed = false;

  constructor(upstream: ParsedUpstream, rules: PoolRules) {
    this.#upstream = upstream;
    this.#rules = rules;
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
   * closed meanwhile, and the others can age and go when there is less to do. `fresh` asks for a new one.
   */
  take(fresh: boolean): UpstreamConnection {
    const idle = fresh ? undefined : this.#idle.pop();
    return idle ?? new UpstreamConnection(this.#upstream, this.#rules, this.#onGone);
  }

  /** Takes a connection back after an exchange and keeps it if it can serve another. */
  give(connection: UpstreamConnection, now: number): void {
    const seconds = connection.keepAliveSeconds;
    if (!connection.release()) return;
    // A second less than the upstream keeps it, for the way there (undici does the same).
    const idleMs = seconds < 0 ? this.#rules.upstreamIdleTimeoutMs : (seconds - 1) * 1000;
    if (this.#closed || idleMs <= 0 || this.#idle.length >= this.#rules.maxIdlePerUpstream) {
      connection.destroy();
      return;
    }
    connection.idleUntil = now + idleMs;
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
