/**
 * Finds the strategy for a name or a file.
 */
import { leastConnections } from '../../strategies/least-connections.ts';
import { maglev } from '../../strategies/maglev.ts';
import { peakEwma } from '../../strategies/peak-ewma.ts';
import { powerOfTwo } from '../../strategies/power-of-two.ts';
import { random } from '../../strategies/random.ts';
import { rendezvous } from '../../strategies/rendezvous.ts';
import { ringHash } from '../../strategies/ring-hash.ts';
import { roundRobin } from '../../strategies/round-robin.ts';
import { weightedByLoad } from '../../strategies/weighted-by-load.ts';
import { shown } from '../options/checks.ts';
import { messageOf } from '../guard.ts';
import { systemRng } from '../loop/clock.ts';
import type { StrategyName } from '../options/define-config.ts';
import { didYouMean } from '../options/nearest.ts';
import { isClass } from '../options/strategy-check.ts';
import type { Strategy } from '../strategy.ts';
import { load, placeOf } from './load.ts';
import { inTime, Unsettled } from './patience.ts';

/** What makes a strategy. It gets where its randomness comes from. */
export type MakeStrategy = (tools: { readonly rng: () => number }) => Strategy;

/** The strategies by name. A literal table: only a path makes the binary load other code. */
const STRATEGIES: Readonly<Record<StrategyName, MakeStrategy>> = {
  random, 'round-robin': roundRobin, 'least-connections': leastConnections, 'power-of-two': powerOfTwo,
  'peak-ewma': peakEwma, 'ring-hash': ringHash, maglev, rendezvous, 'weighted-by-load': weightedByLoad,
};

export const STRATEGY_NAMES: readonly string[] = Object.keys(STRATEGIES);

/** What makes the strategy of this name; undefined if there is none. */
export function namedStrategy(name: string): MakeStrategy | undefined {
  return Object.hasOwn(STRATEGIES, name) ? STRATEGIES[name as StrategyName] : undefined;
}

/** What is wrong with a name that is none of these. `at` is the option's name. */
export function unknownStrategy(name: string, at: string): string {
  const meant = didYouMean(name, STRATEGY_NAMES);
  const names = STRATEGY_NAMES.join(', ');
  return `${at}: must be ${names} or a ./file (got ${shown(name)})${meant === '' ? '' : `;${meant}`}`;
}

/** What is a path, rather than a name. */
export const STRATEGY_FILE = /^\.{0,2}[\\/]|^[A-Za-z]:|\.[cm]?[jt]s$/;

/**
 * Returns the strategy of this name or path; the caller must check that it is one. `at` is the option's name in
 * messages, `resolve` resolves a path. On failure, returns undefined and adds why to `problems`.
 */
export async function loadStrategy(
  name: string, at: string, resolve: (path: string) => string, problems: string[],
): Promise<unknown> {
  const known = namedStrategy(name);
  if (known !== undefined) return known({ rng: systemRng });
  if (!STRATEGY_FILE.test(name)) {
    problems.push(unknownStrategy(name, at));
    return undefined;
  }
  const path = resolve(name);
  const exported = await load(path, at, problems);
  if (typeof exported !== 'function') return exported;
  if (isClass(exported)) {
    const called = `new ${/^\w+$/.exec(exported.name)?.[0].replace(/^default$/, 'Strategy') ?? 'Strategy'}()`;
    problems.push(`${at}: ${path} exports a class: export an instance or a factory, e.g. export default ${called}`);
    return undefined;
  }
  try {
    const made: unknown = await inTime(Promise.resolve((exported as (tools: unknown) => unknown)({ rng: systemRng })));
    if (made === undefined) problems.push(`${at}: the factory in ${path} returns nothing; return a strategy`);
    return made;
  } catch (error) {
    const what = error instanceof Unsettled
      ? `failed: ${error.message}`
      : `threw: ${messageOf(error)}${placeOf(error)}`;
    problems.push(`${at}: the factory in ${path} ${what}`);
    return undefined;
  }
}
