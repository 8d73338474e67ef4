import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import { launch } from '../../src/cluster/index.ts';
import { parseLaunchOptions, parseWorkers } from '../../src/cluster/options.ts';

test('the defaults are those of the docs', () => {
  const { workers, drainTimeoutMs, hungTimeoutMs, startTimeoutMs, distribution } = parseLaunchOptions({});
  assert.deepEqual(
    { workers, drainTimeoutMs, hungTimeoutMs, startTimeoutMs, distribution },
    {
      workers: availableParallelism(), drainTimeoutMs: 10_000, hungTimeoutMs: 0, startTimeoutMs: 60_000,
      distribution: 'shared',
    });
});

test("'auto' is one worker per core", () => {
  assert.equal(parseLaunchOptions({ workers: 'auto' }).workers, availableParallelism());
  assert.equal(parseWorkers('auto'), availableParallelism());
  assert.equal(parseWorkers(3), 3);
  assert.throws(() => parseWorkers(0), { code: 'OPTIONS_INVALID' });
});

describe('wrong options are all told at once, each with its name', () => {
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
      /^dispatch: .*; name is missing, pick is missing/, /^listen: must say where the primary listens, .* \(got 8080\)$/,
    ]],
    [{ listen: { port: 8080 } }, [/^listen: goes with dispatch only; without it, the workers listen$/]],
    [{ wrokers: 2 }, [/^wrokers: unknown option; did you mean workers\? \(known here: dispatch, /]],
    [{ processes: 2 }, [/^processes: unknown option; did you mean workers\?/]],
    [{ dispatch: { name: 'x', pick: () => undefined }, listen: { path: `/${'x'.repeat(107)}` } },
      [/^listen\.path: the path of a Unix socket must have at most \d+ octets \(got 108: /]],
    ['two', [/^options: must be an object \(got "two"\)$/]],
  ];
  for (const [options, problems] of table) {
    test(JSON.stringify(options), () => {
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
