/**
 * The memory of a simulation is bounded: it grows with the servers, and not with the requests.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { simulate } from '../../src/lab/simulate.ts';
import type { Strategy } from '../../src/strategy.ts';
import { powerOfTwo } from '../../strategies/power-of-two.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('10,000 servers take less than 100 MB, however many the requests', () => {
  const heapAfter = (requests: number): number => {
    collect();
    const before = process.memoryUsage().heapUsed;
    let picks = 0;
    let heap = 0;
    // The heap while it runs, near the end.
    const measuring = (inner: Strategy): Strategy => ({
      ...inner,
      pick(candidates, context) {
        if (++picks === requests - 100) {
          collect();
          heap = process.memoryUsage().heapUsed - before;
        }
        return inner.pick(candidates, context);
      },
    });
    simulate({ strategy: ({ rng }) => measuring(powerOfTwo({ rng })), upstreams: 10_000, load: 0.7, requests });
    return heap / 2 ** 20;
  };
  const few = heapAfter(30_000);
  const many = heapAfter(120_000);
  assert.ok(few > 1 && few < 100, `${few} MB for 30,000 requests`);
  assert.ok(many < few + 10, `${few} MB for 30,000 requests, and ${many} MB for 120,000`);
});
