/**
 * A worker as the dispatcher's strategy sees it, with the account of what it was handed and has not taken yet.
 */
import type { Socket } from 'node:net';
import type { WorkerCandidate } from '../../strategy.ts';
import type { ConnectionContext } from './connection-context.ts';

/** A worker that connections are handed to. */
export class Target implements WorkerCandidate {
  readonly worker: number;
  readonly id: string;
  readonly pid: number | undefined;
  readonly weight = 1;
  ready = true;
  inFlight = 0;
  /** How many of those the worker has not taken. */
  untaken = 0;
  readonly #now: () => number;
  /** A list that begins with the oldest that the worker has not taken; some that it has taken follow. */
  #oldest: HandedConnection | undefined;
  #latest: HandedConnection | undefined;
  #load = 0;
  #reportedAt: number;

  constructor(worker: number, pid: number | undefined, now: () => number) {
    this.worker = worker;
    this.id = String(worker);
    this.pid = pid;
    this.#now = now;
    this.#reportedAt = now();
  }

  handedOver(handed: HandedConnection): void {
    this.inFlight++;
    this.untaken++;
    if (this.#latest === undefined) this.#oldest = handed;
    else this.#latest.next = handed;
    this.#latest = handed;
  }

  /** The worker took a connection. Those at the front of the list that it has taken leave it, without a pointer. */
  tookOne(): void {
    this.untaken--;
    while (this.#oldest !== undefined && this.#oldest.socket === undefined) {
      const { next }: HandedConnection = this.#oldest;
      this.#oldest.next = undefined;
      this.#oldest = next;
    }
    if (this.#oldest === undefined) this.#latest = undefined;
  }

  /** Since when the oldest connection that it has not taken is on its way. */
  get untakenSince(): number {
    return this.#oldest?.context.now ?? Infinity;
  }

  get load(): number {
    return this.#now() - this.#reportedAt > SILENT_MS ? 1 : this.#load;
  }

  report(load: number): void {
    this.#load = load;
    this.#reportedAt = this.#now();
  }
}

/** A connection that was handed to a worker, until it has closed. */
export class HandedConnection {
  readonly target: Target;
  readonly connection: number;
  /** That of its pick, whose time is when it was handed over. */
  readonly context: ConnectionContext;
  /** The primary's end; undefined when the worker has taken the connection. */
  socket: Socket | undefined;
  /** The next connection that was handed to the same worker. */
  next: HandedConnection | undefined;

  constructor(target: Target, connection: number, socket: Socket, context: ConnectionContext) {
    this.target = target;
    this.connection = connection;
    this.socket = socket;
    this.context = context;
  }

  /** The worker has it. The primary closes its own end, which leaves the connection open. */
  taken(): void {
    if (this.socket === undefined) return;
    this.socket.destroy();
    this.socket = undefined;
    this.target.tookOne();
  }

  /** It has closed, or its worker is gone. A socket that the worker never took may go to another one. */
  settled(): void {
    if (this.socket !== undefined) {
      this.socket = undefined;
      this.target.tookOne();
    }
    this.target.inFlight--;
  }
}

/** A worker that has not reported its load for this long has no time to do so. */
const SILENT_MS = 1_000;
