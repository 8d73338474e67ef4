/**
 * What workers are started and ended by. A reload may change it.
 */

export interface Plan {
  readonly drainTimeoutMs: number;
  readonly stopDelayMs: number;
  readonly reloadTimeoutMs: number;
  readonly setup: unknown;
}

/** A change of the plan, and of the number of workers. */
export type PlanChange = Partial<Plan> & { readonly workers?: number };
