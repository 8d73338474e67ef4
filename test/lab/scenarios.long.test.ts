/**
 * Published experiments, in full length.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SimulateOptions } from '../../src/lab/options.ts';
import type { SimulationResult } from '../../src/lab/result.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { simulate } from '../../src/lab/simulate.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { peakEwma } from '../../strategies/peak-ewma.ts';
import { powerOfTwo } from '../../strategies/power-of-two.ts';
import { roundRobin } from '../../strategies/round-robin.ts';
import { meanOfLast } from '../support/mean-of-last.ts';

const least: SimulateOptions['strategy'] = ({ rng }) => leastConnections({ rng });
const two: SimulateOptions['strategy'] = ({ rng }) => powerOfTwo({ rng });
const ewma: SimulateOptions['strategy'] = ({ rng }) => peakEwma({ rng });

function play(scenario: string, strategy: SimulateOptions['strategy'], seed = 1, variant = 0): SimulationResult {
  const options = SCENARIOS.get(scenario)?.variants[variant]?.options;
  assert.ok(options !== undefined);
  return simulate({ ...options, strategy, seed });
}

describe('linkerd-2016: within 0.001 of the published shares', () => {
  for (const [strategy, wanted] of [[() => roundRobin(), 1 - 30 / 660], [least, 0.9957], [ewma, 0.9993]] as const) {
    test(`${wanted}`, () => {
      const { failed, requests } = play('linkerd-2016', strategy);
      assert.ok(Math.abs(1 - failed / requests - wanted) <= 0.001, `${1 - failed / requests}`);
    });
  }
});

test('starvation: the mean of the last latencies starves a server in 3 of 4 seeds, peak EWMA in none of 40', () => {
  const starved = (strategy: SimulateOptions['strategy'], seeds: number): number => {
    let count = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      if (play('starvation', strategy, seed).upstreams.some(({ share }) => share <= 0.01)) count++;
    }
    return count;
  };
  const bad = starved(meanOfLast, 40);
  assert.ok(bad >= 28, `${bad} of 40`);
  assert.equal(starved(ewma, 40), 0);
});

describe('stale-board: within 5% of the published means', () => {
  // The variants are ages of 0, 0.5, 1, 2 and 5 service times. Those of two and of least are Mitzenmacher's.
  const rows = [[0, 1.87, 3.02], [2, 4.16, 3.43], [4, 14.1, 4.42]] as const;
  for (const [variant, ofLeast, ofTwo] of rows) {
    for (const [strategy, wanted] of [[least, ofLeast], [two, ofTwo]] as const) {
      test(`variant ${variant}: ${wanted}`, () => {
        // One run of 200,000 requests at this load is within 5% or so by itself.
        const means = [1, 2, 3, 4, 5, 6].map((seed) => play('stale-board', strategy, seed, variant).meanMs);
        const mean = means.reduce((sum, each) => sum + each, 0) / means.length;
        assert.ok(Math.abs(mean / wanted - 1) < 0.05, `got ${mean}, the mean of ${means.join(', ')}`);
      });
    }
  }
});
