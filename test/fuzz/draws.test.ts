import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Draw } from './draw.ts';
import { byByte, cutAt } from './pieces.ts';
import { RequestsFuzz } from './requests.ts';
import { ResponsesFuzz } from './responses.ts';
import { shrink } from './shrink.ts';

for (const fuzz of [new RequestsFuzz(), new ResponsesFuzz()]) {
  test(`a draw of ${fuzz.constructor.name} is reproducible, and depends on index and seed`, async () => {
    const drawn = (seed: number, index: number): string => JSON.stringify(fuzz.draw(new Draw(seed, index)));
    const all = Array.from({ length: 500 }, (_, index) => drawn(7, index));
    assert.deepEqual(Array.from({ length: 500 }, (_, index) => drawn(7, index)), all);
    assert.ok(new Set(all).size > 480, 'many draws are the same');
    assert.ok(all.filter((one, index) => one === drawn(8, index)).length < 20, 'many seeds draw the same');
    await fuzz.close();
  });
}

test('pieces add up to the whole, however it is cut', () => {
  for (const offsets of [[], [0], [6], [2, 2, 4], [5, 1, 3]]) assert.equal(cutAt('abcdef', offsets).join(''), 'abcdef');
  assert.deepEqual(cutAt('abcdef', [4, 1]), ['a', 'bcd', 'ef']);
  assert.deepEqual(byByte('ab\xff'), ['a', 'b', '\xff']);
});

test('a finding is shrunk, and stays the same finding', async () => {
  const pieces = cutAt('GET / HTTP/1.1\r\nHost: a.example\r\nX-A: needle\r\nX-B: v\r\n\r\n', [3, 20, 38, 50]);
  const small = await shrink({ pieces, eager: true }, (one) => Promise.resolve(one.pieces.join('').includes('needle')));
  assert.deepEqual(small, { pieces: ['needle'], eager: true });
});
