/**
 * Upstream connections that belong to one downstream connection. NTLM, and Negotiate in most of its forms, authenticate
 * a connection, not a request (RFC 4559 §6): whatever comes over it next is served as the same user. So such a
 * connection serves nobody but the downstream connection that authenticated it, and is closed with it; and what comes
 * from there goes over it, without a pick, or a handshake of several requests could never be completed.
 */
import type { UpstreamConnection } from '../upstreams/connection.ts';
import type { Member } from '../upstreams/member.ts';

/** What stands for a downstream connection: its socket. */
export interface DownstreamSocket {
  readonly destroyed: boolean;
  once(event: 'close', listener: () => void): unknown;
}

/** An exchange that waits for the one before it on the same downstream connection. */
interface Follower {
  proceed(): void;
}

/** An upstream connection and the downstream connection that it belongs to. */
export class Affinity {
  readonly member: Member;
  readonly connection: UpstreamConnection;
  /** Whether an exchange is under way on it. */
  #busy = true;
  /** Whether the downstream connection is closed. */
  #over = false;
  /** Pipelined requests of a node:http server, which come before those ahead of them are answered. */
  readonly #followers: Follower[] = [];

  constructor(member: Member, connection: UpstreamConnection) {
    this.member = member;
    this.connection = connection;
    member.connections.bind(connection);
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Whether exchanges can go over it. */
  get open(): boolean {
    return !this.#over && !this.connection.destroyed && !this.member.draining;
  }

  /** Whether its upstream has room for one more. It may be ejected: who is authenticated there stays. */
  get hasRoom(): boolean {
    return !this.#busy && !this.member.atLimit;
  }

  /** Takes the connection for an exchange. */
  take(): UpstreamConnection {
    this.#busy = true;
    this.member.connections.takeBound(this.connection);
    return this.connection;
  }

  /** Gives the connection back after an exchange that has come to its end. */
  give(now: number): void {
    if (this.#over) this.connection.destroy();
    else this.member.connections.giveBound(this.connection, now);
  }

  /** The exchange is over, however it ended: the next one may go. */
  freed(): void {
    this.#busy = false;
    // Until one has taken the connection, or all have gone elsewhere because it is closed.
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

  /** Waits no more. */
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
  /** Few requests, if any, authenticate connections: a Map that churns with those alone. */
  readonly #all = new Map<DownstreamSocket, Affinity>();

  /** That of a downstream connection, as long as it can be used. */
  of(downstream: DownstreamSocket | undefined): Affinity | undefined {
    if (this.#all.size === 0 || downstream === undefined) return undefined;
    const affinity = this.#all.get(downstream);
    return affinity?.open === true ? affinity : undefined;
  }

  /**
   * Has `connection`, over which an exchange is under way, belong to a downstream connection. Returns undefined where
   * there is nobody for it to belong to: then it must not be used again.
   */
  bind(
    downstream: DownstreamSocket | undefined, member: Member, connection: UpstreamConnection,
  ): Affinity | undefined {
    if (downstream === undefined || downstream.destroyed || this.of(downstream) !== undefined) return undefined;
    if (!this.#all.has(downstream)) {
      downstream.once('close', () => {
        this.end(downstream);
      });
    }
    const affinity = new Affinity(member, connection);
    this.#all.set(downstream, affinity);
    return affinity;
  }

  /** A downstream connection is closed. */
  end(downstream: DownstreamSocket): void {
    if (this.#all.size === 0) return;
    this.#all.get(downstream)?.end();
    this.#all.delete(downstream);
  }
}
