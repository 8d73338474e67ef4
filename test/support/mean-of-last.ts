/**
 * A strategy that starves upstreams: it never forgets a latency.
 */
import type { Strategy } from '../../src/strategy.ts';

/** Picks the lowest mean of the last 100 latencies times what is in flight: what starves (traefik#12306). */
export function meanOfLast(): Strategy {
  const latencies = new Map<string, number[]>();
  return {
    name: 'mean-of-last',
    pick(candidates) {
      const cost = candidates.map(({ id, inFlight }) => {
        const last = latencies.get(id) ?? [];
        return last.reduce((sum, ms) => sum + ms, 0) / Math.max(1, last.length) * (inFlight + 1);
      });
      return candidates[cost.indexOf(Math.min(...cost))];
    },
    answered({ id }, { latencyMs }) {
      latencies.set(id, [...latencies.get(id) ?? [], latencyMs].slice(-100));
    },
  };
}
