import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addressText, authorityText, readListenOptions } from '../../src/options/listen.ts';

describe('an address as text', () => {
  const table: readonly [address: Parameters<typeof addressText>[0], text: string][] = [
    [{ address: '127.0.0.1', family: 'IPv4', port: 8080 }, '127.0.0.1:8080'],
    [{ address: '::1', family: 'IPv6', port: 8080 }, '[::1]:8080'],
    ['/run/equipoise.sock', 'unix:/run/equipoise.sock'],
  ];
  for (const [address, text] of table) test(text, () => { assert.equal(addressText(address), text); });

  test('a name as it is', () => {
    assert.equal(authorityText('localhost', 80), 'localhost:80');
  });
});

describe('where to listen', () => {
  test('is returned as a copy with only the given properties', () => {
    for (const given of [{ port: 0, host: '::1', backlog: 5 }, { path: '/x' }, { fd: 3 }]) {
      const problems: string[] = [];
      const read = readListenOptions(given, 'listen', problems);
      assert.deepEqual([read, problems], [given, []]);
      assert.notEqual(read, given);
    }
  });

  test('may have extra keys, which are ignored', () => {
    const problems: string[] = [];
    assert.deepEqual(readListenOptions({ port: 1, mode: 7 }, 'listen', problems, ['mode']), { port: 1 });
    assert.deepEqual(problems, []);
  });

  test('reports all its problems', () => {
    const problems: string[] = [];
    readListenOptions({ port: 1e6, host: '', backlog: -1, fdd: 3 }, 'at', problems);
    assert.deepEqual(problems.map((problem) => problem.split(':')[0]), ['at.fdd', 'at.port', 'at.host', 'at.backlog']);
  });
});
