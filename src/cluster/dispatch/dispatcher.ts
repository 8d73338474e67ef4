/**
 * Hands connections that the primary accepted to the worker that a strategy picks. Pure but for the sockets: workers
 * and time come in.
 */
import type { Socket } from 'node:net';
import { faultText, guarded, guardedValue, nameOf, type OnFault } from '../../guard.ts';
import type { Strategy, WorkerCandidate } from '../../strategy.ts';
import { ConnectionContext } from './connection-context.ts';
import { HandedConnection, Target } from './target.ts';

/** What a worker reports of its connections, by their numbers. */
export interface ConnectionNews {
  /** The worker has them: if it dies now, they are lost with it. */
  readonly taken: readonly number[];
  readonly closed: readonly number[];
}

/** What the dispatcher needs of the world. */
export interface DispatchWorld {
  /** Sends a connection to a worker, and keeps this end of it open. */
  readonly send: (worker: number, connection: number, socket: Socket) => void;
  /** Called when the strategy fails. */
  readonly onFault: (what: string) => void;
  readonly now: () => number;
}

export class Dispatcher {
  readonly #strategy: Strategy<WorkerCandidate>;
  readonly #name: string;
  readonly #world: DispatchWorld;
  readonly #targets = new Map<number, Target>();
  #candidates: Target[] = [];
  /** Connections that wait for the first worker to be ready. */
  #waiting: Socket[] = [];
  /**
   * Connections that were handed over and have not closed, at the index that is their number. Numbers are used again: a
   * Map that churns with connections keeps garbage alive.
   */
  readonly #handed: (HandedConnection | undefined)[] = [undefined];
  readonly #free: number[] = [];
  readonly #pickFault: OnFault;
  readonly #settledFault: OnFault;
  readonly #changedFault: OnFault;
  #closing = false;

  constructor(strategy: Strategy<WorkerCandidate>, world: DispatchWorld) {
    this.#strategy = strategy;
    this.#name = nameOf(strategy);
    this.#world = world;
    this.#pickFault = this.#faultIn('pick', CLOSED);
    this.#settledFault = this.#faultIn('settled');
    this.#changedFault = this.#faultIn('changed');
  }

  /** A worker takes connections from now on. */
  add(id: number, pid: number | undefined): void {
    if (this.#closing) return;
    this.#targets.set(id, new Target(id, pid, this.#world.now));
    this.#changed();
    for (const socket of this.#waiting.splice(0)) this.dispatch(socket);
  }

  /** A worker gets no new connections. */
  drain(id: number): void {
    const target = this.#targets.get(id);
    if (target?.ready !== true) return;
    target.ready = false;
    this.#changed();
  }

  /** A worker is gone. Connections that it had not taken go to another worker: nothing of them was read. */
  gone(id: number): void {
    const target = this.#targets.get(id);
    if (target === undefined) return;
    this.#targets.delete(id);
    this.#changed();
    const lost = this.#handed.filter((handed) => handed?.target === target);
    const untaken = lost.flatMap((handed) => handed?.socket ?? []);
    for (const handed of lost) if (handed !== undefined) this.#settle(handed, 'WORKER_GONE');
    for (const socket of untaken) this.dispatch(socket);
  }

  /** A worker reports on its connections. */
  news(id: number, { taken, closed }: ConnectionNews): void {
    const target = this.#targets.get(id);
    if (target === undefined) return;
    for (const connection of taken) this.#of(target, connection)?.taken();
    for (const connection of closed) {
      const handed = this.#of(target, connection);
      if (handed !== undefined) this.#settle(handed, undefined);
    }
  }

  /** A worker reports how busy it is. */
  busy(id: number, load: number): void {
    this.#targets.get(id)?.report(load);
  }

  /** Hands a connection, which must be paused, to a worker. */
  dispatch(socket: Socket): void {
    if (socket.destroyed) return;
    if (this.#candidates.length === 0) {
      if (this.#closing || this.#waiting.length >= MAX_WAITING) socket.destroy();
      else this.#waiting.push(socket);
      return;
    }
    const context = new ConnectionContext(socket.remoteAddress ?? '', this.#world.now());
    const target = this.#pick(context);
    if (target === undefined || target.untaken >= MAX_WAITING) {
      socket.destroy();
      return;
    }
    // No await between the pick and its count.
    const connection = this.#free.pop() ?? this.#handed.length;
    const handed = new HandedConnection(target, connection, socket, context);
    this.#handed[connection] = handed;
    target.handedOver(handed);
    this.#world.send(target.worker, connection, socket);
  }

  /** Hands over no more connections, and closes those that wait for a worker. */
  close(): void {
    this.#closing = true;
    for (const target of this.#targets.values()) target.ready = false;
    this.#changed();
    for (const socket of this.#waiting.splice(0)) socket.destroy();
  }

  /** The connection of this number, if this worker has it. */
  #of(target: Target, connection: number): HandedConnection | undefined {
    const handed = this.#handed[connection];
    return handed?.target === target ? handed : undefined;
  }

  #pick(context: ConnectionContext): Target | undefined {
    const candidates = this.#responsive();
    const picked = guardedValue(() => this.#strategy.pick(candidates, context), this.#pickFault);
    if (picked === undefined) return undefined;
    const target = candidates.find((candidate) => candidate === picked);
    if (target === undefined) {
      this.#world.onFault(`strategy ${this.#name} picked something that is not a candidate${CLOSED}`);
    }
    return target;
  }

  /** The workers that take what they are sent; all of them, if none does. */
  #responsive(): readonly Target[] {
    const before = this.#world.now() - LATE_MS;
    const late = (target: Target): boolean => target.untakenSince < before;
    if (!this.#candidates.some(late)) return this.#candidates;
    const others = this.#candidates.filter((target) => !late(target));
    return others.length > 0 ? others : this.#candidates;
  }

  #settle(handed: HandedConnection, error: string | undefined): void {
    const { target, connection, context } = handed;
    this.#handed[connection] = undefined;
    this.#free.push(connection);
    handed.settled();
    const now = this.#world.now();
    const durationMs = now - context.now;
    const outcome = { ok: error === undefined, status: undefined, durationMs, error, now, note: context.note };
    guarded(() => this.#strategy.settled?.(target, outcome), this.#settledFault);
  }

  #changed(): void {
    this.#candidates = [...this.#targets.values()].filter(({ ready }) => ready);
    guarded(() => this.#strategy.changed?.(this.#candidates, this.#candidates), this.#changedFault);
  }

  #faultIn(method: string, consequence = ''): OnFault {
    return (what, cause) => {
      this.#world.onFault(faultText(`strategy ${this.#name} ${what} in ${method}`, cause) + consequence);
    };
  }
}

/** What a failed pick means for the connection. */
const CLOSED = '; the connection was closed';
/** How many connections may wait: for the first worker, and for a worker that does not take what it was sent. */
const MAX_WAITING = 10_000;
/**
 * A worker that has not taken a connection for this long is blocked, since that takes a millisecond or two. It gets no
 * more while there is another worker, so that a blocked one delays only one connection or two, whatever the strategy.
 */
const LATE_MS = 10;
