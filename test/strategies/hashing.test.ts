/** What ring hashing, Maglev and rendezvous have in common. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate, PickContext, Strategy } from '../../src/strategy.ts';
import { conformance } from '../../src/testing/conformance.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { maglev } from '../../strategies/maglev.ts';
import { rendezvous } from '../../strategies/rendezvous.ts';
import { ringHash } from '../../strategies/ring-hash.ts';

type By = (context: PickContext<undefined>) => string | undefined;
interface Options { readonly by?: By; readonly rng?: () => number }

const seed = testSeed();
const HASHES: Readonly<Record<string, (options?: Options) => Strategy<Candidate>>> = {
  'ring-hash': (options) => ringHash<Candidate>(options),
  maglev: (options) => maglev<Candidate>({ ...options, tableSize: 5_003 }),
  rendezvous: (options) => rendezvous<Candidate>(options),
};
const KEYS = Array.from({ length: 20_000 }, (_, at) => `10.${at >> 8}.${at & 255}.7`);

function servers(count: number, weight: (at: number) => number = () => 1): Candidate[] {
  return Array.from({ length: count }, (_, at) => ({ id: `http://10.0.0.${at}:80`, weight: weight(at), inFlight: 0 }));
}

/** Where each key goes. */
function placed(strategy: Strategy<Candidate>, candidates: readonly Candidate[], keys = KEYS): readonly Candidate[] {
  return keys.map((remoteAddress) => {
    const picked = strategy.pick(candidates, pickContext({ remoteAddress }));
    assert.ok(picked !== undefined && candidates.includes(picked));
    return picked;
  });
}

for (const [name, make] of Object.entries(HASHES)) {
  describe(`${name} (EQUIPOISE_SEED=${seed})`, () => {
    test('a key stays where it is, in another process and in a list of another order', () => {
      const all = servers(20);
      const [one, other] = [make(), make()];
      one.changed?.(all);
      const before = placed(one, all);
      assert.deepEqual(placed(one, all), before);
      const turned = [...all].reverse();
      other.changed?.(turned);
      assert.deepEqual(placed(other, turned).map(({ id }) => id), before.map(({ id }) => id));
    });

    test('an ejected candidate moves its own keys alone, and they come back', () => {
      const all = servers(20);
      const strategy = make();
      strategy.changed?.(all);
      const before = placed(strategy, all);
      const left = all.filter((_, at) => at !== 7);
      strategy.changed?.(left, all);
      const during = placed(strategy, left);
      for (const [at, was] of before.entries()) if (was !== all[7]) assert.equal(during[at], was);
      const movedTo = new Set(during.filter((_, at) => before[at] === all[7]));
      assert.ok(movedTo.size > 8, `they spread over ${movedTo.size} of 19`);
      strategy.changed?.(all);
      assert.deepEqual(placed(strategy, all), before);
    });

    test('a retry, whose array is another one, goes to another candidate', () => {
      const all = servers(5);
      const strategy = make();
      strategy.changed?.(all);
      for (const remoteAddress of KEYS.slice(0, 200)) {
        const context = pickContext({ remoteAddress });
        const first = strategy.pick(all, context);
        const rest = all.filter((each) => each !== first);
        const second = strategy.pick(rest, context);
        assert.ok(second !== undefined && rest.includes(second));
      }
    });

    test('a weight of 3 gets three times the keys of a weight of 1', () => {
      const all = servers(20, (at) => (at < 10 ? 3 : 1));
      const strategy = make();
      strategy.changed?.(all);
      const heavy = placed(strategy, all).filter(({ weight }) => weight === 3).length / KEYS.length;
      assert.ok(Math.abs(heavy - 0.75) < 0.05, `the heavy ones got ${heavy}`);
    });

    test('requests without a key are spread', () => {
      const all = servers(4);
      for (const by of [(): undefined => undefined, (): string => '']) {
        const strategy = make({ by, rng: seededRandom(seed) });
        strategy.changed?.(all);
        const got = new Map<Candidate, number>();
        for (const picked of placed(strategy, all, KEYS.slice(0, 4_000))) got.set(picked, (got.get(picked) ?? 0) + 1);
        for (const each of all) assert.ok((got.get(each) ?? 0) > 500, `${each.id} got ${got.get(each) ?? 0} of 4,000`);
      }
    });
  });

  conformance(name, ({ rng }) => make({ rng }), { spreads: false });
}

