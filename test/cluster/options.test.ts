import assert from 'node:assert/strict';
import http from 'node:http';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { launch } from '../../src/cluster/index.ts';
import { parseLaunchOptions } from '../../src/cluster/options.ts';
import { parseReloadOptions, parseWorkers } from '../../src/cluster/reload-options.ts';

test('the defaults match the docs', () => {
  const settings = parseLaunchOptions({});
  const { workers, drainTimeoutMs, reloadTimeoutMs, hungTimeoutMs, startTimeoutMs, distribution } = settings;
  assert.deepEqual(
    { workers, drainTimeoutMs, reloadTimeoutMs, hungTimeoutMs, startTimeoutMs, distribution },
    {
      workers: availableParallelism(), drainTimeoutMs: 10_000, reloadTimeoutMs: 3_600_000, hungTimeoutMs: 0,
      startTimeoutMs: 60_000,
      distribution: 'shared',
    });
});

test("'auto' is one worker per core", () => {
  assert.equal(parseLaunchOptions({ workers: 'auto' }).workers, availableParallelism());
  assert.equal(parseWorkers('auto'), availableParallelism());
  assert.equal(parseWorkers(3), 3);
  assert.throws(() => parseWorkers(0), { code: 'OPTIONS_INVALID' });
});

describe('one error names all wrong options', () => {
  const table: readonly [options: unknown, problems: readonly RegExp[]][] = [
    [{ workers: 0 }, [/^workers: must be an integer from 1 to 1024 or 'auto' \(got 0\)$/]],
    [{ workers: 'many' }, [/^workers: .* \(got "many"\)$/]],
    [{ drainTimeoutMs: -1, hungTimeoutMs: 50, startTimeoutMs: NaN }, [
      /^drainTimeoutMs: must be an integer from 0 to 86400000 \(got -1\); the default is 10000$/,
      /^hungTimeoutMs: must be 0 or an integer from 100 to 86400000 \(got 50\); the default is 0$/,
      /^startTimeoutMs: must be an integer .*\(got NaN\)/,
    ]],
    [{ distribution: 'fair' }, [/^distribution: must be 'shared' or 'primary' \(got "fair"\)$/]],
    [{ log: 'no', onEvent: {}, rng: 4, time: {} }, [
      /^time: must be an object with the methods /, /^log: must be a function \(got "no"\)$/,
      /^onEvent: must be a function \(got \{\}\)$/, /^rng: must be a function \(got 4\)$/,
    ]],
    [{ dispatch: {}, listen: 8080 }, [
      /^dispatch: .*; name is missing, pick is missing/,
      /^listen: must /,
    ]],
    [{ dispatch: { name: 'first', pick: () => undefined }, listen: { path: `/tmp/${'x'.repeat(103)}` } }, [
      /^listen\.path: .* at most 10[37] octets \(got 108: /,
    ]],
    [{ listen: { port: 8080 } }, [/^listen: only with dispatch; without dispatch, workers listen in run$/]],
    [{ stopDelayMs: 'soon' }, [/^stopDelayMs: must be an integer from 0 .*\(got "soon"\)/]],
    [{ reloadTimeoutMs: -1, onReload: 'now', setup: () => undefined }, [
      /^reloadTimeoutMs: must be an integer from 0 .*\(got -1\)/,
      /^onReload: must be a function \(got "now"\)$/,
      /^setup: must be serializable as JSON \(got a function\)$/,
    ]],
    [{ setup: { n: 1n } }, [/^setup: must be serializable as JSON: .*BigInt/]],
    [{ wrokers: 2 }, [/^wrokers: unknown option; did you mean workers\? \(known here: dispatch, /]],
    [{ processes: 2 }, [/^processes: unknown option; did you mean workers\?/]],
    [{ dispatch: 'leastBusy', listen: { port: 0 } },
      [/^dispatch: must be a strategy, not its name .* import \{ leastBusy \} from 'equipoise\/strateg/]],
    ['two', [/^options: must be an object \(got "two"\)$/]],
  ];
  for (const [options, problems] of table) {
    test(inspect(options), () => {
      assert.throws(() => launch(() => () => undefined, options as object), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'OPTIONS_INVALID');
        const lines = error.message.split('\n');
        assert.equal(lines.length, problems.length, error.message);
        for (const problem of problems) assert.ok(lines.some((line) => problem.test(line)), error.message);
        return true;
      });
    });
  }
});

describe('run must be a function', () => {
  const table: readonly [what: string, run: unknown, problem: RegExp][] = [
    ['a server', http.createServer(), /^run: must .* e\.g\. launch\(\(\) => server.listen\(8080\)\) \(got a server\)$/],
    ['nothing', undefined, /^run: must be a function .* \(got undefined\)$/],
    ['options', { workers: 2 }, /^run: must be a function .* \(got \{"workers":2\}\)$/],
  ];
  for (const [what, run, message] of table) {
    test(what, () => {
      assert.throws(() => launch(run as never), { code: 'OPTIONS_INVALID', message });
    });
  }
});

describe('the options of a reload', () => {
  test('are returned as given', () => {
    assert.deepEqual(parseReloadOptions(undefined), {});
    const given = { drainTimeoutMs: 5, setup: undefined };
    assert.deepEqual(parseReloadOptions(given), given);
    assert.deepEqual(parseReloadOptions({ workers: 'auto', reloadTimeoutMs: 0, setup: [1] }), {
      workers: availableParallelism(), reloadTimeoutMs: 0, setup: [1],
    });
  });

  test('are checked; one error names all wrong ones', () => {
    assert.throws(() => parseReloadOptions({ workers: 0, drainTimeoutMs: '5', hungTimeoutMs: 1 }), {
      code: 'OPTIONS_INVALID',
      message: /^reload: hungTimeoutMs: unknown option.*\nreload: drainTimeoutMs: must be .*\nworkers: must be .*$/,
    });
    assert.throws(() => parseReloadOptions(5), { code: 'OPTIONS_INVALID' });
  });
});
