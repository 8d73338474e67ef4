/**
 * What is simulated: a scenario, if one is named, with what other options change about it.
 */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { BalancerError } from '../../errors.ts';
import { messageOf } from '../../guard.ts';
import { recorded } from '../../lab/arrivals.ts';
import { readSimulation, type SimulateOptions } from '../../lab/options.ts';
import { type Scenario, SCENARIOS, readScenario, type ScenarioVariant } from '../../lab/scenarios.ts';
import { empirical, exponential, replayed, type Service } from '../../lab/service.ts';
import { readArrivals, readService } from '../../lab/spec.ts';
import { readTrace, type Trace } from '../../lab/trace.ts';
import { duration, short } from '../../lab/report/text.ts';
import { shown } from '../../options/checks.ts';
import { didYouMean } from '../../options/nearest.ts';
import { load, whyNoFile } from '../load.ts';
import type { Flag, SimulateArguments } from './arguments.ts';

type Values = SimulateArguments['values'];
type Options = ScenarioVariant['options'];

export interface Conditions {
  readonly scenario: Scenario;
  /** Whether the scenario was named. */
  readonly named: boolean;
  readonly seeds: readonly number[];
  /** What is worth saying about them, a line each. */
  readonly facts: readonly string[];
}

/** Reads all that is about the conditions. With a problem, what is returned must not be used. */
export async function readConditions(values: Values, problems: string[]): Promise<Conditions> {
  const facts: string[] = [];
  const scenario = values.scenario === undefined ? undefined : await findScenario(values.scenario, problems);
  const changes = await readChanges(values, scenario, facts, problems);
  const { changed: options, free } = changes;
  const variants = (scenario?.variants ?? [{ options: DEFAULTS }]).map(({ key, options: own }) => {
    const { load: ownLoad, ratePerSecond, ...rest } = own;
    const rated = free || options.load !== undefined || options.ratePerSecond !== undefined;
    const rate = rated ? {} : { ...(ownLoad && { load: ownLoad }), ...(ratePerSecond && { ratePerSecond }) };
    return { ...(key && { key }), options: { ...rest, ...rate, ...options } };
  });
  problems.push(...problemsOf(variants, values.scenario));
  const inServiceTimes = scenario === undefined
    ? variants.some(({ options: { load: given } }) => given !== undefined)
    : values.load !== undefined || (scenario.unit === 'service times' && values.rate === undefined && !free);
  return {
    scenario: {
      name: scenario?.name ?? 'simulation', about: scenario?.about ?? '',
      unit: inServiceTimes ? 'service times' : 'ms', variants,
    },
    named: scenario !== undefined,
    seeds: seedsOf(values, problems),
    facts,
  };
}

async function findScenario(given: string, problems: string[]): Promise<Scenario | undefined> {
  const known = SCENARIOS.get(given);
  if (known !== undefined) return known;
  if (!/[\\/]|\.(?:json|[cm]?[jt]s)$/.test(given)) {
    const meant = didYouMean(given, SCENARIOS.keys());
    problems.push(`--scenario: must be ${[...SCENARIOS.keys()].join(', ')} or a ./file (got ${shown(given)})${
      meant === '' ? '' : `;${meant}`}`);
    return undefined;
  }
  const before = problems.length;
  const value = await load(resolve(given), '--scenario', problems);
  if (problems.length > before) return undefined;
  try {
    return readScenario(value, given);
  } catch (error) {
    if (!(error instanceof BalancerError)) throw error;
    problems.push(...linesOf(error).map((line) => `--scenario: ${line}`));
    return undefined;
  }
}

/** The lines of OPTIONS_INVALID. */
function linesOf({ message }: BalancerError): readonly string[] {
  return message.split('\n').slice(1).map((line) => line.trim());
}

interface Changes {
  readonly changed: Partial<Options>;
  /** Whether the arrivals have a rate of their own. */
  readonly free: boolean;
}

