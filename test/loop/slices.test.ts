import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { atOnce, Slices, type Work } from '../../src/loop/slices.ts';
import { turns } from '../support/wait.ts';

/** Work of this many slices, which records each. */
function* counting(slices: number, log: number[]): Work<string> {
  for (let i = 0; i < slices; i++) {
    if (i > 0) yield;
    log.push(i);
  }
  return 'done';
}

describe('work in slices', () => {
  test('of one slice is done at once', async () => {
    const log: number[] = [];
    const { done } = new Slices(counting(1, log));
    assert.deepEqual(log, [0]);
    assert.equal(await done, 'done');
  });

  test('is done a slice in each turn of the event loop', async () => {
    const log: number[] = [];
    const { done } = new Slices(counting(4, log));
    for (let i = 0; i < 4; i++) {
      assert.equal(log.length, i + 1);
      await turns(1);
    }
    assert.equal(await done, 'done');
    await turns(3);
    assert.deepEqual(log, [0, 1, 2, 3]);
  });

  test('is finished at once for a caller that cannot wait, and then stops', async () => {
    const log: number[] = [];
    const slices = new Slices(counting(4, log));
    await turns(1);
    assert.equal(log.length, 2);
    slices.finish();
    assert.deepEqual(log, [0, 1, 2, 3]);
    slices.finish();
    assert.equal(await slices.done, 'done');
    await turns(3);
    assert.equal(log.length, 4);
  });

  test('may call finish within a slice', async () => {
    const log: string[] = [];
    const finish: (() => void)[] = [];
    const slices = new Slices(function* (): Work<void> {
      log.push('first');
      yield;
      for (const ask of finish) ask();
      log.push('second');
      yield;
      log.push('third');
    }());
    finish.push(() => {
      slices.finish();
    });
    await slices.done;
    assert.deepEqual(log, ['first', 'second', 'third']);
  });

  for (const slices of [1, 3]) {
    test(`that throws in slice ${slices} rejects, and stops`, async () => {
      const log: number[] = [];
      const broken = new Error('broken');
      const { done } = new Slices(function* (): Work<void> {
        yield* counting(slices, log);
        throw broken;
      }());
      await assert.rejects(done, broken);
      await turns(3);
      assert.equal(log.length, slices);
    });
  }

  test('is done all at once on request', () => {
    const log: number[] = [];
    assert.equal(atOnce(counting(5, log)), 'done');
    assert.equal(log.length, 5);
  });
});
