/**
 * A strategy that misbehaves ends a simulation with an error that names it, the seed and the request.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SimulateOptions } from '../../src/lab/options.ts';
import { simulate } from '../../src/lab/simulate.ts';
import type { Strategy, Upstream } from '../../src/strategy.ts';

function run(bad: unknown, options: Partial<SimulateOptions> = {}): () => unknown {
  return () => simulate({
    strategy: () => bad as Strategy, upstreams: 3, load: 0.5, requests: 1_000, seed: 5, ...options,
  });
}

/** A strategy that is good until its pick number 100. */
function until100(then: (candidates: readonly Upstream[]) => unknown): Strategy {
  let picks = 0;
  return {
    name: 'bad', pick: (candidates) => (++picks < 100 ? candidates[0] : then(candidates)) as Upstream,
  };
}

describe('a strategy that', () => {
  test('throws', () => {
    assert.throws(run(until100(() => {
      throw new Error('oops');
    })), { code: 'STRATEGY_FAILED', message: 'strategy bad threw in pick: oops (seed 5, request 100)' });
  });

  test('returns a promise', () => {
    assert.throws(run(until100((candidates) => Promise.resolve(candidates[0]))), {
      code: 'STRATEGY_FAILED',
      message: 'strategy bad is asynchronous: pick must return a candidate, not a promise (seed 5, request 100)',
    });
  });

  test('returns a promise that rejects', () => {
    assert.throws(run(until100(() => Promise.reject(new Error('later')))), /is asynchronous/);
  });

  test('picks something else', () => {
    for (const other of [{ id: 'http://server-1' }, 'http://server-1', null]) {
      assert.throws(run(until100(() => other)), {
        code: 'STRATEGY_FAILED', message: 'strategy bad picked something that is not a candidate (seed 5, request 100)',
      });
    }
  });

  test('throws in settled or changed', () => {
    const oops = (): never => {
      throw new Error('oops');
    };
    const first = { name: 'bad', pick: (candidates: readonly Upstream[]) => candidates[0] };
    assert.throws(run({ ...first, settled: oops }), /strategy bad threw in settled: oops \(seed 5, request \d+\)/);
    assert.throws(run({ ...first, changed: oops }), /strategy bad threw in changed: oops \(seed 5, before the first/);
  });

  test('never picks', () => {
    assert.throws(run({ name: 'bad', pick: () => undefined }), {
      code: 'STRATEGY_FAILED',
      message: 'strategy bad never picked: it returned undefined each time (seed 5, request 1000)',
    });
  });

  test('is too slow', () => {
    assert.throws(run(until100((candidates) => candidates[0]), { timeLimitMs: 1e-6 }), {
      code: 'STRATEGY_FAILED',
      message: /^strategy bad is too slow: \d+ of 1000 requests took more than 0\.000001 ms by the real clock; /,
    });
  });

  test('is none', () => {
    assert.throws(run({ name: 'bad' }), { code: 'OPTIONS_INVALID', message: /must return a strategy, with pick/ });
    assert.throws(run(undefined), { code: 'OPTIONS_INVALID' });
  });
});

test('wrong options are listed with their paths', () => {
  const wrong = {
    strategy: 3, upstreams: [{ wait: 1 }], load: -1, seeds: 4, pool: { retries: 1, maxAttempts: -1 },
    faults: [{ server: 9, fromMs: 0, kind: 'sad' }], service: 'exponential',
  };
  assert.throws(() => simulate(wrong as unknown as SimulateOptions), (error: Error) => {
    for (const path of [
      'strategy', 'upstreams[0].wait', 'seeds', 'pool.retries', 'pool.maxAttempts', 'faults[0].server',
      'faults[0].kind', 'service',
    ]) assert.ok(error.message.includes(`  ${path}: `), `${path} in ${error.message}`);
    return true;
  });
});
