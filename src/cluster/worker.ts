/**
 * The worker's side: runs what it is to run, says how it fares, drains when it is told to or left alone.
 */
import cluster from 'node:cluster';
import { Socket } from 'node:net';
import { BalancerError } from '../errors.ts';
import { faultText, messageOf } from '../guard.ts';
import { Channels } from './channels/channels.ts';
import { Connections } from './dispatch/connections.ts';
import { Deadline } from './deadline.ts';
import type { Launched, Run } from './launch.ts';
import { asMessage, type Message, type Word } from './messages.ts';
import type { LaunchSettings } from './options.ts';
import { type DrainEnd, served } from './served.ts';
import { pathInUse } from './stale-socket.ts';
import { CUT_GRACE_MS } from './supervise/worker-state.ts';

/** Runs `run` in this worker, until it has drained. */
export function work(run: Run, settings: LaunchSettings): Launched {
  const worker = new LaunchedWorker(run, settings);
  return asLaunched(worker.live(), () => {
    worker.drain();
  });
}

/** What `launch` returns where this process is not a primary. */
export function asLaunched(ended: Promise<number>, drain: () => void): Launched {
  const notHere = (): never => {
    throw new BalancerError('OPTIONS_INVALID', 'only the primary can reload or resize; send its process the signal');
  };
  return Object.defineProperties(ended as Launched, {
    workers: { value: [] },
    reload: { value: notHere },
    resize: { value: notHere },
    close: {
      value: () => {
        drain();
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
  /** The time for the drain, once there is one. */
  #deadline: Deadline | undefined;
  /** As long as the primary wants it, from its launch or its last reload. */
  #drainTimeoutMs: number;
  readonly #connections = new Connections((news) => {
    post({ equipoise: 'connections', news });
  }, (what, cause) => {
    fault(`the listener of onConnection ${what}`, cause);
  });
  readonly #channels = new Channels((said, sent) => {
    post({ equipoise: 'said', said }, sent);
  }, fault);
  readonly #stopping = new AbortController();
  /** Continues what waits for an answer of the primary; without an argument, that has gone. */
  #answered: (message?: Message) => void = () => undefined;

  constructor(run: Run, settings: LaunchSettings) {
    this.#run = run;
    this.#settings = settings;
    this.#drainTimeoutMs = settings.drainTimeoutMs;
    this.#asked = new Promise((resolve) => {
      this.#ask = resolve;
    });
  }

  async live(): Promise<number> {
    const quiet = this.#listen();
    try {
      const answer = await this.#answerTo('hello');
      this.#drainTimeoutMs = answer?.drainTimeoutMs ?? this.#drainTimeoutMs;
      // One that is to end before it has begun has nothing to end.
      const { cut, left } = this.#deadline === undefined ? await this.#serve(answer?.setup) : { cut: 0, left: false };
      post({ equipoise: 'drained', cut });
      // What is left ends with the process: in a worker, `kill` disconnects, and exits with 0.
      if (left) cluster.worker?.kill();
      else cluster.worker?.disconnect();
      return 0;
    } catch (error) {
      // The process ends with this error as its own, unless somebody catches it.
      await this.#fail(error);
      throw error;
    } finally {
      this.#deadline?.stop();
      quiet();
    }
  }

  /** Drains, within `limitMs`; asked for again, within the shorter time. */
  drain(limitMs = this.#drainTimeoutMs): void {
    if (this.#deadline === undefined) {
      this.#deadline = new Deadline(this.#settings.time, limitMs);
      say('draining');
      this.#stopping.abort();
      this.#ask();
    }
    this.#deadline.hurry(limitMs);
  }

  /** Serves until it is asked to drain, and has. */
  async #serve(setup: unknown): Promise<DrainEnd> {
    const { time, dispatch } = this.#settings;
    const returned: unknown = await this.#run({
      setup,
      stopping: this.#stopping.signal,
      onConnection: this.#connections.onConnection,
      channel: this.#channels.channel,
    });
    const end = await served(returned, time, dispatch === undefined ? undefined : this.#connections);
    await this.#answerTo('started');
    await turn();
    const stops = [this.#beat(), this.#showLoad()];
    say('ready');
    await this.#asked;
    for (const stop of stops) stop();
    return await end(this.#deadline ?? new Deadline(time, this.#drainTimeoutMs));
  }

  /** Listens to the primary, and to signals. Returns the way to stop that. */
  #listen(): () => void {
    const onMessage = (value: unknown, handle: unknown): void => {
      const message = asMessage(value);
      switch (message?.equipoise) {
        case 'connection':
          this.#connections.take(message.connection ?? 0, handle instanceof Socket ? handle : undefined);
          break;
        case 'setup': case 'check':
          this.#answered(message);
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
    };
    const onSigterm = (): void => {
      this.drain();
    };
    // A terminal sends these to the whole group: what becomes of them is the primary's to say.
    const ignored = (): void => undefined;
    // The process ends with it; the primary may know what to do about it.
    const onUncaught = (error: unknown): void => {
      if (pathInUse(error) !== undefined) void this.#fail(error);
    };
    process.on('message', onMessage).on('SIGTERM', onSigterm).on('SIGINT', ignored).on('SIGHUP', ignored)
      .on('uncaughtExceptionMonitor', onUncaught);
    cluster.worker?.on('disconnect', () => {
      this.#orphaned();
    });
    return () => {
      process.off('message', onMessage).off('SIGTERM', onSigterm).off('SIGINT', ignored).off('SIGHUP', ignored)
        .off('uncaughtExceptionMonitor', onUncaught);
    };
  }

  /** The primary is gone. Left alone, node:cluster would exit at once, with all that is in flight. */
  #orphaned(): void {
    const { worker } = cluster;
    if (worker === undefined || worker.exitedAfterDisconnect) return;
    worker.exitedAfterDisconnect = true;
    this.#answered();
    this.drain(this.#drainTimeoutMs);
    const { time } = this.#settings;
    const start = time.now();
    time.every(TICK_MS, () => {
      if (time.now() - start >= this.#drainTimeoutMs + CUT_GRACE_MS) process.kill(process.pid, 'SIGKILL');
    });
  }

  /**
   * Resolves with the answer of the primary, or without one where that has gone. What this worker asked of it before is
   * settled by then, such as that a port is taken, of which a server tells by an event.
   */
  #answerTo(word: 'hello' | 'started'): Promise<Message | undefined> {
    return new Promise((resolve) => {
      this.#answered = resolve;
      if (!say(word)) resolve(undefined);
    });
  }

  /** Tells the primary why it fails, and resolves when that is told. */
  #fail(error: unknown): Promise<void> {
    const path = pathInUse(error);
    return new Promise((resolve) => {
      post({ equipoise: 'failed', text: messageOf(error), ...(path === undefined ? {} : { path }) }, resolve);
    });
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

/** Resolves when events that are ready have been heard. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Tells the primary of code of the program that failed, and ended nothing. */
function fault(what: string, cause: unknown): void {
  post({ equipoise: 'fault', text: faultText(what, cause) });
}

/** Tells the primary. Returns whether there is one. */
function say(word: Word): boolean {
  return post({ equipoise: word });
}

/** As `say`; `then` is called when it was told, or could not be. */
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
