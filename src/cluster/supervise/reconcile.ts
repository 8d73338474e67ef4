/**
 * Reconciliation: the next step from the workers that are there to those that are wanted.
 */
import type { SupervisedWorker } from './worker-state.ts';

/** What is wanted. */
export interface Desired {
  readonly workers: number;
  /** Workers of an earlier one are to be replaced. */
  readonly generation: number;
  /** How many workers that are missing are not to be started yet. */
  readonly held: number;
}

export type Step =
  | { readonly what: 'fork' }
  | { readonly what: 'drain'; readonly worker: SupervisedWorker; readonly why: string };

/** The next step, or undefined where none is due until something happens. */
export function nextStep(workers: readonly SupervisedWorker[], desired: Desired): Step | undefined {
  const wanted = workers.filter((worker) => worker.wanted);
  const old = wanted.filter(({ generation }) => generation < desired.generation);
  if (wanted.length + desired.held < desired.workers) return FORK;
  if (wanted.length > desired.workers) return drainOne(wanted, old, desired);
  // One old worker is replaced at a time: when nobody else is on the way.
  const onTheWay = desired.held > 0 || wanted.some(({ state }) => state === 'starting');
  return old.length > 0 && !onTheWay ? FORK : undefined;
}

/** One worker is too many: an old one, as soon as a new one is ready in its place; else the youngest. */
function drainOne(
  wanted: readonly SupervisedWorker[], old: readonly SupervisedWorker[], desired: Desired,
): Step | undefined {
  const starting = ({ state }: SupervisedWorker): boolean => state === 'starting';
  const worker = old.find(starting) ?? old[0];
  if (worker !== undefined) {
    const spare = wanted.filter(({ state }) => state === 'ready').length > desired.workers;
    return starting(worker) || spare ? { what: 'drain', worker, why: 'a new one has taken over' } : undefined;
  }
  const youngest = wanted.findLast(starting) ?? wanted.at(-1);
  return youngest && { what: 'drain', worker: youngest, why: 'fewer workers are wanted' };
}

const FORK = { what: 'fork' } as const;
