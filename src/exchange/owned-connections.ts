/**
 * Idle upstream connections that began with a PROXY header. It names the client, so such a connection serves only the
 * downstream connection that it was made for, and is closed with it. Unlike an affinity, it does not decide where
 * requests go: the strategy picks for each of them, and a connection to that upstream is used again.
 */
import type { UpstreamConnection } from '../upstreams/connection.ts';
import type { ManagedUpstream } from '../upstreams/managed-upstream.ts';
import type { DownstreamSocket } from './downstream-socket.ts';

interface Owned {
  readonly upstream: ManagedUpstream;
  readonly connection: UpstreamConnection;
}

export class OwnedConnections {
  /** The idle ones of each downstream connection, oldest first. */
  readonly #all = new Map<DownstreamSocket, Owned[]>();

  /** An idle connection of this downstream connection to `upstream`, if there is one. */
  take(downstream: DownstreamSocket | undefined, upstream: ManagedUpstream): UpstreamConnection | undefined {
    const owned = downstream && this.#all.get(downstream);
    if (owned === undefined) return undefined;
    const at = owned.findIndex((one) => one.upstream === upstream && !one.connection.destroyed);
    const [taken] = at < 0 ? [] : owned.splice(at, 1);
    if (taken !== undefined) upstream.connections.takeKept(taken.connection);
    return taken?.connection;
  }

  /** Takes a connection back after an exchange; without a downstream connection to serve, it is closed. */
  give(
    downstream: DownstreamSocket | undefined, upstream: ManagedUpstream, connection: UpstreamConnection, now: number,
  ): void {
    if (downstream === undefined || downstream.destroyed) connection.destroy();
    else if (upstream.connections.keep(connection, now)) this.#add(downstream, { upstream, connection });
  }

  /** A downstream connection is closed. */
  end(downstream: DownstreamSocket): void {
    if (this.#all.size === 0) return;
    const owned = this.#all.get(downstream);
    this.#all.delete(downstream);
    for (const { connection } of owned ?? []) connection.destroy();
  }

  #add(downstream: DownstreamSocket, one: Owned): void {
    const owned = this.#all.get(downstream);
    if (owned === undefined) {
      this.#all.set(downstream, [one]);
      downstream.once('close', () => {
        this.end(downstream);
      });
      return;
    }
    const open = owned.filter(({ connection }) => !connection.destroyed);
    open.push(one);
    if (open.length > MAX_OWNED) open.shift()?.connection.destroy();
    this.#all.set(downstream, open);
  }
}

/** Per downstream connection: with many upstreams, ten thousand clients would otherwise hold a connection to each. */
const MAX_OWNED = 8;
