/**
 * The rules on shares: what a strategy makes of candidates that are alike, and of weights. Bounds are so far from the
 * fair share that chance fails a rule once in a million runs, and so near to it that a share of .52 of two, in place of
 * .5, is found in 99 of 100.
 */
import assert from 'node:assert/strict';
import type { Rule } from './rule.ts';
import { FakeUpstream, fakes, list } from './stand-in.ts';
import { below, success, Trial } from './trial.ts';

export const fairnessRules: readonly Rule[] = [
  {
    title: 'starves no candidate when all are equal and idle',
    spreads: true,
    check(make, rng, options) {
      for (const [size, times] of [[1, 100], [2, 100], [3, 100], [7, 100], [100, 25]] as const) {
        for (const told of [true, false]) {
          const trial = new Trial(make, rng, options);
          const candidates = fakes(size);
          if (told) trial.changed(candidates);
          const picked = new Set<unknown>();
          // A fair chance of 1/100 misses one of 100 in 2,500 picks once in 10^9 runs.
          for (let i = 0; i < size * times; i++) picked.add(trial.settle(trial.pick(candidates)));
          const starved = candidates.filter((candidate) => !picked.has(candidate)).map(({ id }) => id);
          assert.deepEqual(starved, [], `never picked in ${String(size * times)} picks`);
        }
      }
    },
  },
  {
    title: 'neither floods nor starves a candidate that has not responded yet, beside equal ones that have',
    spreads: true,
    check(make, rng, options) {
      for (const size of [2, 3, 5]) {
        const trial = new Trial(make, rng, options);
        const candidates = fakes(size);
        candidates.forEach((candidate, i) => {
          candidate.answersIn(i === size - 1 ? 0 : 5);
        });
        trial.changed(candidates);
        for (let i = 0; i < PICKS; i++) trial.pick(candidates);
        const got = candidates.at(-1)?.picks ?? 0;
        // A fair chance of 1/5 deviates this far once in forty million runs.
        assert.ok(got >= 1 && got <= 1.4 * PICKS / size, `it got ${got} of ${PICKS} picks among ${size}`);
      }
    },
  },
  {
    title: 'draws ties fairly: of equal candidates, idle or busy, none is favoured for its place',
    spreads: true,
    check(make, rng, options) {
      for (const [size, picks] of [[2, 40_000], [3, 20_000]] as const) {
        for (const inFlight of [0, 2]) {
          const trial = new Trial(make, rng, options);
          const candidates = list(Array.from({ length: size }, (_, i) => new FakeUpstream(i, 1, inFlight)));
          trial.changed(candidates);
          assertShares(trial, candidates, candidates.map(() => 1), picks);
        }
      }
    },
  },
  {
    title: 'picks equal candidates evenly once all has settled, in whatever order, with the notes that picks left',
    spreads: true,
    check(make, rng, options) {
      for (const size of [2, 5]) {
        const trial = new Trial(make, rng, options);
        const candidates = fakes(size);
        trial.changed(candidates);
        for (let round = 0; round < 20; round++) {
          for (let i = 0; i < 3 * size + below(10, rng); i++) trial.pick(candidates);
          for (const at of shuffled(trial.open.length, rng)) trial.answerAt(at);
          while (trial.open.length > 0) trial.settleAt(below(trial.open.length, rng));
        }
        assertShares(trial, candidates, candidates.map(() => 1), 6_000);
      }
    },
  },
  {
    title: 'picks equal candidates evenly after settles of attempts that it did not pick',
    spreads: true,
    check(make, rng, options) {
      const trial = new Trial(make, rng, options);
      const candidates = fakes(3);
      trial.changed(candidates);
      for (let i = 0; i < 30; i++) trial.settle(trial.pick(candidates));
      // A wrapper may have picked these. Counts of the strategy's own must not fall below 0.
      for (let i = 0; i < 50; i++) trial.settleUnpicked(candidates[0], success);
      assertShares(trial, candidates, [1, 1, 1], 6_000);
    },
  },
  {
    title: 'does not herd onto a newcomer, whether attempts end at once or not at all',
    spreads: true,
    check(make, rng, options) {
      for (const ends of [true, false]) {
        const trial = new Trial(make, rng, options);
        const settled = fakes(4);
        trial.changed(settled);
        for (let i = 0; i < 2_000; i++) trial.settle(trial.pick(settled));
        const newcomer = new FakeUpstream(9);
        const candidates = list([...settled, newcomer]);
        trial.changed(candidates);
        for (let i = 0; i < BURST; i++) {
          const picked = trial.pick(candidates);
          if (ends) trial.settle(picked);
        }
        // A fair chance of 1/5 deviates this far once in a billion runs.
        const { picks } = newcomer;
        assert.ok(picks >= 1 && picks <= 1.5 * BURST / 5, `a newcomer got ${picks} of ${BURST} picks among 5`);
      }
    },
  },
  {
    title: 'picks the only idle candidate as often in each place of the list',
    spreads: true,
    check(make, rng, options) {
      const size = 4;
      const picks = 1_500;
      const got = Array.from({ length: size }, (_, place) => {
        const trial = new Trial(make, rng, options);
        const candidates = list(Array.from({ length: size }, (__, i) => new FakeUpstream(i, 1, i === place ? 0 : 1)));
        trial.changed(candidates);
        for (let i = 0; i < picks; i++) trial.settle(trial.pick(candidates));
        return candidates[place]?.picks ?? 0;
      });
      const mean = got.reduce((sum, each) => sum + each, 0) / size;
      const deviation = Math.max(1, Math.sqrt(mean * (1 - mean / picks)));
      assert.ok(got.every((each) => Math.abs(each - mean) <= MOST_DEVIATIONS * deviation),
        `of ${picks} picks, it got ${got.join(', ')} as number ${got.map((_, place) => place + 1).join(', ')}`);
    },
  },
  {
    title: 'picks equal candidates evenly where changed() comes before each pick',
    spreads: true,
    check(make, rng, options) {
      // As while weights grow in slow starts, or an upstream flaps: a cycle that starts anew must not favour the first.
      for (const size of [2, 5]) {
        const trial = new Trial(make, rng, options);
        const candidates = fakes(size);
        const changing = (): readonly FakeUpstream[] => {
          const fresh = list(candidates);
          trial.changed(fresh);
          return fresh;
        };
        assertShares(trial, candidates, candidates.map(() => 1), 3_000, { offered: changing });
      }
    },
  },
  {
    title: 'tries a candidate again that was slow an hour ago',
    spreads: true,
    check(make, rng, options) {
      for (const size of [2, 3, 5]) {
        const trial = new Trial(make, rng, options);
        const candidates = fakes(size);
        trial.changed(candidates);
        const [slow] = candidates;
        for (let i = 0; i < 100 * size; i++) {
          const picked = trial.pick(candidates);
          trial.settle(picked, picked === slow ? { ...success, durationMs: 30_000 } : success);
        }
        const before = slow?.picks ?? 0;
        trial.wait(3_600_000);
        for (let i = 0; i < 500 * size; i++) trial.settle(trial.pick(candidates));
        assert.ok((slow?.picks ?? 0) > before, `never again in ${500 * size} picks among ${size}`);
      }
    },
  },
  {
    title: 'picks in proportion to the weights while all are idle and while nothing settles, if it says that it does',
    spreads: true,
    check(make, rng, options) {
      if (options?.weighted !== true) return;
      for (const weights of [[3, 1], [1, 2, 5], [0.5, 0.5, 4]]) {
        for (const settles of [true, false]) {
          const trial = new Trial(make, rng, options);
          const candidates = list(weights.map((weight, i) => new FakeUpstream(i, weight)));
          trial.changed(candidates);
          assertShares(trial, candidates, weights, settles ? 10_000 : 4_000, { settles });
        }
      }
    },
  },
];

