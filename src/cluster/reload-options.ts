/**
 * What a reload may change, checked like the options of the launch that it follows.
 */
import { availableParallelism } from 'node:os';
import { integers, onlyKnown, type Range, record, shown } from '../options/checks.ts';
import { BalancerError } from '../errors.ts';
import { messageOf } from '../guard.ts';
import type { PlanChange } from './supervise/plan.ts';

/** What holds from a reload on. An option that is left out keeps its value. */
export interface ReloadOptions {
  /** How many workers are wanted, as soon as the first new one is ready. */
  readonly workers?: number | 'auto';
  /** As the option of the launch. */
  readonly drainTimeoutMs?: number;
  /** As the option of the launch. */
  readonly stopDelayMs?: number;
  /** As the option of the launch; holds for this reload already. */
  readonly reloadTimeoutMs?: number;
  /** What new workers read as `context.setup`, those that replace dead ones included. */
  readonly setup?: unknown;
}

/** Checks the options of a reload. Throws OPTIONS_INVALID with everything that is wrong with them. */
export function parseReloadOptions(given: unknown): PlanChange {
  if (given === undefined) return {};
  const problems: string[] = [];
  const options = record(given, 'reload', problems);
  onlyKnown(options, 'reload: ', KNOWN, problems);
  const limits = Object.entries<Range>(DRAIN_LIMITS).filter(([name]) => options[name] !== undefined);
  const change: PlanChange = {
    ...integers(options, 'reload: ', Object.fromEntries(limits), problems),
    ...(options['workers'] === undefined ? {} : { workers: workerCount(options['workers'], problems) }),
    ...('setup' in options ? { setup: options['setup'] } : {}),
  };
  checkSetup(options['setup'], problems);
  if (problems.length > 0) throw new BalancerError('OPTIONS_INVALID', problems.join('\n'));
  return change;
}

/** Checks a number of workers. Throws OPTIONS_INVALID. */
export function parseWorkers(value: unknown): number {
  const problems: string[] = [];
  const workers = workerCount(value, problems);
  if (problems[0] !== undefined) throw new BalancerError('OPTIONS_INVALID', problems[0]);
  return workers;
}

export function workerCount(value: unknown, problems: string[]): number {
  if (value === undefined || value === 'auto') return availableParallelism();
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_WORKERS) return value;
  problems.push(`workers: must be an integer from 1 to ${MAX_WORKERS} or 'auto' (got ${shown(value)})`);
  return 1;
}

/** Checks that `setup` can be sent to workers. */
export function checkSetup(setup: unknown, problems: string[]): void {
  try {
    const json: unknown = JSON.stringify(setup);
    if (setup === undefined || typeof json === 'string') return;
    problems.push(`setup: must be serializable as JSON (got ${shown(setup)})`);
  } catch (cause) {
    problems.push(`setup: must be serializable as JSON: ${messageOf(cause)}`);
  }
}

/** A day. */
export const MAX_MS = 86_400_000;
/** Thirty days, since WebSockets may live long. */
const MAX_RELOAD_MS = 30 * MAX_MS;
export const DRAIN_LIMITS = {
  drainTimeoutMs: { fallback: 10_000, min: 0, max: MAX_MS },
  stopDelayMs: { fallback: 0, min: 0, max: MAX_MS },
  reloadTimeoutMs: { fallback: 3_600_000, min: 0, max: MAX_RELOAD_MS },
} as const satisfies Readonly<Record<string, Range>>;
const KNOWN: ReadonlySet<string> = new Set(['workers', 'setup', ...Object.keys(DRAIN_LIMITS)]);
const MAX_WORKERS = 1024;
