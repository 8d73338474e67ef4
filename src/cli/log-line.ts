/**
 * A line of the log of the process, as text or as JSON.
 */
import cluster from 'node:cluster';
import type { LaunchEvent } from '../cluster/events.ts';

export type LogFormat = 'text' | 'json';

export type Level = 'info' | 'warn' | 'error';

/** What a line in JSON says besides its message. Names of events are stable; see src/observe/README.md. */
export interface Facts {
  readonly event: string;
  /** Default: `info`. */
  readonly level?: Level;
  readonly [name: string]: string | number | boolean | undefined;
}

/** Logs a line, or several. As text only the message is written. */
export type Log = (text: string, facts?: Facts) => void;

/** One line, without its end: of JSON, time, level, event and message first. */
export function jsonLine(message: string, { event, level = 'info', ...more }: Facts = { event: 'log' }): string {
  const { worker } = cluster;
  return JSON.stringify({
    time: new Date().toISOString(), level, event, message, pid: process.pid,
    ...(worker === undefined ? {} : { worker: worker.id }), ...more,
  });
}

/** What an event of a launch is in the log: `worker` is the one that it is about, `workerPid` its process. */
export function factsOf(event: LaunchEvent): Facts {
  const { type } = event;
  const about = 'worker' in event ? { worker: event.worker.id, workerPid: event.worker.pid } : {};
  return {
    event: NAMES[type], level: levelOf(event), ...about,
    reason: 'why' in event ? event.why : undefined,
    code: 'code' in event ? event.code ?? undefined : undefined,
    signal: 'signal' in event ? event.signal ?? undefined : undefined,
    failure: type === 'gone' && event.failure !== '' ? event.failure : undefined,
    expected: type === 'gone' ? event.expected : undefined,
    cut: type === 'cut' ? event.connections : undefined,
    workers: 'workers' in event ? event.workers : undefined,
    path: 'path' in event ? event.path : undefined,
    inMs: 'inMs' in event ? Math.round(event.inMs) : undefined,
  };
}

function levelOf(event: LaunchEvent): Level {
  switch (event.type) {
    case 'gone': return event.expected ? 'info' : 'error';
    case 'halted':
    case 'failed':
    case 'fault':
    case 'reload-failed':
    case 'dispatch-failed': return 'error';
    case 'cut':
    case 'hurried':
    case 'killed':
    case 'respawning':
    case 'socket-removed': return 'warn';
    default: return 'info';
  }
}

const NAMES: Readonly<Record<LaunchEvent['type'], string>> = {
  starting: 'worker-starting', ready: 'worker-ready', launched: 'launched', draining: 'worker-draining',
  cut: 'worker-cut', hurried: 'worker-hurried', killed: 'worker-killed', gone: 'worker-gone',
  'socket-removed': 'socket-removed', fault: 'fault', respawning: 'worker-respawning', reloading: 'reloading',
  reloaded: 'reloaded', 'reload-failed': 'reload-failed', resized: 'resized', halted: 'launch-halted',
  listening: 'listening', 'dispatch-failed': 'dispatch-failed', failed: 'launch-failed', closing: 'stopping',
  closed: 'stopped',
};
