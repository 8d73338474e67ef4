/**
 * The rules of promises that only some strategies make: see `keyed` and `leastLoaded` of the options.
 */
import assert from 'node:assert/strict';
import { pickContext } from './pick-context.ts';
import type { Rule } from './rule.ts';
import { FakeUpstream, fakes, list, type StandIn } from './stand-in.ts';
import { type ConformanceOptions, Trial } from './trial.ts';

export const optedRules: readonly Rule[] = [
  {
    title: 'picks the one of two with fewer in flight, if it says that it does',
    check(make, rng, options) {
      if (options?.leastLoaded !== true) return;
      const equal = [[1, 0], [1, 1], [1, 2], [1, 5]] as const;
      // The second has more weight, and less in flight for it.
      const unequal = [[1, 1], [3, 2]] as const;
      const pairs = [...equal.slice(1).map((more) => [more, equal[0]] as const), [[1, 5], [1, 4]] as const];
      for (const pair of options.weighted === true ? [...pairs, unequal] : pairs) {
        for (const order of [[0, 1], [1, 0]] as const) {
          const trial = new Trial(make, rng, options);
          const candidates = list(order.map((at) => new FakeUpstream(at, pair[at][0], pair[at][1])));
          trial.changed(candidates);
          for (let i = 0; i < 50; i++) {
            const picked = trial.choose(candidates);
            const shown = candidates.map(({ inFlight, weight }) => `${inFlight} (weight ${weight})`).join(' and ');
            const at = candidates.findIndex((each) => each === picked);
            assert.ok(picked === undefined || at === order.indexOf(1),
              `of two with ${shown} in flight, it picked number ${at + 1}`);
          }
        }
      }
    },
  },
  {
    title: 'sends a key to one candidate, in whatever order the list is, and as another instance does',
    check(make, rng, options) {
      if (options?.keyed === undefined) return;
      const candidates = fakes(8);
      const before = ownersOf(new Trial(make, rng, options), candidates, options);
      const again = ownersOf(new Trial(make, rng, options), list([...candidates].reverse()), options);
      for (const [key, id] of before) assert.equal(again.get(key), id, `key ${key} moved`);
    },
  },
  {
    title: 'spreads keys that differ in a single place, if it goes by a key',
    check(make, rng, options) {
      if (options?.keyed === undefined) return;
      const owners = [...ownersOf(new Trial(make, rng, options), fakes(8), options)];
      for (let place = 0; place < 4; place++) {
        const own = owners.slice(place * KEYS, (place + 1) * KEYS);
        const counts = fakes(8).map(({ id }) => own.filter(([, owner]) => owner === id).length);
        // A fair chance of 1/8 gives one of eight less than 5 of 200 once in 100,000 runs.
        assert.ok(Math.min(...counts) >= 5,
          `${KEYS} keys like ${own[0]?.[0] ?? ''} and ${own[1]?.[0] ?? ''}: ${counts.join(', ')} of them`);
      }
    },
  },
  {
    title: 'gives a candidate of three times the weight three times as many keys, if it goes by a key and by weights',
    check(make, rng, options) {
      if (options?.keyed === undefined || options.weighted !== true) return;
      const candidates = list([1, 3].map((weight, i) => new FakeUpstream(i, weight)));
      const owners = [...ownersOf(new Trial(make, rng, options), candidates, options)];
      const share = owners.filter(([, owner]) => owner === candidates[1]?.id).length / owners.length;
      assert.ok(share > 0.65 && share < 0.85, `it got ${share.toFixed(3)} of the keys, where 0.75 is fair`);
    },
  },
  {
    title: 'moves few keys but those of a candidate that leaves, if it goes by a key',
    check(make, rng, options) {
      if (options?.keyed === undefined) return;
      const candidates = fakes(8);
      const trial = new Trial(make, rng, options);
      const before = ownersOf(trial, candidates, options);
      const after = ownersOf(trial, list(candidates.slice(1)), options);
      const others = [...before].filter(([, owner]) => owner !== candidates[0]?.id);
      const moved = others.filter(([key, owner]) => after.get(key) !== owner).length;
      // That of the remainder of a hash moves six of seven.
      assert.ok(moved <= 0.2 * others.length,
        `one of 8 left, and ${moved} of ${others.length} keys of the others moved`);
    },
  },
];

/** Where each key goes while all are idle. */
function ownersOf(
  trial: Trial, candidates: readonly StandIn[], { keyed }: ConformanceOptions,
): ReadonlyMap<string, string | undefined> {
  trial.changed(candidates);
  const owners = new Map<string, string | undefined>();
  // A table that is built over several picks is ready in the second round.
  for (let round = 0; round < 2; round++) {
    for (const key of KEYS_BY_PLACE) {
      owners.set(key, trial.choose(candidates, pickContext({ request: {}, now: trial.now, ...keyed?.(key) }))?.id);
    }
  }
  return owners;
}

const KEYS = 200;
/** Addresses that differ in the first place, then in the second, and so on. */
const KEYS_BY_PLACE = [0, 1, 2, 3].flatMap((place) => Array.from({ length: KEYS }, (_, at) => (
  ['10', '20', '30', '40'].with(place, String(at + 41)).join('.'))));
