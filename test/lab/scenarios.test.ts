/**
 * The built-in scenarios show what they are about, and files of scenarios are read.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare } from '../../src/lab/compare.ts';
import type { SimulateOptions } from '../../src/lab/options.ts';
import type { SimulationResult } from '../../src/lab/result.ts';
import { readScenario, SCENARIOS } from '../../src/lab/scenarios.ts';
import { simulate } from '../../src/lab/simulate.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { peakEwma } from '../../strategies/peak-ewma.ts';
import { powerOfTwo } from '../../strategies/power-of-two.ts';
import { random } from '../../strategies/random.ts';
import { meanOfLast } from '../support/mean-of-last.ts';

const least: SimulateOptions['strategy'] = ({ rng }) => leastConnections({ rng });
const two: SimulateOptions['strategy'] = ({ rng }) => powerOfTwo({ rng });
const ewma: SimulateOptions['strategy'] = ({ rng }) => peakEwma({ rng });
const byRandom: SimulateOptions['strategy'] = ({ rng }) => random({ rng });

function play(
  scenario: string, strategy: SimulateOptions['strategy'], others: Partial<SimulateOptions> = {}, variant = 0,
): SimulationResult {
  const options = SCENARIOS.get(scenario)?.variants[variant]?.options;
  assert.ok(options !== undefined);
  return simulate({ ...options, strategy, ...others });
}

test('every scenario says what it is about, and can be played', () => {
  for (const [name, { about, unit, variants }] of SCENARIOS) {
    assert.ok(about.length > 200 && about.includes('Look at') && about.includes('Source: '), name);
    assert.ok(unit === 'ms' || name === 'stale-board');
    for (const { options } of variants) simulate({ ...options, strategy: least, requests: 500 });
  }
  assert.deepEqual([...SCENARIOS.keys()], [
    'linkerd-2016', 'starvation', 'slow-once', 'stale-board', 'full-outage', 'rolling-deploy', 'cold-cache', 'one-slow',
    'gc-pauses',
  ]);
});

test('slow-once: the mean of the last latencies starves the server that was slow in every seed, ours in none', () => {
  const SEEDS = [1, 2, 3, 4];
  const smallest = (strategy: SimulateOptions['strategy']): readonly number[] => SEEDS.map((seed) => (
    Math.min(...play('slow-once', strategy, { seed, requests: 8_000 }).upstreams.map(({ share }) => share))));
  for (const share of smallest(meanOfLast)) assert.ok(share <= 0.002, `${share} of the requests`);
  for (const ours of [ewma, two, least]) {
    const shares = smallest(ours);
    assert.ok(Math.min(...shares) > 0.05, shares.join());
  }
});

test('starvation: peak EWMA starves no server', () => {
  for (let seed = 1; seed <= 8; seed++) {
    for (const { id, share } of play('starvation', ewma, { seed }).upstreams) {
      assert.ok(share > 0.01, `seed ${seed}: ${id} got ${share}`);
    }
  }
});

test('stale-board: the shortest queue is better than two choices up to an age of 0.5, and worse from 1 on', () => {
  for (const seed of [1, 2]) {
    const mean = (strategy: SimulateOptions['strategy'], variant: number): number => {
      return play('stale-board', strategy, { requests: 20_000, seed }, variant).meanMs;
    };
    const orders = [[0, least, two], [1, least, two], [2, two, least], [3, two, least]] as const;
    for (const [variant, better, worse] of orders) {
      assert.ok(mean(better, variant) < 0.97 * mean(worse, variant), `seed ${seed}, variant ${variant}`);
    }
    const old = mean(least, 4);
    assert.ok(old > mean(byRandom, 4) && mean(two, 4) < old / 2);
  }
});

test('stale-board: a board of age 0 is none, and one that is renewed all the time is nearly none', () => {
  const { boardMs, ...options } = SCENARIOS.get('stale-board')?.variants[0]?.options ?? { upstreams: 1 };
  assert.equal(boardMs, 0);
  const short = { ...options, strategy: two, requests: 2_000 };
  const none = simulate(short);
  assert.equal(simulate({ ...short, boardMs: 0 }).meanMs, none.meanMs);
  assert.ok(Math.abs(simulate({ ...short, boardMs: 0.001 }).meanMs / none.meanMs - 1) < 0.05);
});

test('random looks worse than counting in each scenario that has queues', () => {
  for (const scenario of SCENARIOS.values()) {
    if (scenario.name === 'full-outage') continue;
    const [variant] = scenario.variants;
    assert.ok(variant !== undefined);
    const { differences } = compare({
      strategies: [{ name: 'random', create: byRandom }, { name: 'least', create: least }], seeds: [1, 2, 3, 4, 5],
      options: { ...variant.options, requests: Math.min(6_000, variant.options.requests ?? 0) },
    }).variants[0] ?? { differences: [] };
    if (scenario.name === 'linkerd-2016') continue;
    assert.equal(differences.find(({ measure }) => measure === 'mean')?.better, 'least', scenario.name);
  }
});

describe('files of scenarios', () => {
  test('give services and arrivals by name, or by parameters', () => {
    const scenario = readScenario({
      about: 'mine', variants: [
        { options: { upstreams: 3, load: 0.5, service: 'lognormal:2' } },
        { key: { clients: 4 }, options: {
          upstreams: [{ speed: 2 }, {}], arrivals: { name: 'closed', clients: 4, thinkMs: 10 },
          concurrency: 'unlimited', service: { name: 'bimodal', share: 0.2, meanMs: 20 },
        } },
      ],
    }, 'mine.json');
    assert.equal(scenario.name, 'mine.json');
    const [one, other] = scenario.variants;
    assert.equal(one?.options.service?.name, 'lognormal:2');
    assert.deepEqual([other?.options.service?.meanMs, other?.options.service?.name], [20, 'bimodal:0.2,10']);
    assert.equal(other?.options.concurrency, Infinity);
    for (const { options } of scenario.variants) simulate({ ...options, strategy: two, requests: 100 });
  });

  test('have every problem listed with its path', () => {
    const wrong = {
      abuot: 'x', unit: 'weeks', variants: [
        { key: { a: 'b' }, options: { upstreams: 0, load: 0.5 } },
        { options: { upstreams: 1, load: 0.5, service: 'lognormal:-1', arrivals: 'never', strategy: 'x' } },
        {
          options: { upstreams: 1, load: 0.5, pool: { ejectMs: -1 }, faults: [{ server: 4, fromMs: 0, kind: 'down' }] },
        },
        7,
      ],
    };
    assert.throws(() => readScenario(wrong, 'wrong.json'), (error: Error) => {
      for (const path of [
        'abuot', 'unit', 'variants[0].key', 'variants[0].options.upstreams', 'variants[1].options.service',
        'variants[1].options.arrivals', 'variants[1].options.strategy', 'variants[2].options.pool.ejectMs',
        'variants[2].options.faults[0].server', 'variants[3]',
      ]) assert.ok(error.message.includes(`wrong.json: ${path}: `), `${path} in ${error.message}`);
      return true;
    });
    assert.throws(() => readScenario(null, 'no.json'), /no\.json: must be an object/);
  });
});
