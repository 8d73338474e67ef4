/**
 * A worker of another cluster (PM2's cluster mode, or a program's own): there is no primary of ours, so `run` runs in
 * this process, one of several that know nothing of each other.
 */
import cluster from 'node:cluster';
import net, { type Server, type Socket } from 'node:net';
import { faultText } from '../../guard.ts';
import { UNSERVED_FAULT } from '../ipc-messages.ts';
import type { ListenOptions } from '../../options/listen.ts';
import { Relay } from '../channels/relay.ts';
import { Channels } from '../channels/worker-channels.ts';
import { WorkerConnections } from '../dispatch/worker-connections.ts';
import { Deadline } from '../drain/deadline.ts';
import { Journal } from '../journal.ts';
import { type Launched, launchedInWorker } from '../launched.ts';
import type { LaunchSettings } from '../options.ts';
import type { Run } from '../run.ts';
import { listenOnPath } from '../stale-socket.ts';
import { type DrainRun, endWorker, UNSERVED, whenServing } from './run-result.ts';

/** Runs `run` in this process, until it has drained. */
export function runInForeignWorker(run: Run, settings: LaunchSettings): Launched {
  const worker = new ForeignWorker(run, settings);
  return launchedInWorker(worker.live(), () => {
    worker.drain();
  });
}

class ForeignWorker {
  readonly #run: Run;
  readonly #settings: LaunchSettings;
  readonly #journal: Journal;
  readonly #drainAsked: Promise<void>;
  #askDrain: () => void = () => undefined;
  readonly #stopping = new AbortController();
  /** Set when it begins to drain. */
  #deadline: Deadline | undefined;

  constructor(run: Run, settings: LaunchSettings) {
    this.#run = run;
    this.#settings = settings;
    this.#journal = new Journal(settings);
    this.#drainAsked = new Promise((resolve) => {
      this.#askDrain = resolve;
    });
  }

  async live(): Promise<number> {
    const stopListening = this.#listen();
    const { time, drainTimeoutMs } = this.#settings;
    try {
      const drain = await this.#startUnlessTold();
      if (drain === undefined) {
        endWorker(UNSERVED);
        return 0;
      }
      await this.#drainAsked;
      const result = await drain(this.#deadline ?? new Deadline(time, drainTimeoutMs));
      if (result.cut > 0) this.#journal.log(`connections cut at the drain timeout: ${result.cut}`);
      endWorker(result);
      return 0;
    } finally {
      this.#deadline?.stop();
      stopListening();
    }
  }

  /** Drains after the stop delay. */
  drain(): void {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const { time, drainTimeoutMs, stopDelayMs } = this.#settings;
    const begin = (): void => {
      this.#deadline = new Deadline(time, drainTimeoutMs);
      this.#askDrain();
    };
    if (stopDelayMs === 0) {
      begin();
      return;
    }
    const stop = time.every(stopDelayMs, () => {
      stop();
      begin();
    });
  }

  /** As `#start`; resolves with undefined if that fails after this process was told to drain. */
  async #startUnlessTold(): Promise<DrainRun | undefined> {
    try {
      return await this.#start();
    } catch (error) {
      if (!this.#stopping.signal.aborted) throw error;
      this.#fault(UNSERVED_FAULT, error);
      return undefined;
    }
  }

  /** Runs `run`, and resolves when it serves, with how to drain it. */
  async #start(): Promise<DrainRun> {
    const { setup, dispatch, time } = this.#settings;
    const connections = new WorkerConnections(() => undefined, this.#fault);
    // This process is the only member of its channels, so it leads.
    const relay = new Relay({
      send: (_worker, heard, sent) => {
        channels.hear(heard);
        sent();
      },
      soon: setImmediate,
    });
    const channels = new Channels((said, sent) => {
      relay.hear(1, said);
      if (sent !== undefined) setImmediate(sent);
    }, this.#fault);
    const { onConnection } = connections;
    const returned: unknown = await this.#run({
      setup,
      stopping: this.#stopping.signal,
      onConnection,
      channel: channels.channel,
    });
    if (dispatch === undefined) return await whenServing(returned, time);
    const drain = await whenServing(returned, time, connections);
    const server = await accepting(dispatch.listen, (socket) => {
      connections.take(0, socket);
    });
    return async (limit) => {
      server.close();
      return await drain(limit);
    };
  }

  /** Listens to what asks this process to end. Returns how to stop that. */
  #listen(): () => void {
    const drain = (): void => {
      this.drain();
    };
    // PM2 sends this with `--shutdown-with-message`.
    const onMessage = (message: unknown): void => {
      if (message === 'shutdown') this.drain();
    };
    const onSighup = (): void => {
      this.#journal.log('SIGHUP: ignored; the cluster that this process belongs to reloads its workers itself');
    };
    // By default, node:cluster would exit at once, and cut what is in flight.
    const onDisconnect = (): void => {
      if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
      this.drain();
    };
    process.on('SIGTERM', drain).on('SIGINT', drain).on('SIGHUP', onSighup).on('message', onMessage);
    cluster.worker?.on('disconnect', onDisconnect);
    return () => {
      process.off('SIGTERM', drain).off('SIGINT', drain).off('SIGHUP', onSighup).off('message', onMessage);
      cluster.worker?.off('disconnect', onDisconnect);
    };
  }

  readonly #fault = (what: string, cause: unknown): void => {
    this.#journal.log(faultText(what, cause));
  };
}

/** Resolves with a server that listens, and passes its connections to `take`. */
function accepting(where: ListenOptions, take: (socket: Socket) => void): Promise<Server> {
  const listen = (): Promise<Server> => new Promise((resolve, reject) => {
    const server = net.createServer({ allowHalfOpen: true }, take);
    server.once('error', reject).listen(where, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
  return 'path' in where ? listenOnPath(where.path, listen) : listen();
}
