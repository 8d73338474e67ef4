import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Answered, Candidate, Outcome, Strategy } from '../../src/strategy.ts';
import { conformance } from '../../src/testing/conformance.ts';
import { pickContext } from '../../src/testing/pick-context.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { peakEwma, type PeakEwmaOptions } from '../../strategies/peak-ewma.ts';

const seed = testSeed();
const fast: Candidate = { id: 'fast', weight: 1, inFlight: 0 };
const slow: Candidate = { id: 'slow', weight: 1, inFlight: 0 };
const both = [fast, slow];

function answer(latencyMs: number, now: number, status = 200, headers: Record<string, string> = {}): Answered {
  return { status, latencyMs, now, note: undefined, header: (name) => headers[name] };
}

function outcome(now: number, ok = true, durationMs = 5): Outcome {
  const [status, error] = ok ? [200, undefined] : [undefined, 'CONNECT_REFUSED'];
  return { ok, status, durationMs, error, now, note: undefined };
}

/** A strategy that has had one answer from each. */
function met(options: PeakEwmaOptions = {}): Strategy<Candidate> {
  const strategy = peakEwma<Candidate>({ ...options, rng: seededRandom(seed) });
  for (const each of both) {
    strategy.pick([each], pickContext());
    strategy.answered?.(each, answer(10, 0));
    strategy.settled?.(each, outcome(0));
  }
  return strategy;
}

/** The share of picks that the slow one gets; a fair one has a standard deviation of 0.016. */
function shareOfSlow(strategy: Strategy<Candidate>, now: number): number {
  let got = 0;
  for (let i = 0; i < 1_000; i++) {
    const picked = strategy.pick(both, pickContext({ now }));
    if (picked === slow) got++;
    if (picked !== undefined) strategy.settled?.(picked, outcome(now));
  }
  return got / 1_000;
}

describe(`peakEwma (EQUIPOISE_SEED=${seed})`, () => {
  test('avoids a candidate after its first slow response, and tries it again once that has faded', () => {
    const strategy = met({ decayMs: 1_000 });
    assert.ok(Math.abs(shareOfSlow(strategy, 0) - 0.5) < 0.15);
    strategy.answered?.(slow, answer(500, 0));
    strategy.answered?.(fast, answer(10, 0));
    assert.equal(shareOfSlow(strategy, 0), 0);
    // Both fade alike: the fast one has answers in between.
    strategy.answered?.(fast, answer(10, 8_000));
    assert.ok(shareOfSlow(strategy, 8_000) > 0.9, 'what is left of 500 ms after 8 decays is less than 10 ms');
  });

  test('a failure counts as slow, and so do 429 and 503, for as long as Retry-After says', () => {
    for (const fail of [
      (strategy: Strategy<Candidate>) => strategy.settled?.(slow, outcome(0, false)),
      (strategy: Strategy<Candidate>) => strategy.answered?.(slow, answer(1, 0, 429)),
      (strategy: Strategy<Candidate>) => strategy.answered?.(slow, answer(1, 0, 503)),
    ]) {
      const strategy = met();
      fail(strategy);
      assert.equal(shareOfSlow(strategy, 0), 0);
    }
    const patient = met({ penaltyMs: 1, decayMs: 10_000 });
    patient.answered?.(slow, answer(1, 0, 503, { 'retry-after': '30' }));
    patient.answered?.(fast, answer(100, 0));
    assert.equal(shareOfSlow(patient, 0), 0, '30 s are more than 100 ms');
    const unheeded = met({ penaltyMs: 1 });
    unheeded.answered?.(slow, answer(1, 0, 503, { 'retry-after': 'soon' }));
    unheeded.answered?.(fast, answer(100, 0));
    assert.equal(shareOfSlow(unheeded, 0), 1, 'nonsense counts for nothing');
  });

  test('an error that is fast makes nothing attractive: other statuses are no reason to come', () => {
    const strategy = met();
    strategy.answered?.(fast, answer(10, 0));
    for (let i = 0; i < 20; i++) strategy.settled?.(slow, outcome(0, false, 0));
    assert.equal(shareOfSlow(strategy, 0), 0);
  });

  test('a newcomer gets one request, and more once it has answered', () => {
    const strategy = met();
    const newcomer: Candidate = { id: 'new', weight: 1, inFlight: 0 };
    const three = [fast, newcomer];
    let first = 0;
    for (let i = 0; i < 100; i++) if (strategy.pick(three, pickContext()) === newcomer) first++;
    assert.equal(first, 1, 'while its first request is on its way, it gets no other');
    strategy.answered?.(newcomer, answer(5, 0));
    assert.equal(strategy.pick(three, pickContext()), newcomer);
  });

  test('settling more often than it picked leaves no count below 0', () => {
    const strategy = met();
    for (let i = 0; i < 5; i++) strategy.settled?.(slow, outcome(0));
    strategy.answered?.(slow, answer(5, 0));
    strategy.answered?.(fast, answer(50, 0));
    assert.equal(strategy.pick(both, pickContext()), slow);
  });
});

conformance('peak-ewma', ({ rng }) => peakEwma({ rng }));
