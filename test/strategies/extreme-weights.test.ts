/**
 * The shipped strategies at extreme weights (0.001 to 1,000,000), and at a ten-thousandth of them, as in a slow start.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rules } from '../../src/testing/rules.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import type { Candidate, Strategy } from '../../src/strategy.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { leastBusy } from '../../strategies/least-busy.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { random } from '../../strategies/random.ts';
import { roundRobin } from '../../strategies/round-robin.ts';

type Loaded = Candidate & { readonly load: number };
const CONTEXT = pickContext();
const seed = testSeed();
const STRATEGIES = {
  'round-robin': roundRobin<Loaded>, random: random<Loaded>,
  'least-connections': leastConnections<Loaded>, 'least-busy': leastBusy<Loaded>,
} as const satisfies Record<string, (seams: { readonly rng: () => number }) => Strategy<Loaded>>;
const PICKS = 20_000;

describe(`weights of every size keep their proportions (EQUIPOISE_SEED=${seed})`, () => {
  for (const [name, make] of Object.entries(STRATEGIES)) {
    for (const unit of [1e-7, 1e-4, 1e-3, 1, 1e5]) {
      for (const told of [true, false]) {
        test(`${name}: 1 to 3 to 6, each by ${unit}, ${told ? 'told' : 'not told'}`, () => {
          const strategy = make({ rng: seededRandom(seed) });
          const candidates: readonly Loaded[] = [1, 3, 6].map((share, i) => {
            return { id: `http://${i}.test`, weight: share * unit, inFlight: 0, load: 0 };
          });
          if (told) strategy.changed?.(candidates);
          const got = new Map<Loaded, number>();
          for (let i = 0; i < PICKS; i++) {
            const picked = strategy.pick(candidates, CONTEXT);
            assert.ok(picked !== undefined, 'declined');
            got.set(picked, (got.get(picked) ?? 0) + 1);
          }
          candidates.forEach((candidate, i) => {
            const p = ([1, 3, 6][i] ?? 0) / 10;
            // Six standard deviations: chance fails it once in 500 million draws; a share off by a tenth fails it, too.
            const bound = 6 * Math.sqrt(PICKS * p * (1 - p));
            const off = Math.abs((got.get(candidate) ?? 0) - PICKS * p);
            assert.ok(off <= bound, `${candidate.id} got ${got.get(candidate) ?? 0} of ${PICKS}`);
          });
        });
      }
    }
  }
});

/** Slots by rounded weights: a weight below one half gets none. */
test('the conformance suite finds a strategy that rounds weights', () => {
  const rule = rules.find(({ title }) => title.includes('extreme weights'));
  assert.ok(rule !== undefined);
  assert.throws(() => {
    rule.check(() => ({
      name: 'slots',
      pick: (candidates) => {
        return candidates.flatMap((each) => Array<typeof each>(Math.min(9, Math.round(each.weight))).fill(each))[0];
      },
    }), seededRandom(seed));
  }, /undefined|never picked/);
});
