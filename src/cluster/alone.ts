/**
 * Under somebody else's cluster (PM2's cluster mode, a program's own): there is no primary of ours, so `run` runs in
 * this very process, which is one of several that know nothing of each other.
 */
import cluster from 'node:cluster';
import net, { type Server, type Socket } from 'node:net';
import { guarded, faultText } from '../guard.ts';
import { Channels } from './channels/channels.ts';
import { Connections } from './dispatch/connections.ts';
import { Deadline } from './deadline.ts';
import type { Launched, Run } from './launch.ts';
import type { ListenOptions } from '../options/listen.ts';
import type { LaunchSettings } from './options.ts';
import { LogStream } from './output.ts';
import { Relay } from './channels/relay.ts';
import { type End, served } from './served.ts';
import { listenOnPath } from './stale-socket.ts';
import { asLaunched } from './worker.ts';

/** Runs `run` in this process, until it is told to drain and has. */
export function workAlone(run: Run, settings: LaunchSettings): Launched {
  const alone = new Alone(run, settings);
  return asLaunched(alone.live(), () => {
    alone.drain();
  });
}

class Alone {
  readonly #run: Run;
  readonly #settings: LaunchSettings;
  readonly #standardError = new LogStream(process.stderr);
  readonly #asked: Promise<void>;
  #ask: () => void = () => undefined;
  readonly #stopping = new AbortController();
  #deadline: Deadline | undefined;

  constructor(run: Run, settings: LaunchSettings) {
    this.#run = run;
    this.#settings = settings;
    this.#asked = new Promise((resolve) => {
      this.#ask = resolve;
    });
  }

  async live(): Promise<number> {
    const quiet = this.#listen();
    const { time, drainTimeoutMs } = this.#settings;
    try {
      const end = await this.#start();
      await this.#asked;
      const { cut, left } = await end(this.#deadline ?? new Deadline(time, drainTimeoutMs));
      if (cut > 0) this.#log(`drained, with connections cut at the drain timeout: ${cut}`);
      // What is left ends with the process: in a worker, `kill` disconnects, and exits with 0.
      if (left) cluster.worker?.kill();
      else cluster.worker?.disconnect();
      return 0;
    } finally {
      this.#deadline?.stop();
      quiet();
    }
  }

  drain(): void {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const { time, drainTimeoutMs, stopDelayMs } = this.#settings;
    const begin = (): void => {
      this.#deadline = new Deadline(time, drainTimeoutMs);
      this.#ask();
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

  /** Runs `run`, and resolves with how to end what serves then. */
  async #start(): Promise<End> {
    const { setup, dispatch, time } = this.#settings;
    const connections = new Connections(() => undefined, this.#fault);
    // Nobody else is on a channel of this process: whoever joins leads.
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
    if (dispatch === undefined) return await served(returned, time);
    const end = await served(returned, time, connections);
    const server = await accepting(dispatch.listen, (socket) => {
      connections.take(0, socket);
    });
    return async (limit) => {
      server.close();
      return await end(limit);
    };
  }

  /** Listens to what asks this process to end. Returns the way to stop that. */
  #listen(): () => void {
    const drain = (): void => {
      this.drain();
    };
    // What PM2 sends with `--shutdown-with-message`.
    const onMessage = (message: unknown): void => {
      if (message === 'shutdown') this.drain();
    };
    const onSighup = (): void => {
      this.#log('SIGHUP: ignored; this process is run by another cluster, which replaces its workers itself');
    };
    // Without this, node:cluster exits at once when the other side is gone, with all that is in flight.
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
    this.#log(faultText(what, cause));
  };

  #log(line: string): void {
    const toStandardError = (text: string): void => {
      this.#standardError.write(`equipoise: ${text}`);
    };
    guarded(() => (this.#settings.log ?? toStandardError)(line), (what, cause) => {
      toStandardError(faultText(`log ${what}`, cause));
    });
  }
}

/** Resolves with a server that listens, and hands on its connections. */
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
