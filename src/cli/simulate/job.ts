/**
 * One `equipoise simulate`, from its options to what it prints and writes.
 */
import { BalancerError } from '../../errors.ts';
import { messageOf } from '../../guard.ts';
import { compare, type Comparison, type Contender } from '../../lab/compare.ts';
import { requestsOf } from '../../lab/options.ts';
import { reportHtml, type ReportOptions, reportSvg } from '../../lab/report/report.ts';
import type { ReportedGroup, TimeUnit } from '../../lab/report/runs.ts';
import { printable, short } from '../../lab/report/text.ts';
import type { Scenario } from '../../lab/scenarios.ts';
import { exponential, type Service } from '../../lab/service.ts';
import { placeOf } from '../load.ts';
import type { SimulateArguments } from './arguments.ts';
import { type Conditions, readConditions } from './conditions.ts';
import { loadContenders } from './contenders.ts';
import { findingsOf } from './findings.ts';
import { jsonOf } from './results.ts';
import { tableOf, tableText } from './table.ts';

/** What it came to. */
export type Answer =
  | { readonly kind: 'problems'; readonly lines: readonly string[] }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'done'; readonly text: string; readonly json: string; readonly report: string | undefined };

/**
 * Does it. `problems` are those found so far. `told` hears how many requests there will be, `counted` each of them, and
 * `began` which of the strategies runs next.
 */
export async function perform(
  args: SimulateArguments, problems: string[], command: string, told: (requests: number) => void, counted: () => void,
  began: (strategy: number) => void,
): Promise<Answer> {
  const conditions = await readConditions(args.values, problems);
  const { scenario, seeds } = conditions;
  const loaded = await loadContenders(args.strategy, () => (
    scenario.variants.reduce((sum, { options: { balancers = 1 } }) => sum + balancers * seeds.length, 0)), problems);
  if (problems.length > 0) return { kind: 'problems', lines: problems };
  const strategies = loaded.map(({ name, create }, at): Contender => ({
    name,
    create(tools) {
      began(at);
      return create(tools);
    },
  }));
  try {
    const each = scenario.variants.reduce((sum, { options }) => sum + requestsOf(options), 0);
    told(each * strategies.length * seeds.length);
    const comparison = compare({ strategies, scenario: withCount(scenario, counted), seeds });
    const units = scenario.variants.map(({ options }) => unitOf(scenario.unit, options.service));
    return { kind: 'done', ...outputs(comparison, conditions, units, command, args.values.report) };
  } catch (error) {
    if (error instanceof BalancerError && error.code === 'OPTIONS_INVALID') {
      return { kind: 'problems', lines: [error.message] };
    }
    const cause = error instanceof Error ? error.cause : undefined;
    return { kind: 'failed', message: `${inOneLine(error)}${placeOf(cause)}` };
  }
}

/** The scenario, with each request counted as it draws its work. */
function withCount(scenario: Scenario, counted: () => void): Scenario {
  return {
    ...scenario,
    variants: scenario.variants.map(({ options, ...rest }) => {
      const { service = exponential(1) } = options;
      const start = service.start?.bind(service);
      const counting: Service = {
        name: service.name, meanMs: service.meanMs,
        draw: (rng) => service.draw(rng),
        start(rng) {
          const next = start?.(rng) ?? (() => service.draw(rng));
          return () => {
            counted();
            return next();
          };
        },
      };
      return { ...rest, options: { ...options, service: counting } };
    }),
  };
}

function unitOf(name: TimeUnit['name'], service: Service = exponential(1)): TimeUnit {
  return { name, ms: name === 'ms' ? 1 : service.meanMs };
}

function outputs(
  comparison: Comparison, conditions: Conditions, units: readonly TimeUnit[], command: string,
  file: string | undefined,
): { readonly text: string; readonly json: string; readonly report: string | undefined } {
  const { scenario, named, facts } = conditions;
  const unit = (at: number): TimeUnit => units[at] ?? { name: 'ms', ms: 1 };
  const about = [
    ...(named ? [`${scenario.name}: ${scenario.about}`] : []), conditionsText(conditions), ...facts,
    `Times are in ${scenario.unit === 'ms' ? 'milliseconds' : 'mean service times'}; ± is 95% confidence. The first ` +
      'tenth of the requests is left out of them.',
  ];
  const groups = comparison.variants.map((variant, at): ReportedGroup => {
    const { key, runs } = variant;
    const title = Object.entries(key ?? {}).map(([name, value]) => `${name} ${value}`).join(', ');
    return {
      ...(title !== '' && { title }), table: tableOf(variant, unit(at)), findings: findingsOf(variant, unit(at)),
      // Of several seeds, the plots show the first.
      runs: runs.filter(({ result: { seed } }) => seed === runs[0]?.result.seed),
    };
  });
  const options: ReportOptions = {
    title: named ? `Simulation of ${scenario.name}` : 'Simulation', groups, facts: about, command, unit: unit(0),
  };
  const sections = groups.map(({ title, table, findings = [] }) => [
    ...(title === undefined ? [] : [title]), ...(table === undefined ? [] : [tableText(table)]), '', ...findings,
  ].join('\n').trimEnd());
  return {
    text: [about.map(printable).join('\n'), ...sections].join('\n\n'),
    json: jsonOf(comparison, unit),
    report: file === undefined ? undefined : /\.svg$/i.test(file) ? reportSvg(options) : reportHtml(options),
  };
}

/** What is simulated, in one line. */
function conditionsText({ scenario, seeds }: Conditions): string {
  const [first] = scenario.variants;
  if (first === undefined) return '';
  const {
    upstreams, load, ratePerSecond, service = exponential(1), arrivals, discipline = 'fifo', balancers = 1,
    concurrency = 1,
  } = first.options;
  const servers = typeof upstreams === 'number' ? upstreams : upstreams.length;
  const [from = 1] = seeds;
  return [
    `${short(servers)} server${servers === 1 ? '' : 's'} (${discipline}${
      concurrency === 1 ? '' : concurrency === Infinity ? ', any number at a time' : `, ${concurrency} at a time`})`,
    ...(load === undefined ? [] : [`load ${load}`]),
    ...(ratePerSecond === undefined ? [] : [`${short(ratePerSecond)} requests/s`]),
    `service ${service.name}`, `arrivals ${arrivals?.name ?? 'poisson'}`,
    ...(balancers === 1 ? [] : [`${balancers} balancers`]),
    `${short(requestsOf(first.options))} requests`,
    seeds.length === 1 ? `seed ${from}` : `seeds ${from} to ${from + seeds.length - 1}`,
  ].join(', ');
}

/** The message of an error, whatever line breaks it has. */
export function inOneLine(error: unknown): string {
  return messageOf(error).replaceAll(/\s*\n\s*/g, ' ');
}
