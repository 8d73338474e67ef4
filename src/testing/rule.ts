/**
 * What a rule is.
 */
import type { ConformanceOptions, Make } from './trial.ts';

/** One rule. With a test runner other than Node's, call `check` in a test: it throws if the rule is broken. */
export interface Rule {
  readonly title: string;
  /** True for a rule that `spreads: false` skips. */
  readonly spreads?: boolean;
  readonly check: (make: Make, rng: () => number, options?: ConformanceOptions) => void;
}
