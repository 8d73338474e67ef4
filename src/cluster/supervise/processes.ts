/**
 * The processes of workers: how they are started, and what they say.
 */
import cluster, { type Worker } from 'node:cluster';
import { messageOf } from '../../guard.ts';
import type { LaunchEvent } from '../events.ts';
import { WORKER_ENV } from '../mark.ts';
import { asMessage, type Message } from '../messages.ts';
import type { Plan } from './plan.ts';
import { isDirectory, type Release } from './release.ts';
import { removeStaleSocket } from '../stale-socket.ts';
import type { Told } from './supervisor.ts';
import type { WorkerInfo, WorkerProcess } from './worker-state.ts';

/** What it needs of the launch. */
export interface ProcessesWorld {
  readonly release: Release;
  /** Gets what is not about a worker's life. */
  readonly hear: (id: number, message: Message) => void;
  readonly tell: (event: LaunchEvent) => void;
}

export class Processes {
  readonly #world: ProcessesWorld;
  readonly #workers = new Map<number, Worker>();
  /** Unix sockets that were looked at, since a worker could not listen there: what came of it, and whom it helps. */
  readonly #sockets = new Map<string, { readonly last: number; readonly removed: Promise<boolean> }>();
  #lastId = 0;

  constructor(world: ProcessesWorld) {
    this.#world = world;
  }

  /** Starts a worker. Where no process can be made, that is told as its end. */
  readonly fork = ({ id }: WorkerInfo, plan: Plan, told: (what: Told) => void): WorkerProcess => {
    this.#lastId = id;
    let worker: Worker;
    try {
      this.#setUp();
      worker = cluster.fork(WORKER_ENV);
    } catch (cause) {
      setImmediate(notStarted, cause, told);
      return { pid: undefined, drain: () => undefined, stopSoon: () => undefined, kill: () => undefined };
    }
    this.#workers.set(id, worker);
    this.#follow(id, worker, plan, told);
    return {
      pid: worker.process.pid,
      drain: (started, limitMs) => {
        // One that has not begun has nothing to end, and might not listen to us yet.
        if (started) this.send(id, { equipoise: 'drain', limitMs });
        else signal(worker, 'SIGTERM');
      },
      stopSoon: () => {
        this.send(id, { equipoise: 'stopping' });
      },
      kill: () => {
        signal(worker, 'SIGKILL');
      },
    };
  };

  /** Of a worker that is gone, nothing more is to be kept. */
  forget(id: number): void {
    this.#workers.delete(id);
  }

  /**
   * Tells a worker; `sent` is called when that is on its way, or can't be any more. One that has just ended hears
   * nothing; that it has ended is heard otherwise.
   */
  send(id: number, message: Message, sent: () => void = () => undefined): void {
    const worker = this.#workers.get(id);
    if (worker?.isConnected() === true) worker.send(message, sent);
    else setImmediate(sent);
  }

  /** The worker's own channel, for connections. */
  get(id: number): Worker | undefined {
    return this.#workers.get(id);
  }

  #follow(id: number, worker: Worker, plan: Plan, told: (what: Told) => void): void {
    let again: Promise<boolean> | undefined;
    worker.on('message', (value: unknown) => {
      const message = asMessage(value);
      switch (message?.equipoise) {
        case 'hello': {
          const { setup, drainTimeoutMs } = plan;
          this.send(id, { equipoise: 'setup', setup, drainTimeoutMs });
          break;
        }
        case 'started':
          // What the worker asked of us before, such as to listen, is answered before this.
          setImmediate(() => {
            this.send(id, { equipoise: 'check' });
          });
          break;
        case 'ready': case 'alive': case 'draining':
          told({ type: message.equipoise });
          break;
        case 'drained':
          told({ type: 'drained', cut: message.cut ?? 0 });
          break;
        case 'failed':
          if (message.path !== undefined) again = this.#freed(message.path, id);
          told({ type: 'failed', text: message.text ?? '' });
          break;
        case 'fault':
          this.#world.tell({ type: 'fault', why: `worker ${id}: ${message.text ?? ''}` });
          break;
        case 'connections': case 'load': case 'said':
          this.#world.hear(id, message);
          break;
        default:
      }
    });
    worker.on('exit', (code: number | null, signal: string | null) => {
      const gone = async (): Promise<void> => {
        told({ type: 'gone', code, signal, again: await again ?? false });
      };
      // What it said last is read first.
      if (worker.isConnected()) worker.once('disconnect', () => void gone());
      else void gone();
    });
    // Unheard, this ends the primary. Of a process that there is, it tells what its end tells as well.
    worker.on('error', (cause: unknown) => {
      if (worker.process.pid === undefined) notStarted(cause, told);
    });
  }

  /** Has the next worker run the program that is behind the link now. */
  #setUp(): void {
    const { cwd, exec } = this.#world.release;
    // A directory that is not there is none to start in; the one of this process may be deleted as well, or not.
    if (cwd === undefined || !isDirectory(cwd)) return;
    cluster.setupPrimary({ cwd, ...(exec === undefined ? {} : { exec }) });
  }

  /**
   * Whether a worker that could not listen at `path` may try again. All that were started before the path was looked at
   * may, if it was found free or was freed then: by now another one of them may listen there.
   */
  #freed(path: string, id: number): Promise<boolean> {
    const known = this.#sockets.get(path);
    if (known !== undefined && id <= known.last) return known.removed;
    const removed = removeStaleSocket(path).then(({ kind }) => {
      if (kind === 'stale') this.#world.tell({ type: 'socket-removed', path });
      return kind !== 'taken';
    });
    this.#sockets.set(path, { last: this.#lastId, removed });
    return removed;
  }
}

/** Signals a worker that has a process. For one that could not be started, Node 20 signals our own process group. */
function signal(worker: Worker, name: 'SIGTERM' | 'SIGKILL'): void {
  if (worker.process.pid !== undefined) worker.process.kill(name);
}

function notStarted(cause: unknown, told: (what: Told) => void): void {
  told({ type: 'failed', text: messageOf(cause) });
  told({ type: 'gone', code: null, signal: null });
}
