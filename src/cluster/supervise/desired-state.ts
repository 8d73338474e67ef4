/**
 * What the launch wants: how many workers, started and ended by which plan, of which generation. The supervisor
 * reconciles the actual workers with it.
 */
import type { Plan } from './plan.ts';

/** What was wanted before a reload. */
export interface StateBefore {
  readonly workers: number;
  readonly plan: Plan;
  readonly generation: number;
}

export class DesiredState implements StateBefore {
  workers: number;
  plan: Plan;
  /** Workers of an earlier generation are to be replaced. */
  generation = 0;
  /** A generation that a failed reload gave up is never used again. */
  #lastGeneration = 0;

  constructor(workers: number, { drainTimeoutMs, stopDelayMs, reloadTimeoutMs, setup }: Plan) {
    this.workers = workers;
    this.plan = { drainTimeoutMs, stopDelayMs, reloadTimeoutMs, setup };
  }

  /** Wants all workers replaced, by those of a changed plan. Returns what was wanted before. */
  renew(change: Partial<Plan>): StateBefore {
    const { workers, plan, generation } = this;
    this.plan = { ...plan, ...change };
    this.generation = ++this.#lastGeneration;
    return { workers, plan, generation };
  }
}
