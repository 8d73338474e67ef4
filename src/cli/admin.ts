/**
 * The admin listener of the binary: for whoever is on this machine, unless there is a token. With workers each of them
 * listens, and answers for all.
 */
import { chmodSync, readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Balancer } from '../balancer.ts';
import type { Channel } from '../channel.ts';
import { listenOnPath } from '../cluster/stale-socket.ts';
import { messageOf } from '../guard.ts';
import { type Admin, createAdmin, createMetrics, type Metrics, type Order } from '../observe/index.ts';
import { shown } from '../options/checks.ts';
import { addressText } from '../options/listen.ts';
import { isSecret } from '../options/secret.ts';
import { type ListenAddress, readListen } from './listen.ts';
import { urlText, whyNot } from './listening.ts';

export interface AdminSettings {
  readonly where: ListenAddress;
  /** Undefined: everybody who reaches the listener may do everything. */
  readonly token: string | undefined;
  readonly hosts: readonly string[];
}

/** A value of the command line or the file. */
interface Given {
  readonly value: unknown;
  /** Its name in messages. */
  readonly at: string;
  readonly resolve: (path: string) => string;
}

/** What an admin listener of a worker needs besides. */
export interface AdminMeans {
  readonly channel?: (name: string) => Channel;
  readonly stopping?: AbortSignal;
  readonly orders?: readonly Order[];
  readonly onOrders?: (orders: readonly Order[]) => void;
}

/** Reads where the admin listener listens, and for whom. Undefined if there is none, or something is wrong. */
export function readAdmin(
  admin: Given, tokenFile: Given, hosts: Given, problems: string[], env = process.env,
): AdminSettings | undefined {
  const { value, at, resolve } = admin;
  if (value === undefined) {
    for (const { value: other, at: name } of [tokenFile, hosts]) {
      if (other !== undefined) problems.push(`${name}: there is no admin listener; set admin, or leave it out`);
    }
    return undefined;
  }
  const before = problems.length;
  const read = readListen(value, { at, resolve }, problems);
  const token = tokenOf(tokenFile, problems, env);
  const names = hostsOf(hosts, problems);
  if (read === undefined || problems.length > before) return undefined;
  // A bare port is for this machine.
  const where = 'port' in read && read.host === undefined ? { ...read, host: '127.0.0.1' } : read;
  if (!('port' in where) && !('path' in where)) {
    problems.push(`${at}: must be [host:]port or unix:PATH[,mode=660], e.g. 127.0.0.1:9090 (got ${shown(value)})`);
    return undefined;
  }
  if ('port' in where && token === undefined && !isLoopback(where.host)) {
    problems.push(`${at}: ${where.host} can be reached by others, who could drain upstreams; give a token ` +
      `(--admin-token-file, or the variable ${VARIABLE}), or listen on 127.0.0.1 or unix:PATH`);
    return undefined;
  }
  return { where, token, hosts: names };
}

function tokenOf({ value, at, resolve }: Given, problems: string[], env: NodeJS.ProcessEnv): string | undefined {
  const { [VARIABLE]: variable } = env;
  if (value === undefined) {
    if (variable === undefined || variable === '' || isSecret(variable)) return variable === '' ? undefined : variable;
    problems.push(`${VARIABLE}: must be visible ASCII characters`);
    return undefined;
  }
  if (typeof value !== 'string' || value === '') {
    problems.push(`${at}: must be a file path, e.g. "/etc/equipoise/admin-token" (got ${shown(value)})`);
    return undefined;
  }
  try {
    const token = readFileSync(resolve(value), 'utf8').trim();
    if (isSecret(token)) return token;
    problems.push(`${at}: ${value} must contain one line of visible ASCII characters, e.g. 32 random ones`);
  } catch (error) {
    problems.push(`${at}: ${value} cannot be read: ${messageOf(error)}`);
  }
  return undefined;
}

function hostsOf({ value, at }: Given, problems: string[]): readonly string[] {
  if (value === undefined) return [];
  const isName = (one: unknown): one is string => typeof one === 'string' && /^[\w.:-]+$/.test(one);
  if (Array.isArray(value) && value.every(isName)) return value;
  problems.push(`${at}: must be a list of host names without ports, e.g. ["lb.example.com"] (got ${shown(value)})`);
  return [];
}

function isLoopback(host = ''): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** For the log, and for --check. */
export function adminText({ where, token }: AdminSettings): string {
  const place = 'path' in where ? `unix:${where.path}` : 'port' in where ? urlText(where.host, where.port) : '';
  return `${place}${token === undefined ? '' : ', with a token'}`;
}

/** The admin listener of a balancer. What admins ordered before counts from its creation on. */
export class AdminListener {
  readonly #where: ListenAddress;
  readonly #metrics: Metrics;
  readonly #admin: Admin;
  readonly #server: http.Server;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor({ where, token, hosts }: AdminSettings, balancer: Balancer, { channel, ...others }: AdminMeans) {
    this.#where = where;
    this.#metrics = createMetrics(balancer, channel === undefined ? {} : { channel: channel('metrics') });
    this.#admin = createAdmin({
      balancer, metrics: this.#metrics, hosts, ...(token === undefined ? {} : { token }),
      ...(channel === undefined ? {} : { channel: channel('admin') }), ...others,
    });
    this.#server = http.createServer({ headersTimeout: TIMEOUT_MS, requestTimeout: TIMEOUT_MS }, this.#admin.handle);
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
      this.#server.close();
      this.#server.closeIdleConnections();
      this.#later(FINISH_MS, () => {
        this.#server.closeAllConnections();
      });
    });
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#admin.close();
    this.#server.close();
    this.#server.closeAllConnections();
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

const VARIABLE = 'EQUIPOISE_ADMIN_TOKEN';
/** Of pages, scrapers and probes. */
const MAX_CONNECTIONS = 512;
const TIMEOUT_MS = 10_000;
const KNOWN_MS = 1_000;
const FINISH_MS = 2_000;
