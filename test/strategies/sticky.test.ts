/** `sticky` by itself: what it reads, what it sets, and what its inner strategy hears. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate, PickContext, Strategy, Upstream } from '../../src/strategy.ts';
import { conformance } from '../../src/testing/conformance.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { random } from '../../strategies/random.ts';
import { ringHash } from '../../strategies/ring-hash.ts';
import { sticky, type StickyOptions } from '../../strategies/sticky.ts';

conformance('sticky', ({ rng }) => sticky<Candidate>(random<Candidate>({ rng })));
conformance('sticky around a strategy with notes and counts', ({ rng }) => (
  sticky<Candidate>(ringHash<Candidate>({ rng, balanceFactor: 1.5 }))), { spreads: false });

/** Picks the first candidate. */
const FIRST: Strategy = { name: 'inner', pick: ([one]) => one };

function upstreams(count: number): Upstream[] {
  return Array.from({ length: count }, (_, at) => (
    { id: `http://10.0.0.${at}:80`, weight: 1, inFlight: 0, maxInFlight: Infinity } as Upstream));
}

/** One pick with these cookies; the header lines that it adds are in `set`. */
function picking(
  strategy: Strategy, candidates: readonly Upstream[], cookie?: string, parts: Partial<PickContext> = {},
): { readonly picked: Upstream | undefined; readonly set: readonly string[]; readonly note: unknown } {
  const set: string[] = [];
  const context = pickContext({
    ...parts,
    request: { header: (name: string) => (name === 'cookie' ? cookie : undefined) },
    respondWith: (name, value) => set.push(`${name}: ${value}`),
  });
  const picked = strategy.pick(candidates, context);
  return { picked, set, note: context.note };
}

function valueFor(upstream: Upstream, options: StickyOptions = {}): string {
  const { set } = picking(sticky(FIRST, options), [upstream]);
  return /=(\w+);/.exec(set[0] ?? '')?.[1] ?? assert.fail('no cookie');
}

describe('the cookie of sticky', () => {
  test('is set for a new client, with attributes, and not again', () => {
    const all = upstreams(3);
    const strategy = sticky(FIRST);
    strategy.changed?.(all);
    const { picked, set } = picking(strategy, all);
    assert.ok(picked !== undefined && picked === all[0]);
    assert.equal(set.length, 1);
    assert.match(set[0] ?? '', /^Set-Cookie: equipoise=[0-9a-f]{16}; Path=\/; HttpOnly$/);
    const again = picking(strategy, [...all].reverse(), `equipoise=${valueFor(picked)}`);
    assert.deepEqual([again.picked, again.set], [all[0], []]);
  });

  test('has the attributes of the options', () => {
    const { set } = picking(sticky(FIRST, {
      cookie: 'lb', path: '/app', domain: 'example.com', maxAgeSeconds: 60, secure: true, sameSite: 'none',
    }), upstreams(1));
    assert.match(set[0] ?? '',
      /^Set-Cookie: lb=\w{16}; Path=\/app; Domain=example\.com; Max-Age=60; HttpOnly; Secure; SameSite=None$/);
    for (const [sameSite, said] of [['lax', 'Lax'], ['strict', 'Strict']] as const) {
      assert.match(picking(sticky(FIRST, { sameSite }), upstreams(1)).set[0] ?? '', new RegExp(`SameSite=${said}$`));
    }
  });

  test('refuses what would not make a cookie', () => {
    const table: readonly [StickyOptions, RegExp][] = [
      [{ cookie: 'a b' }, /cookie must be/], [{ cookie: '' }, /cookie must be/], [{ path: 'x' }, /path must be/],
      [{ path: '/; Domain=x' }, /path must be/], [{ domain: 'x;y' }, /domain must be/],
      [{ sameSite: 'none' }, /secure must be true/], [{ sameSite: 'Lax' as 'lax' }, /sameSite must be/],
      [{ maxAgeSeconds: 0 }, /maxAgeSeconds must be/], [{ whenFull: 'x' as 'wait' }, /whenFull must be/],
    ];
    for (const [options, message] of table) {
      assert.throws(() => sticky(FIRST, options), { name: 'RangeError', message });
    }
  });

  test('is SipHash-2-4 of the id, under a key of the secret', () => {
    // The example of the paper, for the reference itself.
    const octets = Uint8Array.from({ length: 16 }, (_, at) => at);
    assert.equal(sipHash(octets.subarray(0, 15), word(octets, 0), word(octets, 8)), 0xa129ca6149be45e5n);
    const utf16 = (text: string): Uint8Array => Buffer.from(text, 'utf16le');
    const [one] = upstreams(1);
    assert.ok(one !== undefined);
    for (const secret of ['', 'x', 'a long secret']) {
      for (const id of ['a', 'ab', 'abc', 'abcd', 'http://10.0.0.1:80', 'ünïx', 'x'.repeat(200)]) {
        const [k0, k1] = ['0', '1'].map((number) => sipHash(utf16(number + secret), 0n, 0n));
        assert.equal(
          valueFor({ ...one, id }, { secret }),
          sipHash(utf16(id), k0 ?? 0n, k1 ?? 0n).toString(16).padStart(16, '0'), `${id} under ${secret}`);
      }
    }
  });
});

