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
    [{ workers: 0 }, [/^workers: 0 is neither a whole number from 1 to 1024 nor 'auto'$/]],
    [{ workers: 'many' }, [/^workers: "many" is neither/]],
    [{ drainTimeoutMs: -1, hungTimeoutMs: 50, startTimeoutMs: NaN }, [
      /^drainTimeoutMs: -1 is no whole number from 0 to 86400000; the default is 10000$/,
      /^hungTimeoutMs: 50 is no whole number from 100 to 86400000; the default is 0$/,
      /^startTimeoutMs: NaN is no whole number/,
    ]],
    [{ distribution: 'fair' }, [/^distribution: "fair" is neither 'primary' nor 'shared'$/]],
    [{ log: 'no', onEvent: {}, rng: 4, time: {} }, [
      /^time: \{\} is no source of time/, /^log: "no" is no function$/, /^onEvent: \{\} is no function$/,
      /^rng: 4 is no function$/,
    ]],
    [{ dispatch: {}, listen: 8080 }, [
      /^dispatch: \{\} is no strategy/, /^listen: 8080 is no address for dispatch/,
    ]],
    [{ listen: { port: 8080 } }, [/^listen: is for dispatch; without it the workers listen$/]],
    [{ wrokers: 2 }, [/^wrokers: unknown option; known are dispatch, /]],
    ['two', [/^options: "two" is no object$/]],
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
