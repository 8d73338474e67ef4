import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bar, Progress, showProgress, StallWatch } from '../../src/cli/simulate/progress.ts';

test('the bar fits into the terminal', () => {
  assert.equal(bar(0.5, 29), 'simulating [#####.....]  50%');
  assert.equal(bar(2, 29), 'simulating [##########] 100%');
  for (const columns of [1, 20, 80, 400]) assert.ok(bar(1, columns).length < Math.max(columns, 19));
});

test('nothing is drawn where there is no terminal', () => {
  const written: string[] = [];
  showProgress({ write: (text) => written.push(text) }, () => 0.5)();
  assert.deepEqual(written, []);
});

test('the bar is removed at the end', () => {
  const written: string[] = [];
  showProgress({ isTTY: true, write: (text) => written.push(text) }, () => 0.5)();
  assert.deepEqual(written, ['\r\x1b[K']);
});

test('a thread is stuck if neither requests nor beats grow in so many looks', () => {
  const watch = new StallWatch(3);
  const progress = new Float64Array(4);
  const looks = (): boolean[] => [1, 2, 3].map(() => watch.stuck(progress));
  assert.deepEqual([watch.stuck(progress), ...looks()], [false, false, false, true]);
  for (const which of [Progress.beats, Progress.done]) {
    progress[which] = 1;
    assert.deepEqual(looks(), [false, false, false]);
  }
  assert.equal(watch.stuck(progress), true);
});
