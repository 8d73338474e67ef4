/**
 * The rules that every strategy must keep.
 */
import assert from 'node:assert/strict';
import { clocksReadBy } from './clocks.ts';
import { cookieRules } from './cookie-rules.ts';
import { fairnessRules } from './fairness-rules.ts';
import { optedRules } from './opted-rules.ts';
import { pickContext } from './pick-context.ts';
import type { Rule } from './rule.ts';
import { FakeUpstream, fakes, list } from './stand-in.ts';
import { below, type ConformanceOptions, failure, type Make, outcomes, reportAt, Trial } from './trial.ts';

export const rules: readonly Rule[] = [
  {
    title: 'has a name',
    check(make, rng) {
      const { name } = make({ rng });
      assert.ok(typeof name === 'string' && name !== '', 'name must be a non-empty string');
    },
  },
  {
    title: 'picks, at once, one of the candidates it is offered',
    check(make, rng, options) {
      for (let size = 1; size <= 9; size++) {
        const trial = new Trial(make, rng, options);
        const candidates = fakes(size);
        trial.changed(candidates);
        for (let i = 0; i < 50; i++) trial.pick(candidates);
        trial.settleAll();
      }
    },
  },
  {
    title: 'stays in range when the rng returns the ends of [0, 1)',
    check(make, rng, options) {
      const ends = [0, 1 - 2 ** -53];
      const extreme = (): number => ends[below(3, rng)] ?? rng();
      for (const weights of [[1], [1, 1, 1], [1, 2, 3], [0.1, 0.2, 0.3, 0.1]]) {
        for (const told of [true, false]) {
          const trial = new Trial(make, extreme, options);
          const candidates = list(weights.map((weight, i) => new FakeUpstream(i, weight)));
          if (told) trial.changed(candidates);
          for (let i = 0; i < 200; i++) trial.pick(candidates);
        }
      }
    },
  },
  {
    title: 'leaves the candidates and their array as they are',
    check(make, rng, options) {
      // Unlike elsewhere, not frozen: outside strict mode, changes to frozen objects are silently ignored.
      const candidates = Array.from(
        { length: 4 },
        (_, i) => new FakeUpstream(i, 4 - i, (3 * i + 2) % 4).snapshot(),
      );
      const before = structuredClone(candidates);
      const trial = new Trial(make, rng, options);
      trial.changed(candidates);
      for (let i = 0; i < 20; i++) trial.choose(candidates);
      assert.deepEqual(candidates, before, 'the strategy changed what it was given');
    },
  },
  {
    title: 'picks for a connection, which has no request',
    check(make, rng, options) {
      const trial = new Trial(make, rng, options);
      const candidates = fakes(3);
      for (let i = 0; i < 20; i++) trial.choose(candidates, pickContext());
    },
  },
  {
    title: 'works on shorter arrays that changed() was not called with, as in a retry or at in-flight limits',
    check(make, rng, options) {
      for (const told of [true, false]) {
        const trial = new Trial(make, rng, options);
        const all = fakes(5);
        if (told) trial.changed(all);
        for (let i = 0; i < 100; i++) {
          let left = all;
          for (let attempt = 1; left.length > 0; attempt++) {
            const picked = trial.pick(left, attempt);
            if (!picked) break;
            trial.settle(picked, failure);
            left = list(left.filter((candidate) => candidate !== picked));
          }
          const free = all.filter(() => rng() < 0.5); // the others are at their in-flight limits
          if (free.length > 0) trial.settle(trial.pick(list(free)));
        }
      }
    },
  },
  {
    title: 'follows candidates that come, go and come back under the same id',
    check(make, rng, options) {
      for (const told of [true, false]) {
        const trial = new Trial(make, rng, options);
        let candidates = fakes(3);
        for (let i = 0; i < 200; i++) {
          const kept = candidates.filter((_, at) => candidates.length < 3 || at !== i % candidates.length);
          candidates = list([...kept, new FakeUpstream(i % 5), ...(i % 7 === 0 ? [new FakeUpstream(100 + i)] : [])]);
          if (told) trial.changed(candidates);
          for (let n = 0; n < 5; n++) trial.pick(candidates);
          if (i % 3 === 0) trial.settleAll();
        }
      }
    },
  },
  {
    title: 'copes with weights of every size',
    check(make, rng, options) {
      const table = [[1], [3, 1], [1, 3], [5, 1, 1], [1000, 1, 1000], [1e-9, 1, 1e9], [0.1, 0.2, 0.3], [7, 7, 7, 7, 6]];
      for (const weights of table) {
        const trial = new Trial(make, rng, options);
        const candidates = list(weights.map((weight, i) => new FakeUpstream(i, weight)));
        trial.changed(candidates);
        for (let i = 0; i < 100; i++) trial.pick(candidates);
        // Weights may change in place, followed by changed().
        candidates.forEach((candidate, i) => {
          candidate.weigh(weights.at(-1 - i) ?? 1);
        });
        trial.changed(candidates);
        for (let i = 0; i < 100; i++) trial.pick(candidates);
      }
    },
  },
  {
    title: 'neither declines nor starves equal candidates at extreme weights, including slow starts',
    spreads: true,
    check(make, rng, options) {
      // Weights go from 1e-3, of which a slow start may show a ten-thousandth, to 1e6.
      for (const weight of [1e-7, 1e-3, 1, 1e6]) {
        for (const told of [true, false]) {
          const trial = new Trial(make, rng, options);
          const candidates = list([0, 1, 2].map((i) => new FakeUpstream(i, weight)));
          if (told) trial.changed(candidates);
          // A fair chance of 1/3 misses 200 times in a row once in 10^35 runs.
          for (let i = 0; i < 200; i++) trial.settle(trial.pick(candidates));
          const starved = candidates.filter(({ picks }) => picks === 0).map(({ id }) => id);
          assert.deepEqual(starved, [], `never picked in 200 picks, with weights of ${weight}`);
          // There must be a pick beside the heaviest candidate, too.
          const mixed = list([...candidates, new FakeUpstream(3, 1e6)]);
          if (told) trial.changed(mixed);
          for (let i = 0; i < 200; i++) trial.settle(trial.pick(mixed));
        }
      }
    },
  },
  {
    title: 'copes with in-flight counts in every order',
    check(make, rng, options) {
      for (const equal of [true, false]) {
        for (const loads of permutations([0, 1, 2, 3, 50])) {
          const trial = new Trial(make, rng, options);
          const candidates = list(loads.map((load, i) => new FakeUpstream(i, equal ? 1 : 1 + i, load)));
          for (let i = 0; i < 10; i++) trial.pick(candidates);
        }
      }
    },
  },
  {
    title: 'copes with loads in every order, which change without changed()',
    check(make, rng, options) {
      for (const loads of [...permutations([0, 0.01, 0.5, 1]), [1, 1, 1, 1]]) {
        const trial = new Trial(make, rng, options);
        const candidates = fakes(4);
        trial.changed(candidates);
        for (const shift of [0, 1, 2]) {
          candidates.forEach((candidate, i) => {
            const load = loads[(i + shift) % loads.length] ?? 0;
            candidate.burden(options?.reports === true ? reportAt(trial.now, { applicationUtilization: load }) : load);
          });
          for (let i = 0; i < 10; i++) trial.pick(candidates);
        }
      }
    },
  },
  {
    title: 'copes with reports of every kind: none, old, empty, or of extreme numbers',
    check(make, rng, options) {
      if (options?.reports !== true) return;
      const numbers = [undefined, 0, 1e-300, 0.5, 1, 1e9];
      const trial = new Trial(make, rng, options);
      const candidates = fakes(5);
      trial.changed(candidates);
      const number = (): number | undefined => numbers[below(numbers.length, rng)];
      for (let i = 0; i < 3_000; i++) {
        const at = trial.now - (rng() < 0.5 ? 0 : 10 ** below(8, rng));
        const [applicationUtilization, cpuUtilization, rps, eps] = [number(), number(), number(), number()];
        const report = reportAt(at, { applicationUtilization, cpuUtilization, rps, eps });
        candidates[below(5, rng)]?.burden(rng() < 0.2 ? undefined : report);
        trial.settle(trial.pick(candidates));
      }
    },
  },
  {
    title: 'copes with counts that are no counts: negative, fractional, NaN, infinite',
    check(make, rng, options) {
      for (const odd of [-1, -1e-9, 0.5, NaN, Infinity, -Infinity]) {
        for (const all of [true, false]) {
          for (const told of [true, false]) {
            const trial = new Trial(make, rng, options);
            const candidates = list([0, 1, 2].map((i) => new FakeUpstream(i, 1 + i, all || i === 1 ? odd : i)));
            if (told) trial.changed(candidates);
            for (let i = 0; i < 20; i++) trial.choose(candidates);
          }
        }
      }
    },
  },
  {
    title: 'takes the time from `now` alone, never from a clock of its own',
    check(make, rng, options) {
      const read = clocksReadBy(() => {
        churn(make, rng, options, 1, 2_000);
      });
      assert.deepEqual(read, [], 'use context.now, and `now` of answered() and settled()');
    },
  },
  {
    title: 'accepts settled() in any order, and for a candidate that is gone',
    check(make, rng, options) {
      for (const order of ['oldest first', 'newest first', 'any']) {
        const trial = new Trial(make, rng, options);
        let candidates = fakes(4);
        trial.changed(candidates);
        for (let round = 0; round < 20; round++) {
          for (let i = 0; i < 10; i++) trial.pick(candidates);
          candidates = list([...candidates.slice(1), new FakeUpstream(10 + round)]);
          trial.changed(candidates);
          while (trial.open.length > 0) {
            const at = order === 'oldest first' ? 0 : order === 'newest first' ? -1 : below(trial.open.length, rng);
            trial.settleAt(at, outcomes[below(outcomes.length, rng)]);
          }
        }
      }
    },
  },
  {
    title: 'accepts changed() at any time: before a pick, twice, with one candidate, with none',
    check(make, rng, options) {
      const trial = new Trial(make, rng, options);
      const three = fakes(3);
      const sets = [[], three, three, three.slice(0, 1), [], [], three, three.slice(1), [...three].reverse()].map(list);
      for (const candidates of sets) {
        trial.changed(candidates);
        if (candidates.length > 0) trial.pick(candidates);
        trial.changed(candidates);
        trial.settleAll();
      }
      trial.changed([]);
      for (let i = 0; i < 10; i++) trial.pick(three);
    },
  },
  {
    title: 'survives 10,000 steps of churn',
    check(make, rng, options) {
      for (const told of [1, 0.5, 0]) churn(make, rng, options, told);
    },
  },
  ...cookieRules,
  ...fairnessRules,
  ...optedRules,
];

