/**
 * A gate for tests: one strategy is no worse than another, shown by simulations under the same conditions. See gate.md.
 */
import { AssertionError } from 'node:assert';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { integer, isRecord, onlyKnown, shown } from '../options/checks.ts';
import { checked } from '../options/problems.ts';
import { type ComparedRun, type Measure, measured, MEASURES } from './compare.ts';
import type { SimulateOptions } from './options.ts';
import { reportHtml } from './report/report.ts';
import { type Scenario, SCENARIOS, type ScenarioVariant } from './scenarios.ts';
import { simulate } from './simulate.ts';
import { type Estimate, estimate } from './statistics.ts';

export interface GateOptions {
  /** Makes the strategy to test: once for each balancer of each run. */
  readonly strategy: SimulateOptions['strategy'];
  /** Makes the one that it is compared with. */
  readonly against: SimulateOptions['strategy'];
  /** The name of a built-in one, or one of your own, as of `readScenario`. */
  readonly scenario: string | Scenario;
  /** What must not be worse; default `p99`. */
  readonly measure?: Measure;
  /** How sure the verdict must be, below 1; default 0.95. */
  readonly confidence?: number;
  /** How much worse is still no worse, as a part of what the other one has; default 0. */
  readonly tolerance?: number;
  /** The most seeds to run; default 40. Seeds are 1, 2, 3, ... */
  readonly seeds?: number;
  /** Requests in each run; default: those of the scenario, whose faults come at fixed times. */
  readonly requests?: number;
  /** What becomes of a test if all seeds show neither; default `fail`. */
  readonly undecided?: 'fail' | 'pass';
  /** The directory for the report. Default: none is written if it passes; else a new temporary one. */
  readonly report?: string;
}

export type Verdict = 'no worse' | 'worse' | 'undecided';

export interface GateResult {
  readonly verdict: Verdict;
  /** One for each variant of the scenario, then those for the share that failed, where that decides. */
  readonly findings: readonly GateFinding[];
  /** How many seeds it took. */
  readonly seeds: number;
  /** The path of the report, if one was written. */
  readonly report: string | undefined;
}

export interface GateFinding {
  readonly verdict: Verdict;
  readonly measure: Measure;
  /** What tells the variant from others. */
  readonly key: Readonly<Record<string, number>> | undefined;
  /** The means over the seeds. */
  readonly strategy: number;
  readonly against: number;
  /** How much more the strategy has than it may: at most 0 is no worse. */
  readonly excess: Estimate;
}

/** What the gate throws for a strategy that is worse, or not shown to be no worse. */
export class GateError extends AssertionError {
  override readonly name = 'AssertionError';
  readonly result: GateResult;

  constructor(message: string, result: GateResult) {
    super({ message, actual: result.verdict, expected: 'no worse', operator: 'gate' });
    this.result = result;
  }
}

/**
 * Resolves if `strategy` is no worse than `against`. Rejects with a {@link GateError} if it is worse or, by default, if
 * that is undecided; with OPTIONS_INVALID, and with what `simulate` throws.
 */
export async function gate(options: GateOptions): Promise<GateResult> {
  const settings = checked((problems) => readOptions(options, problems));
  const variants = settings.scenario.variants.map((variant) => new Variant(variant, settings));
  let result = judged(variants, 0, settings);
  for (const look of looksOf(settings.seeds)) {
    for (const variant of variants) await variant.runTo(look);
    result = judged(variants, look, settings);
    if (result.verdict !== 'undecided') break;
  }
  const passes = result.verdict === 'no worse' || (result.verdict === 'undecided' && settings.undecided === 'pass');
  if (passes && options.report === undefined) return result;
  const told = { ...result, report: await write(result, variants, settings) };
  if (passes) return told;
  throw new GateError(messageOf(told, variants, settings), told);
}

interface Settings extends Required<Omit<GateOptions, 'scenario' | 'requests' | 'report'>> {
  readonly scenario: Scenario;
  readonly requests: number | undefined;
  readonly report: string | undefined;
}

