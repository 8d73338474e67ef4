/**
 * Compares strategies under the same conditions: the same arrivals, the same work, the same faults.
 */
import { shown } from '../options/checks.ts';
import { refuse } from '../options/problems.ts';
import type { SimulateOptions } from './options.ts';
import type { Batch, SimulationResult } from './result.ts';
import type { Scenario, ScenarioVariant } from './scenarios.ts';
import { simulate } from './simulate.ts';
import { type Estimate, estimate } from './statistics.ts';

/** What is compared: latencies, and the part of the requests that failed. Less is better in all of them. */
export type Measure = 'mean' | 'p50' | 'p90' | 'p99' | 'p999' | 'failed';

export interface Contender {
  readonly name: string;
  readonly create: SimulateOptions['strategy'];
}

export interface CompareOptions {
  /** Each with a name of its own. */
  readonly strategies: readonly Contender[];
  /** Either a scenario, or the options of one simulation. */
  readonly scenario?: Scenario;
  readonly options?: ScenarioVariant['options'];
  /** Each strategy runs once with each; default `[1]`. */
  readonly seeds?: readonly number[];
  /** Called after each run, with how many of all are done. */
  readonly onRun?: (run: ComparedRun, done: number, all: number) => void;
}

export interface ComparedRun {
  /** That of the contender. */
  readonly name: string;
  readonly seed: number;
  readonly result: SimulationResult;
}

/**
 * How much `one` differs from `other` in a measure: `one` less `other`, on average, with a confidence interval of 95%
 * for all pairs together.
 */
export interface Difference extends Estimate {
  readonly one: string;
  readonly other: string;
  readonly measure: Measure;
  /** The better one, if the interval excludes 0. */
  readonly better: string | undefined;
}

export interface ComparedVariant {
  readonly key: Readonly<Record<string, number>> | undefined;
  /** In the order of the strategies, and for each in that of the seeds. */
  readonly runs: readonly ComparedRun[];
  /** Of each pair, each measure. */
  readonly differences: readonly Difference[];
}

export interface Comparison {
  readonly scenario: Scenario | undefined;
  readonly variants: readonly ComparedVariant[];
}

/** All measures, and for those that are quantiles, which. */
export const MEASURES: ReadonlyMap<Measure, number | undefined> = new Map([
  ['mean', undefined], ['p50', 0.5], ['p90', 0.9], ['p99', 0.99], ['p999', 0.999], ['failed', undefined],
]);

/** Runs each strategy with each seed, and compares each pair. Throws what `simulate` throws, and OPTIONS_INVALID. */
export function compare(options: CompareOptions): Comparison {
  const { strategies, scenario, seeds = [1], onRun } = options;
  check(options);
  const variants = scenario?.variants ?? [{ options: options.options ?? { upstreams: 1 } }];
  const all = variants.length * strategies.length * seeds.length;
  let done = 0;
  return {
    scenario,
    variants: variants.map(({ key, options: conditions }) => {
      const runs = strategies.flatMap(({ name, create }) => seeds.map((seed) => {
        const run = { name, seed, result: simulate({ ...conditions, strategy: create, seed }) };
        onRun?.(run, ++done, all);
        return run;
      }));
      return { key, runs, differences: differencesOf(runs, strategies.map(({ name }) => name)) };
    }),
  };
}

/** The value of a measure in a run: a latency in milliseconds, or a share. NaN if there is none. */
export function measured(result: SimulationResult, measure: Measure): number {
  if (measure === 'failed') return result.failed / result.requests;
  const q = MEASURES.get(measure);
  return q === undefined ? result.meanMs : result.quantileMs(q);
}

function check({ strategies, scenario, options, seeds = [1] }: CompareOptions): void {
  const problems: string[] = [];
  const names = strategies.map(({ name }) => name);
  if (names.length === 0) problems.push('strategies: must have at least one');
  if (new Set(names).size < names.length) {
    problems.push(`strategies: each needs a name of its own (got ${shown(names)})`);
  }
  if ((scenario === undefined) === (options === undefined)) {
    problems.push('scenario: give either a scenario or options');
  }
  if (seeds.length === 0) problems.push('seeds: must have at least one');
  // The same conditions twice are not two observations.
  if (new Set(seeds).size < seeds.length) problems.push(`seeds: must differ (got ${shown(seeds)})`);
  refuse(problems);
}

function differencesOf(runs: readonly ComparedRun[], names: readonly string[]): readonly Difference[] {
  const pairs = names.flatMap((one, at) => names.slice(at + 1).map((other) => [one, other] as const));
  // Bonferroni: with a chance of 5% / pairs for each to err, that any errs is at most 5%.
  const confidence = 1 - 0.05 / pairs.length;
  const resultsOf = (name: string): SimulationResult[] => {
    return runs.filter((run) => run.name === name).map(({ result }) => result);
  };
  return pairs.flatMap(([one, other]) => [...MEASURES.keys()].map((measure) => {
    const [ones, others] = [resultsOf(one), resultsOf(other)];
    const observed = estimate(paired(ones, others, measure), confidence);
    // A share is that of whole runs, as in a table of these: batches lack the first requests. A quantile of a whole run
    // varies otherwise than the mean of those of batches, which the interval is for.
    const value = measure === 'failed' ? estimate(differences(ones, others, measure)).value : observed.value;
    const [low, high] = [value - (observed.value - observed.low), value + (observed.high - observed.value)];
    return { one, other, measure, value, low, high, better: high < 0 ? one : low > 0 ? other : undefined };
  }));
}

/** Those of whole runs. */
function differences(
  one: readonly SimulationResult[], other: readonly SimulationResult[], measure: Measure,
): readonly number[] {
  return one.flatMap((result, at) => {
    const against = other[at];
    return against === undefined ? [] : [measured(result, measure) - measured(against, measure)];
  }).filter((difference) => !Number.isNaN(difference));
}

/**
 * Differences that are independent, or nearly: those of runs, if there are enough seeds; else of large batches of
 * requests, of the same arrivals in both runs. Pairs that have no such value on one side are left out.
 */
function paired(
  one: readonly SimulationResult[], other: readonly SimulationResult[], measure: Measure,
): readonly number[] {
  if (one.length >= ENOUGH_SEEDS) return differences(one, other, measure);
  const count = Math.ceil(FEW_BATCHES / one.length);
  return one.flatMap((result, at) => {
    const against = other[at];
    if (against === undefined) return [];
    const batches = against.batches(count);
    return result.batches(count).map((batch, which) => {
      return ofBatch(batch, measure) - ofBatch(batches[which], measure);
    });
  }).filter((difference) => !Number.isNaN(difference));
}

function ofBatch(batch: Batch | undefined, measure: Measure): number {
  if (batch === undefined) return NaN;
  if (measure === 'failed') return batch.failed / batch.requests;
  const q = MEASURES.get(measure);
  return q === undefined ? batch.latencies.mean : batch.latencies.quantile(q);
}

/** From this many seeds on, a run is one observation. */
const ENOUGH_SEEDS = 5;
/** How many batches, of all seeds together, stand in for runs. */
const FEW_BATCHES = 10;
