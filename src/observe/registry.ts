/**
 * The metrics of a balancer in a registry of prom-client, beside those of its user.
 */
import { BOUNDS } from './histogram.ts';
import type { Family, HistogramValue, Labels, Sample } from './families.ts';

/** A registry of prom-client, as far as it is used. */
export interface PromRegistry {
  registerMetric(metric: never): unknown;
}

/** A metric as prom-client reads it. */
interface PromMetric {
  readonly name: string;
  readonly help: string;
  readonly type: Family['type'];
  readonly aggregator: 'first';
  get(): Promise<PromMetric & { readonly values: readonly PromValue[] }>;
  reset(): void;
}

interface PromValue {
  readonly labels: Labels;
  readonly value: number;
  readonly metricName?: string;
}

/** Registers each of `families`, which `read` reads again at each scrape. */
export function register(
  registry: PromRegistry, families: readonly Family[], read: () => Promise<readonly Family[]>,
): void {
  for (const { name, help, type } of families) {
    const metric: PromMetric = {
      name, help, type,
      // In a cluster of prom-client, each worker has the sums of all already.
      aggregator: 'first',
      get: async () => {
        const family = (await read()).find((each) => each.name === name);
        return { ...metric, values: [...family?.samples() ?? []].flatMap((sample) => valuesOf(name, sample)) };
      },
      // `resetMetrics` is for tests of the user's own; a counter of ours never falls.
      reset: () => undefined,
    };
    registry.registerMetric(metric as never);
  }
}

function valuesOf(name: string, { labels, value }: Sample): PromValue[] {
  return typeof value === 'number' ? [{ labels, value }] : histogramValues(name, labels, value);
}

function histogramValues(name: string, labels: Labels, { sum, count, within }: HistogramValue): PromValue[] {
  const bucket = (le: number | string, value: number): PromValue => ({
    labels: { ...labels, le }, value, metricName: `${name}_bucket`,
  });
  return [
    ...BOUNDS.map((bound, i) => bucket(bound, within[i] ?? 0)),
    bucket('+Inf', count),
    { labels, value: sum, metricName: `${name}_sum` },
    { labels, value: count, metricName: `${name}_count` },
  ];
}
