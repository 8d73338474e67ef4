/**
 * The primary's listening socket for dispatch: accepts connections, and has the dispatcher hand them to workers.
 */
import net, { type Server, type Socket } from 'node:net';
import type { TimeSource } from '../../loop/time-source.ts';
import type { LaunchEvent } from '../events.ts';
import type { Message } from '../ipc-messages.ts';
import type { DispatchSettings } from '../options.ts';
import { listenOnPath } from '../stale-socket.ts';
import type { Processes } from '../supervise/processes.ts';
import { Dispatcher } from './dispatcher.ts';

export class Acceptor {
  readonly #dispatcher: Dispatcher;
  readonly #where: DispatchSettings['listen'];
  readonly #server: Server;
  readonly #tell: (event: LaunchEvent) => void;

  constructor(
    { strategy, listen }: DispatchSettings, processes: Processes, time: TimeSource, tell: (event: LaunchEvent) => void,
  ) {
    this.#where = listen;
    this.#tell = tell;
    this.#dispatcher = new Dispatcher(strategy, {
      send: (id, connection, socket) => {
        const message: Message = { equipoise: 'connection', connection };
        // Kept open here until the worker has it: if the worker dies before that, another one gets it.
        processes.get(id)?.send(message, socket, { keepOpen: true }, () => undefined);
      },
      onFault: (why) => {
        tell({ type: 'dispatch-failed', why });
      },
      now: () => time.now(),
    });
    // Paused, so that no byte is read here.
    this.#server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      disown(socket);
      this.#dispatcher.dispatch(socket);
    });
  }

  /** Resolves when it listens; rejects if it cannot. */
  async listen(): Promise<void> {
    await ('path' in this.#where ? listenOnPath(this.#where.path, () => this.#listen()) : this.#listen());
    this.#server.on('error', (error) => {
      this.#tell({ type: 'dispatch-failed', why: error.message });
    });
    this.#tell({ type: 'listening', address: this.#server.address() ?? '' });
  }

  /** Takes what a worker reports on its connections. */
  hear(id: number, { news, load }: Message): void {
    if (news !== undefined) this.#dispatcher.news(id, news);
    if (load !== undefined) this.#dispatcher.busy(id, load);
  }

  /** Follows what happens in the launch. */
  follow(event: LaunchEvent): void {
    switch (event.type) {
      case 'ready':
        this.#dispatcher.add(event.worker.id, event.worker.pid);
        break;
      case 'draining': case 'killed':
        this.#dispatcher.drain(event.worker.id);
        break;
      case 'gone':
        this.#dispatcher.gone(event.worker.id);
        break;
      case 'halted': case 'closing': case 'failed': case 'closed':
        // Before workers are told to drain, so that they get what was accepted first.
        this.#server.close();
        this.#dispatcher.close();
        break;
      default:
    }
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen(this.#where, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }
}

/** Saves node:child_process from tracking the connection for `server.close`, which need not wait for it. */
function disown(socket: Socket): void {
  (socket as unknown as { server: unknown }).server = undefined;
}
