/**
 * Hands connections that the primary accepted to the worker that a strategy picks. Pure but for the sockets: workers
 * and time come in.
 */
import type { Socket } from 'node:net';
import type { Candidate, PickContext, Strategy } from '../strategy.ts';

/** A ready worker, as a strategy sees it. */
export interface WorkerCandidate extends Candidate {
  /** Its connections: those that are on their way to it, and those that are open. */
  readonly inFlight: number;
  /** Its process. */
  readonly pid: number | undefined;
  /** How busy its event loop was of late: 0 is idle, 1 is blocked or silent. A fraction of a second old. */
  readonly load: number;
}

/** What a worker tells of its connections, by their numbers. */
export interface ConnectionNews {
  /** Those that it has got: if it dies now, they are lost with it. */
  readonly taken: readonly number[];
  readonly closed: readonly number[];
}

/** What the dispatcher needs of the world. */
export interface DispatchWorld {
  /** Sends a connection to a worker, and keeps it open here. */
  readonly send: (worker: number, connection: number, socket: Socket) => void;
  /** Hears of faults of the strategy. */
  readonly onFault: (what: string) => void;
  readonly now: () => number;
}

export class Dispatcher {
  readonly #strategy: Strategy<WorkerCandidate>;
  readonly #world: DispatchWorld;
  readonly #workers = new Map<number, Target>();
  #candidates: Target[] = [];
  /** Connections that came while no worker was ready. */
  #waiting: Socket[] = [];
  #lastConnection = 0;
  #closing = false;

  constructor(strategy: Strategy<WorkerCandidate>, world: DispatchWorld) {
    this.#strategy = strategy;
    this.#world = world;
  }

  /** A worker takes connections from now on. */
  add(id: number, pid: number | undefined): void {
    if (this.#closing) return;
    this.#workers.set(id, new Target(id, pid, this.#world.now));
    this.#changed();
    for (const socket of this.#waiting.splice(0)) this.dispatch(socket);
  }

  /** A worker gets no new connections. */
  drain(id: number): void {
    const target = this.#workers.get(id);
    if (target?.ready !== true) return;
    target.ready = false;
    this.#changed();
  }

  /** A worker is gone. What it had not taken yet goes to another one: nothing of it was read. */
  gone(id: number): void {
    const target = this.#workers.get(id);
    if (target === undefined) return;
    this.#workers.delete(id);
    this.#changed();
    const untaken = [...target.connections.values()].flatMap(({ socket }) => socket ?? []);
    for (const connection of target.connections.keys()) this.#settle(target, connection, 'WORKER_GONE');
    for (const socket of untaken) this.dispatch(socket);
  }

  /** A worker tells of its connections. */
  news(id: number, { taken, closed }: ConnectionNews): void {
    const target = this.#workers.get(id);
    if (target === undefined) return;
    for (const connection of taken) {
      const entry = target.connections.get(connection);
      // The worker has it: this end goes, and the connection stays.
      entry?.socket?.destroy();
      if (entry !== undefined) entry.socket = undefined;
      target.untaken.delete(connection);
    }
    for (const connection of closed) this.#settle(target, connection, undefined);
  }

  /** A worker tells how busy it is. */
  busy(id: number, load: number): void {
    this.#workers.get(id)?.report(load);
  }

  /** Has a worker serve the connection, which must be paused. */
  dispatch(socket: Socket): void {
    if (socket.destroyed) return;
    if (this.#candidates.length === 0) {
      if (this.#closing || this.#waiting.length >= MAX_WAITING) socket.destroy();
      else this.#waiting.push(socket);
      return;
    }
    const target = this.#pick(socket.remoteAddress ?? '');
    if (target === undefined) {
      socket.destroy();
      return;
    }
    // No await between the pick and its count.
    const connection = ++this.#lastConnection;
    const at = this.#world.now();
    target.connections.set(connection, { socket, at });
    target.untaken.set(connection, at);
    this.#world.send(target.worker, connection, socket);
  }

  /** No worker gets new connections; what waits for one is let go. */
  close(): void {
    this.#closing = true;
    for (const target of this.#workers.values()) target.ready = false;
    this.#changed();
    for (const socket of this.#waiting.splice(0)) socket.destroy();
  }

  #pick(remoteAddress: string): Target | undefined {
    const context: PickContext<undefined> = { attempt: 1, remoteAddress, request: undefined };
    const candidates = this.#responsive();
    try {
      const picked = this.#strategy.pick(candidates, context);
      if (picked === undefined) return undefined;
      const target = candidates.find((candidate) => candidate === picked);
      if (target === undefined) this.#world.onFault(`strategy ${this.#strategy.name} picked what is no candidate`);
      return target;
    } catch (error) {
      this.#fault('pick', error);
      return undefined;
    }
  }

  /** The workers that take what they are sent; all, if none does. */
  #responsive(): readonly Target[] {
    const before = this.#world.now() - LATE_MS;
    const late = (target: Target): boolean => target.waitsSince < before;
    if (!this.#candidates.some(late)) return this.#candidates;
    const others = this.#candidates.filter((target) => !late(target));
    return others.length > 0 ? others : this.#candidates;
  }

  #settle(target: Target, connection: number, error: string | undefined): void {
    const entry = target.connections.get(connection);
    if (entry === undefined) return;
    target.connections.delete(connection);
    target.untaken.delete(connection);
    const durationMs = this.#world.now() - entry.at;
    try {
      this.#strategy.settled?.(target, { ok: error === undefined, status: undefined, durationMs, error });
    } catch (cause) {
      this.#fault('settled', cause);
    }
  }

  #changed(): void {
    this.#candidates = [...this.#workers.values()].filter(({ ready }) => ready);
    try {
      this.#strategy.changed?.(this.#candidates);
    } catch (error) {
      this.#fault('changed', error);
    }
  }

  #fault(method: string, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#world.onFault(`strategy ${this.#strategy.name} threw in ${method}: ${text}`);
  }
}

/** A worker that connections are handed to. */
class Target implements WorkerCandidate {
  readonly worker: number;
  readonly id: string;
  readonly pid: number | undefined;
  readonly weight = 1;
  ready = true;
  /** Those that were handed over and have not ended; with the socket as long as the worker has not got it. */
  readonly connections = new Map<number, { socket: Socket | undefined; readonly at: number }>();
  /** Of those, the ones that the worker has not got, and since when; the oldest first. */
  readonly untaken = new Map<number, number>();
  readonly #now: () => number;
  #load = 0;
  #reportedAt: number;

  constructor(worker: number, pid: number | undefined, now: () => number) {
    this.worker = worker;
    this.id = String(worker);
    this.pid = pid;
    this.#now = now;
    this.#reportedAt = now();
  }

  get inFlight(): number {
    return this.connections.size;
  }

  /** Since when a connection has been on its way to it. */
  get waitsSince(): number {
    for (const at of this.untaken.values()) return at;
    return Infinity;
  }

  get load(): number {
    return this.#now() - this.#reportedAt > SILENT_MS ? 1 : this.#load;
  }

  report(load: number): void {
    this.#load = load;
    this.#reportedAt = this.#now();
  }
}

/** How many connections may wait for the first worker. */
const MAX_WAITING = 10_000;
/**
 * A worker that has not taken a connection for so long is blocked: to take one is a millisecond or two. It gets no more
 * while there is another, so that one block holds up one connection or two, whatever the strategy.
 */
const LATE_MS = 10;
/** A worker that has not told its load for so long has no turn of its event loop to spare. */
const SILENT_MS = 1_000;
