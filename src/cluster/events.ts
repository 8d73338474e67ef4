/**
 * What a launch tells, and how it reads in a log.
 */
import type { AddressInfo } from 'node:net';
import { addressText } from '../options/listen.ts';
import { type WorkerInfo, whyItDied } from './supervise/worker-state.ts';

/** What happens in a launch, seen from the primary. */
export type LaunchEvent =
  /** A worker's process was started. */
  | { readonly type: 'starting'; readonly worker: WorkerInfo }
  /** A worker serves. */
  | { readonly type: 'ready'; readonly worker: WorkerInfo }
  /** All workers were ready for the first time. */
  | { readonly type: 'launched'; readonly workers: number }
  /** A worker gets nothing new, and ends when nothing is in flight. */
  | { readonly type: 'draining'; readonly worker: WorkerInfo; readonly why: string }
  /** A worker that drains has cut what was left in flight when its time was over. */
  | { readonly type: 'cut'; readonly worker: WorkerInfo; readonly connections: number }
  /** A worker that drains has less time than it had been given. */
  | { readonly type: 'hurried'; readonly worker: WorkerInfo; readonly why: string }
  /** A worker is ended by force. */
  | { readonly type: 'killed'; readonly worker: WorkerInfo; readonly why: string }
  /**
   * A worker's process has ended; `expected` where it was draining, `killed` where that was our doing. `failure` is
   * what it said itself.
   */
  | {
    readonly type: 'gone'; readonly worker: WorkerInfo; readonly expected: boolean; readonly killed: boolean;
    readonly code: number | null; readonly signal: string | null; readonly failure: string;
  }
  /** A Unix socket that a crash had left behind was removed: a worker that could not listen there is started again. */
  | { readonly type: 'socket-removed'; readonly path: string }
  /** Code of the program's own failed, and nothing ended for it: `log`, `onEvent`, a member of a channel. */
  | { readonly type: 'fault'; readonly why: string }
  /** A new worker will make up for one that died. */
  | { readonly type: 'respawning'; readonly inMs: number }
  /** A reload began, is complete, or came to nothing: then the workers that were there go on. */
  | { readonly type: 'reloading' }
  | { readonly type: 'reloaded' }
  | { readonly type: 'reload-failed'; readonly why: string }
  /** Another number of workers is wanted. */
  | { readonly type: 'resized'; readonly workers: number }
  /** A worker could not be made ready for the first time: the launch ends with `code`. */
  | { readonly type: 'halted'; readonly worker: WorkerInfo; readonly code: number }
  /** With `dispatch`: the primary listens; and the strategy failed, so that a connection was closed. */
  | { readonly type: 'listening'; readonly address: AddressInfo | string }
  | { readonly type: 'dispatch-failed'; readonly why: string }
  /** The primary could not do what it must: the launch ends with 1. */
  | { readonly type: 'failed'; readonly why: string }
  /** All workers drain; with `delayMs`, after that. */
  | { readonly type: 'closing'; readonly why: string; readonly delayMs?: number }
  /** All workers are gone. */
  | { readonly type: 'closed'; readonly code: number };

/** The line of the log for an event; undefined for what nobody needs to read. */
export function lineOf(event: LaunchEvent): string | undefined {
  switch (event.type) {
    case 'starting': return undefined;
    case 'ready': return `${named(event.worker)} is ready`;
    case 'launched': return `all workers are ready: ${event.workers}`;
    case 'draining': return `${named(event.worker)} drains: ${event.why}`;
    case 'cut': return `${named(event.worker)} cut what its time limit left in flight: ${counted(event.connections)}`;
    case 'hurried': return `${named(event.worker)} must end at once: ${event.why}`;
    case 'killed': return `${named(event.worker)} is killed: ${event.why}`;
    case 'gone': {
      const said = event.failure === '' ? '' : `: ${event.failure}`;
      const why = event.killed && event.signal === 'SIGKILL' ? 'killed, as said before' : whyItDied(event);
      return `${named(event.worker)} ${event.expected ? 'ended' : 'died'}: ${why}${said}`;
    }
    case 'socket-removed':
      return `${event.path}: removed; a process that crashed had left this socket behind, and nobody listens on it`;
    case 'fault': return event.why;
    case 'respawning': return event.inMs === 0 ? undefined : `a new worker starts in ${Math.round(event.inMs)} ms`;
    case 'reloading': return 'reload: new workers take over, one at a time';
    case 'reloaded': return 'reload: complete';
    case 'reload-failed': return `reload failed, the workers that were there go on serving: ${event.why}`;
    case 'resized': return `workers wanted: ${event.workers}`;
    case 'halted':
      return `${named(event.worker)} failed before it was ready: the launch ends with exit code ${event.code}`;
    case 'listening': return `listening on ${addressText(event.address)}`;
    case 'dispatch-failed': return `a connection was closed: ${event.why}`;
    case 'failed': return `the launch fails: ${event.why}`;
    case 'closing': {
      const { why, delayMs = 0 } = event;
      return `${why}: ${delayMs === 0 ? '' : `still accepting for ${delayMs / 1000} s, then `}all workers drain`;
    }
    case 'closed': return `all workers have ended: exit code ${event.code}`;
  }
}

function named({ id, pid }: WorkerInfo): string {
  return `worker ${id}${pid === undefined ? '' : ` (process ${pid})`}`;
}

function counted(connections: number): string {
  return `${connections} connection${connections === 1 ? '' : 's'}`;
}
