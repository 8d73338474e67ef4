import type { Candidate, Strategy, Upstream } from '../src/strategy.ts';

export interface PeakEwmaOptions {
  /** After this long without responses, what is remembered of a latency has shrunk to 37%. Default 10,000. */
  readonly decayMs?: number;
  /**
   * What a failure, or a response of status 429 or 503, counts for at least, in milliseconds. Default 1,000. A
   * Retry-After in seconds counts in its place if it is longer, up to a minute.
   */
  readonly penaltyMs?: number;
  /** Source of randomness: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/** What is remembered of a candidate. */
interface Memory {
  latencyMs: number;
  /** When that was so. */
  at: number;
  /** Attempts of this strategy that have not settled. */
  open: number;
}

/**
 * Peak EWMA: of two different candidates drawn by weight, picks the one with the lower expected wait, that is recent
 * latency times attempts in flight, relative to its weight. A latency above the remembered one is remembered at once,
 * and forgotten slowly: a candidate that turned slow is avoided after its first slow response, and also while that
 * is pending, since attempts pile up. With time alone the memory fades, so that a candidate that was slow once is tried
 * again. Failures, and responses that ask for less load, count as slow: errors that are fast attract nothing.
 *
 * A candidate that has not answered yet gets one request, and more when it has answered it.
 *
 * What it cannot know: why a response takes long. If requests differ in cost by themselves, say downloads beside pings
 * on the same upstreams, then it avoids who was given the hard ones; `powerOfTwo` does not mind. Weights are those of
 * load: where nothing waits, the faster of two gets nearly all, and of equally fast ones the heavier.
 *
 * Cost of a pick: two draws, two lookups, no allocation but at a candidate's first pick. O(1) if all weights are equal,
 * else O(log n), in the array of the last `changed`; O(n) in any other array. Source: Finagle's `PeakEwma` (Twitter,
 * 2015); "Beyond Round Robin: Load Balancing for Latency" (Buoyant, 2016); two choices after Mitzenmacher.
 */
export function peakEwma<C extends Candidate = Upstream>(
  { decayMs = 10_000, penaltyMs = 1_000, rng = Math.random }: PeakEwmaOptions = {},
): Strategy<C> {
  let told: readonly C[] | undefined;
  let sums: Float64Array | undefined;
  // Weak, so that candidates that are gone can be collected.
  const memories = new WeakMap<C, Memory>();

  /** How much of what is remembered is left. */
  const leftOf = ({ at }: Memory, now: number): number => Math.exp(-Math.max(0, now - at) / decayMs);
  const observe = (memory: Memory, latencyMs: number, now: number): void => {
    const left = leftOf(memory, now);
    const faded = memory.latencyMs * left;
    memory.latencyMs = latencyMs > faded ? latencyMs : faded + latencyMs * (1 - left);
    memory.at = now;
  };
  /** The wait to expect of one more attempt. */
  const wait = (candidate: C, now: number): number => {
    const { weight } = candidate;
    const inFlight = candidate.inFlight > 0 ? candidate.inFlight : 0;
    const memory = memories.get(candidate);
    const latencyMs = memory === undefined ? 0 : memory.latencyMs * leftOf(memory, now);
    // Nothing is known of it, and something is on its way that will tell.
    if (latencyMs === 0 && (memory?.open ?? 0) > 0) return UNKNOWN_MS * (inFlight + 1) / weight;
    return latencyMs * (inFlight + 1) / weight;
  };
  return {
    name: 'peak-ewma',
    pick(candidates, context) {
      const { length } = candidates;
      let picked = candidates[0];
      if (length > 1) {
        const weights = candidates === told ? sums : summed(candidates);
        const first = drawn(weights, length, rng);
        const second = drawnBeside(first, weights, length, rng);
        const one = candidates[first];
        const other = candidates[second];
        const { now } = context;
        if (one === undefined || other === undefined) picked = one ?? other;
        else picked = wait(other, now) < wait(one, now) ? other : one;
      }
      if (picked === undefined) return undefined;
      const memory = memories.get(picked);
      if (memory === undefined) memories.set(picked, { latencyMs: 0, at: context.now, open: 1 });
      else memory.open++;
      return picked;
    },
    answered(candidate, head) {
      const { status, latencyMs, now } = head;
      const memory = memories.get(candidate);
      if (memory === undefined) return;
      const asks = status === 429 || status === 503;
      observe(memory, asks ? Math.max(latencyMs, penaltyMs, retryAfterMs(head.header('retry-after'))) : latencyMs, now);
    },
    settled(candidate, { ok, durationMs, now }) {
      const memory = memories.get(candidate);
      if (memory === undefined) return;
      memory.open = Math.max(0, memory.open - 1);
      if (!ok) observe(memory, Math.max(durationMs, penaltyMs), now);
    },
    changed(candidates) {
      told = candidates;
      sums = summed(candidates);
    },
  };
}

/** What a Retry-After asks for, up to a minute; 0 without one, or where it is a date. */
function retryAfterMs(value: string | undefined): number {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Math.min(60, Number(value)) * 1_000 : 0;
}

/** The cumulative weights; undefined if all weights are equal. */
function summed(candidates: readonly Candidate[]): Float64Array | undefined {
  const first = candidates[0]?.weight;
  if (candidates.every(({ weight }) => weight === first)) return undefined;
  const sums = new Float64Array(candidates.length);
  let total = 0;
  for (let at = 0; at < sums.length; at++) sums[at] = total += candidates[at]?.weight ?? 0;
  return sums;
}

/** An index, by weight. */
function drawn(sums: Float64Array | undefined, length: number, rng: () => number): number {
  return sums === undefined ? Math.floor(rng() * length) : indexOf(sums, rng() * (sums[length - 1] ?? 0));
}

/** Another index, as if `first` were not there. There are at least two. */
function drawnBeside(first: number, sums: Float64Array | undefined, length: number, rng: () => number): number {
  if (sums === undefined) {
    const second = Math.floor(rng() * (length - 1));
    return second < first ? second : second + 1;
  }
  const start = first === 0 ? 0 : sums[first - 1] ?? 0;
  const own = (sums[first] ?? 0) - start;
  const draw = rng() * ((sums[length - 1] ?? 0) - own);
  const second = indexOf(sums, draw < start ? draw : draw + own);
  // Rounding, beside a weight that dwarfs all others.
  if (second === first) return first === length - 1 ? first - 1 : first + 1;
  return second;
}

/** The first index whose sum is above `draw`. */
function indexOf(sums: Float64Array, draw: number): number {
  let low = 0;
  let high = sums.length - 1; // also for a draw that rounds up to the total
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sums[middle] ?? 0) > draw) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A latency that nothing known exceeds. */
const UNKNOWN_MS = 1e9;