function readOptions(given: GateOptions, problems: string[]): Settings {
  if (!isRecord(given)) throw new TypeError(`gate needs an object of options (got ${shown(given)})`);
  onlyKnown({ ...given }, '', KNOWN, problems);
  const { strategy, against, scenario, measure = 'p99', confidence = 0.95, tolerance = 0, requests } = given;
  const { undecided = 'fail', report } = given;
  for (const [name, value] of Object.entries({ strategy, against })) {
    if (typeof value === 'function') continue;
    const example = '({ rng }) => random({ rng })';
    problems.push(`${name}: must be a function that makes one, e.g. ${example} (got ${shown(value)})`);
  }
  const found = typeof scenario === 'string' ? SCENARIOS.get(scenario) : scenario;
  if (!isRecord(found) || !Array.isArray(found.variants)) {
    problems.push(`scenario: must be one of ${[...SCENARIOS.keys()].join(', ')}, or an object with variants ` +
      `(got ${shown(scenario)})`);
  }
  if (!MEASURES.has(measure)) {
    problems.push(`measure: must be one of ${[...MEASURES.keys()].join(', ')} (got ${shown(measure)})`);
  }
  if (!(confidence > 0.5 && confidence < 1)) {
    problems.push(`confidence: must be a number from 0.5 to 1, such as 0.95 (got ${shown(confidence)})`);
  }
  if (!(tolerance >= 0 && tolerance < Infinity)) {
    problems.push(`tolerance: must be a number ≥ 0, such as 0.05 for 5% (got ${shown(tolerance)})`);
  }
  if (undecided !== 'fail' && (undecided as unknown) !== 'pass') {
    problems.push(`undecided: must be fail or pass (got ${shown(undecided)})`);
  }
  if (report !== undefined && (typeof report !== 'string' || report === '')) {
    problems.push(`report: must be the path of a directory (got ${shown(report)})`);
  }
  const seeds = integer(given.seeds, 'seeds', { fallback: MOST_SEEDS, min: FIRST_LOOK, max: 10_000 }, problems);
  const few = requests === undefined
    ? undefined
    : integer(requests, 'requests', { fallback: 0, min: 1_000 }, problems);
  return {
    strategy, against, measure, confidence, tolerance, seeds, undecided, report, requests: few,
    scenario: found ?? { name: '', about: '', unit: 'ms', variants: [] },
  };
}

/** The runs of one variant of the scenario. */
class Variant {
  readonly key: ScenarioVariant['key'];
  readonly ours: ComparedRun[] = [];
  readonly theirs: ComparedRun[] = [];
  readonly #conditions: ScenarioVariant['options'];
  readonly #settings: Settings;

  constructor({ key, options }: ScenarioVariant, settings: Settings) {
    const { requests } = settings;
    this.key = key;
    this.#conditions = { ...options, ...(requests !== undefined && { requests }) };
    this.#settings = settings;
  }

