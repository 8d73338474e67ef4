/**
 * Binds the supervisor to the world: node:cluster, signals, standard error, and functions that the program gave.
 */
import cluster from 'node:cluster';
import { guarded, faultText, messageOf } from '../guard.ts';
import { Dispatching } from './dispatch/dispatching.ts';
import { type LaunchEvent, lineOf } from './events.ts';
import type { Launched } from './launch.ts';
import { type LaunchSettings, parseWorkers } from './options.ts';
import { LogStream } from './output.ts';
import { parseReloadOptions, type ReloadOptions } from './supervise/plan.ts';
import { Processes } from './supervise/processes.ts';
import { Relay } from './channels/relay.ts';
import { type Release, releaseOf } from './supervise/release.ts';
import { Supervisor } from './supervise/supervisor.ts';

/** Supervises workers until they are told to end, or fail to start. */
export function supervise(settings: LaunchSettings): Launched {
  cluster.schedulingPolicy = settings.distribution === 'primary' ? cluster.SCHED_RR : cluster.SCHED_NONE;
  const { time, rng, onReload } = settings;
  const journal = journalOf(settings);
  const relay = new Relay({
    send: (id, heard, sent) => {
      processes.send(id, { equipoise: 'heard', heard }, sent);
    },
    soon: setImmediate,
  });
  const tell = (event: LaunchEvent): void => {
    dispatching?.follow(event);
    if (event.type === 'draining' || event.type === 'killed') relay.drain(event.worker.id);
    if (event.type === 'gone') {
      processes.forget(event.worker.id);
      relay.gone(event.worker.id);
    }
    journal(event);
  };
  const processes = new Processes({
    release: ownRelease(),
    hear: (id, message) => {
      dispatching?.hear(id, message);
      if (message.said !== undefined) relay.hear(id, message.said);
    },
    tell,
  });
  const dispatching = settings.dispatch && new Dispatching(settings.dispatch, processes, time, tell);
  const supervisor = new Supervisor(settings, {
    fork: processes.fork,
    onReload: onReload && (async () => parseReloadOptions(await onReload())),
    tell,
    time,
    rng,
  });
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
    dispatching.listen().then(() => {
      supervisor.start();
    }, (cause: unknown) => {
      supervisor.fail(messageOf(cause));
    });
  }
  return Object.defineProperties(ended as Launched, {
    workers: { get: () => supervisor.workers },
    reload: {
      value: (options?: ReloadOptions) => {
        return supervisor.reload(options === undefined ? undefined : parseReloadOptions(options));
      },
    },
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

/** Writes the log and tells `onEvent`. Neither ends the launch, whatever they do; what they do is logged. */
function journalOf({ log, onEvent }: LaunchSettings): (event: LaunchEvent) => void {
  const standardError = new LogStream(process.stderr);
  const toStandardError = (line: string): void => {
    standardError.write(`equipoise: ${line}`);
  };
  const fault = (name: string) => (what: string, cause: unknown): void => {
    toStandardError(faultText(`${name} ${what}`, cause));
  };
  const [logFault, eventFault] = [fault('log'), fault('onEvent')];
  return (event) => {
    const line = lineOf(event);
    if (line !== undefined) guarded(() => (log ?? toStandardError)(line), logFault);
    guarded(() => onEvent(event), eventFault);
  };
}

/** How this program was started, so that workers can be in the same way. A program may have set that up itself. */
function ownRelease(): Release {
  if (cluster.settings.exec !== undefined) return {};
  try {
    return releaseOf({ cwd: process.cwd(), pwd: process.env['PWD'], program: process.argv[1] });
  } catch {
    // The directory of this process is not there any more.
    return {};
  }
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
