/**
 * The gate: what passes, what does not, and what its error says.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { leastConnections } from '../../strategies/least-connections.ts';
import { powerOfTwo } from '../../strategies/power-of-two.ts';
import { random } from '../../strategies/random.ts';
import { exponential, gate, GateError, type GateOptions, type Scenario } from '../../src/lab/index.ts';
import type { Strategy, Upstream } from '../../src/strategy.ts';

const scratch = mkdtempSync(join(tmpdir(), 'equipoise-gate-test-'));
after(() => {
  rmSync(scratch, { recursive: true, force: true });
});

const small: Scenario = {
  name: 'small',
  about: 'One of four servers is slow.',
  unit: 'ms',
  variants: [{
    options: {
      upstreams: 4, load: 0.6, service: exponential(20), requests: 2_000,
      faults: [{ server: 1, fromMs: 2_000, toMs: 8_000, kind: 'slow', factor: 3 }],
    },
  }],
};
const ofRandom: GateOptions['strategy'] = ({ rng }) => random({ rng });
const ofTwo: GateOptions['strategy'] = ({ rng }) => powerOfTwo({ rng });
/** The worst of all. */
const mostInFlight = (): Strategy => ({
  name: 'most-in-flight',
  pick: (candidates) => candidates.reduce((one, other) => other.inFlight > one.inFlight ? other : one),
});
/** The same as random, by other numbers. */
const otherRandom: GateOptions['strategy'] = ({ rng }) => {
  rng();
  return random({ rng });
};

function gated(options: Partial<GateOptions>): ReturnType<typeof gate> {
  return gate({ strategy: ofRandom, against: ofRandom, scenario: small, report: scratch, ...options });
}

async function fails(options: Partial<GateOptions>): Promise<GateError> {
  const error = await gated(options).then(() => undefined, (cause: unknown) => cause);
  assert.ok(error instanceof GateError, `not an error of the gate: ${String(error)}`);
  return error;
}

test('a better strategy passes, and so does the same one', async () => {
  for (const strategy of [ofRandom, ofTwo]) {
    const { verdict, seeds, findings } = await gated({ strategy });
    assert.deepEqual({ verdict, seeds, measures: findings.map(({ measure }) => measure) },
      { verdict: 'no worse', seeds: 5, measures: ['p99'] });
    assert.ok(findings.every(({ excess }) => excess.high <= 0));
  }
});

test('a worse strategy fails, and the error says how to see it', async () => {
  const error = await fails({ strategy: mostInFlight });
  assert.equal(error.code, 'ERR_ASSERTION');
  assert.deepEqual([error.actual, error.expected, error.operator], ['worse', 'no worse', 'gate']);
  assert.match(error.message, /^most-in-flight against random in small: worse\n/);
  assert.match(error.message, /\n {2}p99 \S+ ms against \S+ ms, difference \S+ ms \(\S+ ms to \S+ ms\): worse\n/);
  assert.match(error.message, /\n {2}seeds: 1 to 5, worst [1-5]; confidence 0.95, tolerance 0\n/);
  assert.match(error.message, /npx equipoise simulate --scenario small --strategy \S+ --strategy random --seed [1-5]$/);
  const path = /\n {2}plot: (.*)\n/.exec(error.message)?.[1] ?? '';
  assert.equal(path, error.result.report);
  assert.match(readFileSync(path, 'utf8'), /^<!doctype html>[^]*most-in-flight[^]*<svg/);
});

describe('where the seeds show neither', () => {
  test('it fails by default, after the last seed, and says what to do', async () => {
    const error = await fails({ strategy: otherRandom, seeds: 12 });
    assert.equal(error.actual, 'undecided');
    assert.equal(error.result.seeds, 12);
    assert.match(error.message, /^random \(tested\) against random in small: not shown to be no worse \(undecided\)\n/);
    assert.match(error.message, /12 seeds show neither: allow a tolerance, such as 0.05, or more seeds than 12; /);
  });
  test('it passes with undecided: pass', async () => {
    assert.equal((await gated({ strategy: otherRandom, seeds: 5, undecided: 'pass' })).verdict, 'undecided');
  });
  test('a tolerance decides', async () => {
    const { verdict, findings: [finding] } = await gated({ strategy: otherRandom, seeds: 5, tolerance: 2 });
    assert.equal(verdict, 'no worse');
    assert.ok((finding?.excess.value ?? 0) < 0);
  });
});

test('the same options give the same figures', async () => {
  const strategy: GateOptions['strategy'] = ({ rng }) => leastConnections({ rng });
  assert.deepEqual(await gated({ strategy }), await gated({ strategy }));
});

test('failing fast does not help: the share that failed must not be worse either', async () => {
  const strategy: GateOptions['strategy'] = ({ rng }) => {
    const inner = leastConnections({ rng });
    return {
      name: 'selective',
      pick: (candidates: readonly Upstream[], context) => {
        return candidates.every(({ inFlight }) => inFlight > 0) ? undefined : inner.pick(candidates, context);
      },
    };
  };
  const { message, result } = await fails({ strategy });
  assert.deepEqual(result.findings.map(({ measure, verdict }) => [measure, verdict]),
    [['p99', 'no worse'], ['failed', 'worse']]);
  assert.match(message, /failed \S+% against 0.00%, difference \S+% \(\S+% to \S+%\): worse/);
});

test('a fault of the strategy comes as it is', async () => {
  const strategy = (): Strategy => ({ name: 'none', pick: () => undefined });
  await assert.rejects(gated({ strategy }), { code: 'STRATEGY_FAILED' });
});

test('each variant of a scenario counts', async () => {
  const conditions = small.variants[0]?.options ?? { upstreams: 1 };
  const variants = [0.3, 0.6].map((load) => ({ key: { load }, options: { ...conditions, load } }));
  const scenario = { ...small, variants };
  const { findings } = await gated({ strategy: ofTwo, scenario });
  assert.deepEqual(findings.map(({ key }) => key), [{ load: 0.3 }, { load: 0.6 }]);
  const { message } = await fails({ strategy: mostInFlight, scenario });
  assert.match(message, /p99 at load 0.6 /);
});

test('without a directory for the report, none is written if it passes', async () => {
  const { report } = await gate({ strategy: ofRandom, against: ofRandom, scenario: small });
  assert.equal(report, undefined);
});

test('what is wrong with the options is listed', async () => {
  const wrong = {
    strategy: random(), scenario: 'one-slo', measure: 'p95', confidence: 95, tolerance: -1, seeds: 2, requests: 5,
    undecided: 'maybe', repor: 'x',
  };
  await assert.rejects(gate(wrong as unknown as GateOptions), (error: Error & { code: string }) => {
    assert.equal(error.code, 'OPTIONS_INVALID');
    const names = error.message.split('\n').slice(1).map((line) => line.trim().split(':')[0]);
    assert.deepEqual(names, ['repor', 'strategy', 'against', 'scenario', 'measure', 'confidence', 'tolerance',
      'undecided', 'seeds', 'requests']);
    return true;
  });
});