  async runTo(seeds: number): Promise<void> {
    const { strategy, against } = this.#settings;
    for (let seed = this.ours.length + 1; seed <= seeds; seed++) {
      this.ours.push(this.#run(strategy, seed));
      this.theirs.push(this.#run(against, seed));
      // Other tests of the process, and their time limits, get a turn.
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  /** Whether `measure` is worse. A part of `tolerance` more is allowed. */
  judge(measure: Measure, tolerance: number, confidence: number): GateFinding {
    const values = this.ours.map(({ result }, at) => {
      const other = this.theirs[at]?.result ?? result;
      return [measured(result, measure), measured(other, measure)] as const;
    });
    // Without a single good answer there is no latency: worse than any.
    const unanswered = values.some(([one, other]) => Number.isNaN(one) && !Number.isNaN(other));
    const pairs = values.filter(([one, other]) => !Number.isNaN(one) && !Number.isNaN(other));
    const excess = unanswered
      ? { value: Infinity, low: Infinity, high: Infinity }
      : estimate(pairs.map(([one, other]) => one - other * (1 + tolerance)), confidence);
    const verdict = excess.low > 0 ? 'worse' : excess.high <= 0 ? 'no worse' : 'undecided';
    const mean = (side: 0 | 1): number => pairs.reduce((sum, pair) => sum + pair[side], 0) / pairs.length;
    return { verdict, measure, key: this.key, strategy: mean(0), against: mean(1), excess };
  }

  /** The seed for which the strategy does worst against the other one. */
  worstSeed(measure: Measure): number {
    let worst = 0;
    let most = -Infinity;
    for (const [at, { result }] of this.ours.entries()) {
      const other = this.theirs[at]?.result ?? result;
      const excess = measured(result, measure) - measured(other, measure);
      if (excess > most) [worst, most] = [at, excess];
    }
    return worst + 1;
  }

  #run(create: SimulateOptions['strategy'], seed: number): ComparedRun {
    const result = simulate({ ...this.#conditions, strategy: create, seed });
    return { name: result.strategy, seed, result };
  }
}

/**
 * The numbers of seeds at which there may be a verdict: each is twice the one before. One look more is one chance more
 * to err, so all looks and all findings share what the confidence leaves (Bonferroni).
 */
function looksOf(most: number): readonly number[] {
  const looks: number[] = [];
  for (let look = FIRST_LOOK; look < most; look *= 2) looks.push(look);
  return [...looks, most];
}

function judged(variants: readonly Variant[], seeds: number, settings: Settings): GateResult {
  const { measure, tolerance, confidence } = settings;
  const measures = measure === 'failed' ? 1 : 2;
  const each = 1 - (1 - confidence) / (looksOf(settings.seeds).length * variants.length * measures);
  const findings = variants.map((variant) => variant.judge(measure, tolerance, each));
  if (measure !== 'failed') {
    // Failures have no latency: what answers the easy half of the requests would look fast.
    findings.push(...variants.map((variant) => variant.judge('failed', tolerance, each))
      .filter(({ verdict }) => verdict === 'worse'));
  }
  const verdict = findings.some((one) => one.verdict === 'worse')
    ? 'worse'
    : findings.every((one) => one.verdict === 'no worse') ? 'no worse' : 'undecided';
  return { verdict, findings, seeds, report: undefined };
}

async function write(result: GateResult, variants: readonly Variant[], settings: Settings): Promise<string> {
  const { report, scenario, measure } = settings;
  const [one, other] = namesOf(variants);
  const text = reportHtml({
    title: `${one} against ${other} in ${scenario.name}: ${measure} ${result.verdict}`,
    facts: [...result.findings.map((finding) => findingText(finding, settings)), scenario.about],
    ...(scenario.unit === 'ms' ? {} : { unit: { ms: 1, name: 'service times' } }),
    groups: variants.map((variant) => {
      const at = variant.worstSeed(measure) - 1;
      const runs = [variant.ours[at], variant.theirs[at]].filter((run) => run !== undefined);
      const where = variant.key === undefined ? '' : `${keyText(variant.key)}, `;
      return {
        title: `${where}seed ${at + 1}`,
        runs: runs.map(({ result: run }, side) => ({ name: side === 0 ? one : other, result: run })),
      };
    }),
    command: commandOf(variants, settings),
  });
  // A name that nobody can know: others may write where temporary files are.
  const directory = report ?? await mkdtemp(join(tmpdir(), 'equipoise-gate-'));
  await mkdir(directory, { recursive: true });
  const path = join(directory, `${[one, other, scenario.name, measure].map(fileName).join('-')}.html`);
  await writeFile(path, text);
  return path;
}

function messageOf(result: GateResult, variants: readonly Variant[], settings: Settings): string {
  const { scenario, tolerance, confidence, measure } = settings;
  const [one, other] = namesOf(variants);
  const what = `${one} against ${other} in ${scenario.name}`;
  const verdict = result.verdict === 'worse'
    ? `${what}: worse`
    : `${what}: not shown to be no worse (undecided)`;
  const advice = result.verdict === 'worse' ? [] : [
    `  ${result.seeds} seeds show neither: allow a tolerance, such as 0.05, or more seeds than ${settings.seeds}; ` +
    'undecided: \'pass\' lets this pass',
  ];
  const worst = [...new Set(variants.map((variant) => variant.worstSeed(measure)))].join(', ');
  return [
    verdict,
    ...result.findings.filter((finding) => finding.verdict !== 'no worse')
      .map((finding) => `  ${findingText(finding, settings)}`),
    ...advice,
    `  seeds: 1 to ${result.seeds}, worst ${worst}; confidence ${confidence}, tolerance ${tolerance}`,
    `  plot: ${result.report ?? 'none'}`,
    `  reproduce: run this test again, its seeds are fixed; or ${commandOf(variants, settings)}`,
  ].join('\n');
}

function findingText({ verdict, measure, key, strategy, against, excess }: GateFinding, settings: Settings): string {
  const { scenario: { unit }, tolerance } = settings;
  const number = (value: number): string => measure === 'failed'
    ? `${(value * 100).toPrecision(3)}%`
    : unit === 'ms' ? `${value.toPrecision(4)} ms` : value.toPrecision(4);
  const allowed = tolerance === 0 ? '' : ` beyond the ${tolerance * 100}% allowed`;
  const where = key === undefined ? '' : ` at ${keyText(key)}`;
  return `${measure}${where} ${number(strategy)} against ${number(against)}, difference${allowed} ` +
    `${number(excess.value)} (${number(excess.low)} to ${number(excess.high)}): ${verdict}`;
}

function commandOf(variants: readonly Variant[], { scenario, measure, requests }: Settings): string {
  const [one, other] = namesOf(variants).map((name) => (/^[a-z-]+$/.test(name) ? name : `./${fileName(name)}.js`));
  const seed = variants[0]?.worstSeed(measure) ?? 1;
  const more = requests === undefined ? '' : ` --requests ${requests}`;
  const both = `--strategy ${one} --strategy ${other}`;
  return `npx equipoise simulate --scenario ${scenario.name} ${both} --seed ${seed}${more}`;
}

/** What the strategies call themselves. */
function namesOf(variants: readonly Variant[]): readonly [one: string, other: string] {
  const { ours: [one], theirs: [other] } = variants[0] ?? { ours: [], theirs: [] };
  const names = [one?.name ?? 'strategy', other?.name ?? 'against'] as const;
  return names[0] === names[1] ? [`${names[0]} (tested)`, names[1]] : names;
}

function keyText(key: Readonly<Record<string, number>>): string {
  return Object.entries(key).map(([name, value]) => `${name} ${value}`).join(', ');
}

function fileName(text: string): string {
  return text.replace(/[^\w.]+/g, '-').replace(/^-|-$/g, '');
}

/** From so many seeds on, Student's interval of their differences is of use. */
const FIRST_LOOK = 5;
const MOST_SEEDS = 40;
const KNOWN: ReadonlySet<string> = new Set([
  'strategy', 'against', 'scenario', 'measure', 'confidence', 'tolerance', 'seeds', 'requests', 'undecided', 'report',
]);
