import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bar, showProgress } from '../../src/cli/simulate/progress.ts';

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
