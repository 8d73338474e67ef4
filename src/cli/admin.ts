/**
 * The admin listener of the binary. Without a token it serves this machine only. With workers each of them listens, and
 * answers for all.
 */
import { chmodSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Balancer } from '../balancer.ts';
import type { Channel } from '../channel.ts';
import { drainServer } from '../cluster/drain/drain-server.ts';
import { listenOnPath } from '../cluster/stale-socket.ts';
import { type Admin, createAdmin, createMetrics, type Metrics, type Order } from '../observe/index.ts';
import { addressText } from '../options/listen.ts';
import type { AdminSettings } from './admin-settings.ts';
import type { ListenAddress } from './listen.ts';
import { urlText, whyNot } from './listening.ts';
import { cutUnread } from './unread.ts';

/** What an admin listener of a worker needs besides. */
export interface AdminMeans {
  readonly channel?: (name: string) => Channel;
  readonly stopping?: AbortSignal;
  readonly orders?: readonly Order[];
  readonly onOrders?: (orders: readonly Order[]) => void;
}

/** The admin listener of a balancer. What admins ordered before counts from its creation on. */
export class AdminListener {
  readonly #where: ListenAddress;
  readonly #metrics: Metrics;
  readonly #admin: Admin;
  readonly #server: http.Server;
  readonly #timers: NodeJS.Timeout[] = [];
  #drained: Promise<unknown> | undefined;

  constructor({ where, token, hosts }: AdminSettings, balancer: Balancer, { channel, ...others }: AdminMeans) {
    this.#where = where;
    this.#metrics = createMetrics(balancer, channel === undefined ? {} : { channel: channel('metrics') });
    this.#admin = createAdmin({
      balancer, metrics: this.#metrics, hosts, ...(token === undefined ? {} : { token }),
      ...(channel === undefined ? {} : { channel: channel('admin') }), ...others,
    });
    const timeouts = { headersTimeout: TIMEOUT_MS, requestTimeout: TIMEOUT_MS };
    this.#server = http.createServer(timeouts, (request, response) => {
      cutUnread(response, UNREAD_MS);
      this.#admin.handle(request, response);
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Resolves with the address, for people to read; rejects with one line that says why it cannot listen. */
  async listen(): Promise<string> {
    try {
      return await listenAt(this.#server, this.#where);
    } catch (error) {
      throw new Error(`admin: ${whyNot(this.#where, error)}`, { cause: error });
    }
  }

  /**
   * This worker begins to drain. If others are ready, they have replaced it: they listen, with the settings of today.
   * If all workers drain, each goes on to say so.
   */
  draining(): void {
    // By then all workers know whether they drain, too.
    this.#later(KNOWN_MS, async () => {
      if (!await this.#admin.ready()) return;
      // A request that is on its way is answered: node:http's own close may cut it.
      this.#drained ??= drainServer(this.#server, { timeoutMs: FINISH_MS });
    });
  }

  /** Closes, once what was asked is answered: a worker that is replaced may end while a scrape is under way. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#drained ??= drainServer(this.#server, { graceMs: GRACE_MS });
    const limit = setTimeout(() => {
      this.#admin.close();
      this.#server.closeAllConnections();
    }, LAST_MS);
    await this.#drained;
    clearTimeout(limit);
    this.#admin.close();
    await this.#metrics.close();
  }

  #later(ms: number, then: () => unknown): void {
    this.#timers.push(setTimeout(then, ms).unref());
  }
}

async function listenAt(server: http.Server, where: ListenAddress): Promise<string> {
  const { mode, ...options } = { mode: undefined, ...where };
  const listen = (): Promise<AddressInfo | string | null> => new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      server.on('error', ignore);
      resolve(server.address());
    });
  });
  if (!('path' in where)) {
    const address = await listen();
    return address === null || typeof address === 'string' ? String(address) : urlText(address.address, address.port);
  }
  await listenOnPath(where.path, listen);
  if (mode !== undefined) chmodSync(where.path, mode);
  return addressText(where.path);
}

function ignore(): void {
  // A connection that could not be accepted: the next one may be.
}

/** Of pages, scrapers and probes. */
const MAX_CONNECTIONS = 512;
const TIMEOUT_MS = 10_000;
/** Prometheus gives up sooner, unless told otherwise. */
const UNREAD_MS = 30_000;
const KNOWN_MS = 1_000;
const FINISH_MS = 2_000;
/** Then open pages are ended, which connect again by themselves, and the rest is cut. */
const LAST_MS = 500;
const GRACE_MS = 100;