async function readChanges(
  values: Values, scenario: Scenario | undefined, facts: string[], problems: string[],
): Promise<Changes> {
  const { trace: log, arrivals: named, discipline } = values;
  const trace = log === undefined ? undefined : await readLog(log, problems);
  const service = values.service === undefined ? undefined : await serviceOf(values.service, problems);
  const process = named === undefined ? undefined : fromText(readArrivals, named, '--arrivals', problems);
  if (log !== undefined && named !== undefined) {
    problems.push('--arrivals: leave it out with --trace, which says when requests arrive');
  }
  const arrivals = trace === undefined ? process : recorded(trace.timesMs);
  const free = arrivals !== undefined && (arrivals.kind === 'closed' || !arrivals.scaled);
  for (const flag of ['load', 'rate'] as const) {
    if (free && values[flag] !== undefined) {
      problems.push(`--${flag}: leave it out: ${log === undefined ? 'a closed loop' : 'a log'} has a rate of its own`);
    }
  }
  if (values.load !== undefined && values.rate !== undefined) problems.push('--rate: leave it out, or --load');
  const rate = number(values, 'rate', problems);
  const share = number(values, 'load', problems);
  const given: Partial<Record<keyof Options, unknown>> = {
    upstreams: number(values, 'upstreams', problems),
    concurrency: number(values, 'concurrency', problems),
    loadReportMs: number(values, 'load-reports', problems),
    balancers: number(values, 'balancers', problems),
    requests: number(values, 'requests', problems),
    // What was reported above must not lead to more problems.
    load: free ? undefined : share ?? (rate !== undefined || scenario !== undefined ? undefined : 0.8),
    ratePerSecond: free || share !== undefined ? undefined : rate,
    discipline,
    arrivals,
    service: service ?? (trace?.sizesMs === undefined ? undefined : replayed(trace.sizesMs)),
  };
  if (trace !== undefined) facts.push(...traceFacts(trace, service !== undefined || scenario !== undefined));
  const changed = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { changed: changed, free };
}

function number(values: Values, flag: Flag, problems: string[]): number | undefined {
  const text = values[flag];
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? NaN : Number(text);
  if (!Number.isNaN(value)) return value;
  problems.push(`--${flag}: must be a number (got ${shown(text)})`);
  return undefined;
}

function seedsOf(values: Values, problems: string[]): readonly number[] {
  const seed = number(values, 'seed', problems) ?? 1;
  const runs = number(values, 'runs', problems) ?? 1;
  if (!(Number.isInteger(runs) && runs >= 1 && runs <= MOST_RUNS)) {
    problems.push(`--runs: must be an integer from 1 to ${MOST_RUNS} (got ${runs})`);
    return [];
  }
  if (Number.isInteger(seed) && seed >= 0 && Number.isSafeInteger(seed + runs)) {
    return Array.from({ length: runs }, (_, at) => seed + at);
  }
  problems.push(`--seed: must be an integer ${seed > 0 && Number.isInteger(seed) ? `up to ${
    Number.MAX_SAFE_INTEGER - runs}` : '≥ 0'} (got ${values.seed ?? seed})`);
  return [];
}

/** A distribution, or the file of one; a last parameter such as `20ms` is its mean. */
async function serviceOf(text: string, problems: string[]): Promise<Service | undefined> {
  const path = /^file:(.*)$/s.exec(text)?.[1];
  if (path !== undefined) return serviceFrom(path, problems);
  const [, before = text, mean] = /^(.*?)[:,]([\d.e+-]+)ms$/i.exec(text) ?? [];
  const service = fromText(readService, before, '--service', problems);
  if (service === undefined || mean === undefined) return service;
  const meanMs = Number(mean);
  if (!(meanMs > 0 && meanMs < Infinity)) {
    problems.push(`--service: the mean must be a number of milliseconds > 0 (got ${mean}ms)`);
    return undefined;
  }
  const factor = meanMs / service.meanMs;
  return { name: `${before}, mean ${short(meanMs)} ms`, meanMs, draw: (rng) => service.draw(rng) * factor };
}

/** What a text names. In a file of a scenario, it could also be an object, and more. */
function fromText<T>(
  read: (text: string, path: string, problems: string[]) => T | undefined, text: string, path: string,
  problems: string[],
): T | undefined {
  const found: string[] = [];
  const value = ONLY_IN_FILES.test(text) ? read('', path, found) : read(text, path, found);
  problems.push(...found.map((line) => line
    .replace(', empirical, replayed, or an object with such a name', ' or file:PATH')
    .replace(', recorded, or an object with such a name', '').replace('(got "")', `(got ${shown(text)})`)));
  return value;
}

