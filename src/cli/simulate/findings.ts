/**
 * What a comparison came to, in sentences: which strategy is better, by how much, and whether that is real.
 */
import { type ComparedVariant, type Difference, type Measure, measured } from '../../lab/compare.ts';
import { amount, printable } from '../../lab/report/text.ts';
import type { TimeUnit } from '../../lab/report/runs.ts';

/** For the mean, the 99th percentile and failures: the best strategy against each of the others. */
export function findingsOf({ runs, differences }: ComparedVariant, unit: TimeUnit): readonly string[] {
  const names = [...new Set(runs.map(({ name }) => name))];
  if (names.length < 2) return [];
  const anyFailed = runs.some(({ result }) => result.failed > 0);
  const measures: readonly Measure[] = anyFailed ? ['mean', 'p99', 'failed'] : ['mean', 'p99'];
  return measures.flatMap((measure) => {
    const values = names.map((name) => {
      const own = runs.filter((run) => run.name === name).map(({ result }) => measured(result, measure));
      return { name, value: own.reduce((sum, value) => sum + value, 0) / own.length };
    });
    const answering = values.filter(({ value }) => !Number.isNaN(value)).sort((one, other) => one.value - other.value);
    const [best, ...others] = answering;
    const silent = values.filter(({ value }) => Number.isNaN(value)).map(({ name }) => (
      `${measure}: ${printable(name)} has none, since no request was answered well`));
    if (best === undefined) return silent;
    return [...others.map(({ name }) => {
      const difference = differences.find(({ one, other, measure: which }) => (
        which === measure && ((one === best.name && other === name) || (one === name && other === best.name))));
      return difference === undefined ? '' : sentence(difference, best.name, name, unit);
    }).filter((line) => line !== ''), ...silent];
  });
}

/** `best` has the lower value of the two; whether that is chance, the interval says. */
function sentence({ one, measure, value, low, high, better }: Difference, best: string, other: string,
  unit: TimeUnit): string {
  // How much less the best one has.
  const [less, least, most] = one === best ? [-value, -high, -low] : [value, low, high];
  const text = measure === 'failed' ? (share: number) => amount(share * 100) : (ms: number) => amount(ms / unit.ms);
  const name = measure === 'failed' ? ' points' : unit.name === 'ms' ? ' ms' : '';
  const [here, there] = [printable(best), printable(other)];
  if (less === 0 && least === 0 && most === 0) return `${measure}: ${here} and ${there} are equal`;
  const interval = Number.isFinite(least) && Number.isFinite(most) ? ` (${text(least)} to ${text(most)})` : '';
  if (better === best) return `${measure}: ${here} ${text(less)}${name} less than ${there}${interval}: real`;
  if (better !== undefined) {
    return `${measure}: ${here} is lower than ${there} over the whole run, but higher in most parts of it: no ` +
      'difference shown';
  }
  return `${measure}: ${here} and ${there} differ by ${text(less)}${name}${interval}: no difference shown; run more ` +
    'requests';
}
