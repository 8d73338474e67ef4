/**
 * Comparisons: the same conditions for each strategy, and intervals that hold what they promise.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare, type Contender } from '../../src/lab/compare.ts';
import type { ScenarioVariant } from '../../src/lab/scenarios.ts';
import { student } from '../../src/lab/statistics.ts';
import { seededRandom } from '../../src/testing/random.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { random } from '../../strategies/random.ts';

const byRandom: Contender = { name: 'random', create: ({ rng }) => random({ rng }) };
const least: Contender = { name: 'least', create: ({ rng }) => leastConnections({ rng }) };
const options: ScenarioVariant['options'] = { upstreams: 5, load: 0.7, requests: 3_000 };

test("Student's t is that of the tables", () => {
  const table = [[1, 0.95, 12.7062], [2, 0.95, 4.30265], [9, 0.95, 2.26216], [29, 0.99, 2.75639], [200, 0.95, 1.97190]];
  for (const [freedom = 1, confidence, wanted = 0] of table) {
    assert.ok(Math.abs(student(freedom, confidence) - wanted) < 1e-4, `${student(freedom, confidence)}`);
  }
});

test('two strategies that do the same differ by nothing', () => {
  const { variants } = compare({ strategies: [least, { ...least, name: 'same' }], options, seeds: [1, 2] });
  for (const { value, low, high, better } of variants[0]?.differences ?? []) {
    assert.deepEqual([value, low, high, better], [0, 0, 0, undefined]);
  }
});

test('the better one is named, for each pair and measure', () => {
  const third = { ...least, name: 'third' };
  const runs: string[] = [];
  const { variants } = compare({
    strategies: [byRandom, least, third], seeds: [1, 2, 3, 4, 5],
    options: { ...options, requests: 6_000, deadlineMs: 4 },
    onRun: ({ name, seed }, done, all) => runs.push(`${name} ${seed}: ${done}/${all}`),
  });
  assert.equal(runs.length, 15);
  assert.equal(runs.at(-1), 'third 5: 15/15');
  const found = variants[0]?.differences ?? [];
  assert.equal(found.length, 18);
  for (const { one, other, measure, better, low, high } of found) {
    assert.equal(better, one === 'random' ? other : undefined, measure);
    if (one === 'random') assert.ok(low > 0 && high > low, `${measure}: ${low} to ${high}`);
  }
});

test('more pairs make wider intervals', () => {
  const names = ['a', 'b', 'c', 'd'];
  const contenders = names.map((name, at) => ({ name, create: () => random({ rng: seededRandom(at + 1) }) }));
  const width = (strategies: readonly Contender[]): number => {
    const { differences } = compare({ strategies, options }).variants[0] ?? { differences: [] };
    return (differences[0]?.high ?? 0) - (differences[0]?.low ?? 0);
  };
  const ratio = width(contenders) / width(contenders.slice(0, 2));
  assert.ok(Math.abs(ratio - student(9, 1 - 0.05 / 6) / student(9)) < 1e-9);
});

test('wrong options are refused', () => {
  assert.throws(() => compare({ strategies: [least, least], seeds: [1, 1] }), {
    code: 'OPTIONS_INVALID',
    message: /strategies: each needs a name of its own.*\n.*scenario: give either.*\n.*seeds: must differ/,
  });
});