test('one of 100 leaves: a ring moves exactly its own keys, and Maglev some more', () => {
  const all = servers(100);
  const left = all.filter((_, at) => at !== 42);
  const moved = (strategy: Strategy<Candidate>): { readonly others: number; readonly own: number } => {
    strategy.changed?.(all);
    const before = placed(strategy, all);
    strategy.changed?.(left);
    // The new table is built while the old one is in use.
    for (let pick = 0; pick < 2_000; pick++) placed(strategy, left, KEYS.slice(0, 1));
    const after = placed(strategy, left);
    const changed = before.filter((was, at) => after[at] !== was);
    const own = changed.filter((was) => was === all[42]).length;
    return { own, others: (changed.length - own) / KEYS.length };
  };
  assert.equal(moved(ringHash<Candidate>()).others, 0);
  assert.equal(moved(rendezvous<Candidate>()).others, 0);
  const { others } = moved(maglev<Candidate>());
  assert.ok(others < 0.009, `Maglev moved ${others} of the other keys`);
});

test('shares of Maglev differ by less than a percent or so of what a ring of ten points has', () => {
  const all = servers(100);
  const deviation = (strategy: Strategy<Candidate>): number => {
    strategy.changed?.(all);
    const got = new Map<Candidate, number>();
    // By the table itself: keys that are spread evenly would hide it in their own noise.
    for (const picked of placed(strategy, all)) got.set(picked, (got.get(picked) ?? 0) + 1);
    const mean = KEYS.length / 100;
    return Math.sqrt(all.reduce((sum, each) => sum + ((got.get(each) ?? 0) / mean - 1) ** 2, 0) / 100);
  };
  assert.ok(deviation(ringHash<Candidate>({ pointsPerWeight: 10 })) > 0.2);
  // 200 keys each: their own noise is 7%.
  assert.ok(deviation(maglev<Candidate>()) < 0.1);
});

describe('bounded loads', () => {
  for (const [name, make] of Object.entries({
    'ring-hash': () => ringHash<Candidate>({ by: () => 'one key', balanceFactor: 1.25 }),
    rendezvous: () => rendezvous<Candidate>({ by: () => 'one key', balanceFactor: 1.25 }),
  })) {
    test(`${name}: one key alone fills all candidates to at most a quarter above the mean`, () => {
      const all = servers(10, (at) => 1 + at % 2);
      const strategy = make();
      strategy.changed?.(all);
      const open = new Map<Candidate, number>();
      for (let i = 0; i < 1_500; i++) {
        const picked = strategy.pick(all, pickContext());
        assert.ok(picked !== undefined);
        open.set(picked, (open.get(picked) ?? 0) + 1);
        const bound = Math.ceil(1.25 * (i + 1) * picked.weight / 15);
        assert.ok((open.get(picked) ?? 0) <= bound, `${open.get(picked) ?? 0} at pick ${i}`);
      }
      // At a quarter above the mean each, eight in ten hold all.
      assert.ok(open.size >= 8, `${open.size} of 10 take part`);
      const outcome = { ok: true, status: 200, durationMs: 1, error: undefined, now: 0, note: undefined };
      for (const [each, count] of open) for (let i = 0; i < count; i++) strategy.settled?.(each, outcome);
      const first = strategy.pick(all, pickContext());
      assert.equal(first, make().pick(all, pickContext()), 'once all have settled, the key is back where it belongs');
    });
  }
});

test('a large table is built in slices, and no pick meanwhile is one that has left', () => {
  const strategy = ringHash<Candidate>();
  const all = servers(200).concat(Array.from({ length: 300 }, (_, at) => ({ id: `b${at}`, weight: 1, inFlight: 0 })));
  strategy.changed?.(all);
  const left = all.filter((_, at) => at % 3 !== 0);
  strategy.changed?.(left);
  // 33,000 points, by 512 at each pick.
  placed(strategy, left, KEYS.slice(0, 500));
  const fresh = ringHash<Candidate>();
  fresh.changed?.(left);
  assert.deepEqual(placed(strategy, left), placed(fresh, left));
});

test('a size that is no prime is refused', () => {
  for (const tableSize of [65_536, 1, 0, 2.5, NaN]) assert.throws(() => maglev({ tableSize }), /must be a prime/);
});
