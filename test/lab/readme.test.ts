/**
 * The tables of the lab's README name every option, kind of fault and scenario.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultProblems } from '../../src/lab/faults.ts';
import { parseSimulation } from '../../src/lab/options.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { documentAt, rowsOf, spansOf } from '../support/documents.ts';

const { text } = documentAt('src/lab/README.md');
const section = (heading: string): string => text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
const strategy = (): never => {
  throw new Error('it is not played');
};

test('options, with their defaults', () => {
  const rows = new Map(rowsOf(section('Options')).map(([name = '', value = '']) => [spansOf(name)[0] ?? '', value]));
  assert.throws(() => parseSimulation({ strategy, upstreams: 1, load: 0.5, nothing: 1 } as never), (error: Error) => {
    assert.match(error.message, /nothing: unknown option/);
    return true;
  });
  // Every row is an option, and those that have a number as default have that one.
  const settings: Readonly<Record<string, unknown>> = { ...parseSimulation({ strategy, upstreams: 1, load: 0.5 }) };
  for (const name of ['requests', 'balancers', 'clients', 'cookies', 'seed', 'boardMs']) {
    assert.equal(rows.get(name)?.replaceAll('`', ''), String(settings[name]), name);
  }
  const names = [
    'strategy', 'upstreams', 'load', 'ratePerSecond', 'service', 'arrivals', 'discipline', 'concurrency', 'balancers',
    'peersDelayMs', 'clients', 'cookies', 'loadReportMs', 'requests', 'deadlineMs', 'pool', 'faults', 'boardMs',
    'timeLimitMs', 'seed',
  ] as const satisfies readonly (keyof Parameters<typeof parseSimulation>[0])[];
  const all: Record<keyof Parameters<typeof parseSimulation>[0], true> = Object.fromEntries(
    names.map((name) => [name, true])) as never;
  assert.deepEqual([...rows.keys()], Object.keys(all));
  for (const name of rows.keys()) {
    assert.throws(() => parseSimulation({ [name]: Symbol(name) } as never), (error: Error) => {
      assert.doesNotMatch(error.message, new RegExp(`  ${name}: unknown option`));
      return true;
    });
  }
});

test('kinds of faults', () => {
  const kinds = rowsOf(section('Faults')).map(([kind = '']) => spansOf(kind)[0] ?? '');
  const [problem = ''] = faultProblems({ server: 0, fromMs: 0, kind: 'none' }, 'fault', 1);
  assert.equal(problem, `fault.kind: must be one of ${kinds.join(', ')} (got "none")`);
});

test('scenarios', () => {
  for (const name of SCENARIOS.keys()) assert.ok(section('Scenarios').includes(`\`${name}\``), name);
});
