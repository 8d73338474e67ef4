/**
 * The primary: connects the supervisor with node:cluster, signals, the dispatcher, channels, and the functions that the
 * program gave.
 */
import cluster from 'node:cluster';
import { messageOf } from '../guard.ts';
import { Relay } from './channels/relay.ts';
import { Acceptor } from './dispatch/acceptor.ts';
import type { LaunchEvent } from './events.ts';
import { Journal } from './journal.ts';
import type { Launched } from './launched.ts';
import type { LaunchSettings } from './options.ts';
import { parseReloadOptions, parseWorkers, type ReloadOptions } from './reload-options.ts';
import { Processes } from './supervise/processes.ts';
import { type Release, releaseOf } from './supervise/release.ts';
import { Supervisor } from './supervise/supervisor.ts';

/** Supervises workers until all have ended. */
export function supervise(settings: LaunchSettings): Launched {
  cluster.schedulingPolicy = settings.distribution === 'primary' ? cluster.SCHED_RR : cluster.SCHED_NONE;
  const { time, rng, onReload } = settings;
  const journal = new Journal(settings);
  const relay = new Relay({
    send: (id, heard, sent) => {
      processes.send(id, { equipoise: 'heard', heard }, sent);
    },
    soon: setImmediate,
  });
  const tell = (event: LaunchEvent): void => {
    acceptor?.follow(event);
    if (event.type === 'draining' || event.type === 'killed') relay.drain(event.worker.id);
    if (event.type === 'gone') {
      processes.forget(event.worker.id);
      relay.gone(event.worker.id);
    }
    journal.tell(event);
  };
  const processes = new Processes({
    release: ownRelease(),
    hear: (id, message) => {
      acceptor?.hear(id, message);
      if (message.said !== undefined) relay.hear(id, message.said);
    },
    tell,
  });
  const acceptor = settings.dispatch && new Acceptor(settings.dispatch, processes, time, tell);
  const supervisor = new Supervisor(settings, {
    fork: processes.fork,
    onReload: onReload && (async () => parseReloadOptions(await onReload())),
    lostSockets: processes.lostSockets,
    tell,
    time,
    rng,
  });
  const unbind = bindSignals(supervisor);
  // While there is no worker, nothing else keeps this process alive until the next one starts.
  const alive = setInterval(() => undefined, 1 << 30);
  const ended = supervisor.done.then((code) => {
    clearInterval(alive);
    unbind();
    if (code !== 0) process.exitCode = code;
    return code;
  });
  if (acceptor === undefined) supervisor.start();
  else {
    acceptor.listen().then(() => {
      supervisor.start();
    }, (cause: unknown) => {
      supervisor.fail(messageOf(cause));
    });
  }
  return launchedInPrimary(ended, supervisor);
}

function launchedInPrimary(ended: Promise<number>, supervisor: Supervisor): Launched {
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

/** How this program was started, so that workers start the same way, unless the program has set up node:cluster. */
function ownRelease(): Release {
  if (cluster.settings.exec !== undefined) return {};
  try {
    return releaseOf({ cwd: process.cwd(), pwd: process.env['PWD'], program: process.argv[1] });
  } catch {
    // The directory of this process has been deleted.
    return {};
  }
}

/** Listens to the signals of the primary. Returns how to stop that. */
function bindSignals(supervisor: Supervisor): () => void {
  let asked = false;
  const end = (signal: string): void => {
    if (asked) supervisor.stop(`second signal (${signal})`);
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
