import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Arguments, readArguments } from '../../src/cli/arguments.ts';
import { configure } from '../../src/cli/config.ts';

const NONE: Arguments = readArguments([], []);

describe('arguments', () => {
  const table: readonly [argv: readonly string[], expected: Partial<Arguments>][] = [
    [['http://a', 'http://b'], { upstreams: ['http://a', 'http://b'] }],
    [['-l', '1', '--listen', '2', '--listen=3', '-l4'], { listen: ['1', '2', '3', '4'] }],
    [['-s', 'x'], { strategy: 'x' }],
    [['--shadow', 'least-connections'], { shadow: 'least-connections' }],
    [['--strategy=x', 'http://a', '--strategy', 'y'], { strategy: 'y', upstreams: ['http://a'] }],
    [['-c', 'x.json'], { config: 'x.json' }],
    [['--drain-timeout', '5'], { drainTimeout: '5' }],
    [['--stop-delay', '5', '--reload-timeout=60'], { stopDelay: '5', reloadTimeout: '60' }],
    [['--demo', 'http://a'], { demo: true, upstreams: ['http://a'] }],
    [['--check', '-c', 'x.ts'], { check: true, config: 'x.ts' }],
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
  test('port 8080, ten seconds to drain, an hour after a reload, the default strategy', async () => {
    const problems: string[] = [];
    const args = readArguments(['http://127.0.0.1:3001'], problems);
    const { listen, drainTimeoutMs, stopDelayMs, reloadTimeoutMs, options } = await configure(args, problems);
    assert.deepEqual(problems, []);
    assert.deepEqual(listen, [{ port: 8080 }]);
    assert.deepEqual({ drainTimeoutMs, stopDelayMs, reloadTimeoutMs },
      { drainTimeoutMs: 10_000, stopDelayMs: 0, reloadTimeoutMs: 3_600_000 });
    assert.deepEqual([options.upstreams, options.strategy], [['http://127.0.0.1:3001'], undefined]);
  });
  for (const [seconds, ms] of [['0', 0], ['0.5', 500], ['86400', 86_400_000], ['1e3', 1_000_000]] as const) {
    for (const [name, key] of [
      ['drainTimeout', 'drainTimeoutMs'], ['stopDelay', 'stopDelayMs'], ['reloadTimeout', 'reloadTimeoutMs'],
    ] as const) {
      test(`${name} of ${seconds} seconds`, async () => {
        const problems: string[] = [];
        const args = { ...NONE, upstreams: ['http://127.0.0.1:3001'], [name]: seconds };
        assert.equal((await configure(args, problems))[key], ms);
        assert.deepEqual(problems, []);
      });
    }
  }
});
