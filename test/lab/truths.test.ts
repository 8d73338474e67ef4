/**
 * The simulator gives the means of queueing theory, within what so few requests can show. truths.long.test.ts has more.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bursty, constant, poisson } from '../../src/lab/arrivals.ts';
import { exponential } from '../../src/lab/service.ts';
import { simulate } from '../../src/lab/simulate.ts';
import type { Strategy } from '../../src/strategy.ts';
import { random } from '../../strategies/random.ts';
import { burstySplit, central, choicesLimit, constantSplit, erlang, halfWidth, TRUTHS } from '../support/lab-truths.ts';

/** Rare long ones decide the mean of work that varies much: it takes more requests to show. */
const requestsFor = (spread: number): number => (spread > 2 ? 30_000 : 10_000);

describe('mean times', () => {
  for (const { name, options, mean, load, spread } of TRUTHS) {
    const requests = requestsFor(spread);
    test(`${name}: ${mean.toFixed(4)}, of ${requests} requests`, () => {
      const result = simulate({ ...options, requests });
      const tolerance = Math.min(0.35, 1.5 * halfWidth(load, requests, spread));
      assert.ok(Math.abs(result.meanMs / mean - 1) < tolerance,
        `got ${result.meanMs}, which is not within ${(100 * tolerance).toFixed(1)}%`);
      assert.equal(result.failed, 0);
    });
  }
});

test('the formulas give the published values', () => {
  const near = (value: number, wanted: number): void => {
    assert.ok(Math.abs(value - wanted) < 0.0001, `${value} is not ${wanted}`);
  };
  near(erlang(2, 0.5), 1.618);
  near(erlang(2, 0.9), 7.5883);
  near(erlang(10, 0.9), 5.6603);
  near(central(2, 0.7), 1.96078);
  near(central(10, 0.9), 1.66873);
  near(choicesLimit(2, 0.9), 2.6141);
  near(choicesLimit(3, 0.5), 1.1252);
  near(constantSplit(1, 0.5, true), 1.25500);
  near(constantSplit(5, 0.8, true), constantSplit(1, 0.8, false));
  near(constantSplit(1_000_000, 0.8, false), 5);
  near(burstySplit(1, 0.6, 1, 0.3, 20), 2.5);
  near(burstySplit(1, 0.6, 3, 0.3, 20), 7.1716);
});

test('arrivals find a server busy as often as it is busy', () => {
  let busy = 0;
  let picks = 0;
  const counting = (inner: Strategy): Strategy => ({
    name: 'counting',
    pick(candidates, context) {
      const picked = inner.pick(candidates, context);
      picks++;
      if (picked !== undefined && picked.inFlight > 0) busy++;
      return picked;
    },
  });
  const result = simulate({
    strategy: ({ rng }) => counting(random({ rng })), upstreams: 4, load: 0.6, requests: 100_000,
  });
  assert.ok(Math.abs(busy / picks - 0.6) < 0.01, `${busy} of ${picks}`);
  const utilisation = result.upstreams.reduce((sum, each) => sum + each.utilisation, 0) / 4;
  assert.ok(Math.abs(utilisation - 0.6) < 0.01, `utilisation ${utilisation}`);
});

describe('arrivals come at their rate', () => {
  for (const [arrivals, tolerance] of [[poisson(), 0.02], [constant(), 0.0001], [bursty(), 0.05]] as const) {
    test(arrivals.name, () => {
      const { durationMs } = simulate({
        strategy: ({ rng }) => random({ rng }), upstreams: 10, ratePerSecond: 500, arrivals, service: exponential(2),
        requests: 50_000,
      });
      assert.ok(Math.abs(durationMs / 100_000 - 1) < tolerance, `50,000 requests took ${durationMs} ms`);
    });
  }
});
