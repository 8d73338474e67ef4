/** `priority`: shares of tiers as Envoy's table has them, and what each tier's strategy sees and hears. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate, Strategy, Upstream } from '../../src/strategy.ts';
import { conformance } from '../../src/testing/conformance.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { peakEwma } from '../../strategies/peak-ewma.ts';
import { priority } from '../../strategies/priority.ts';
import { random } from '../../strategies/random.ts';
import { sticky } from '../../strategies/sticky.ts';

const byPort = ({ id }: Candidate): number => Number(/:(\d+)$/.exec(id)?.[1]) % 2;
conformance('priority, of one tier', ({ rng }) => (
  priority<Candidate>(() => random<Candidate>({ rng }), { tier: () => 0, rng })));
conformance('priority, of one tier and a shared strategy', ({ rng }) => (
  priority<Candidate>(leastConnections<Candidate>({ rng }), { tier: () => 0, rng })));
conformance('priority, of two tiers', ({ rng }) => (
  priority<Candidate>(() => peakEwma<Candidate>({ rng }), { tier: byPort, rng })), { spreads: false });
conformance('sticky around priority', ({ rng }) => (
  sticky<Candidate>(priority<Candidate>(() => random<Candidate>({ rng }), { tier: byPort, rng }))), { spreads: false });

interface Tagged extends Candidate {
  readonly tags: Readonly<Record<string, string>>;
  readonly state: 'active' | 'ejected';
}

/** Upstreams of a tier, the first `ill` of which are ejected. */
function tierOf(tier: string, size: number, ill = 0): Tagged[] {
  return Array.from({ length: size }, (_, at) => (
    { id: `http://${tier}.${at}:80`, weight: 1, inFlight: 0, tags: { tier }, state: at < ill ? 'ejected' : 'active' }));
}

const ROUNDS = 1_000;
const CONTEXT = pickContext();
const TIER = { tier: ({ tags }: Tagged): number => Number(tags['tier']) };
const first = (): Strategy<Tagged> => ({ name: 'first', pick: (candidates) => candidates[0] });

/** What each tier gets, in percent, and how many of it its strategy chose from, by evenly spaced draws. */
function shares(
  told: readonly [candidates: readonly Tagged[], members: readonly Tagged[]], offered = told[0],
): readonly [percent: number, chosenFrom: number][] {
  let draw = 0;
  const seen = new Map<string, number>();
  const got = new Map<string, number>();
  const strategy = priority<Tagged>(() => ({
    name: 'seeing',
    pick(candidates) {
      const tier = candidates[0]?.tags['tier'] ?? '';
      seen.set(tier, candidates.length);
      got.set(tier, (got.get(tier) ?? 0) + 1);
      return candidates[0];
    },
  }), { ...TIER, rng: () => (draw++ + 0.5) / ROUNDS % 1 });
  strategy.changed?.(...told);
  for (let round = 0; round < ROUNDS; round++) {
    const picked = strategy.pick(offered, CONTEXT);
    assert.ok(picked !== undefined && offered.includes(picked));
  };
  const tiers = [...new Set(told[1].map(({ tags }) => tags['tier'] ?? ''))].sort();
  return tiers.map((tier) => [Math.round(1_000 * (got.get(tier) ?? 0) / ROUNDS) / 10, seen.get(tier) ?? 0]);
}

