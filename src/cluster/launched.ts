/**
 * What `launch` returns.
 */
import { BalancerError } from '../errors.ts';
import type { ReloadOptions } from './reload-options.ts';
import type { WorkerInfo } from './supervise/worker-info.ts';

/** A launch. In the primary it resolves with the exit code when everything has ended, and never rejects. */
export interface Launched extends Promise<number> {
  /** The workers there are now; empty in a worker. */
  readonly workers: readonly WorkerInfo[];
  /**
   * Replaces all workers by new ones, one at a time; they run the code that is on the disk now. `options` hold from
   * then on; without them, what `onReload` returns. Resolves with whether all were replaced: false if a new worker
   * failed before it was ready; then the old ones keep serving, and nothing has changed. During a reload, it follows
   * that one. Throws OPTIONS_INVALID.
   */
  reload(options?: ReloadOptions): Promise<boolean>;
  /** Wants another number of workers. Throws OPTIONS_INVALID. */
  resize(workers: number | 'auto'): void;
  /** Drains all workers; in a worker, that one. Resolves as the launch does. */
  close(): Promise<number>;
}

/** What `launch` returns in a worker, ours or another cluster's. */
export function launchedInWorker(ended: Promise<number>, drain: () => void): Launched {
  const notHere = (): never => {
    throw new BalancerError('OPTIONS_INVALID', 'reload and resize: call them in the primary; this process is a worker');
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
