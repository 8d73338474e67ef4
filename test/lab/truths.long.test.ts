/**
 * The means of queueing theory within 1% up to a load of 0.8, and within 2% at 0.9, or within what MOST requests show.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { simulate } from '../../src/lab/simulate.ts';
import { halfWidth, LONG_TRUTHS, TRUTHS } from '../support/lab-truths.ts';

/** A run of more would take minutes. */
const MOST = 600_000;

/** As many requests as give this half-width, from 300,000 to {@link MOST}. */
function requestsFor(load: number, spread: number, width: number): number {
  return Math.min(MOST, Math.max(300_000, Math.ceil((halfWidth(load, 1, spread) / width) ** 2)));
}

describe('mean times', () => {
  for (const { name, options, mean, load, spread } of [...TRUTHS, ...LONG_TRUTHS]) {
    const wanted = load > 0.8 ? 0.02 : 0.01;
    const requests = requestsFor(load, spread, wanted / 1.5);
    const tolerance = Math.max(wanted, 1.5 * halfWidth(load, requests, spread));
    test(`${name}: ${mean.toFixed(4)}, within ${(100 * tolerance).toFixed(1)}% after ${requests} requests`, () => {
      const { meanMs } = simulate({ ...options, requests, timeLimitMs: Infinity });
      assert.ok(Math.abs(meanMs / mean - 1) < tolerance, `got ${meanMs}`);
    });
  }
});
