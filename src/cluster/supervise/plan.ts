/**
 * What a reload may change: checked like the options of the launch, which it follows.
 */
import { integers, onlyKnown, type Range, record } from '../../options/checks.ts';
import { BalancerError } from '../../errors.ts';
import { checkSetup, countOf, DRAIN_LIMITS } from '../options.ts';

/** What holds from a reload on; whatever is left out stays as it is. */
export interface ReloadOptions {
  /** How many workers are wanted, as of the first new one that is ready. */
  readonly workers?: number | 'auto';
  /** As the option of the launch. */
  readonly drainTimeoutMs?: number;
  /** As the option of the launch. */
  readonly stopDelayMs?: number;
  /** As the option of the launch, from this reload on. */
  readonly reloadTimeoutMs?: number;
  /** What workers that start from now on read as `context.setup`; those that make up for dead ones, too. */
  readonly setup?: unknown;
}

/** What workers are started and ended by. */
export interface Plan {
  readonly drainTimeoutMs: number;
  readonly stopDelayMs: number;
  readonly reloadTimeoutMs: number;
  readonly setup: unknown;
}

/** A change of the plan, and of the number of workers. */
export type PlanChange = Partial<Plan> & { readonly workers?: number };

/** Checks what a reload is given. Throws OPTIONS_INVALID with all that is wrong with it. */
export function parseReloadOptions(given: unknown): PlanChange {
  if (given === undefined) return {};
  const problems: string[] = [];
  const options = record(given, 'reload', problems);
  onlyKnown(options, 'reload: ', KNOWN, problems);
  const limits = Object.entries<Range>(DRAIN_LIMITS).filter(([name]) => options[name] !== undefined);
  const change: PlanChange = {
    ...integers(options, 'reload: ', Object.fromEntries(limits), problems),
    ...(options['workers'] === undefined ? {} : { workers: countOf(options['workers'], problems) }),
    ...('setup' in options ? { setup: options['setup'] } : {}),
  };
  checkSetup(options['setup'], problems);
  if (problems.length > 0) throw new BalancerError('OPTIONS_INVALID', problems.join('\n'));
  return change;
}

const KNOWN: ReadonlySet<string> = new Set(['workers', 'setup', ...Object.keys(DRAIN_LIMITS)]);
