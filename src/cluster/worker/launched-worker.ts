/**
 * A worker of a launch: runs the program's `run`, reports to the primary, and drains when it is told to, or when the
 * primary is gone.
 */
import cluster from 'node:cluster';
import { Socket } from 'node:net';
import { messageOf } from '../../guard.ts';
import { Channels } from '../channels/worker-channels.ts';
import { WorkerConnections } from '../dispatch/worker-connections.ts';
import { Deadline } from '../drain/deadline.ts';
import type { Message } from '../ipc-messages.ts';
import { type Launched, launchedInWorker } from '../launched.ts';
import type { LaunchSettings } from '../options.ts';
import type { Run } from '../run.ts';
import { pathInUse } from '../stale-socket.ts';
import { CUT_GRACE_MS } from '../supervise/supervised-worker.ts';
import { PrimaryLink } from './primary-link.ts';
import { type DrainResult, type DrainRun, endWorker, UNSERVED, whenServing } from './run-result.ts';

/** Runs `run` in this worker, until it has drained. */
export function runInWorker(run: Run, settings: LaunchSettings): Launched {
  const worker = new LaunchedWorker(run, settings);
  return launchedInWorker(worker.live(), () => {
    worker.drain();
  });
}

class LaunchedWorker {
  readonly #run: Run;
  readonly #settings: LaunchSettings;
  readonly #primary = new PrimaryLink();
  readonly #drainAsked: Promise<void>;
  #askDrain: () => void = () => undefined;
  /** Set when it begins to drain. */
  #deadline: Deadline | undefined;
  /** The primary's, which a reload may have changed. */
  #drainTimeoutMs: number;
  readonly #connections = new WorkerConnections((news) => {
    this.#primary.post({ equipoise: 'connections', news });
  }, (what, cause) => {
    this.#primary.fault(`the listener of onConnection ${what}`, cause);
  });
  readonly #channels = new Channels((said, sent) => {
    this.#primary.post({ equipoise: 'said', said }, sent);
  }, this.#primary.fault);
  readonly #stopping = new AbortController();

  constructor(run: Run, settings: LaunchSettings) {
    this.#run = run;
    this.#settings = settings;
    this.#drainTimeoutMs = settings.drainTimeoutMs;
    this.#drainAsked = new Promise((resolve) => {
      this.#askDrain = resolve;
    });
  }

  async live(): Promise<number> {
    const stopListening = this.#listen();
    try {
      const answer = await this.#primary.ask('hello');
      this.#drainTimeoutMs = answer?.drainTimeoutMs ?? this.#drainTimeoutMs;
      // If it is told to drain before it has begun, it does not begin.
      const result = this.#deadline === undefined ? await this.#serve(answer?.setup) : { cut: 0, left: false };
      this.#primary.post({ equipoise: 'drained', cut: result.cut });
      endWorker(result);
      return 0;
    } catch (error) {
      // The process ends with this error as its own, unless the program catches it.
      await this.#primary.fail(error);
      throw error;
    } finally {
      this.#deadline?.stop();
      stopListening();
    }
  }

  /** Drains within `limitMs`. Called again, it may leave less time, never more. */
  drain(limitMs = this.#drainTimeoutMs): void {
    if (this.#deadline === undefined) {
      this.#deadline = new Deadline(this.#settings.time, limitMs);
      this.#primary.say('draining');
      this.#stopping.abort();
      this.#askDrain();
    }
    this.#deadline.hurry(limitMs);
  }

  /** Serves until it is told to drain, and resolves when it has. */
  async #serve(setup: unknown): Promise<DrainResult> {
    const { time } = this.#settings;
    const drain = await this.#start(setup);
    if (drain === undefined) return UNSERVED;
    await this.#primary.ask('started');
    await turn();
    const stops = [this.#reportAlive(), this.#reportLoad()];
    this.#primary.say('ready');
    await this.#drainAsked;
    for (const stop of stops) stop();
    return await drain(this.#deadline ?? new Deadline(time, this.#drainTimeoutMs));
  }

  /**
   * Runs `run`, and resolves when it serves, with how to drain it; with undefined if it failed after this worker was
   * told to drain.
   */
  async #start(setup: unknown): Promise<DrainRun | undefined> {
    const { time, dispatch } = this.#settings;
    try {
      const returned: unknown = await this.#run({
        setup,
        stopping: this.#stopping.signal,
        onConnection: this.#connections.onConnection,
        channel: this.#channels.channel,
      });
      return await whenServing(returned, time, dispatch === undefined ? undefined : this.#connections);
    } catch (error) {
      if (this.#deadline === undefined) throw error;
      this.#primary.post({ equipoise: 'unserved', text: messageOf(error) });
      return undefined;
    }
  }

  /** Listens to the primary and to signals. Returns how to stop that. */
  #listen(): () => void {
    const stopMessages = this.#primary.listen((message, handle) => {
      this.#onMessage(message, handle);
    });
    const onSigterm = (): void => {
      this.drain();
    };
    // A terminal sends these to the whole process group. The primary decides what they mean.
    const ignored = (): void => undefined;
    // The process is about to end with this error, but the primary may be able to remove its cause.
    const onUncaught = (error: unknown): void => {
      if (pathInUse(error) !== undefined) void this.#primary.fail(error);
    };
    process.on('SIGTERM', onSigterm).on('SIGINT', ignored).on('SIGHUP', ignored)
      .on('uncaughtExceptionMonitor', onUncaught);
    cluster.worker?.on('disconnect', () => {
      this.#onPrimaryGone();
    });
    return () => {
      stopMessages();
      process.off('SIGTERM', onSigterm).off('SIGINT', ignored).off('SIGHUP', ignored)
        .off('uncaughtExceptionMonitor', onUncaught);
    };
  }

  #onMessage(message: Message, handle: unknown): void {
    switch (message.equipoise) {
      case 'connection':
        this.#connections.take(message.connection ?? 0, handle instanceof Socket ? handle : undefined);
        break;
      case 'stopping':
        this.#stopping.abort();
        break;
      case 'drain':
        this.drain(message.limitMs);
        break;
      case 'heard':
        this.#channels.hear(message.heard ?? []);
        break;
      default:
    }
  }

  /** By default, node:cluster would exit at once, and cut what is in flight. */
  #onPrimaryGone(): void {
    const { worker } = cluster;
    if (worker === undefined || worker.exitedAfterDisconnect) return;
    worker.exitedAfterDisconnect = true;
    this.#primary.lost();
    this.drain(this.#drainTimeoutMs);
    const { time } = this.#settings;
    const start = time.now();
    // There is no primary to kill this process if it does not end.
    time.every(TICK_MS, () => {
      if (time.now() - start >= this.#drainTimeoutMs + CUT_GRACE_MS) process.kill(process.pid, 'SIGKILL');
    });
  }

  /** With `dispatch`, reports how busy this event loop is. Returns how to stop that. */
  #reportLoad(): () => void {
    if (this.#settings.dispatch === undefined) return () => undefined;
    let last = performance.eventLoopUtilization();
    return this.#settings.time.every(LOAD_MS, () => {
      const now = performance.eventLoopUtilization();
      this.#primary.post({ equipoise: 'load', load: performance.eventLoopUtilization(now, last).utilization });
      last = now;
    });
  }

  /** With `hungTimeoutMs`, reports that this event loop turns. Returns how to stop that. */
  #reportAlive(): () => void {
    const { time, hungTimeoutMs } = this.#settings;
    if (hungTimeoutMs === 0) return () => undefined;
    return time.every(Math.ceil(hungTimeoutMs / BEATS), () => {
      this.#primary.say('alive');
    });
  }
}

/** Resolves after the events that are ready now. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const TICK_MS = 100;
const LOAD_MS = 200;
/** How many reports a worker misses before it counts as hung. */
const BEATS = 4;
