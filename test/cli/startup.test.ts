import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inTime, Unsettled } from '../../src/cli/patience.ts';
import { run } from '../support/process-binary.ts';
import { directory } from '../support/process-files.ts';

const ARGS = ['-l', '127.0.0.1:0', 'http://127.0.0.1:9'];

describe('a promise that never resolves is reported at once as wrong configuration', () => {
  const table: readonly [what: string, args: readonly string[], text: string, problem: string][] = [
    ['the factory of a strategy', ['-s', './it.mjs'], 'export default () => new Promise(() => {});',
      'strategy: the factory in ./it.mjs failed: it never resolves: nothing is left to wait for'],
    ['a module with a strategy', ['-s', './it.mjs'], 'await new Promise(() => {});\nexport default {};',
      'strategy: cannot load ./it.mjs: it never resolves: nothing is left to wait for'],
    ['a configuration', ['-c', './it.mjs'], 'await new Promise(() => {});\nexport default {};',
      'config: cannot load ./it.mjs: it never resolves: nothing is left to wait for'],
  ];
  for (const [what, args, text, problem] of table) {
    for (const workers of ['1', '2']) {
      test(`${what}, with ${workers} to serve`, async (t) => {
        const { code, stdout, stderr } = await run([...args, '-w', workers, ...ARGS],
          { cwd: directory(t, { 'it.mjs': text }) });
        assert.deepEqual([code, stdout], [2, '']);
        assert.equal(stderr, `equipoise: ${problem}\nequipoise: See equipoise --help.\n`);
      });
    }
  }
});

describe('a time limit', () => {
  test('rejects if a promise does not resolve in time', async () => {
    const busy = setInterval(() => undefined, 1);
    try {
      await assert.rejects(inTime(new Promise(() => undefined), 5), (error) => {
        return error instanceof Unsettled && error.message === 'it did not resolve within 0.005 s';
      });
    } finally {
      clearInterval(busy);
    }
  });

  test('passes the result on, and leaves no listener behind', async () => {
    const before = process.listenerCount('beforeExit');
    assert.equal(await inTime(Promise.resolve(5)), 5);
    await assert.rejects(inTime(Promise.reject(new Error('no luck'))), /no luck/);
    assert.equal(process.listenerCount('beforeExit'), before);
  });
});

describe('an unexpected failure is one line and exit code 1', () => {
  const table: readonly [what: string, text: string][] = [
    ['thrown later', "setImmediate(() => { throw new Error('no luck'); });"],
    ['an unhandled rejection', "setImmediate(() => void Promise.reject(new Error('no luck')));"],
  ];
  for (const [what, text] of table) {
    test(what, async (t) => {
      const waiting = 'await new Promise((resolve) => setTimeout(resolve, 20_000));\nexport default {};';
      const cwd = directory(t, { 'it.mjs': `${text}\n${waiting}` });
      const { code, stdout, stderr } = await run(['-c', 'it.mjs', ...ARGS], { cwd });
      assert.deepEqual([code, stdout, stderr], [1, '', 'equipoise: could not start: no luck\n']);
    });
  }

  const skip = process.allowedNodeEnvironmentFlags.has('--allow-net') ? false : 'this Node restricts no network access';
  test('no permission to listen', { skip }, async () => {
    const { code, stdout, stderr } = await run(ARGS, { execArgv: ['--permission', '--allow-fs-read=*'] });
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^equipoise: could not start: .*--allow-net.*\n$/);
  });
});
