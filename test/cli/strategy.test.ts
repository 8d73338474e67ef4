import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { type Binary, run, start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { runsInOneProcess } from '../support/runs.ts';

const UPSTREAM = 'http://127.0.0.1:3001';

/** Picks the last candidate, unlike any strategy of the package. */
const LAST = "{ name: 'last', pick: (candidates) => candidates.at(-1) }";

describe('--strategy with a name', () => {
  for (const name of [
    'random', 'round-robin', 'least-connections', 'power-of-two', 'peak-ewma', 'ring-hash', 'maglev', 'rendezvous',
    'weighted-by-load',
  ]) {
    test(name, async (t) => {
      const binary = await balanced(t, ['--strategy', name]);
      assert.match(await binary.ready(), new RegExp(`^Load balancer with ${name} strategy listening on `));
    });
  }
  test('picks with that strategy', async (t) => {
    const binary = await balanced(t, ['-s', 'round-robin']);
    const bodies = await answers(binary, 4);
    assert.deepEqual(bodies.slice(2), bodies.slice(0, 2));
    assert.deepEqual(bodies.slice(0, 2).sort(), ['A', 'B']);
  });
});

describe('--strategy with a file', () => {
  const runHere = runsInOneProcess();
  const table: readonly [what: string, file: string, text: string][] = [
    ['a strategy', './last.mjs', `export default ${LAST};`],
    ['a factory', './last.mjs', `export default () => (${LAST});`],
    ['a class of strategies, by a factory', './last.mjs', `
      class Last { name = 'last'; pick(candidates) { return candidates.at(-1); } }
      export default function last() { return new Last(); }`],
    ['an asynchronous factory', './last.mjs', `export default async () => (${LAST});`],
    ['a CommonJS module', './last.cjs', `module.exports = ${LAST};`],
    ['without a ./', 'last.mjs', `export default ${LAST};`],
    ['in another directory', '../last.mjs', `export default ${LAST};`],
  ];
  for (const [what, file, text] of table) {
    test(what, async (t) => {
      const outer = directory(t, { 'last.mjs': text, 'last.cjs': text, 'package.json': '{ "type": "module" }' });
      const cwd = file.startsWith('..') ? join(outer, 'inner') : outer;
      mkdirSync(join(outer, 'inner'));
      const binary = await balanced(t, ['-s', file], cwd);
      assert.match(await binary.ready(), /^Load balancer with last strategy listening on /);
      assert.deepEqual(await answers(binary, 3), ['B', 'B', 'B']);
    });
  }

  const broken: readonly [what: string, text: string, problem: RegExp][] = [
    ['that is not JavaScript', 'export default {\n  a: = 1 };',
      /^equipoise: strategy: cannot load \.\/it\.mjs: line 2, column 6: Unexpected token '='$/m],
    ['that throws', 'throw new Error("no luck")',
      /^equipoise: strategy: cannot load \.\/it\.mjs: no luck \(\/.*\/it\.mjs:1:7\)$/m],
    ['that imports what is not there', 'import "./no.mjs"', /^equipoise: strategy: cannot load \.\/it\.mjs: .*no\.mjs/],
    ['without a default export', 'export const a = 1;',
      /^equipoise: strategy: \.\/it\.mjs has no default export; write/m],
    ['whose factory throws', 'export default () => { throw new Error("no luck"); }',
      /^equipoise: strategy: the factory in \.\/it\.mjs threw: no luck \(\/.*\/it\.mjs:1:\d+\)$/m],
    ['that exports no strategy', 'export default { name: "x" };', /^equipoise: strategy: .*; pick is missing /],
    ['that exports a class', 'export default class Last {}',
      /: \.\/it\.mjs exports a class: export an instance or a factory, e\.g\. export default new Last\(\)$/m],
    ['whose factory makes none', 'export default () => 5;', /^equipoise: strategy: must be .* \(got 5\)$/m],
    ['whose factory makes nothing', 'export default () => undefined;', /^equipoise: strategy: /],
    ['whose factory rejects', 'export default async () => { throw new Error("no luck"); }',
      /^equipoise: strategy: the factory in \.\/it\.mjs threw: no luck \(\/.*\/it\.mjs:1:\d+\)$/m],
  ];
  for (const [what, text, problem] of broken) {
    test(`${what}: wrong configuration`, async (t) => {
      const cwd = directory(t, { 'it.mjs': text });
      const { code, stdout, stderr } = await runHere(['-s', './it.mjs', '-l', '127.0.0.1:0', UPSTREAM], { cwd });
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, problem);
      assert.match(stderr, /^equipoise: See equipoise --help\.\n$/m);
    });
  }
  test('that does not exist: wrong configuration', async (t) => {
    const { code, stderr } = await run(['-s', './nowhere.mjs', '-l', '127.0.0.1:0', UPSTREAM], { cwd: directory(t) });
    assert.equal(code, 2);
    assert.match(stderr, /^equipoise: strategy: cannot load \.\/nowhere\.mjs: the file does not exist$/m);
  });
});

test('a failing strategy is answered with 500 and named in the log', async (t) => {
  const bad = 'export default { name: "bad", pick: () => { throw new Error("no luck"); } };';
  const cwd = directory(t, { 'bad.mjs': bad });
  const binary = await balanced(t, ['-s', './bad.mjs'], cwd);
  const { status, headers } = await get(await binary.port());
  assert.equal(status, 500);
  assert.equal(headers['proxy-status'], 'equipoise; error=proxy_internal_error');
  await binary.logged(/\n/);
  const where = /^equipoise: STRATEGY_FAILED: strategy bad threw in pick: no luck \(\/.*\/bad\.mjs:1:\d+\)\n$/;
  assert.match(binary.stderr, where);
});

/** The binary in front of two upstreams, A and B. */
async function balanced(t: TestContext, args: readonly string[], cwd?: string): Promise<Binary> {
  const upstreams = [await startNamed(t, 'A'), await startNamed(t, 'B')];
  return start(t, [...args, '-l', '127.0.0.1:0', ...upstreams], cwd === undefined ? {} : { cwd });
}

async function answers(binary: Binary, count: number): Promise<string[]> {
  const port = await binary.port();
  const bodies: string[] = [];
  for (let i = 0; i < count; i++) bodies.push((await get(port)).body);
  return bodies;
}
