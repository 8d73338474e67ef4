import type { Candidate, LoadReport, Strategy, Upstream } from '../src/strategy.ts';

export interface WeightedByLoadOptions {
  /** How often the reports of a candidate are read, in milliseconds. Default 1,000. */
  readonly updateMs?: number;
  /** How long a candidate must have reported before its reports count, in milliseconds. Default 10,000. */
  readonly blackoutMs?: number;
  /** After how long a report no longer counts, in milliseconds. Default 180,000: three minutes. */
  readonly expiryMs?: number;
  /** How much a share of errors counts beside the utilisation. Default 1. */
  readonly errorPenalty?: number;
  /** Source of randomness for where a cycle starts: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/** A candidate's place in the schedule, and what is known of its load. */
interface Slot<C> {
  readonly candidate: C;
  /** When its next turn is, in the time of the schedule. */
  due: number;
  /** What its last sound report makes its weight; 0 without one. */
  reported: number;
  reportedAt: number;
  /** Since when it has reported; Infinity if it does not. */
  since: number;
  /** `reported` as it counts now: 0 during the blackout and after expiry. */
  counts: number;
}

/**
 * Weighted by load reports: candidates take turns, each as often as it does much with little. Its weight is the rate of
 * requests that it reports over its utilisation, so an estimate of what it could do when it is fully used. A share of
 * errors adds to the utilisation, so that a candidate that fails fast does not look able.
 *
 * Upstreams report by the response header `endpoint-load-metrics` (ORCA), e.g.
 * `TEXT rps_fractional=120,application_utilization=0.4`, or by their responses to health checks: `rps_fractional` and
 * `application_utilization` or `cpu_utilization`; `eps` are errors a second.
 *
 * A candidate that has not reported for long enough, or not lately, gets the mean of the others; with less than two
 * that do, all take turns by their configured weight alone. Else that multiplies the weight by load. No weight by load
 * is below a tenth of the mean, or above ten times it.
 *
 * What it cannot know: whether a report is true, and what changed since the last one; a candidate that stops answering
 * keeps its turns until it is ejected. It does not see what is in flight.
 *
 * Cost of a pick: O(log n) in the array of the last `changed`, without allocation, and once in `updateMs` a report of
 * each candidate is read, of 64 at a pick; O(n) in any other array, such as a retry's, where it draws by weight.
 * Source: gRFC A58, "Client-side weighted round robin LB policy" (gRPC, 2023), with its limits of a tenth and ten times
 * the mean; turns are those of earliest-deadline-first scheduling, with a random start.
 */
export function weightedByLoad<C extends Candidate & { readonly load?: LoadReport | undefined } = Upstream>(
  {
    updateMs = 1_000, blackoutMs = 10_000, expiryMs = 180_000, errorPenalty = 1, rng = Math.random,
  }: WeightedByLoadOptions = {},
): Strategy<C> {
  // The array of the last `changed`: only compared, never read.
  let told: readonly C[] | undefined;
  // Weak, so that candidates that are gone can be collected.
  const slots = new WeakMap<C, Slot<C>>();
  let all: readonly Slot<C>[] = [];
  /** The same, as a heap: the first is due first. */
  let heap: Slot<C>[] = [];
  /** A weight of the schedule is relative to this one. */
  let unit = 1;
  /** The mean of the weights by load; 0 if less than two have one. */
  let mean = 0;
  /** The sweep that reads reports: the next slot, what it has found so far, and when the next one begins. */
  let cursor = 0;
  let sum = 0;
  let count = 0;
  let next = -Infinity;

  const read = (slot: Slot<C>, now: number): number => {
    const { candidate: { load } } = slot;
    const weight = load === undefined ? 0 : weightOf(load, errorPenalty);
    if (load !== undefined && weight > 0 && load.at !== slot.reportedAt) {
      slot.reported = weight;
      slot.reportedAt = load.at;
      if (slot.since === Infinity) slot.since = load.at;
    }
    if (slot.since === Infinity) return 0;
    if (now - slot.reportedAt >= expiryMs) {
      slot.since = Infinity;
      return 0;
    }
    return now - slot.since < blackoutMs ? 0 : slot.reported;
  };
  const sweep = (now: number): void => {
    if (cursor === 0) {
      next = now + updateMs;
      sum = count = 0;
    }
    const end = Math.min(cursor + SLICE, all.length);
    for (; cursor < end; cursor++) {
      const slot = all[cursor];
      if (slot === undefined) continue;
      slot.counts = read(slot, now);
      if (slot.counts === 0) continue;
      sum += slot.counts;
      count++;
    }
    if (cursor < all.length) return;
    cursor = 0;
    mean = count < 2 ? 0 : sum / count;
  };
  const effective = ({ candidate, counts }: Slot<C>): number => {
    const { weight } = candidate;
    if (mean === 0 || counts === 0) return weight;
    return weight * Math.min(MOST, Math.max(LEAST, counts / mean));
  };
  const slotOf = (candidate: C): Slot<C> => {
    let slot = slots.get(candidate);
    if (slot === undefined) {
      slot = { candidate, due: 0, reported: 0, reportedAt: -Infinity, since: Infinity, counts: 0 };
      slots.set(candidate, slot);
    }
    return slot;
  };
  return {
    name: 'weighted-by-load',
    pick(candidates, { now }) {
      if (candidates !== told) return drawn(candidates, (candidate) => effective(slotOf(candidate)), rng);
      if (cursor > 0 || now >= next) sweep(now);
      const first = heap[0];
      if (first === undefined) return undefined;
      first.due += unit / effective(first);
      sink(heap, 0);
      return first.candidate;
    },
    changed(candidates) {
      told = candidates;
      all = candidates.map(slotOf);
      unit = candidates.reduce((total, { weight }) => total + weight, 0) / candidates.length;
      for (const slot of all) slot.due = rng() * unit / effective(slot);
      heap = [...all].sort((one, other) => one.due - other.due);
      cursor = 0;
      next = -Infinity;
    },
  };
}

/** What a report makes the weight of a candidate; 0 if it does not say enough. */
function weightOf({ applicationUtilization = 0, cpuUtilization = 0, rps = 0, eps = 0 }: LoadReport, penalty: number,
): number {
  const utilisation = applicationUtilization > 0 ? applicationUtilization : cpuUtilization;
  if (!(rps > 0) || !(utilisation > 0)) return 0;
  const weight = rps / (utilisation + eps / rps * penalty);
  return Number.isFinite(weight) ? weight : 0;
}

/** Restores the order of a heap whose slot at `at` is now due later. */
function sink<C>(heap: Slot<C>[], at: number): void {
  const slot = heap[at];
  if (slot === undefined) return;
  for (;;) {
    let below = 2 * at + 1;
    const left = heap[below];
    if (left === undefined) break;
    const right = heap[below + 1];
    const sooner = right !== undefined && right.due < left.due ? right : left;
    if (sooner === right) below++;
    if (sooner.due >= slot.due) break;
    heap[at] = sooner;
    at = below;
  }
  heap[at] = slot;
}

/** One of the candidates, by weight. */
function drawn<C>(candidates: readonly C[], weigh: (candidate: C) => number, rng: () => number): C | undefined {
  let total = 0;
  for (const candidate of candidates) total += weigh(candidate);
  let left = rng() * total;
  for (const candidate of candidates) {
    left -= weigh(candidate);
    if (left < 0) return candidate;
  }
  return candidates.at(-1); // rounding can leave a remainder of a draw near 1
}

/** How many reports a pick reads at most. */
const SLICE = 64;
const LEAST = 0.1;
const MOST = 10;