describe('sticky', () => {
  test('keeps a session through a list of another order, another process, and more upstreams', () => {
    const all = upstreams(20);
    const strategy = sticky(FIRST);
    strategy.changed?.([...all].reverse());
    for (const each of all) {
      const { picked, set } = picking(strategy, [...all].reverse(), `a=b; equipoise=${valueFor(each)}; c=d`);
      assert.deepEqual([picked, set], [each, []]);
    }
  });

  test('knows all of thousands, whether their hashes are there yet or not', () => {
    const all = upstreams(5_000);
    const strategy = sticky(FIRST);
    strategy.changed?.(all);
    for (const at of [0, 4_999, 2_500, 17]) {
      const home = all[at] ?? assert.fail('no such upstream');
      assert.equal(picking(strategy, all, `equipoise=${valueFor(home)}`).picked, home);
    }
  });

  test('moves a session whose upstream is gone, ejected or was tried, and says so', () => {
    const all = upstreams(3);
    const [one, two, three] = all as [Upstream, Upstream, Upstream];
    const cookie = `equipoise=${valueFor(two)}`;
    const strategy = sticky(FIRST);
    const moved = [`Set-Cookie: equipoise=${valueFor(one)}; Path=/; HttpOnly`];
    for (const [candidates, members] of [[[one, three], all], [[one, three], [one, three]]]) {
      strategy.changed?.(candidates ?? [], members);
      const { picked, set } = picking(strategy, candidates ?? [], cookie);
      assert.deepEqual([picked, set], [one, moved]);
    }
    strategy.changed?.(all);
    const retry = picking(strategy, [one, three], cookie, { attempt: 2 });
    assert.deepEqual([retry.picked, retry.set], [one, moved]);
  });

  test('stays on a draining upstream, and waits for a full one or moves', () => {
    const all = upstreams(2);
    const [one, two] = all as [Upstream, Upstream];
    const cookie = `equipoise=${valueFor(two)}`;
    for (const whenFull of ['wait', 'move'] as const) {
      const strategy = sticky(FIRST, { whenFull });
      strategy.changed?.([one], all);
      for (const candidates of [[one], []]) {
        const drained = picking(strategy, candidates, cookie, { draining: [two] });
        assert.deepEqual([drained.picked, drained.set], [two, []]);
      }
      const full = { ...two, inFlight: 3, inFlightElsewhere: 1, maxInFlight: 2 };
      strategy.changed?.([one, full], [one, full]);
      for (const where of ['full', 'draining'] as const) {
        const { picked, set } = picking(strategy, [one], cookie, { [where]: [full] });
        assert.deepEqual([picked?.id, set.length], whenFull === 'wait' ? [two.id, 0] : [one.id, 1], where);
      }
    }
  });

  test('takes the first cookie that names an upstream, and bears with any others', () => {
    const all = upstreams(3);
    const [one, two, three] = all as [Upstream, Upstream, Upstream];
    const strategy = sticky(FIRST);
    strategy.changed?.(all);
    const [second, third] = [valueFor(two), valueFor(three)];
    const none = '0123456789abcdef';
    const table: readonly [cookie: string, Upstream][] = [
      [`equipoise=${second}; equipoise=${third}`, two], [`equipoise=${none}; equipoise=${third}`, three],
      [`equipoise="${second}"`, two], [`equipoise="${second}`, one], [`equipoise=${second}"`, one],
      [` \t equipoise=${second} \t`, two], [`a;;;=;equipoise=${second};`, two], [`equipoise=${second};x`, two],
      [`xequipoise=${second}`, one], [`x=equipoise=${second}`, one], [`Equipoise=${second}`, one],
      ['equipoise', one], ['equipoise=', one], ['=', one], ['', one], [';'.repeat(60_000), one],
      [`equipoise=${second}${'0'.repeat(60_000)}`, one], [`equipoise=${second.toUpperCase()}x`, one],
      ['equipoise=__proto__; equipoise=constructor', one],
      [`${'a=b; '.repeat(10_000)}equipoise=${second}`, two],
      [`${`equipoise=${none}; `.repeat(8)}equipoise=${second}`, one],
    ];
    for (const [cookie, home] of table) {
      const { picked, set } = picking(strategy, all, cookie);
      assert.equal(picked, home, cookie.slice(0, 100));
      assert.equal(set.length, home === one ? 1 : 0, cookie.slice(0, 100));
    }
  });

  test('with a secret, does not understand cookies of another, and two with the same agree', () => {
    const all = upstreams(2);
    const [one, two] = all as [Upstream, Upstream];
    const strategy = sticky(FIRST, { secret: 's' });
    assert.equal(picking(strategy, all, `equipoise=${valueFor(two)}`).picked, one);
    assert.equal(picking(strategy, all, `equipoise=${valueFor(two, { secret: 's' })}`).picked, two);
  });

  test('passes to its inner strategy what that picked, with its notes, and all changes', () => {
    const heard: unknown[] = [];
    const inner: Strategy = {
      name: 'inner',
      pick([one], context) {
        context.note = 'mine';
        return one;
      },
      answered: (_, { note }) => heard.push(['answered', note]),
      settled: (_, { note }) => heard.push(['settled', note]),
      changed: (...told) => heard.push(['changed', ...told.map((list) => list?.length)]),
    };
    const all = upstreams(2);
    const [one, two] = all as [Upstream, Upstream];
    const strategy = sticky(inner);
    assert.deepEqual([strategy.name, strategy.picksFull], ['sticky(inner)', true]);
    strategy.changed?.([one], all);
    for (const cookie of [undefined, `equipoise=${valueFor(one)}`]) {
      const { picked, note } = picking(strategy, [one], cookie);
      assert.ok(picked === one);
      const head = { status: 200, latencyMs: 1, now: 1, note, header: (): undefined => undefined };
      strategy.answered?.(one, head);
      strategy.settled?.(one, { ok: true, status: 200, durationMs: 1, error: undefined, now: 2, note });
    }
    strategy.changed?.(all);
    assert.deepEqual(heard, [['changed', 1, 2], ['answered', 'mine'], ['settled', 'mine'], ['changed', 2, 2]]);
    assert.equal(picking(strategy, [], undefined, { full: [two] }).picked, undefined, 'inner is not asked');
    const bare = sticky(FIRST);
    assert.deepEqual(['answered' in bare, 'settled' in bare], [false, false]);
  });

  test('asks an inner strategy that picks full ones where all are full', () => {
    const all = upstreams(1);
    const strategy = sticky({ name: 'x', picksFull: true, pick: (_, { full = [] }) => full[0] });
    assert.equal(picking(strategy, [], undefined, { full: all }).picked, all[0]);
  });
});

