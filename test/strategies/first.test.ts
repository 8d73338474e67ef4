/** `first`: a chain of strategies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Candidate, Strategy, Upstream } from '../../src/strategy.ts';
import { conformance } from '../../src/testing/conformance.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { first } from '../../strategies/first.ts';
import { peakEwma } from '../../strategies/peak-ewma.ts';
import { random } from '../../strategies/random.ts';
import { sticky } from '../../strategies/sticky.ts';

const DECLINES: Strategy<Candidate> = { name: 'declines', pick: () => undefined };

conformance('first', ({ rng }) => first<Candidate>(DECLINES, random<Candidate>({ rng })));
conformance('first of first and sticky', ({ rng }) => (
  first<Candidate>(DECLINES, first<Candidate>(DECLINES), sticky<Candidate>(peakEwma<Candidate>({ rng })))));

const [one, two] = [1, 2].map((number) => ({ id: `http://10.0.0.${number}:80`, weight: 1, inFlight: 0 } as Upstream));
const ALL = [one, two] as [Upstream, Upstream];

/** Picks by a header of its own, leaves a note, and writes down what it hears. */
function noting(name: string, heard: string[], picksFull = false): Strategy {
  return {
    name,
    picksFull,
    pick([candidate], context) {
      context.note = `${name}'s`;
      return context.request.header(name) === undefined ? undefined : candidate ?? context.full?.[0];
    },
    answered: (_, head) => heard.push(`${name}: answered ${String(head.note)} ${head.header('x') ?? ''}`),
    settled: (_, { note, ok }) => heard.push(`${name}: settled ${String(note)} ${ok}`),
    changed: (candidates, members) => heard.push(`${name}: changed ${candidates.length} ${members?.length ?? '-'}`),
  };
}

test('takes the first pick; that strategy alone hears of it, with its own note', () => {
  const heard: string[] = [];
  const strategy = first(noting('a', heard), noting('b', heard), first(noting('c', heard)));
  assert.equal(strategy.name, 'first(a, b, first(c))');
  strategy.changed?.([ALL[0]], ALL);
  assert.deepEqual(heard.splice(0), ['a: changed 1 2', 'b: changed 1 2', 'c: changed 1 2']);
  for (const name of ['c', 'b', 'a']) {
    const context = pickContext({ request: { header: (wanted) => (wanted === name ? '' : undefined) } });
    assert.equal(strategy.pick(ALL, context), one);
    const { note } = context;
    strategy.answered?.(ALL[0], { status: 200, latencyMs: 1, now: 1, note, header: () => 'head' });
    strategy.settled?.(ALL[0], { ok: false, status: 200, durationMs: 1, error: undefined, now: 2, note });
    assert.deepEqual(heard.splice(0), [`${name}: answered ${name}'s head`, `${name}: settled ${name}'s false`]);
  }
  assert.equal(strategy.pick(ALL, pickContext({ request: {} })), undefined);
});

test('one that hears nothing costs no note, and does not get what a declining one left', () => {
  const context = pickContext({ request: {} });
  const plain: Strategy = {
    name: 'plain', pick: (candidates, { note }) => (note === undefined ? candidates[1] : undefined),
  };
  const strategy = first(noting('a', []), plain);
  assert.equal(strategy.pick(ALL, context), two);
  assert.equal(context.note, undefined);
  strategy.answered?.(ALL[1], { status: 200, latencyMs: 1, now: 1, note: undefined, header: () => undefined });
  strategy.settled?.(ALL[1], { ok: true, status: 200, durationMs: 1, error: undefined, now: 2, note: undefined });
  const bare = first(plain, plain);
  assert.deepEqual(['answered' in bare, 'settled' in bare, bare.picksFull], [false, false, false]);
});

test('where all are full, asks only those that may pick them', () => {
  const asked = { name: 'x', pick: () => assert.fail('asked') };
  const strategy = first(asked, noting('a', [], true));
  assert.equal(strategy.picksFull, true);
  const request = { header: (): string => '' };
  assert.equal(strategy.pick([], pickContext({ request, full: ALL })), one);
});

test('refuses an empty chain', () => {
  assert.throws(() => first(), { name: 'RangeError', message: /^first: needs at least one strategy/ });
});
