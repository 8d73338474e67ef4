import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { run, start } from '../support/process-binary.ts';
import { get, startHolding, startNamed, startUpstream } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

describe('--config', () => {
  test('with a JSON file: the options of createBalancer, and those of the command line', async (t) => {
    let via: string | undefined;
    const origin = await startUpstream(t, (request, response) => {
      ({ via } = request.headers);
      response.end('A');
    });
    const config = {
      upstreams: [{ origin, weight: 2 }], listen: '127.0.0.1:0', strategy: 'least-connections', drainTimeout: 3,
      via: 'edge-1', maxAttempts: 1,
    };
    const cwd = directory(t, { 'balancer.json': JSON.stringify(config) });
    const binary = start(t, ['--config', 'balancer.json'], { cwd });
    assert.match(await binary.ready(), /^Load balancer with least-connections strategy listening on http:/);
    assert.equal((await get(await binary.port())).body, 'A');
    assert.equal(via, '1.1 edge-1');
    binary.signal('SIGTERM');
    const { code, stderr } = await binary.exit();
    assert.equal(code, 0);
    assert.match(stderr, /for 3 s at most/);
  });

  test('with a module: a strategy of its own, functions as options', async (t) => {
    const upstreams = [await startNamed(t, 'A'), await startNamed(t, 'B')];
    const cwd = directory(t, {
      'balancer.mjs': `export default {
        upstreams: ${JSON.stringify(upstreams)},
        listen: ['127.0.0.1:0', '127.0.0.1:0'],
        strategy: { name: 'last', pick: (candidates) => candidates.at(-1) },
        onReport: ({ error }) => console.error('heard of', error.code),
      };`,
    });
    const binary = start(t, ['-c', './balancer.mjs'], { cwd });
    assert.match(await binary.ready(), /^Load balancer with last strategy listening on http:.*, http:/);
    assert.equal((await get(await binary.port())).body, 'B');
  });

  test('with a path from anywhere', async (t) => {
    const cwd = directory(t, { 'balancer.json': JSON.stringify({ upstreams: [await startNamed(t, 'A')] }) });
    const binary = start(t, ['-c', join(cwd, 'balancer.json'), '-l', '127.0.0.1:0']);
    assert.equal((await get(await binary.port())).body, 'A');
  });

  test('with listen as a number', async (t) => {
    const config = { upstreams: [await startNamed(t, 'A')], listen: 0 };
    const cwd = directory(t, { 'balancer.json': JSON.stringify(config) });
    const binary = start(t, ['-c', 'balancer.json'], { cwd });
    assert.equal((await get(await binary.port())).body, 'A');
  });

  test('is overridden by the command line', async (t) => {
    const config = {
      upstreams: ['http://127.0.0.1:1'], listen: '127.0.0.1:1', strategy: 'least-connections', drainTimeout: 3,
      via: false,
    };
    let via: string | undefined;
    const origin = await startUpstream(t, (request, response) => {
      ({ via } = request.headers);
      response.end('A');
    });
    const cwd = directory(t, { 'balancer.json': JSON.stringify(config) });
    const args = ['-c', 'balancer.json', '-l', '127.0.0.1:0', '-s', 'round-robin', '--drain-timeout', '7', origin];
    const binary = start(t, args, { cwd });
    assert.match(await binary.ready(), /^Load balancer with round-robin strategy/);
    assert.equal((await get(await binary.port())).body, 'A');
    assert.equal(via, undefined, 'what the command line says nothing of stays');
    binary.signal('SIGTERM');
    assert.match((await binary.exit()).stderr, /for 7 s at most/);
  });

  test('drains for as long as it says', async (t) => {
    const upstream = await startHolding(t, 'st', 'uck');
    const config = { upstreams: [upstream.origin], listen: '127.0.0.1:0', drainTimeout: 0.1 };
    const cwd = directory(t, { 'balancer.json': JSON.stringify(config) });
    const binary = start(t, ['-c', 'balancer.json'], { cwd });
    const cut = assert.rejects(get(await binary.port()));
    await upstream.asked();
    binary.signal('SIGTERM');
    const { code, stderr } = await binary.exit();
    assert.equal(code, 0);
    assert.match(stderr, /1 connection was cut/);
    await cut;
  });
});

describe('a wrong configuration ends with 2', () => {
  const at = 'http://127.0.0.1:3001';
  const table: readonly [what: string, file: string, text: string, problems: readonly RegExp[]][] = [
    ['no JSON', 'c.json', '{ "upstreams": [', [/^config: cannot load c\.json: /]],
    ['no JavaScript', 'c.mjs', 'export default {', [/^config: cannot load c\.mjs: /]],
    ['a module that throws', 'c.mjs', 'throw new Error("no luck")', [/^config: cannot load c\.mjs: no luck/]],
    ['no default export', 'c.mjs', 'export const upstreams = [];', [/^config: c\.mjs has no default export/]],
    ['a list', 'c.json', '[]', [/^config: c\.json holds no object of options/]],
    ['a number', 'c.json', '5', [/^config: c\.json holds no object of options/]],
    ['null', 'c.json', 'null', [/^config: c\.json holds no object of options/]],
    ['no upstreams', 'c.json', '{}', [/^upstreams: none given/]],
    ['an empty list of upstreams', 'c.json', '{ "upstreams": [] }', [/^upstreams: none given/]],
    ['upstreams that are no list', 'c.json', `{ "upstreams": "${at}" }`, [/^upstreams: .* is no list/]],
    ['an unknown option', 'c.json', `{ "upstreams": ["${at}"], "timeout": 5 }`, [/^timeout: unknown option; known /]],
    ['all at once', 'c.json',
      `{ "upstreams": ["${at}", "x"], "listen": ["y", 70000], "strategy": "z", "drainTimeout": "w", "via": 5 }`,
      [/^upstreams\[1\]\.origin: "x" /, /^listen: .*"y"/, /^listen: .*70000/,
        /^strategy: z is unknown/, /^drain-timeout: .*"w"/, /^via: 5 /]],
    ['a strategy that is none', 'c.mjs', `export default { upstreams: ['${at}'], strategy: {} };`,
      [/^strategy: \{\} is no strategy/]],
    ['nowhere to listen', 'c.json', `{ "upstreams": ["${at}"], "listen": [] }`, [/^listen: /]],
  ];
  for (const [what, file, text, problems] of table) {
    test(what, async (t) => {
      const { code, stdout, stderr } = await run(['-c', file], { cwd: directory(t, { [file]: text }) });
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      const lines = stderr.split('\n').map((line) => line.replace(/^equipoise: /, ''));
      const missing = problems.filter((problem) => !lines.some((line) => problem.test(line)));
      assert.deepEqual(missing, [], stderr);
    });
  }
  test('a file that is not there', async (t) => {
    const { code, stderr } = await run(['-c', 'c.json', at], { cwd: directory(t) });
    assert.equal(code, 2);
    assert.match(stderr, /^equipoise: config: cannot load c\.json: /);
  });
  test('--demo beside its upstreams', async (t) => {
    const cwd = directory(t, { 'c.json': `{ "upstreams": ["${at}"] }` });
    const { code, stderr } = await run(['-c', 'c.json', '--demo'], { cwd });
    assert.equal(code, 2);
    assert.match(stderr, /^equipoise: --demo: brings its own upstreams/);
  });
});
