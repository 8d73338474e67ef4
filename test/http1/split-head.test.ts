import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SplitHead } from '../../src/http1/split-head.ts';

const MAX = 1_000;

/** Adds `text`, after `before` octets of something else and followed by `behind`. */
function add(split: SplitHead, text: string, { before = 0, behind = '', max = MAX } = {}): boolean {
  const bytes = Buffer.from('.'.repeat(before) + text + behind);
  return split.add(bytes, before, bytes.length, max);
}

function text(split: SplitHead): string {
  return split.bytes.toString('latin1', 0, split.size);
}

describe('a head over several reads', () => {
  test('is parsed in place if it comes in one read', () => {
    const split = new SplitHead();
    const bytes = Buffer.from('GET / HTTP/1.1\r\n\r\nbody');
    assert.equal(split.add(bytes, 0, bytes.length, MAX), true);
    assert.equal(split.bytes, bytes);
    assert.equal(split.end(18), 18);
    assert.equal(split.begun, false);
    assert.equal(split.bytes.length, 0);
  });

  test('is parsed again only when another line is complete', () => {
    const split = new SplitHead();
    assert.equal(add(split, 'GET '), true);
    assert.equal(split.keep(), 4);
    assert.equal(split.begun, true);
    assert.equal(add(split, '/ HTTP/1.1\r'), false);
    assert.equal(split.keep(), 11);
    assert.equal(add(split, '\nHost'), true);
    assert.equal(text(split), 'GET / HTTP/1.1\r\nHost');
    assert.equal(split.keep(), 5);
    assert.equal(add(split, ': a\r\n\r\n', { behind: 'next' }), true);
    assert.equal(text(split), 'GET / HTTP/1.1\r\nHost: a\r\n\r\nnext');
    // 7 octets of the last read belonged to it.
    assert.equal(split.end(27), 7);
    assert.equal(split.begun, false);
  });

  test('may start in the middle of a read', () => {
    const split = new SplitHead();
    assert.equal(add(split, 'GET', { before: 10 }), true);
    assert.equal(text(split), 'GET');
    assert.equal(split.keep(), 13);
    add(split, ' /\n', { behind: 'x' });
    assert.equal(text(split), 'GET /\nx');
    assert.equal(split.end(6), 3);
  });

  test('is kept as a copy: the read buffer is reused', () => {
    const split = new SplitHead();
    const bytes = Buffer.from('GET');
    split.add(bytes, 0, 3, MAX);
    split.keep();
    bytes.fill('x');
    assert.equal(text(split), 'GET');
  });

  test('takes no more than its limit, and is parsed when that is reached', () => {
    const split = new SplitHead();
    add(split, 'abcde', { max: 8 });
    split.keep();
    assert.equal(add(split, 'fghij', { max: 8 }), true);
    assert.equal(text(split), 'abcdefgh');
    assert.equal(split.keep(), 3);
  });

  test('is dropped by clear', () => {
    const split = new SplitHead();
    add(split, 'abc');
    split.keep();
    split.clear();
    assert.equal(split.begun, false);
    assert.equal(add(split, 'GET'), true);
    assert.equal(text(split), 'GET');
  });
});
