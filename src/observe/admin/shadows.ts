/**
 * What the strategies in the shadow would have done, in all workers together.
 */
import type { ShadowFigures } from '../../meter.ts';
import { isRecord } from '../../options/checks.ts';

/** The sum of what workers say, undefined if none has one. During a reload, that of the first strategy named. */
export function summedShadows(given: readonly unknown[]): ShadowFigures | undefined {
  const known = given.filter(isFigures);
  const [first] = known;
  if (first === undefined) return undefined;
  const all = known.filter(({ strategy }) => strategy === first.strategy);
  const sum = (of: (one: ShadowFigures) => number): number => all.reduce((total, one) => total + of(one), 0);
  const requests = sum(({ estimate }) => estimate.requests);
  const mean = (of: (one: ShadowFigures) => number): number => {
    return requests === 0 ? 0 : sum((one) => of(one) * one.estimate.requests) / requests;
  };
  const upstreams = new Map<string, { origin: string; live: number; shadow: number }>();
  for (const { origin, live, shadow } of all.flatMap((one) => one.upstreams)) {
    const before = upstreams.get(origin);
    upstreams.set(origin, { origin, live: live + (before?.live ?? 0), shadow: shadow + (before?.shadow ?? 0) });
  }
  return {
    strategy: first.strategy,
    picks: sum(({ picks }) => picks),
    agreed: sum(({ agreed }) => agreed),
    differed: sum(({ differed }) => differed),
    declined: sum(({ declined }) => declined),
    faults: sum(({ faults }) => faults),
    estimate: {
      requests,
      liveMs: mean(({ estimate }) => estimate.liveMs),
      shadowMs: mean(({ estimate }) => estimate.shadowMs),
      shadowByLoadMs: mean(({ estimate }) => estimate.shadowByLoadMs),
    },
    upstreams: [...upstreams.values()],
  };
}

/** Whether this is what a worker says, which may be another version of this program. */
function isFigures(value: unknown): value is ShadowFigures {
  if (!isRecord(value) || typeof value['strategy'] !== 'string' || !isRecord(value['estimate'])) return false;
  const { estimate, upstreams } = value;
  return COUNTS.every((name) => typeof value[name] === 'number') &&
    ESTIMATES.every((name) => typeof estimate[name] === 'number') &&
    Array.isArray(upstreams) && upstreams.every((one) => isRecord(one) && typeof one['origin'] === 'string' &&
      typeof one['live'] === 'number' && typeof one['shadow'] === 'number');
}

const COUNTS = ['picks', 'agreed', 'differed', 'declined', 'faults'] as const;
const ESTIMATES = ['requests', 'liveMs', 'shadowMs', 'shadowByLoadMs'] as const;
