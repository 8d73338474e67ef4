/**
 * The results as JSON.
 */
import type { Comparison } from '../../lab/compare.ts';
import type { TimeUnit } from '../../lab/report/runs.ts';

/** Times are in `unit`; what was never measured is null. */
export function jsonOf({ variants }: Comparison, unitOf: (at: number) => TimeUnit): string {
  const runs = variants.flatMap(({ key, runs: all }, at) => {
    const { ms } = unitOf(at);
    return all.map(({ result }) => ({
      strategy: result.strategy, ...key, seed: result.seed, requests: result.requests, failed: result.failed,
      mean: result.meanMs / ms,
      p50: result.quantileMs(0.5) / ms,
      p90: result.quantileMs(0.9) / ms,
      p99: result.quantileMs(0.99) / ms,
      p999: result.quantileMs(0.999) / ms,
      upstreams: result.upstreams.map(({ id, picks, utilisation }) => ({ id, picks, utilisation })),
    }));
  });
  const differences = variants.flatMap(({ key, differences: all }, at) => (
    all.map(({ one, other, measure, value, low, high, better }) => {
      const scale = measure === 'failed' ? 1 : unitOf(at).ms;
      return {
        ...key, measure, one, other, value: value / scale, low: low / scale, high: high / scale,
        better: better ?? null,
      };
    })));
  return `${JSON.stringify({ unit: unitOf(0).name, runs, differences }, undefined, 2)}\n`;
}
