/**
 * The seam between the supervisor and the processes of its workers. Types only: tests supervise workers that are not
 * processes.
 */
import type { Plan } from './plan.ts';
import type { Death, WorkerInfo } from './worker-info.ts';

/** Starts a worker's process. `report` is called from the next turn of the event loop on. */
export type Fork = (worker: WorkerInfo, plan: Plan, report: (report: WorkerReport) => void) => WorkerProcess;

/** A worker's process, and what can be done to it. */
export interface WorkerProcess {
  readonly pid: number | undefined;
  /** Tells it to drain within `limitMs`; called again, within less time. `started` says whether it serves already. */
  drain(started: boolean, limitMs: number): void;
  /** Tells it that the launch will drain soon, so that it can report that it is not ready any more. */
  stopSoon(): void;
  /** Ends it at once. */
  kill(): void;
}

/** What the supervisor learns of a worker. */
export type WorkerReport =
  | { readonly type: 'ready' }
  /** Its event loop turns. */
  | { readonly type: 'alive' }
  /** It began to drain by itself: its process was sent SIGTERM, or called `close()`. */
  | { readonly type: 'draining' }
  /** Nothing is in flight any more; it cut `cut` connections. */
  | { readonly type: 'drained'; readonly cut?: number }
  | { readonly type: 'failed'; readonly text: string }
  /** It failed to start after it was told to drain. */
  | { readonly type: 'unserved'; readonly text: string }
  /** Its process has ended. `again`: the reason is gone, so that a worker may start in its place. */
  | { readonly type: 'gone'; readonly again?: boolean } & Death;
