import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { documentAt } from '../support/documents.ts';
import { run, start } from '../support/process-binary.ts';
import { directory } from '../support/process-files.ts';

const LAST = "export default { name: 'last', pick: (candidates) => candidates.at(-1) };";
/** Few requests: a process starts for each test. */
const FEW = ['--requests', '2000'];

interface Results {
  readonly unit: string;
  readonly runs: readonly (Readonly<Record<string, number>> & {
    readonly strategy: string;
    readonly upstreams: readonly { readonly id: string; readonly picks: number; readonly utilisation: number }[];
  })[];
}

/** The results as JSON. */
async function simulated(args: readonly string[], cwd?: string): Promise<Results> {
  const { code, stdout, stderr } = await run(['simulate', ...args, '--json', '-'], cwd === undefined ? {} : { cwd });
  assert.deepEqual([code, stderr], [0, '']);
  return JSON.parse(stdout) as Results;
}

test('the newcomer\'s path: the document prints what the command prints', async (t) => {
  const { blocks } = documentAt('src/lab/report/README.md');
  const of = (language: string): string => blocks.find((block) => block.language === language)?.code ?? '';
  const cwd = directory(t, { 'mine.mjs': of('js') });
  const { code, stdout, stderr } = await run(of('sh').trim().split(' ').slice(1), { cwd });
  assert.deepEqual([code, stderr], [0, 'equipoise: report: mine.html\n']);
  // The strategies and the simulator may change in detail.
  const shape = (text: string): string => text.replace(/[\d.,]+/g, '#').replace(/ +/g, ' ').trim();
  assert.equal(shape(stdout), shape(of('text')));
  assert.match(readFileSync(join(cwd, 'mine.html'), 'utf8'), /^<!doctype html>.*equipoise simulate --strategy .*\n$/s);
});

test('--json has a run for each strategy in the order given, in mean service times where there is a load', async () => {
  const { unit, runs } = await simulated([
    '-s', 'random', '-s', 'least-connections', '--upstreams', '3', '--load', '0.5', '--seed', '7',
    '--requests', '20000',
  ]);
  assert.equal(unit, 'service times');
  assert.deepEqual(runs.map(({ strategy, seed, requests, failed }) => [strategy, seed, requests, failed]),
    [['random', 7, 20_000, 0], ['least-connections', 7, 20_000, 0]]);
  const [random] = runs;
  // M/M/1 at half load: 2.
  assert.ok(Math.abs((random?.['mean'] ?? 0) - 2) < 0.3, String(random?.['mean']));
  assert.ok((random?.['p50'] ?? 0) < (random?.['p999'] ?? 0));
  assert.equal(random?.upstreams.reduce((sum, { picks }) => sum + picks, 0), 20_000);
  assert.deepEqual(random.upstreams.map(({ id }) => id), [1, 2, 3].map((n) => `http://server-${n}`));
});

test('a scenario of several runs has its key in each, and options change it', async () => {
  const { runs } = await simulated(['-s', 'random', '--scenario', 'stale-board', '--upstreams', '4', ...FEW]);
  assert.deepEqual(runs.map(({ board }) => board), [0, 0.5, 1, 2, 5]);
  assert.deepEqual(runs.map(({ upstreams, requests }) => [upstreams.length, requests]), Array(5).fill([4, 2_000]));
});

test('a file may hold a strategy, a scenario, service times; each balancer has a strategy of its own', async (t) => {
  const counting = `let made = 0;
    export default { name: 'once', pick(all) { if (made++ > 1100) throw new Error('shared'); return all[0]; } };`;
  const scenario = { variants: [{ options: { upstreams: 2, ratePerSecond: 50, requests: 2_000 } }] };
  const cwd = directory(t, {
    'last.mjs': LAST, 'once.mjs': counting, 's.json': JSON.stringify(scenario), 't.txt': '1\n3\n',
  });
  const { unit, runs } = await simulated([
    '-s', './last.mjs', '-s', 'once.mjs', '--scenario', './s.json', '--service', 'file:t.txt', '--balancers', '2',
  ], cwd);
  assert.equal(unit, 'ms');
  assert.deepEqual(runs[0]?.upstreams.map(({ picks }) => picks), [0, 2_000]);
  assert.deepEqual(runs[1]?.upstreams.map(({ picks }) => picks), [2_000, 0]);
});

