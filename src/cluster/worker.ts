/**
 * The worker's side: runs what it is to run, says how it fares, drains when it is told to or left alone.
 */
import cluster from 'node:cluster';
import type { Server } from 'node:http';
import { Socket } from 'node:net';
import { BalancerError } from '../errors.ts';
import { Channels } from './channels.ts';
import { Connections } from './connections.ts';
import { drainConnections, drainServer } from './drain-server.ts';
import type { Drain, Launched, Run } from './launch.ts';
import { asMessage, type Message, type Word } from './messages.ts';
import type { LaunchSettings } from './options.ts';

/** Runs `run` in this worker, until it has drained. */
export function work(run: Run, settings: LaunchSettings): Launched {
  const worker = new LaunchedWorker(run, settings);
  const ended = worker.live();
  const notHere = (): never => {
    throw new BalancerError('OPTIONS_INVALID', 'only the primary can reload or resize; send its process the signal');
  };
  return Object.defineProperties(ended as Launched, {
    workers: { value: [] },
    reload: { value: notHere },
    resize: { value: notHere },
    close: {
      value: () => {
        worker.drain();
        return ended;
      },
    },
  });
}

class LaunchedWorker {
  readonly #run: Run;
  readonly #settings: LaunchSettings;
  readonly #asked: Promise<void>;
  #ask: () => void = () => undefined;
  #draining = false;
  readonly #connections = new Connections((news) => {
    post({ equipoise: 'connections', news });
  });
  readonly #channels = new Channels((said, sent) => {
    post({ equipoise: 'said', said }, sent);
  });
  #checked: () => void = () => undefined;

  constructor(run: Run, settings: LaunchSettings) {
    this.#run = run;
    this.#settings = settings;
    this.#asked = new Promise((resolve) => {
      this.#ask = resolve;
    });
  }

  async live(): Promise<number> {
    const quiet = this.#listen();
    try {
      const drain = await this.#started(await this.#run({
        onConnection: this.#connections.onConnection,
        channel: this.#channels.channel,
      }));
      await this.#confirmed();
      const stops = [this.#beat(), this.#showLoad()];
      say('ready');
      await this.#asked;
      for (const stop of stops) stop();
      await drain();
      say('drained');
      cluster.worker?.disconnect();
      return 0;
    } catch (error) {
      // The process ends with this error as its own, unless somebody catches it.
      await new Promise<void>((resolve) => {
        say('failed', error instanceof Error ? error.message : String(error), resolve);
      });
      throw error;
    } finally {
      quiet();
    }
  }

  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    say('draining');
    this.#ask();
  }

  /** Listens to the primary, and to signals. Returns the way to stop that. */
  #listen(): () => void {
    const onMessage = (value: unknown, handle: unknown): void => {
      const message = asMessage(value);
      switch (message?.equipoise) {
        case 'connection':
          this.#connections.take(message.connection ?? 0, handle instanceof Socket ? handle : undefined);
          break;
        case 'check':
          this.#checked();
          break;
        case 'drain':
          this.drain();
          break;
        case 'heard':
          this.#channels.hear(message.heard ?? []);
          break;
        default:
      }
    };
    const onSigterm = (): void => {
      this.drain();
    };
    // A terminal sends these to the whole group: what becomes of them is the primary's to say.
    const ignored = (): void => undefined;
    process.on('message', onMessage).on('SIGTERM', onSigterm).on('SIGINT', ignored).on('SIGHUP', ignored);
    cluster.worker?.on('disconnect', () => {
      this.#orphaned();
    });
    return () => {
      process.off('message', onMessage).off('SIGTERM', onSigterm).off('SIGINT', ignored).off('SIGHUP', ignored);
    };
  }

  /** The primary is gone. Left alone, node:cluster would exit at once, with all that is in flight. */
  #orphaned(): void {
    const { worker } = cluster;
    if (worker === undefined || worker.exitedAfterDisconnect) return;
    worker.exitedAfterDisconnect = true;
    this.#checked();
    this.drain();
    const { time, drainTimeoutMs } = this.#settings;
    const start = time.now();
    time.every(TICK_MS, () => {
      if (time.now() - start >= drainTimeoutMs) process.kill(process.pid, 'SIGKILL');
    });
  }

  /**
   * Resolves when the primary has answered: what `run` asked of it before is settled by then, such as that a port is
   * taken, of which a server tells by an event that would come too late.
   */
  async #confirmed(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#checked = resolve;
      if (!say('started')) resolve();
    });
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }

  /** Resolves with the drain when what `run` returned serves. */
  async #started(returned: unknown): Promise<Drain> {
    if (typeof returned === 'function') return returned as Drain;
    if (!isServer(returned)) {
      throw new BalancerError('OPTIONS_INVALID',
        'run: returned neither a server nor a function; return how to drain, e.g. () => drainServer(server)');
    }
    if (this.#settings.dispatch === undefined) {
      await listening(returned);
      return () => drainServer(returned);
    }
    this.#connections.feed(returned);
    return () => drainConnections(returned, () => this.#connections.closed());
  }

  /** With `dispatch`, tells how busy this event loop is. */
  #showLoad(): () => void {
    if (this.#settings.dispatch === undefined) return () => undefined;
    let last = performance.eventLoopUtilization();
    return this.#settings.time.every(LOAD_MS, () => {
      const now = performance.eventLoopUtilization();
      post({ equipoise: 'load', load: performance.eventLoopUtilization(now, last).utilization });
      last = now;
    });
  }

  #beat(): () => void {
    const { time, hungTimeoutMs } = this.#settings;
    if (hungTimeoutMs === 0) return () => undefined;
    return time.every(Math.ceil(hungTimeoutMs / BEATS), () => {
      say('alive');
    });
  }
}

/** Resolves when a server listens. */
async function listening(server: Server): Promise<void> {
  if (server.listening) return;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).once('listening', () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function isServer(value: unknown): value is Server {
  return typeof value === 'object' && value !== null && 'closeIdleConnections' in value && 'listening' in value;
}

/** Tells the primary. Returns whether there is one; `then` is called when it was told, or could not be. */
function say(word: Word, text?: string, then?: () => void): boolean {
  return post(text === undefined ? { equipoise: word } : { equipoise: word, text }, then);
}

function post(message: Message, then: () => void = () => undefined): boolean {
  if (!process.connected || process.send === undefined) {
    then();
    return false;
  }
  process.send(message, undefined, undefined, then);
  return true;
}

const TICK_MS = 100;
const LOAD_MS = 200;
/** How many beats a hung worker misses before it is taken for one. */
const BEATS = 4;
