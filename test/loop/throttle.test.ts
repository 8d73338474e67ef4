import assert from 'node:assert/strict';
import { test } from 'node:test';
import { andMore, Throttle } from '../../src/loop/throttle.ts';

function made(): { throttle: Throttle; at: (ms: number) => void } {
  let now = 0;
  return {
    throttle: new Throttle(() => now),
    at: (ms) => {
      now = ms;
    },
  };
}

test('a key passes once a second, with the count of what was held back', () => {
  const { throttle, at } = made();
  const passed = [0, 1, 500, 999, 1_000, 1_001, 2_500, 9_000].map((ms) => {
    at(ms);
    return throttle.pass('a');
  });
  assert.deepEqual(passed, [0, undefined, undefined, undefined, 3, undefined, 1, 0]);
});

test('keys are independent', () => {
  const { throttle } = made();
  assert.deepEqual(['a', 'b', 'a', 'b'].map((key) => throttle.pass(key)), [0, 0, undefined, undefined]);
});

test('ever new keys do not pile up, and each passes', () => {
  const { throttle } = made();
  for (let i = 0; i < 25_000; i++) assert.equal(throttle.pass(`key ${i}`), 0);
  // Forgotten: the first ones pass again.
  assert.equal(throttle.pass('key 0'), 0);
});

test('the count is appended in words to a line', () => {
  assert.deepEqual([0, 1, 12].map(andMore), ['', ' (and 1 more like it)', ' (and 12 more like it)']);
});
