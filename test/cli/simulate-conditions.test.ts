/** What `equipoise simulate` makes of the options that say what is simulated. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Conditions, readConditions } from '../../src/cli/simulate/conditions.ts';
import { directory } from '../support/process-files.ts';

type Values = Parameters<typeof readConditions>[0];

async function read(values: Values): Promise<Conditions> {
  const problems: string[] = [];
  const conditions = await readConditions(values, problems);
  assert.deepEqual(problems, []);
  return conditions;
}

/** The options of the first variant. */
async function options(values: Values): Promise<Conditions['scenario']['variants'][number]['options']> {
  const { scenario: { variants: [variant] } } = await read(values);
  return variant?.options ?? assert.fail('no variant');
}

function file(t: TestContext, name: string, content: string | Buffer): string {
  const path = join(directory(t), name);
  writeFileSync(path, content);
  return path;
}

describe('without a scenario', () => {
  test('ten servers at a load of 0.8, in service times', async () => {
    const { scenario, named, seeds } = await read({});
    assert.deepEqual([scenario.unit, named, seeds, scenario.variants.length], ['service times', false, [1], 1]);
    const { upstreams, load } = await options({});
    assert.deepEqual([upstreams, load], [10, 0.8]);
  });

  test('with a rate, in milliseconds', async () => {
    const { scenario } = await read({ rate: '100', service: 'exponential:20ms', upstreams: '5' });
    assert.equal(scenario.unit, 'ms');
    const { ratePerSecond, load, service } = scenario.variants[0]?.options ?? assert.fail();
    assert.deepEqual([ratePerSecond, load, service?.meanMs], [100, undefined, 20]);
    assert.equal(service?.name, 'exponential, mean 20 ms');
    assert.ok(service.draw(() => 0.5) > 10);
  });

  test('a closed loop has no load', async () => {
    const { load, arrivals } = await options({ arrivals: 'closed:7' });
    assert.deepEqual([load, arrivals?.kind], [undefined, 'closed']);
  });

  test('several runs have seeds in a row', async () => {
    assert.deepEqual((await read({ seed: '5', runs: '3' })).seeds, [5, 6, 7]);
  });

  test('services from a file, as lines or as JSON', async (t) => {
    for (const text of ['10\n20\n30\n', '[10, 20, 30]']) {
      const path = file(t, 'times', text);
      const { service } = await options({ service: `file:${path}` });
      assert.deepEqual([service?.meanMs, service?.name], [20, `file:${path}`]);
    }
  });
});

test('options change a scenario, whose rate gives way to theirs', async () => {
  const before = await options({ scenario: 'one-slow' });
  assert.equal(before.load, 0.6);
  const { load, ratePerSecond, requests } = await options({ scenario: 'one-slow', rate: '50', requests: '2000' });
  assert.deepEqual([load, ratePerSecond, requests], [undefined, 50, 2_000]);
  assert.equal((await read({ scenario: 'one-slow', load: '0.5' })).scenario.unit, 'service times');
  assert.equal((await read({ scenario: 'stale-board' })).scenario.variants.length, 5);
});

test('a scenario in a file', async (t) => {
  const path = file(t, 's.json', '{ "variants": [{ "options": { "upstreams": 3, "load": 0.5 } }] }');
  const { scenario, named } = await read({ scenario: path });
  assert.deepEqual([named, scenario.variants[0]?.options.upstreams], [true, 3]);
});

describe('a log', () => {
  const json = (ms: number, more: object): string => JSON.stringify({
    time: new Date(1_700_000_000_000 + ms).toISOString(), startedAt: 1_700_000_000_000 + ms, status: 200,
    upstream: 'http://a', ...more,
  });

  test('of JSON lines, zipped: its times and durations', async (t) => {
    const lines = [json(0, { durationMs: 10 }), 'not a line', json(50, { durationMs: 30 }), json(80, {})];
    const path = file(t, 'log.gz', gzipSync(lines.join('\n')));
    const { facts, scenario } = await read({ trace: path });
    const { arrivals, load, service } = scenario.variants[0]?.options ?? assert.fail();
    assert.deepEqual([arrivals?.name, load, service?.meanMs], ['recorded', undefined, 20]);
    assert.match(facts.join('\n'), /^The log has 3 requests in [^]*1 malformed line, the first of them line 2\n/);
    assert.match(facts.join('\n'), /1 request without a duration count as average$/);
  });

  test('of the Common format: whole seconds, no durations', async (t) => {
    const line = '10.0.0.1 - - [26/Nov/2026:10:00:0';
    const text = [1, 1, 2].map((second) => `${line}${second} +0000] "GET / HTTP/1.1" 200 5`).join('\n');
    const { facts } = await read({ trace: file(t, 'log', text) });
    assert.match(facts.join('\n'), /3 requests are whole seconds: they are spread at random[^]*does not say how long/);
    const { facts: fewer } = await read({ trace: file(t, 'log', text), service: 'deterministic' });
    assert.doesNotMatch(fewer.join('\n'), /does not say how long/);
  });
});