/** Picks of a trial in which nothing settles, so a candidate without a response stays without. */
const PICKS = 800;

/**
 * Each candidate must get its share of the picks. Each settles at once, before the next one, unless nothing `settles`.
 * `offered` gives the array for each pick, if it is not `candidates` itself.
 */
function assertShares(
  trial: Trial, candidates: readonly FakeUpstream[], shares: readonly number[], picks: number,
  { settles = true, offered = () => candidates }: {
    readonly settles?: boolean;
    readonly offered?: () => readonly FakeUpstream[];
  } = {},
): void {
  const before = candidates.map((candidate) => candidate.picks);
  // Those that it does not decline.
  let made = 0;
  for (let i = 0; i < picks; i++) {
    const picked = trial.pick(offered());
    if (picked !== undefined) made++;
    if (settles) trial.settle(picked);
  }
  if (made === 0) return;
  const total = shares.reduce((sum, share) => sum + share, 0);
  for (const [at, candidate] of candidates.entries()) {
    const fair = (shares[at] ?? 0) / total;
    const got = candidate.picks - (before[at] ?? 0);
    const deviation = Math.abs(got - made * fair) / Math.sqrt(made * fair * (1 - fair));
    assert.ok(deviation <= MOST_DEVIATIONS,
      `${candidate.id}, number ${at + 1} of ${candidates.length}, got ${(got / made).toFixed(4)} of ${made} picks, `
        + `where ${fair.toFixed(4)} is fair (${deviation.toFixed(1)} standard deviations)`);
  }
}

/** The numbers below `length`, in any order. */
function shuffled(length: number, rng: () => number): readonly number[] {
  const order = Array.from({ length }, (_, at) => at);
  for (let at = length - 1; at > 0; at--) {
    const other = below(at + 1, rng);
    [order[at], order[other]] = [order[other] ?? 0, order[at] ?? 0];
  }
  return order;
}

const BURST = 600;
/** Among 40,000 picks, .52 is 8 of them from .5. */
const MOST_DEVIATIONS = 5.5;
