import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock } from '../../src/loop/clock.ts';

test('a clock ticks often enough for the shortest timeout that it was told of, until it stops', () => {
  const running: number[] = [];
  const clock = new Clock({
    now: () => 0,
    epoch: () => 0,
    every: (ms) => {
      running.push(ms);
      return () => {
        running.splice(running.indexOf(ms), 1);
      };
    },
  });
  clock.heed(80);
  assert.deepEqual(running, [], 'it has not started');
  clock.start(250, () => undefined);
  for (const [timeoutMs, tickMs] of [[60_000, 250], [800, 100], [1_600, 100], [1, 10], [Infinity, 10]] as const) {
    clock.heed(timeoutMs);
    assert.deepEqual(running, [tickMs]);
  }
  clock.stop();
  clock.heed(1);
  assert.deepEqual(running, []);
});