const WRONG: readonly (readonly [what: string, values: Values, problem: RegExp])[] = [
  ['no number', { upstreams: 'ten' }, /^--upstreams: must be a number \(got "ten"\)$/],
  ['an empty number', { load: ' ' }, /^--load: must be a number/],
  ['too few servers', { upstreams: '0' }, /^--upstreams: must be an integer from 1 to 100000 \(got 0\)$/],
  ['both rates', { load: '0.5', rate: '10' }, /^--rate: leave it out, or --load$/],
  ['a load of a closed loop', { arrivals: 'closed:3', load: '0.5' }, /^--load: leave it out: a closed loop has a rate/],
  ['no distribution', { service: 'expo' }, /^--service: .*\(got "expo"\)/],
  ['a distribution that needs a list', { service: 'empirical' }, /^--service: .* or file:PATH.*\(got "empirical"\)/],
  ['a mean of nothing', { service: 'exponential:0ms' }, /^--service: the mean must be a number of milliseconds > 0/],
  ['no file of services', { service: 'file:/nowhere' }, /^--service: cannot read \/nowhere: /],
  ['no arrivals', { arrivals: 'now and then' }, /^--arrivals: .*\(got "now and then"\)/],
  ['no scenario', { scenario: 'one-slo' }, /^--scenario: must be linkerd-2016, .*one-slow/],
  ['no file of a scenario', { scenario: './nowhere.json' }, /^--scenario: .*nowhere\.json/],
  ['no log', { trace: '/nowhere' }, /^--trace: cannot read \/nowhere: /],
  ['too many runs', { runs: '1e9' }, /^--runs: must be an integer from 1 to 1000 \(got 1000000000\)$/],
  ['no seed', { seed: '-1' }, /^--seed: must be an integer ≥ 0 \(got -1\)$/],
  ['too large a seed', { seed: '9007199254740993' }, /^--seed: must be an integer up to \d+ \(got 9007199254740993\)/],
  ['a load beyond reason', { load: '1e308' }, /^--load: must be a number > 0 and at most 1000000 \(/],
  ['a rate beyond reason', { rate: '1e300' }, /^--rate: must be a number > 0 and at most 1000000000 \(/],
  ['a rate of next to nothing', { rate: '1e-300' }, /^--rate: so little would take \S+ ms of virtual time/],
  ['a service for ever', { service: 'exponential:1e300ms' }, /^--service: the mean must be at most 1000000000 ms/],
  ['too wide a server', { concurrency: '1e9' }, /^--concurrency: must be Infinity or an integer from 1 to 1000000 \(/],
  ['too many clients', { arrivals: 'closed:1e9' }, /^--arrivals: a closed loop needs an integer of clients from 1 to/],
  ['endless bursts', { arrivals: 'bursty:1e308' }, /^--arrivals: the ratio of bursty arrivals must be from 1 to/],
  ['more upstreams than memory', { balancers: '1000', upstreams: '100000' }, /^--balancers: .*at most 1000000 /],
  ['load reports of no time', { 'load-reports': '0' }, /^--load-reports: must be a number > 0 \(got 0\)$/],
  ['servers that a scenario has faults for', { scenario: 'one-slow', upstreams: '2' },
    /^--scenario: one-slow, as changed by other options: faults\[0\]\.server: must be an index below 2/],
];

describe('is told', () => {
  for (const [what, values, problem] of WRONG) {
    test(what, async () => {
      const problems: string[] = [];
      await readConditions(values, problems);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', problem);
    });
  }

  test('what is wrong in files', async (t) => {
    const problems: string[] = [];
    await readConditions({ service: `file:${file(t, 'times', '10\nten\n')}` }, problems);
    await readConditions({ trace: file(t, 'log', 'x\ny\n') }, problems);
    await readConditions({ trace: file(t, 'log.gz', 'not zipped') }, problems);
    await readConditions({ scenario: file(t, 's.json', '{ "variants": [], "nam": 1 }') }, problems);
    assert.match(problems[0] ?? '', /must hold milliseconds, a line each \(got "ten"\)$/);
    assert.match(problems[1] ?? '', /has no request in JSON, Common or Combined format; line 1 is in none of them$/);
    assert.match(problems[2] ?? '', /^--trace: cannot read .*: /);
    assert.match(problems.slice(3).join('\n'), /^--scenario: .*s\.json: nam: [^]*variants: must be a list/m);
  });
});