/** Times in milliseconds, a line each, or a JSON list of them. */
async function serviceFrom(path: string, problems: string[]): Promise<Service | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    const words = text.trim().replace(/^\[|\]$/g, '').split(/[\s,]+/).filter((word) => word !== '');
    const wrong = words.find((word) => !(Number(word) >= 0 && Number(word) < Infinity));
    if (wrong !== undefined) {
      problems.push(`--service: ${path} must hold milliseconds, a line each (got ${shown(wrong)})`);
      return undefined;
    }
    return { ...empirical(words.map(Number)), name: `file:${path}` };
  } catch (error) {
    problems.push(`--service: cannot read ${path}: ${whyNoFile(error) ?? messageOf(error)}`);
    return undefined;
  }
}

async function readLog(path: string, problems: string[]): Promise<Trace | undefined> {
  try {
    const trace = await readTrace(textOf(path));
    if (trace.timesMs.length > 0) return trace;
    problems.push(`--trace: ${path} has no request in JSON, Common or Combined format${
      trace.firstMalformed === undefined ? '' : `; line ${trace.firstMalformed} is in none of them`}`);
  } catch (error) {
    problems.push(`--trace: cannot read ${path}: ${whyNoFile(error) ?? messageOf(error)}`);
  }
  return undefined;
}

/** The text of a file, unzipped if its name says so. */
function textOf(path: string): AsyncIterable<string> {
  const file = createReadStream(path);
  if (!/\.gz$/i.test(path)) return file.setEncoding('utf8') as AsyncIterable<string>;
  const text = createGunzip();
  // A pipeline: an error of the file ends the text, and a reader that stops early closes the file.
  pipeline(file, text, () => undefined);
  return text.setEncoding('utf8') as AsyncIterable<string>;
}

function traceFacts(trace: Trace, sized: boolean): readonly string[] {
  const { timesMs, sizesMs, sized: known, malformed, firstMalformed, unserved, spread, cut } = trace;
  const requests = timesMs.length;
  const facts = [`The log has ${short(requests)} requests in ${duration(timesMs.at(-1) ?? 0)}` +
    (cut ? `, and more, which are left out` : '')];
  const count = (n: number, what: string): string => `${short(n)} ${what}${n === 1 ? '' : 's'}`;
  if (malformed > 0) {
    facts.push(`Left out: ${count(malformed, 'malformed line')}, the first of them line ${firstMalformed ?? 0}`);
  }
  if (unserved > 0) facts.push(`Left out: ${count(unserved, 'request')} that needed no upstream`);
  if (spread > 0) {
    facts.push(`The times of ${count(spread, 'request')} are whole seconds: they are spread at random within them`);
  }
  if (sized) return facts;
  if (sizesMs === undefined) {
    facts.push('The log does not say how long requests took: each takes 1 ms on average, exponentially distributed; ' +
      'give --service for another, e.g. --service exponential:20ms');
  } else if (known < requests) {
    facts.push(`${count(requests - known, 'request')} without a duration count as average`);
  }
  return facts;
}

/** What the simulator finds wrong with them, in the words of the command line. */
function problemsOf(variants: readonly ScenarioVariant[], scenario: string | undefined): readonly string[] {
  const found = variants.flatMap(({ options }) => {
    const problems: string[] = [];
    readSimulation({ ...options, strategy: () => UNUSED }, problems);
    return problems;
  });
  return [...new Set(found)].map((line) => {
    const [, name = ''] = /^(\w+):/.exec(line) ?? [];
    const flag = Object.hasOwn(FLAGS, name) ? FLAGS[name as keyof typeof FLAGS] : undefined;
    if (flag !== undefined) return `--${flag}${line.slice(name.length).replace(', or a list of servers', '')}`;
    return scenario === undefined ? line : `--scenario: ${scenario}, as changed by other options: ${line}`;
  });
}

const UNUSED = { name: 'unused', pick: (): undefined => undefined };
const DEFAULTS: Options = { upstreams: 10, service: exponential(1) } satisfies Partial<SimulateOptions>;
const FLAGS = {
  upstreams: 'upstreams', load: 'load', ratePerSecond: 'rate', service: 'service', arrivals: 'arrivals',
  discipline: 'discipline', concurrency: 'concurrency', loadReportMs: 'load-reports', balancers: 'balancers',
  requests: 'requests', seed: 'seed',
} as const satisfies Readonly<Record<string, Flag>>;
/** They need a list of times. */
const ONLY_IN_FILES = /^(?:empirical|replayed|recorded)\b/;
const MOST_RUNS = 1_000;
