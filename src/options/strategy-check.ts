/**
 * Checks whether a value is a strategy.
 */
import { shown } from './checks.ts';
import { isThenable, messageOf } from '../guard.ts';
import { didYouMean } from './nearest.ts';

/** Why this is not a strategy, and what to write instead; undefined if it looks like one. */
export function strategyProblem(value: unknown): string | undefined {
  try {
    return problemOf(value);
  } catch (cause) {
    return `${EXPECTED}; reading it threw: ${messageOf(cause)}`;
  }
}

function problemOf(value: unknown): string | undefined {
  if (typeof value === 'string') {
    return `must be a strategy, not its name (got ${shown(value)}); write ${written(value)}`;
  }
  if (typeof value === 'function') {
    const name = /^[\w$]+$/.test(value.name) && !GIVEN_NAMES.has(value.name) ? value.name : undefined;
    return isClass(value)
      ? `must be a strategy, not a class; write new ${name ?? 'Strategy'}()`
      : `must be a strategy, not its factory; call it, e.g. ${name ?? 'roundRobin'}()`;
  }
  if (isThenable(value)) return 'must be a strategy, not a promise of one; write await before it';
  if (typeof value !== 'object' || value === null) return `${EXPECTED} (got ${shown(value)})`;
  const { name, pick, picksFull, answered, settled, changed } = value as Readonly<Record<string, unknown>>;
  const missing = Object.entries({ name, pick }).flatMap(([key, part]) => part === undefined ? [key] : []);
  if (missing.length > 0) {
    return `${EXPECTED}; ${missing.map((key) => `${key} is missing`).join(', ')} (got ${shown(value)})`;
  }
  if (typeof name !== 'string') return `${EXPECTED}; name must be a string (got ${shown(name)})`;
  if (typeof pick !== 'function') return `${EXPECTED}; pick must be a function (got ${shown(pick)})`;
  if (picksFull !== undefined && typeof picksFull !== 'boolean') {
    return `${EXPECTED}; picksFull must be true or false, if present (got ${shown(picksFull)})`;
  }
  for (const [key, hook] of Object.entries({ answered, settled, changed })) {
    if (hook === undefined || typeof hook === 'function') continue;
    return `${EXPECTED}; ${key} must be a function, if present (got ${shown(hook)})`;
  }
  return undefined;
}

/** Whether this is a class, which cannot be called without `new`. */
export function isClass(value: unknown): boolean {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

/** How to import our strategy of this name, or of the most similar name. */
function written(name: string): string {
  const meant = / did you mean (.*)\?/.exec(didYouMean(name, SHIPPED))?.[1];
  const file = SHIPPED.find((each) => each === meant) ?? 'round-robin';
  const factory = file.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  const example = file === meant ? '' : 'e.g. ';
  return `${example}import { ${factory} } from 'equipoise/strategies/${file}', and here ${factory}()`;
}

const EXPECTED = 'must be an object with a name and a pick method';
/** Names that an arrow function gets from its property or export, not from its author. */
const GIVEN_NAMES: ReadonlySet<string> = new Set(['strategy', 'dispatch', 'default']);
/** The strategies of this package, for messages only. */
const SHIPPED: readonly string[] = [
  'random', 'round-robin', 'least-connections', 'least-busy', 'power-of-two', 'peak-ewma', 'ring-hash', 'maglev',
  'rendezvous', 'weighted-by-load',
];
