/**
 * The events of a launch, and the lines that they are in the log.
 */
import type { AddressInfo } from 'node:net';
import { addressText } from '../options/listen.ts';
import { whyItDied, type WorkerInfo } from './supervise/worker-info.ts';

/** What happens in a launch, as the primary sees it. */
export type LaunchEvent =
  /** A worker's process was started. */
  | { readonly type: 'starting'; readonly worker: WorkerInfo }
  /** A worker serves. */
  | { readonly type: 'ready'; readonly worker: WorkerInfo }
  /** All workers were ready for the first time. */
  | { readonly type: 'launched'; readonly workers: number }
  /** A worker gets no new work, and ends when nothing is in flight. */
  | { readonly type: 'draining'; readonly worker: WorkerInfo; readonly why: string }
  /** A worker did not drain in time and cut what was left. */
  | { readonly type: 'cut'; readonly worker: WorkerInfo; readonly connections: number }
  /** A draining worker must end sooner than it was told before. */
  | { readonly type: 'hurried'; readonly worker: WorkerInfo; readonly why: string }
  /** The primary kills a worker. */
  | { readonly type: 'killed'; readonly worker: WorkerInfo; readonly why: string }
  /**
   * A worker's process has ended: `expected` if it was draining, `killed` if the primary killed it. `failure` is the
   * error that it reported, if any.
   */
  | {
    readonly type: 'gone'; readonly worker: WorkerInfo; readonly expected: boolean; readonly killed: boolean;
    readonly code: number | null; readonly signal: string | null; readonly failure: string;
  }
  /** A Unix socket that a crash left behind was removed. The worker that could not listen on it is started again. */
  | { readonly type: 'socket-removed'; readonly path: string }
  /** The program's code failed (`log`, `onEvent`, a member of a channel), and nothing ended. */
  | { readonly type: 'fault'; readonly why: string }
  /** A worker that died will be replaced after `inMs`. */
  | { readonly type: 'respawning'; readonly inMs: number }
  /** A reload began, is complete, or failed; then the old workers keep serving. */
  | { readonly type: 'reloading' }
  | { readonly type: 'reloaded' }
  | { readonly type: 'reload-failed'; readonly why: string }
  /** Another number of workers is wanted. */
  | { readonly type: 'resized'; readonly workers: number }
  /** A worker failed before all were ready for the first time: the launch ends with `code`. */
  | { readonly type: 'halted'; readonly worker: WorkerInfo; readonly code: number }
  /** With `dispatch`: the primary listens. */
  | { readonly type: 'listening'; readonly address: AddressInfo | string }
  /** With `dispatch`: the strategy, or accepting a connection, failed. */
  | { readonly type: 'dispatch-failed'; readonly why: string }
  /** The primary failed: the launch ends with 1. */
  | { readonly type: 'failed'; readonly why: string }
  /** All workers drain, after `delayMs` if given. */
  | { readonly type: 'closing'; readonly why: string; readonly delayMs?: number }
  /** All workers are gone. */
  | { readonly type: 'closed'; readonly code: number };

/** The line of the log for an event; undefined for events that need none. */
export function lineOf(event: LaunchEvent): string | undefined {
  switch (event.type) {
    case 'starting': return undefined;
    case 'ready': return `${named(event.worker)} is ready`;
    case 'launched': return `all workers are ready: ${event.workers}`;
    case 'draining': return `${named(event.worker)} is draining: ${event.why}`;
    case 'cut': return `${named(event.worker)} did not drain in time: cut ${counted(event.connections)}`;
    case 'hurried': return `${named(event.worker)} must end at once: ${event.why}`;
    case 'killed': return `killing ${named(event.worker)}: ${event.why}`;
    case 'gone': {
      const said = event.failure === '' ? '' : `: ${event.failure}`;
      const why = event.killed && event.signal === 'SIGKILL' ? 'killed by the primary' : whyItDied(event);
      return `${named(event.worker)} ${event.expected ? 'ended' : 'died'}: ${why}${said}`;
    }
    case 'socket-removed': return `removed the Unix socket ${event.path}, which a crashed process had left behind`;
    case 'fault': return event.why;
    case 'respawning': return event.inMs === 0 ? undefined : `a new worker starts in ${Math.round(event.inMs)} ms`;
    case 'reloading': return 'reload: replacing all workers, one at a time';
    case 'reloaded': return 'reload: complete';
    case 'reload-failed': return `reload failed, the old workers keep serving: ${event.why}`;
    case 'resized': return `workers wanted: ${event.workers}`;
    case 'halted':
      return `${named(event.worker)} failed before it was ready: the launch ends with exit code ${event.code}`;
    case 'listening': return `listening on ${addressText(event.address)}`;
    case 'dispatch-failed': return `dispatch: ${event.why}`;
    case 'failed': return `the launch failed: ${event.why}`;
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