/** The reference: SipHash-2-4 as the paper has it. */
function sipHash(octets: Uint8Array, k0: bigint, k1: bigint): bigint {
  const cut = (number: bigint): bigint => BigInt.asUintN(64, number);
  const turn = (number: bigint, bits: bigint): bigint => cut((number << bits) | (number >> (64n - bits)));
  let [v0, v1, v2, v3] = [
    k0 ^ 0x736f6d6570736575n, k1 ^ 0x646f72616e646f6dn, k0 ^ 0x6c7967656e657261n, k1 ^ 0x7465646279746573n,
  ];
  const rounds = (count: number): void => {
    for (let round = 0; round < count; round++) {
      v0 = cut(v0 + v1);
      v1 = turn(v1, 13n) ^ v0;
      v0 = turn(v0, 32n);
      v2 = cut(v2 + v3);
      v3 = turn(v3, 16n) ^ v2;
      v0 = cut(v0 + v3);
      v3 = turn(v3, 21n) ^ v0;
      v2 = cut(v2 + v1);
      v1 = turn(v1, 17n) ^ v2;
      v2 = turn(v2, 32n);
    }
  };
  const padded = new Uint8Array(8 * (Math.floor(octets.length / 8) + 1));
  padded.set(octets);
  padded[padded.length - 1] = octets.length;
  for (let at = 0; at < padded.length; at += 8) {
    v3 ^= word(padded, at);
    rounds(2);
    v0 ^= word(padded, at);
  }
  v2 ^= 0xffn;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}

function word(octets: Uint8Array, at: number): bigint {
  return new DataView(octets.buffer, octets.byteOffset).getBigUint64(at, true);
}
