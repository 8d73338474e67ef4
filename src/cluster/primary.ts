/**
 * Binds the supervisor to the world: node:cluster, signals, standard error.
 */
import cluster, { type Worker } from 'node:cluster';
import { Dispatching } from './dispatching.ts';
import { type LaunchEvent, lineOf } from './events.ts';
import type { Launched } from './launch.ts';
import { WORKER_ENV } from './mark.ts';
import { asMessage, type Message } from './messages.ts';
import { type LaunchSettings, parseWorkers } from './options.ts';
import { writeLine } from './output.ts';
import { Relay } from './relay.ts';
import { type Fork, Supervisor } from './supervisor.ts';

/** Supervises workers until they are told to end, or fail to start. */
export function supervise(settings: LaunchSettings): Launched {
  cluster.schedulingPolicy = settings.distribution === 'primary' ? cluster.SCHED_RR : cluster.SCHED_NONE;
  const { time, rng, onEvent } = settings;
  const log = settings.log ?? toStandardError;
  const processes = new Map<number, Worker>();
  const relay = new Relay({
    send: (id, heard) => {
      send(processes.get(id), { equipoise: 'heard', heard });
    },
    soon: setImmediate,
  });
  const tell = (event: LaunchEvent): void => {
    dispatching?.follow(event);
    if (event.type === 'draining' || event.type === 'killed') relay.drain(event.worker.id);
    if (event.type === 'gone') {
      processes.delete(event.worker.id);
      relay.gone(event.worker.id);
    }
    const line = lineOf(event);
    if (line !== undefined) log(line);
    onEvent(event);
  };
  const dispatching = settings.dispatch && new Dispatching(settings.dispatch, processes, time, tell);
  const fork = forking(processes, (id, message) => {
    dispatching?.hear(id, message);
    if (message.said !== undefined) relay.hear(id, message.said);
  });
  const supervisor = new Supervisor(settings, { fork, tell, time, rng });
  const unbind = bindSignals(supervisor);
  // Without a worker, nothing else keeps the process alive until the next one starts.
  const alive = setInterval(() => undefined, 1 << 30);
  const ended = supervisor.done.then((code) => {
    clearInterval(alive);
    unbind();
    if (code !== 0) process.exitCode = code;
    return code;
  });
  if (dispatching === undefined) supervisor.start();
  else {
    dispatching.listen(() => {
      supervisor.start();
    }, (error) => {
      supervisor.fail(error.message);
    });
  }
  return Object.defineProperties(ended as Launched, {
    workers: { get: () => supervisor.workers },
    reload: { value: () => supervisor.reload() },
    resize: {
      value: (workers: number | 'auto') => {
        supervisor.resize(parseWorkers(workers));
      },
    },
    close: {
      value: () => {
        supervisor.close('close()');
        return ended;
      },
    },
  });
}

/** Makes processes, kept in `processes`, and hears of them; `hear` gets what is not about their lives. */
function forking(processes: Map<number, Worker>, hear: (id: number, message: Message) => void): Fork {
  return ({ id }, told) => {
    const worker = cluster.fork(WORKER_ENV);
    processes.set(id, worker);
    worker.on('message', (value: unknown) => {
      const message = asMessage(value);
      switch (message?.equipoise) {
        case 'started':
          // What the worker asked of us before, such as to listen, is answered before this.
          setImmediate(() => {
            send(worker, { equipoise: 'check' });
          });
          break;
        case 'ready': case 'alive': case 'draining': case 'drained':
          told({ type: message.equipoise });
          break;
        case 'failed':
          told({ type: 'failed', text: message.text ?? '' });
          break;
        case 'connections': case 'load': case 'said':
          hear(id, message);
          break;
        default:
      }
    });
    worker.on('exit', (code: number | null, signal: string | null) => {
      const gone = (): void => {
        told({ type: 'gone', code, signal });
      };
      // What it said last is read first.
      if (worker.isConnected()) worker.once('disconnect', gone);
      else gone();
    });
    worker.process.on('error', () => {
      if (worker.process.pid === undefined) told({ type: 'gone', code: null, signal: null });
    });
    return {
      pid: worker.process.pid,
      drain: (started) => {
        // One that has not begun has nothing to end, and might not listen to us yet.
        if (started) send(worker, { equipoise: 'drain' });
        else worker.process.kill('SIGTERM');
      },
      kill: () => {
        worker.process.kill('SIGKILL');
      },
    };
  };
}

/** Tells a worker. One that has just ended hears nothing; that it has ended is heard otherwise. */
function send(worker: Worker | undefined, message: Message): void {
  if (worker?.isConnected() === true) worker.send(message, () => undefined);
}

/** Listens to the signals of the primary. Returns the way to stop that. */
function bindSignals(supervisor: Supervisor): () => void {
  let asked = false;
  const end = (signal: string): void => {
    if (asked) supervisor.stop(`a second signal, ${signal}`);
    else supervisor.close(signal);
    asked = true;
  };
  const listeners: Partial<Record<NodeJS.Signals, (signal: string) => void>> = {
    SIGTERM: end,
    SIGINT: end,
    ...(process.platform === 'win32' ? {} : {
      SIGHUP: () => void supervisor.reload(),
      SIGTTIN: () => {
        supervisor.resize(supervisor.desired + 1);
      },
      SIGTTOU: () => {
        supervisor.resize(Math.max(1, supervisor.desired - 1));
      },
    }),
  };
  const pairs = Object.entries(listeners) as [NodeJS.Signals, (signal: string) => void][];
  for (const [signal, listener] of pairs) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of pairs) process.off(signal, listener);
  };
}

function toStandardError(line: string): void {
  writeLine(process.stderr, `equipoise: ${line}`);
}