describe('the shares of two tiers', () => {
  // Envoy's documentation, "Priority levels", without its rounding to whole percents.
  const table: readonly [well: readonly [number, number], percents: readonly [number, number]][] = [
    [[100, 100], [100, 0]], [[72, 72], [100, 0]], [[71, 71], [99.4, 0.6]], [[71, 100], [99.4, 0.6]],
    [[50, 100], [70, 30]], [[50, 50], [70, 30]], [[35, 80], [49, 51]], [[25, 100], [35, 65]], [[25, 25], [50, 50]],
    [[5, 65], [7.1, 92.9]], [[0, 100], [0, 100]], [[0, 10], [0, 100]], [[10, 0], [100, 0]],
  ];
  for (const [[one, other], percents] of table) {
    test(`${one}% and ${other}% healthy`, () => {
      const members = [...tierOf('0', 100, 100 - one), ...tierOf('1', 100, 100 - other)];
      const candidates = members.filter(({ state }) => state === 'active');
      assert.deepEqual(shares([candidates, members]).map(([percent]) => percent), percents);
      // A retry, and one that is full, change no share.
      const retry = candidates.filter(({ id }) => !id.includes('.99:'));
      assert.deepEqual(shares([candidates, members], retry).map(([percent]) => percent), percents);
    });
  }

  test('in a panic of the balancer, ejected ones are used where the tier panics, and nowhere else', () => {
    const panicking = (...ill: [number, number]): ReturnType<typeof shares> => {
      const members = [...tierOf('0', 20, ill[0]), ...tierOf('1', 20, ill[1])];
      return shares([members, members]);
    };
    assert.deepEqual(panicking(15, 15), [[50, 20], [50, 20]]);
    assert.deepEqual(panicking(19, 7), [[7.1, 20], [92.9, 13]]);
    assert.deepEqual(panicking(20, 4), [[0, 0], [100, 16]]);
    assert.deepEqual(panicking(20, 20), [[100, 20], [0, 0]]);
    // Enough of the second tier is well to take all.
    const [lost, left] = [tierOf('0', 30, 30), tierOf('1', 2)];
    assert.deepEqual(shares([[...lost, ...left], [...lost, ...left]]), [[0, 0], [100, 2]]);
  });

  test('a tier without room passes its share on', () => {
    const [one, two] = [tierOf('0', 2), tierOf('1', 2)];
    assert.deepEqual(shares([[...one, ...two], [...one, ...two]], two), [[0, 0], [100, 2]]);
    assert.deepEqual(shares([[...one, ...two], [...one, ...two]], one), [[100, 2], [0, 0]]);
  });

  test('those out of service count as ill', () => {
    const members = [...tierOf('0', 2), ...tierOf('1', 2)];
    assert.deepEqual(shares([members.slice(1), members]), [[70, 1], [30, 2]]);
  });
});

test('three tiers: each gets what those before it lack', () => {
  const members = [...tierOf('0', 10, 8), ...tierOf('1', 10, 8), ...tierOf('2', 10)];
  const candidates = members.filter(({ state }) => state === 'active');
  assert.deepEqual(shares([candidates, members]).map(([percent]) => percent), [28, 28, 44]);
});

test('a zone of its own first, then its region, then all: by tags', () => {
  const at = (zone: string, region: string): Tagged => (
    { id: zone, weight: 1, inFlight: 0, state: 'active', tags: { zone, region } });
  const [own, near, far] = [at('a', 'eu'), at('b', 'eu'), at('c', 'us')];
  const nearest = ({ tags: { zone, region } }: Tagged): number => (zone === 'a' ? 0 : region === 'eu' ? 1 : 2);
  const strategy = priority<Tagged>(first, { tier: nearest, rng: () => 0.9 });
  const members = [far, near, own];
  for (const [candidates, picked] of [[members, own], [[far, near], near], [[far], far]] as const) {
    strategy.changed?.(candidates, members);
    assert.equal(strategy.pick(candidates, CONTEXT), picked);
  }
});

test('a tier that is no number is the last, and upstreams may come without changed', () => {
  const [one, none] = [tierOf('0', 1), tierOf('x', 1)];
  const strategy = priority<Tagged>(first, { ...TIER, rng: () => 0 });
  assert.equal(strategy.pick([...none, ...one], CONTEXT), one[0]);
  assert.equal(strategy.pick(none, CONTEXT), none[0]);
  strategy.changed?.(one);
  assert.equal(strategy.pick(none, CONTEXT), none[0]);
  assert.equal(strategy.pick([], CONTEXT), undefined);
});