test('--trace replays a log, also a compressed one', async (t) => {
  const lines = Array.from({ length: 100 }, (_, at) => JSON.stringify({ startedAt: 1e12 + 10 * at, durationMs: 4 }));
  const cwd = directory(t, { 'log.json': `${lines.join('\n')}\nnonsense\n` });
  writeFileSync(join(cwd, 'log.gz'), gzipSync(readFileSync(join(cwd, 'log.json'))));
  for (const file of ['log.json', 'log.gz']) {
    const { unit, runs } = await simulated(['-s', 'random', '--trace', file], cwd);
    assert.deepEqual([unit, runs[0]?.['requests'], runs[0]?.['mean']], ['ms', 100, 4]);
  }
  const { stdout } = await run(['simulate', '-s', 'random', '--trace', 'log.json'], { cwd });
  assert.match(stdout, /^The log has 100 requests in 990 ms$/m);
  assert.match(stdout, /^Left out: 1 malformed line, the first of them line 101$/m);
});

test('wrong usage exits with 2, with every problem at once', async (t) => {
  const cwd = directory(t, { 'class.mjs': 'export default class {}', 'bad.mjs': 'export default { name: "x" }' });
  const { code, stdout, stderr } = await run(['simulate', '--nope', 'x', '-s', 'rondom', '-s', './class.mjs',
    '-s', './bad.mjs', '-s', './none.mjs', '--load', 'much', '--upstreams', '0', '--service', 'gamma',
    '--report', 'x.pdf', '--json', 'no/x.json', '--scenario', 'one-slwo', '--trace', 'none.log', '--discipline', 'lifo',
    '--seed', '-1'], { cwd });
  assert.deepEqual([code, stdout], [2, '']);
  const expected = [
    /^--nope: unknown option/, /^--report: must be a file named \.html or \.svg \(got "x\.pdf"\)$/,
    /^--json: the folder no does not exist/, /^--scenario: must be .* did you mean one-slow\?$/,
    /^--trace: cannot read none\.log: the file does not exist$/, /^--service: must be one of .* \(got "gamma"\)$/,
    /^--load: must be a number \(got "much"\)$/, /^--upstreams: must be an integer from 1 to 100000 \(got 0\)$/,
    /^--discipline: must be fifo or ps \(got "lifo"\)$/, /^--seed: must be an integer ≥ 0 \(got -1\)$/,
    /^--strategy: must be random, .* did you mean random\?$/, /^--strategy: \.\/class\.mjs exports a class: /,
    /^--strategy: \.\/bad\.mjs: must be an object with a name and a pick method; pick is missing/,
    /^--strategy: cannot load .*none\.mjs: the file does not exist$/, /^See equipoise simulate --help\.$/,
  ];
  const lines = stderr.trimEnd().split('\n').map((line) => line.replace('equipoise: ', ''));
  for (const pattern of expected) assert.ok(lines.some((line) => pattern.test(line)), `${pattern}\n${stderr}`);
  assert.equal(lines.length, expected.length, stderr);
});

test('a strategy that throws exits with 1, and says where', async (t) => {
  const cwd = directory(t, {
    'it.mjs': 'export default () => ({ name: "it", pick() { throw new Error("no luck"); } });',
  });
  const { code, stdout, stderr } = await run(['simulate', '-s', './it.mjs'], { cwd });
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /no luck \(seed 1, request 1\) \(\/.*\/it\.mjs:1:\d+\)$/m);
});

test('a strategy that leaves a rejected promise behind exits with 1', async (t) => {
  const cwd = directory(t, {
    'it.mjs': `export default { name: "it", pick(all) {
      void Promise.reject(new Error("stray\\nfault")); return all[0]; } };`,
  });
  const { code, stdout, stderr } = await run(['simulate', '-s', './it.mjs', ...FEW], { cwd });
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^equipoise: a strategy left an error that nothing caught: stray fault \(.*it\.mjs:2:\d+\)\n$/);
});

test('SIGINT ends it at once with 130, whatever the strategy does', async (t) => {
  const cwd = directory(t, {
    'ready.mjs': `import { writeSync } from 'node:fs';
      export default () => ({ name: "it", pick() { writeSync(2, "picking\\n"); for (;;); } });`,
  });
  const binary = start(t, ['simulate', '-s', './ready.mjs'], { cwd });
  await binary.logged(/picking/);
  binary.signal('SIGINT');
  const { code, stdout, stderr } = await binary.exit();
  assert.deepEqual([code, stdout], [130, '']);
  assert.match(stderr, /^equipoise: SIGINT: stopped after 0% of the requests, without a result$/m);
});

describe('help', () => {
  test('--help names the options and the strategies', async () => {
    const { code, stdout } = await run(['simulate', '--help']);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: equipoise simulate .*--trace.*^Strategies: random, .*peak-ewma.*\.$/ms);
  });
  test('--scenario list says which there are', async () => {
    const { code, stdout } = await run(['simulate', '--scenario', 'list']);
    assert.equal(code, 0);
    assert.match(stdout, /^one-slow\n {2}\S/m);
  });
});
