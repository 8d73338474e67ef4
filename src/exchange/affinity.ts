/**
 * Upstream connections that belong to one downstream connection. NTLM, and most forms of Negotiate, authenticate a
 * connection instead of a request (RFC 4559 §6): all later requests on it are served as the same user. So such a
 * connection serves only the downstream connection that authenticated it, and is closed with it. Requests from there
 * use it without a pick; otherwise a handshake of several requests could never complete.
 */
import type { Pool } from '../pools/pool.ts';
import type { UpstreamConnection } from '../upstreams/connection.ts';
import type { ManagedUpstream } from '../upstreams/managed-upstream.ts';
import type { DownstreamSocket } from './downstream-socket.ts';
import { OwnedConnections } from './owned-connections.ts';

/** An exchange that waits for the one before it on the same downstream connection. */
interface Follower {
  proceed(): void;
}

/** An upstream connection and the downstream connection that it belongs to. */
export class Affinity {
  readonly upstream: ManagedUpstream;
  readonly connection: UpstreamConnection;
  /** Whether an exchange is under way on it. */
  #busy = true;
  /** Whether the downstream connection is closed. */
  #over = false;
  /** Pipelined requests of a node:http server, which arrive before those ahead of them are answered. */
  readonly #followers: Follower[] = [];

  constructor(upstream: ManagedUpstream, connection: UpstreamConnection) {
    this.upstream = upstream;
    this.connection = connection;
    upstream.connections.bind(connection);
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Whether further exchanges can use it. */
  get open(): boolean {
    return !this.#over && !this.connection.destroyed && !this.upstream.draining && !this.upstream.suspended;
  }

  /** Whether its upstream has room for one more. It may be ejected: an authenticated downstream stays with it. */
  get hasRoom(): boolean {
    return !this.#busy && !this.upstream.atLimit;
  }

  /** Takes the connection for an exchange. */
  take(): UpstreamConnection {
    this.#busy = true;
    this.upstream.connections.takeBound(this.connection);
    return this.connection;
  }

  /** Returns the connection after an exchange that ended well. */
  give(now: number): void {
    if (this.#over) this.connection.destroy();
    else this.upstream.connections.giveBound(this.connection, now);
  }

  /** The exchange is over, however it ended: the next one may start. */
  freed(): void {
    this.#busy = false;
    // Until one of them takes the connection; if it is closed, all of them go elsewhere.
    while (!this.busy) {
      const next = this.#followers.shift();
      if (next === undefined) return;
      next.proceed();
    }
  }

  /** Waits for the exchanges before it. */
  follow(follower: Follower): void {
    this.#followers.push(follower);
  }

  /** Stops waiting. */
  leave(follower: Follower): void {
    const at = this.#followers.indexOf(follower);
    if (at >= 0) this.#followers.splice(at, 1);
  }

  /** The downstream connection is closed. An exchange under way ends by itself. */
  end(): void {
    this.#over = true;
    if (!this.#busy) this.connection.destroy();
  }
}

/** The affinities of a balancer. */
export class Affinities {
  /** Connections that belong to a downstream connection for its PROXY header. */
  readonly owned = new OwnedConnections();
  /**
   * By downstream connection; one for each pool that it has authenticated itself to. Few requests, if any, authenticate
   * connections, so this map does not churn with requests.
   */
  readonly #all = new Map<DownstreamSocket, Affinity[]>();

  /** The affinity of a downstream connection to an upstream of `pool`, if it can still be used. */
  of(downstream: DownstreamSocket | undefined, pool: Pool): Affinity | undefined {
    if (this.#all.size === 0 || downstream === undefined) return undefined;
    return this.#all.get(downstream)?.find(({ open, upstream }) => open && upstream.owner === pool.upstreams);
  }

  /**
   * Binds `connection`, which is serving an exchange of `pool`, to a downstream connection. Returns undefined if there
   * is none, or if it already has an affinity: then the upstream connection must not be used again.
   */
  bind(
    downstream: DownstreamSocket | undefined, pool: Pool, upstream: ManagedUpstream, connection: UpstreamConnection,
  ): Affinity | undefined {
    if (downstream === undefined || downstream.destroyed || this.of(downstream, pool) !== undefined) return undefined;
    const affinity = new Affinity(upstream, connection);
    const others = this.#all.get(downstream);
    if (others === undefined) {
      downstream.once('close', () => {
        this.end(downstream);
      });
    }
    this.#all.set(downstream, [...(others ?? []).filter(({ open }) => open), affinity]);
    return affinity;
  }

  /** A downstream connection is closed. */
  end(downstream: DownstreamSocket): void {
    this.owned.end(downstream);
    if (this.#all.size === 0) return;
    for (const affinity of this.#all.get(downstream) ?? []) affinity.end();
    this.#all.delete(downstream);
  }
}
