import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import type { ListenOptions } from '../../src/balancer.ts';
import { type Arguments, readArguments, readListen } from '../../src/cli/arguments.ts';
import { configure } from '../../src/cli/config.ts';

const NONE: Arguments = readArguments([], []);

describe('where to listen', () => {
  const good: readonly [value: unknown, expected: ListenOptions][] = [
    ['8080', { port: 8080 }],
    [8080, { port: 8080 }],
    ['0', { port: 0 }],
    ['65535', { port: 65_535 }],
    ['127.0.0.1:8080', { host: '127.0.0.1', port: 8080 }],
    ['localhost:8080', { host: 'localhost', port: 8080 }],
    ['my_host.example:1', { host: 'my_host.example', port: 1 }],
    ['[::1]:8080', { host: '::1', port: 8080 }],
    ['[::]:0', { host: '::', port: 0 }],
    ['[::ffff:127.0.0.1]:0', { host: '::ffff:127.0.0.1', port: 0 }],
    ['unix:/run/x.sock', { path: '/run/x.sock' }],
    ['unix:x.sock', { path: 'x.sock' }],
    ['unix:/run/a:b', { path: '/run/a:b' }],
    ['fd:3', { fd: 3 }],
    ['fd:10', { fd: 10 }],
  ];
  for (const [value, expected] of good) {
    test(String(value), () => {
      const problems: string[] = [];
      assert.deepEqual(readListen(value, 'listen', problems), expected);
      assert.deepEqual(problems, []);
    });
  }
  const bad = [
    '', ' ', 'x', '65536', '100000', '-1', '1.5', '0x50', '1e3', '127.0.0.1', '127.0.0.1:', '127.0.0.1:x', ':8080',
    '::1', '::1:8080', '[::1]', '[::1]8080', '[::1]:', '[x]:80', 'a:b:80', 'unix:', 'fd:', 'fd:x', 'fd:-1', 'fd:1.5',
    'http://127.0.0.1:80', null, undefined, true, {}, NaN, -1, 1.5, 65_536,
  ];
  for (const value of bad) {
    test(`${inspect(value)} is no address`, () => {
      const problems: string[] = [];
      readListen(value, 'listen', problems);
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', /^listen: .* is no address; give \[host:\]port, unix:PATH or fd:N, e\.g\./);
    });
  }
});

describe('arguments', () => {
  const table: readonly [argv: readonly string[], expected: Partial<Arguments>][] = [
    [['http://a', 'http://b'], { upstreams: ['http://a', 'http://b'] }],
    [['-l', '1', '--listen', '2', '--listen=3', '-l4'], { listen: ['1', '2', '3', '4'] }],
    [['-s', 'x'], { strategy: 'x' }],
    [['--strategy=x', 'http://a', '--strategy', 'y'], { strategy: 'y', upstreams: ['http://a'] }],
    [['-c', 'x.json'], { config: 'x.json' }],
    [['--drain-timeout', '5'], { drainTimeout: '5' }],
    [['--demo', 'http://a'], { demo: true, upstreams: ['http://a'] }],
    [['--version', '--help'], { version: true, help: true }],
    [['-h'], { help: true }],
    [['--', '--demo'], { upstreams: ['--demo'] }],
  ];
  for (const [argv, expected] of table) {
    test(argv.join(' '), () => {
      const problems: string[] = [];
      assert.deepEqual(readArguments(argv, problems), { ...NONE, ...expected });
      assert.deepEqual(problems, []);
    });
  }
});

describe('the defaults', () => {
  test('port 8080, ten seconds to drain, the default strategy', async () => {
    const problems: string[] = [];
    const args = readArguments(['http://127.0.0.1:3001'], problems);
    const { listen, drainTimeoutMs, options } = await configure(args, problems);
    assert.deepEqual(problems, []);
    assert.deepEqual(listen, [{ port: 8080 }]);
    assert.equal(drainTimeoutMs, 10_000);
    assert.deepEqual([options.upstreams, options.strategy], [['http://127.0.0.1:3001'], undefined]);
  });
  for (const [seconds, ms] of [['0', 0], ['0.5', 500], ['86400', 86_400_000], ['1e3', 1_000_000]] as const) {
    test(`a drain timeout of ${seconds} seconds`, async () => {
      const problems: string[] = [];
      const args = { ...NONE, upstreams: ['http://127.0.0.1:3001'], drainTimeout: seconds };
      assert.equal((await configure(args, problems)).drainTimeoutMs, ms);
      assert.deepEqual(problems, []);
    });
  }
});
