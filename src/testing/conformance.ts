/**
 * The rules that every strategy must keep, as tests. To check your own strategy, write a test file for `node:test`:
 *
 *     import { conformance } from 'equipoise/testing';
 *     import { myStrategy } from './my-strategy.js';
 *
 *     conformance('my-strategy', ({ rng }) => myStrategy({ rng }));
 *
 * The title shows the seed of the run. EQUIPOISE_SEED=<seed> repeats it, if `rng` is the strategy's only randomness.
 */
import { describe, test } from 'node:test';
import { seededRandom, testSeed } from './random.ts';
import { rules } from './rules.ts';
import type { ConformanceOptions, Make } from './trial.ts';

/**
 * Registers a `describe` with one test per rule. The candidates are stand-ins with all properties of an `Upstream` and
 * of a `WorkerCandidate`. They and their arrays are frozen. In-flight counts grow after a pick and shrink before
 * `settled`.
 */
export function conformance(name: string, make: Make, options: ConformanceOptions = {}): void {
  const seed = testSeed();
  describe(`${name} keeps the rules of a strategy (EQUIPOISE_SEED=${String(seed)})`, () => {
    for (const { title, spreads = false, check } of rules) {
      test(title, { skip: spreads && options.spreads === false }, () => {
        check(make, seededRandom(seed), options);
      });
    }
  });
}
