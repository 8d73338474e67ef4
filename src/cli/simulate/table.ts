/**
 * The results of a comparison side by side, as text.
 */
import type { ComparedVariant, Measure } from '../../lab/compare.ts';
import { MEASURES } from '../../lab/compare.ts';
import { amount, percent, printable } from '../../lab/report/text.ts';
import type { TimeUnit } from '../../lab/report/runs.ts';
import type { SimulationResult } from '../../lab/result.ts';
import { type Estimate, estimate } from '../../lab/statistics.ts';

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A row for each strategy, a column for each measure, each value with half its interval. */
export function tableOf({ runs }: ComparedVariant, { ms }: TimeUnit): Table {
  const names = [...new Set(runs.map(({ name }) => name))];
  return {
    head: ['strategy', ...MEASURES.keys()],
    rows: names.map((name) => {
      const results = runs.filter((run) => run.name === name).map(({ result }) => result);
      return [name, ...[...MEASURES.keys()].map((measure) => {
        const value = overRuns(results.map((result) => valueOf(result, measure)));
        return measure === 'failed' ? shareText(value) : timeText(value, ms);
      })];
    }),
  };
}

/** As lines: the first column to the left, the others to the right. */
export function tableText({ head, rows }: Table): string {
  const all = [head, ...rows].map((cells) => cells.map(printable));
  const widths = head.map((_, at) => Math.max(...all.map((cells) => cells[at]?.length ?? 0)));
  return all.map((cells) => cells.map((cell, at) => (
    at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ').trimEnd()).join('\n');
}

function valueOf(result: SimulationResult, measure: Measure): Estimate {
  if (measure === 'failed') {
    const { low, high, value } = estimate(result.batches(OWN_BATCHES).map(({ requests, failed }) => failed / requests)
      .filter((share) => !Number.isNaN(share)));
    const share = result.failed / result.requests;
    return { value: share, low: share - (value - low), high: share + (high - value) };
  }
  const q = MEASURES.get(measure);
  return q === undefined ? result.mean : result.quantile(q);
}

/** One estimate of those of several runs: by their differences, if there are enough; else by the runs' own. */
function overRuns(values: readonly Estimate[]): Estimate {
  const [first] = values;
  if (values.length === 1 && first !== undefined) return first;
  const all = estimate(values.map(({ value }) => value));
  if (values.length >= ENOUGH_RUNS) return all;
  const half = Math.sqrt(values.reduce((sum, { low, high }) => sum + ((high - low) / 2) ** 2, 0)) / values.length;
  return { value: all.value, low: all.value - half, high: all.value + half };
}

function timeText({ value, low, high }: Estimate, ms: number): string {
  if (Number.isNaN(value)) return '-';
  return `${amount(value / ms)}${halfText((high - low) / 2 / ms, amount)}`;
}

function shareText({ value, low, high }: Estimate): string {
  return value === 0 ? '0%' : `${percent(value)}${halfText((high - low) / 2, percent)}`;
}

function halfText(half: number, text: (value: number) => string): string {
  return half > 0 && half < Infinity ? ` ± ${text(half)}` : '';
}

const OWN_BATCHES = 10;
const ENOUGH_RUNS = 5;
