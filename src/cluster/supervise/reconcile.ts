/**
 * Reconciliation: the next step from the actual workers to the desired ones.
 */
import type { SupervisedWorker } from './supervised-worker.ts';

export interface Desired {
  readonly workers: number;
  /** Workers of an earlier generation are to be replaced. */
  readonly generation: number;
  /** How many missing workers must not be started yet. */
  readonly held: number;
}

export type Step =
  | { readonly what: 'fork' }
  | { readonly what: 'drain'; readonly worker: SupervisedWorker; readonly why: string };

/** The next step, or undefined if there is nothing to do until something happens. */
export function nextStep(workers: readonly SupervisedWorker[], desired: Desired): Step | undefined {
  const staying = workers.filter((worker) => worker.staying);
  const old = staying.filter(({ generation }) => generation < desired.generation);
  if (staying.length + desired.held < desired.workers) return FORK;
  if (staying.length > desired.workers) return drainOne(staying, old, desired);
  // Old workers are replaced one at a time: when no other worker is on its way.
  const onTheWay = desired.held > 0 || staying.some(({ state }) => state === 'starting');
  return old.length > 0 && !onTheWay ? FORK : undefined;
}

/** There is a worker too many: an old one goes as soon as a new one is ready in its place, else the youngest. */
function drainOne(
  staying: readonly SupervisedWorker[], old: readonly SupervisedWorker[], desired: Desired,
): Step | undefined {
  const starting = ({ state }: SupervisedWorker): boolean => state === 'starting';
  const worker = old.find(starting) ?? old[0];
  if (worker !== undefined) {
    const spare = staying.filter(({ state }) => state === 'ready').length > desired.workers;
    return starting(worker) || spare ? { what: 'drain', worker, why: 'a new worker has replaced it' } : undefined;
  }
  const youngest = staying.findLast(starting) ?? staying.at(-1);
  return youngest && { what: 'drain', worker: youngest, why: 'fewer workers are wanted' };
}

const FORK = { what: 'fork' } as const;
