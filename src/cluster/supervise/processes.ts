/**
 * The processes of workers: starts them by node:cluster, and hears what they say.
 */
import cluster, { type Worker } from 'node:cluster';
import { messageOf } from '../../guard.ts';
import type { LaunchEvent } from '../events.ts';
import { asMessage, type Message } from '../ipc-messages.ts';
import { WORKER_ENV } from '../process-role.ts';
import { removeStaleSocket } from '../stale-socket.ts';
import { InheritedSockets } from './inherited-sockets.ts';
import type { Plan } from './plan.ts';
import { isDirectory, type Release } from './release.ts';
import type { WorkerInfo } from './worker-info.ts';
import type { WorkerProcess, WorkerReport } from './worker-process.ts';

export interface ProcessesWorld {
  readonly release: Release;
  /** Takes messages that are not about a worker's life. */
  readonly hear: (id: number, message: Message) => void;
  readonly tell: (event: LaunchEvent) => void;
}

type Report = (report: WorkerReport) => void;

export class Processes {
  readonly #world: ProcessesWorld;
  readonly #workers = new Map<number, Worker>();
  /** Unix sockets on which a worker could not listen: whether others may try, and up to which worker that holds. */
  readonly #sockets = new Map<string, { readonly lastId: number; readonly free: Promise<boolean> }>();
  readonly #inherited = new InheritedSockets();
  #lastId = 0;

  constructor(world: ProcessesWorld) {
    this.#world = world;
  }

  /** Starts a worker. If its process cannot be started, that is reported as its end. */
  readonly fork = ({ id, generation }: WorkerInfo, plan: Plan, report: Report): WorkerProcess => {
    this.#lastId = id;
    let worker: Worker;
    try {
      this.#setUp();
      worker = cluster.fork(WORKER_ENV);
    } catch (cause) {
      setImmediate(notStarted, cause, report);
      return { pid: undefined, drain: () => undefined, stopSoon: () => undefined, kill: () => undefined };
    }
    this.#workers.set(id, worker);
    worker.on('listening', ({ fd }: { readonly fd?: number }) => {
      if (typeof fd === 'number') this.#inherited.listening(fd, generation);
    });
    this.#follow(id, worker, plan, report);
    return {
      pid: worker.process.pid,
      drain: (started, limitMs) => {
        // Before it is ready, it has nothing to drain, and may not listen to messages yet.
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

  /** The inherited sockets that workers of this generation listened on, and that have been closed. */
  readonly lostSockets = (generation: number): readonly number[] => this.#inherited.lost(generation);

  /** Drops a worker that is gone. */
  forget(id: number): void {
    this.#workers.delete(id);
  }

  /** `sent` is called when the message is on its way, or cannot be sent any more: a worker that has ended gets none. */
  send(id: number, message: Message, sent: () => void = () => undefined): void {
    const worker = this.#workers.get(id);
    if (worker?.isConnected() === true) worker.send(message, sent);
    else setImmediate(sent);
  }

  /** The worker of node:cluster, which can be sent connections. */
  get(id: number): Worker | undefined {
    return this.#workers.get(id);
  }

  #follow(id: number, worker: Worker, plan: Plan, report: Report): void {
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
          // By then, what the worker asked before, such as to listen on a port, is answered.
          setImmediate(() => {
            this.send(id, { equipoise: 'check' });
          });
          break;
        case 'ready': case 'alive': case 'draining':
          report({ type: message.equipoise });
          break;
        case 'drained':
          report({ type: 'drained', cut: message.cut ?? 0 });
          break;
        case 'failed':
          if (message.path !== undefined) again = this.#isFree(message.path, id);
          report({ type: 'failed', text: message.text ?? '' });
          break;
        case 'unserved':
          report({ type: 'unserved', text: message.text ?? '' });
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
        report({ type: 'gone', code, signal, again: await again ?? false });
      };
      // Its last messages come first.
      if (worker.isConnected()) worker.once('disconnect', () => void gone());
      else void gone();
    });
    // Without a listener, this would end the primary. If the process did start, its exit tells the same.
    worker.on('error', (cause: unknown) => {
      if (worker.process.pid === undefined) notStarted(cause, report);
    });
  }

  /** Has the next worker run the program that the link points to now. */
  #setUp(): void {
    const { cwd, exec } = this.#world.release;
    // Without its directory, the next worker starts like the last one.
    if (cwd === undefined || !isDirectory(cwd)) return;
    cluster.setupPrimary({ cwd, ...(exec === undefined ? {} : { exec }) });
  }

  /**
   * Whether another worker may try to listen at `path`, where this one could not: the path is free, or held a socket
   * that a crash left, which this removes. The answer holds for all workers started before it was asked for, since one
   * of them may listen there by now.
   */
  #isFree(path: string, id: number): Promise<boolean> {
    const known = this.#sockets.get(path);
    if (known !== undefined && id <= known.lastId) return known.free;
    const free = removeStaleSocket(path).then(({ kind }) => {
      if (kind === 'stale') this.#world.tell({ type: 'socket-removed', path });
      return kind !== 'taken';
    });
    this.#sockets.set(path, { lastId: this.#lastId, free });
    return free;
  }
}

/** Signals a worker that has a process. Without one, Node 20 would signal our own process group. */
function signal(worker: Worker, name: 'SIGTERM' | 'SIGKILL'): void {
  if (worker.process.pid !== undefined) worker.process.kill(name);
}

function notStarted(cause: unknown, report: Report): void {
  report({ type: 'failed', text: messageOf(cause) });
  report({ type: 'gone', code: null, signal: null });
}
