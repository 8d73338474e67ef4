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

test('what has the same key passes once a second, with the count of what did not', () => {
  const { throttle, at } = made();
  const passed = [0, 1, 500, 999, 1_000, 1_001, 2_500, 9_000].map((ms) => {
    at(ms);
    return throttle.pass('a');
  });
  assert.deepEqual(passed, [0, undefined, undefined, undefined, 3, undefined, 1, 0]);
});

test('keys do not know of each other', () => {
  const { throttle } = made();
  assert.deepEqual(['a', 'b', 'a', 'b'].map((key) => throttle.pass(key)), [0, 0, undefined, undefined]);
});

test('keys that come for ever do not pile up, and each passes', () => {
  const { throttle } = made();
  for (let i = 0; i < 25_000; i++) assert.equal(throttle.pass(`key ${i}`), 0);
  // Forgotten: the first ones pass again.
  assert.equal(throttle.pass('key 0'), 0);
});

test('the count is words at the end of a line', () => {
  assert.deepEqual([0, 1, 12].map(andMore), ['', ' (and 1 more like it)', ' (and 12 more like it)']);
});
