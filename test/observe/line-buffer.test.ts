/**
 * The octets of the access log: what is written piece by piece reads as if it had been put together as text.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineBuffer } from '../../src/observe/line-buffer.ts';
import { LineQueue } from '../../src/observe/line-queue.ts';
import { turns } from '../support/wait.ts';

/** The line that `write` writes. */
function written(write: (line: LineBuffer) => void): string {
  const lines = new LineBuffer();
  write(lines);
  lines.end();
  return lines.take().toString('utf8').slice(0, -1);
}

test('numbers read as JavaScript shows them', () => {
  for (const value of [0, 9, 10, 99, 100, 65_536, 999_999_999, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 1.5, -1, NaN]) {
    assert.equal(written((line) => {
      line.number(value);
    }), String(value));
  }
});

test('milliseconds have up to three decimals', () => {
  const cases: [ms: number, text: string][] = [
    [0, '0'], [7, '7'], [0.001, '0.001'], [0.0004, '0'], [1.5, '1.5'], [12.34, '12.34'], [99.9996, '100'],
    [1_000.01, '1000.01'], [86_400_000.125, '86400000.125'], [5e12, '5000000000000'],
  ];
  for (const [ms, text] of cases) {
    assert.equal(written((line) => {
      line.milliseconds(ms);
    }), text);
  }
});

test('a JSON string is one for each character, in visible ASCII', () => {
  const all = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code));
  for (const text of ['', 'plain', '\ud800', '漢', ...all, all.join(''), 'x'.repeat(100_000)]) {
    const line = written((to) => {
      to.json(text);
    });
    assert.match(line, /^[\x20-\x7e]*$/);
    assert.equal(JSON.parse(line), text);
  }
});

test('a line that was not ended is dropped, and whole lines grow beyond any size', () => {
  const lines = new LineBuffer();
  lines.utf8('é漢');
  lines.end();
  for (const size of [1, 100_000, 1_000_000]) {
    lines.ascii('half a line');
    lines.drop();
    lines.ascii('x'.repeat(size));
    lines.end();
  }
  lines.ascii('half a line');
  assert.deepEqual(lines.take().toString().split('\n').map((line) => line.length), [2, 1, 100_000, 1_000_000, 0]);
  assert.equal(lines.take().length, 0);
});

test('octets that were handed over stay as they are until their promise settles', async () => {
  const calls: { readonly lines: Buffer; readonly done: () => void }[] = [];
  const queue = new LineQueue((lines) => new Promise<void>((done) => {
    calls.push({ lines, done });
  }), String);
  const add = (text: string): void => {
    queue.line.ascii(text);
    void queue.add();
  };
  add('first');
  await turns(3);
  add('second');
  queue.flush();
  add('third');
  assert.deepEqual(calls.map(({ lines }) => lines.toString()), ['first\n', 'second\n']);
  calls[0]?.done();
  await turns(3);
  add('fourth');
  assert.deepEqual(calls.slice(1).map(({ lines }) => lines.toString()), ['second\n', 'third\n']);
  calls[2]?.done();
  await turns(3);
  queue.flush();
  for (const { done } of calls) done();
  assert.equal(calls[3]?.lines.toString(), 'fourth\n');
  assert.equal(calls[3].lines.buffer, calls[0]?.lines.buffer, 'the memory is used again');
  await queue.close();
});
