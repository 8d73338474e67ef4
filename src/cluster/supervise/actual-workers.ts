/**
 * The workers that there are, from the start of their process to its end.
 */
import { SupervisedWorker } from './supervised-worker.ts';
import type { WorkerInfo } from './worker-info.ts';

export class ActualWorkers {
  /** In the order in which they were started. */
  all: readonly SupervisedWorker[] = [];
  #lastId = 0;
  #sweptAt: number;

  constructor(now: number) {
    this.#sweptAt = now;
  }

  get infos(): readonly WorkerInfo[] {
    return this.all.map(({ info }) => info);
  }

  /** How many serve or are about to. */
  get staying(): number {
    return this.all.filter(({ staying }) => staying).length;
  }

  /** How many serve. */
  get ready(): number {
    return this.all.filter(({ state }) => state === 'ready').length;
  }

  /** Whether a worker of an earlier generation serves, or is about to. */
  hasOlderThan(generation: number): boolean {
    return this.all.some((worker) => worker.staying && worker.generation < generation);
  }

  add(generation: number, now: number, startTimeoutMs: number): SupervisedWorker {
    const worker = new SupervisedWorker(++this.#lastId, generation, now, startTimeoutMs);
    this.all = [...this.all, worker];
    return worker;
  }

  remove(worker: SupervisedWorker): void {
    this.all = this.all.filter((other) => other !== worker);
  }

  /**
   * Has the oldest replaced workers end at once where more than `most` of them drain. Returns those that had more time.
   */
  hurryReplaced(now: number, most: number): readonly SupervisedWorker[] {
    const old = this.all.filter(({ replaced, state, hurried }) => replaced && state === 'draining' && !hurried);
    return old.slice(0, Math.max(0, old.length - most)).filter((worker) => {
      worker.hurried = true;
      return worker.hurry(now, 0);
    });
  }

  /** Kills the workers that missed a deadline or hang; `hungTimeoutMs` 0: none hangs. Returns them. */
  sweep(now: number, hungTimeoutMs: number): readonly SupervisedWorker[] {
    // If our own event loop stood still (a suspended machine), what workers reported meanwhile has not been read yet.
    const late = now - this.#sweptAt > LATE_MS;
    this.#sweptAt = now;
    return this.all.filter((worker) => {
      if (late) worker.heard(now);
      return worker.sweep(now, hungTimeoutMs);
    });
  }
}

/** Ten ticks of the supervisor. */
const LATE_MS = 1_000;