test('when all that are left are ejected, one of those is picked', () => {
  const members = [...tierOf('0', 4, 2), ...tierOf('1', 4)];
  const strategy = priority<Tagged>(first, { ...TIER, rng: () => 0.99 });
  strategy.changed?.(members.filter(({ state }) => state === 'active'), members);
  const lastResorts = members.slice(0, 2);
  assert.equal(strategy.pick(lastResorts, CONTEXT), lastResorts[0]);
});

test('the strategy that picked hears of it, even if the tier has changed since, and of its own tier alone', () => {
  const heard: string[] = [];
  let made = 0;
  const inner = (): Strategy<Tagged> => {
    const name = `inner ${made++}`;
    return {
      name,
      pick([one], context) {
        context.note = name;
        return one;
      },
      answered: (_, head) => heard.push(`${name} answered ${String(head.note)} ${head.header('x') ?? ''}`),
      settled: (_, { note }) => heard.push(`${name} settled ${String(note)}`),
      changed: (candidates, members) => heard.push(`${name} changed ${candidates.length} ${members?.length ?? '-'}`),
    };
  };
  let swapped = 0;
  const strategy = priority(inner, { tier: ({ tags }) => Math.abs(Number(tags['tier']) - swapped), rng: () => 0 });
  assert.equal(strategy.name, 'priority(inner 0)');
  const members = [...tierOf('0', 2), ...tierOf('1', 3)];
  strategy.changed?.(members.slice(0, 4), members);
  assert.deepEqual(heard.splice(0), ['inner 0 changed 2 2', 'inner 1 changed 2 3']);
  const context = pickContext();
  const picked = strategy.pick(members, context);
  assert.ok(picked !== undefined && picked === members[0]);
  swapped = 1;
  const { note } = context;
  strategy.answered?.(picked, { status: 200, latencyMs: 1, now: 1, note, header: () => 'head' });
  strategy.settled?.(picked, { ok: true, status: 200, durationMs: 1, error: undefined, now: 2, note });
  assert.deepEqual(heard, ['inner 0 answered inner 0 head', 'inner 0 settled inner 0']);
});

test('a shared strategy hears everything, with its own notes', () => {
  const heard: unknown[] = [];
  const strategy = priority<Tagged>({
    name: 'shared',
    picksFull: true,
    pick([one], context) {
      context.note = 'own';
      return one;
    },
    answered: (_, { note }) => heard.push(note),
    settled: (_, { note }) => heard.push(note),
    changed: (...told) => heard.push(told.map((list) => list?.length)),
  }, { ...TIER, rng: () => 0 });
  assert.equal(strategy.picksFull, true);
  const members = [...tierOf('0', 2), ...tierOf('1', 3)];
  strategy.changed?.(members.slice(1), members);
  const context = pickContext();
  const picked = strategy.pick(members, context) ?? assert.fail('no pick');
  const { note } = context;
  strategy.answered?.(picked, { status: 200, latencyMs: 1, now: 1, note, header: () => undefined });
  strategy.settled?.(picked, { ok: true, status: 200, durationMs: 1, error: undefined, now: 2, note });
  assert.deepEqual(heard, [[4, 5], 'own', 'own']);
  const bare = priority<Tagged>(first, TIER);
  assert.deepEqual(['answered' in bare, 'settled' in bare, bare.picksFull], [false, false, undefined]);
});

test('where all are full, the strategy of a tier may wait for one', () => {
  const [full] = tierOf('1', 1) as unknown as [Upstream];
  const strategy = priority(() => ({ name: 'x', picksFull: true, pick: (_, context) => context.full?.[0] }),
    { tier: () => 1 });
  strategy.changed?.([full], [full]);
  assert.equal(strategy.pick([], pickContext({ request: {}, full: [full] })), full);
});

test('refuses a tier that is no function, and a factor below 1', () => {
  assert.throws(() => priority(random(), { tier: 1 as never }), { name: 'TypeError', message: /must be a function/ });
  for (const factor of [0.9, NaN, -1]) {
    assert.throws(() => priority(random(), { tier: () => 1, factor }), { name: 'RangeError', message: /factor must/ });
  }
});
