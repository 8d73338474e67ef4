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
import { roundRobin } from '../../strategies/round-robin.ts';
import { meanOfLast } from '../support/mean-of-last.ts';

const least: SimulateOptions['strategy'] = ({ rng }) => leastConnections({ rng });
const ewma: SimulateOptions['strategy'] = ({ rng }) => peakEwma({ rng });

function play(scenario: string, strategy: SimulateOptions['strategy'], seed = 1): SimulationResult {
  const options = SCENARIOS.get(scenario)?.variants[0]?.options;
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
  const bad = starved(meanOfLast, 20);
  assert.ok(bad >= 10, `${bad} of 20`);
  assert.equal(starved(ewma, 40), 0);
});