/**
 * A random sequence of picks, retries, settles and changes to the set. `told` is the chance that changed() follows a
 * change. The core always calls it, but a wrapper around the strategy may not, and picks must be candidates even then.
 */
function churn(
  make: Make, rng: () => number, options: ConformanceOptions | undefined, told: number, steps = 10_000,
): void {
  const trial = new Trial(make, rng, options);
  const draw = (limit: number): number => below(limit, rng);
  let members = fakes(3);
  const ejected = new Set<FakeUpstream>();
  const seen = new Set(members);
  let candidates = members;
  for (let step = 0; step < steps; step++) {
    const chance = rng();
    if (chance < 0.45 && candidates.length > 0 && trial.open.length < 200) {
      // Now and then in-flight limits take some of the candidates away.
      const free = chance < 0.1 ? list(candidates.filter(() => rng() < 0.5)) : candidates;
      const picked = free.length > 0 ? trial.pick(free) : undefined;
      const others = list(free.filter((candidate) => candidate !== picked));
      if (chance < 0.05 && picked && others.length > 0) {
        trial.settle(picked, failure);
        trial.pick(others, 2);
      }
    } else if (chance < 0.9) {
      trial.settle(trial.open[draw(trial.open.length)], outcomes[draw(outcomes.length)]);
    } else {
      const member = members[draw(members.length)];
      if (chance < 0.93 && members.length < 12) members = list([...members, new FakeUpstream(draw(20), 1 + draw(5))]);
      else if (chance < 0.96) members = list(members.filter((other) => other !== member));
      else if (member && chance < 0.98) {
        member.weigh(1 + draw(5));
        const load = draw(11) / 10;
        member.burden(options?.reports === true ? reportAt(trial.now, { cpuUtilization: load }) : load);
      }
      else if (member && !ejected.delete(member)) ejected.add(member);
      for (const each of members) seen.add(each);
      candidates = list(members.filter((each) => !ejected.has(each)));
      if (rng() < told) trial.changed(candidates);
    }
  }
  trial.settleAll();
  for (const { id, inFlight } of seen) assert.equal(inFlight, 0, `${id} still has attempts in flight`);
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}
