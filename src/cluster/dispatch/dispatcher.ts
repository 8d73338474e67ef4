/**
 * Hands connections that the primary accepted to the worker that a strategy picks. Pure but for the sockets: workers
 * and time come in.
 */
import type { Socket } from 'node:net';
import { faultText, guarded, guardedValue, nameOf, type OnFault } from '../../guard.ts';
import type { PickContext, Strategy, WorkerCandidate } from '../../strategy.ts';

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
  readonly #name: string;
  readonly #world: DispatchWorld;
  readonly #workers = new Map<number, Target>();
  #candidates: Target[] = [];
  /** Connections that came while no worker was ready. */
  #waiting: Socket[] = [];
  /**
   * Those that were handed over and have not ended, each at the place of its number. Places are used again: the tables
   * of a Map that churns with connections would keep each other's garbage alive.
   */
  readonly #handed: (Handed | undefined)[] = [undefined];
  readonly #free: number[] = [];
  readonly #pickFault: OnFault;
  readonly #settledFault: OnFault;
  readonly #changedFault: OnFault;
  #closing = false;

  constructor(strategy: Strategy<WorkerCandidate>, world: DispatchWorld) {
    this.#strategy = strategy;
    this.#name = nameOf(strategy);
    this.#world = world;
    this.#pickFault = this.#faultIn('pick');
    this.#settledFault = this.#faultIn('settled');
    this.#changedFault = this.#faultIn('changed');
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
    const lost = this.#handed.filter((handed) => handed?.target === target);
    const untaken = lost.flatMap((handed) => handed?.socket ?? []);
    for (const handed of lost) if (handed !== undefined) this.#settle(handed, 'WORKER_GONE');
    for (const socket of untaken) this.dispatch(socket);
  }

  /** A worker tells of its connections. */
  news(id: number, { taken, closed }: ConnectionNews): void {
    const target = this.#workers.get(id);
    if (target === undefined) return;
    for (const connection of taken) this.#of(target, connection)?.taken();
    for (const connection of closed) {
      const handed = this.#of(target, connection);
      if (handed !== undefined) this.#settle(handed, undefined);
    }
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
    if (target === undefined || target.waiting >= MAX_WAITING) {
      socket.destroy();
      return;
    }
    // No await between the pick and its count.
    const connection = this.#free.pop() ?? this.#handed.length;
    const handed = new Handed(target, connection, socket, this.#world.now());
    this.#handed[connection] = handed;
    target.handedOver(handed);
    this.#world.send(target.worker, connection, socket);
  }

  /** No worker gets new connections; what waits for one is let go. */
  close(): void {
    this.#closing = true;
    for (const target of this.#workers.values()) target.ready = false;
    this.#changed();
    for (const socket of this.#waiting.splice(0)) socket.destroy();
  }

  /** The connection of this number, if this worker has it. */
  #of(target: Target, connection: number): Handed | undefined {
    const handed = this.#handed[connection];
    return handed?.target === target ? handed : undefined;
  }

  #pick(remoteAddress: string): Target | undefined {
    const context: PickContext<undefined> = { attempt: 1, remoteAddress, request: undefined };
    const candidates = this.#responsive();
    const picked = guardedValue(() => this.#strategy.pick(candidates, context), this.#pickFault);
    if (picked === undefined) return undefined;
    const target = candidates.find((candidate) => candidate === picked);
    if (target === undefined) {
      this.#world.onFault(`strategy ${this.#name} picked something that is not one of the candidates`);
    }
    return target;
  }

  /** The workers that take what they are sent; all, if none does. */
  #responsive(): readonly Target[] {
    const before = this.#world.now() - LATE_MS;
    const late = (target: Target): boolean => target.waitsSince < before;
    if (!this.#candidates.some(late)) return this.#candidates;
    const others = this.#candidates.filter((target) => !late(target));
    return others.length > 0 ? others : this.#candidates;
  }

  #settle(handed: Handed, error: string | undefined): void {
    const { target, connection, at } = handed;
    this.#handed[connection] = undefined;
    this.#free.push(connection);
    handed.settled();
    const durationMs = this.#world.now() - at;
    const outcome = { ok: error === undefined, status: undefined, durationMs, error };
    guarded(() => this.#strategy.settled?.(target, outcome), this.#settledFault);
  }

  #changed(): void {
    this.#candidates = [...this.#workers.values()].filter(({ ready }) => ready);
    guarded(() => this.#strategy.changed?.(this.#candidates), this.#changedFault);
  }

  #faultIn(method: string): OnFault {
    return (what, cause) => {
      this.#world.onFault(faultText(`strategy ${this.#name} ${what} in ${method}`, cause));
    };
  }
}

/** A connection that was handed to a worker. */
class Handed {
  readonly target: Target;
  readonly connection: number;
  readonly at: number;
  /** As long as the worker has not got it. */
  socket: Socket | undefined;
  /** The next one that was handed to the same worker. */
  next: Handed | undefined;

  constructor(target: Target, connection: number, socket: Socket, at: number) {
    this.target = target;
    this.connection = connection;
    this.socket = socket;
    this.at = at;
  }

  /** The worker has it: this end goes, and the connection stays. */
  taken(): void {
    if (this.socket === undefined) return;
    this.socket.destroy();
    this.socket = undefined;
    this.target.tookOne();
  }

  /** It is over. If the worker never got it, its socket is for somebody else. */
  settled(): void {
    if (this.socket !== undefined) {
      this.socket = undefined;
      this.target.tookOne();
    }
    this.target.inFlight--;
  }
}

/** A worker that connections are handed to. */
class Target implements WorkerCandidate {
  readonly worker: number;
  readonly id: string;
  readonly pid: number | undefined;
  readonly weight = 1;
  ready = true;
  inFlight = 0;
  /** How many of them the worker has not got. */
  waiting = 0;
  readonly #now: () => number;
  /** Those that the worker has not got, oldest first, with some that it has got in between. */
  #oldest: Handed | undefined;
  #latest: Handed | undefined;
  #load = 0;
  #reportedAt: number;

  constructor(worker: number, pid: number | undefined, now: () => number) {
    this.worker = worker;
    this.id = String(worker);
    this.pid = pid;
    this.#now = now;
    this.#reportedAt = now();
  }

  handedOver(handed: Handed): void {
    this.inFlight++;
    this.waiting++;
    if (this.#latest === undefined) this.#oldest = handed;
    else this.#latest.next = handed;
    this.#latest = handed;
  }

  /** One that waited does not any more. Those that are let go keep no pointer to those that follow them. */
  tookOne(): void {
    this.waiting--;
    while (this.#oldest !== undefined && this.#oldest.socket === undefined) {
      const { next }: Handed = this.#oldest;
      this.#oldest.next = undefined;
      this.#oldest = next;
    }
    if (this.#oldest === undefined) this.#latest = undefined;
  }

  /** Since when a connection has been on its way to it. */
  get waitsSince(): number {
    return this.#oldest?.at ?? Infinity;
  }

  get load(): number {
    return this.#now() - this.#reportedAt > SILENT_MS ? 1 : this.#load;
  }

  report(load: number): void {
    this.#load = load;
    this.#reportedAt = this.#now();
  }
}

/** How many connections may wait: for the first worker, and for one that does not take what it was sent. */
const MAX_WAITING = 10_000;
/**
 * A worker that has not taken a connection for so long is blocked: to take one is a millisecond or two. It gets no more
 * while there is another, so that one block holds up one connection or two, whatever the strategy.
 */
const LATE_MS = 10;
/** A worker that has not told its load for so long has no turn of its event loop to spare. */
const SILENT_MS = 1_000;
