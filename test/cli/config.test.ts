import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { run, start } from '../support/process-binary.ts';
import { get, startHolding, startNamed, startUpstream } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { runsInOneProcess } from '../support/runs.ts';

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

  test('with pools and routes: strategies by their names, and upstreams that follow the file', async (t) => {
    const [a, b, c] = [await startNamed(t, 'A'), await startNamed(t, 'B'), await startNamed(t, 'C')];
    const config = (web: string): string => JSON.stringify({
      listen: '127.0.0.1:0',
      pools: { web: { upstreams: [web], strategy: 'round-robin' }, api: { upstreams: [b] } },
      routes: [{ path: '/api/', pool: 'api' }, { pool: 'web' }],
    });
    const cwd = directory(t, { 'balancer.json': config(a) });
    const binary = start(t, ['-c', 'balancer.json'], { cwd });
    assert.match(await binary.ready(), /^Load balancer with pools web \(round-robin\), api \(random\) listening on /);
    const port = await binary.port();
    assert.equal((await get(port, '/')).body, 'A');
    assert.equal((await get(port, '/api/x')).body, 'B');
    writeFileSync(join(cwd, 'balancer.json'), config(c));
    binary.signal('SIGHUP');
    await binary.logged(/reloaded: upstreams/);
    assert.equal((await get(port, '/')).body, 'C');
    assert.equal((await get(port, '/api/x')).body, 'B');
  });

  test('with pools whose options are wrong', async (t) => {
    const pools = { web: { upstreams: ['http://127.0.0.1:1'], strategy: 'nonsense', maxQueued: -1 } };
    const cwd = directory(t, { 'balancer.json': JSON.stringify({ pools, maxInFlight: 5, routes: [{ pool: 'wep' }] }) });
    const { code, stderr } = await run(['-c', 'balancer.json'], { cwd });
    assert.equal(code, 2);
    const expected = ['pools.web.strategy: must be random', 'pools.web.maxQueued: must',
      'maxInFlight: belongs to a pool', 'routes[0].pool: there is no pool'];
    for (const problem of expected) assert.ok(stderr.includes(problem), `${problem} in ${stderr}`);
  });

  test('with a path from anywhere', async (t) => {
    const cwd = directory(t, { 'balancer.json': JSON.stringify({ upstreams: [await startNamed(t, 'A')] }) });
    const binary = start(t, ['-c', join(cwd, 'balancer.json'), '-l', '127.0.0.1:0']);
    assert.equal((await get(await binary.port())).body, 'A');
  });

  test('with paths relative to the file', async (t) => {
    const config = { upstreams: [await startNamed(t, 'A')], listen: { path: 'x.sock' }, strategy: './first.mjs' };
    const cwd = directory(t, {
      'balancer.json': `\uFEFF${JSON.stringify({ ...config, pidFile: 'x.pid' })}`,
      'first.mjs': "export default { name: 'mine', pick: ([first]) => first };",
    });
    const binary = start(t, ['-c', join(cwd, 'balancer.json')]);
    assert.equal(await binary.ready(), `Load balancer with mine strategy listening on unix:${join(cwd, 'x.sock')}`);
    assert.match(readFileSync(join(cwd, 'x.pid'), 'utf8'), /^\d+\n$/);
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

  test('sets the drain timeout', async (t) => {
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

describe('a wrong configuration exits with 2', () => {
  const runHere = runsInOneProcess();
  const at = 'http://127.0.0.1:3001';
  const table: readonly [what: string, file: string, text: string, problems: readonly RegExp[]][] = [
    ['JSON that ends early', 'c.json', '{\n "upstreams": [',
      [/^config: cannot load c\.json: line 2, column 16: expected a value, got the end of the file$/]],
    ['a trailing comma', 'c.json', `{ "upstreams": ["${at}"],\n}`,
      [/^config: cannot load c\.json: line 1, column 41: remove the comma before \}$/]],
    ['a comment', 'c.json', '{\n  // mine\n}',
      [/^config: cannot load c\.json: line 2, column 3: JSON has no comments$/]],
    ['invalid JavaScript', 'c.mjs', 'export default {\n  a: = 1,\n};',
      [/^config: cannot load c\.mjs: line 2, column 6: Unexpected token '='$/]],
    ['invalid JavaScript in CommonJS', 'c.cjs', 'module.exports = {\n  a: = 1,\n};',
      [/^config: cannot load c\.cjs: line 2, column 6: Unexpected token '='$/]],
    ...['c.mjs', 'c.cjs'].map((name): [string, string, string, RegExp[]] => (
      [`JavaScript that ends early, in ${name}`, name,
        `${name === 'c.mjs' ? 'export default' : 'module.exports ='} {\n  a: 1,\n`,
        [/^config: cannot load c\.[mc]js: line [34](, column \d+)?: Unexpected end of input$/]])),
    ['a module that throws undefined', 'c.mjs', 'throw undefined',
      [/^config: cannot load c\.mjs: it threw undefined$/]],
    ['a module that throws null', 'c.cjs', 'throw null', [/^config: cannot load c\.cjs: it threw null$/]],
    ['a module that throws', 'c.mjs', 'throw new Error("no luck")',
      [/^config: cannot load c\.mjs: no luck \(\/.*\/c\.mjs:1:7\)$/]],
    ['CommonJS in an ES module', 'c.mjs', 'module.exports = {};',
      [/^config: cannot load c\.mjs: it is CommonJS in an ES module package: rename it to \.cjs, or use e/]],
    ['no file of ours', 'c.yaml', 'upstreams: []',
      [/^config: cannot load c\.yaml: it must be a \.json, \.js, \.mjs, \.cjs or \.ts file \(got \.yaml\)$/]],
    ['no default export', 'c.mjs', 'export const upstreams = [];', [/^config: c\.mjs has no default export; write /]],
    ...['[]', '5', 'null'].map((text): [string, string, string, RegExp[]] => (
      [text, 'c.json', text, [/^config: c\.json must contain an object, e\.g\. \{ "upstreams": .* \(got .*\)$/]])),
    ['no upstreams', 'c.json', '{}', [/^upstreams: none given/]],
    ['an empty list of upstreams', 'c.json', '{ "upstreams": [] }', [/^upstreams: none given/]],
    ['upstreams that are not a list', 'c.json', `{ "upstreams": "${at}" }`, [/^upstreams: must be a list of origins/]],
    ['an unknown option', 'c.json', `{ "upstreams": ["${at}"], "frobnicate": 5 }`,
      [/^frobnicate: unknown option; known here: upstreams, listen, tls, tcp, strategy, .*, and all options of c/]],
    ['a misspelled option', 'c.json', `{ "upstreams": ["${at}"], "stratgy": "random", "drainTimeoutMs": 5 }`,
      [/^stratgy: unknown option; did you mean strategy\? \(/,
        /^drainTimeoutMs: unknown option; did you mean drainTimeout\?/]],
    ['an option of other programs', 'c.json', `{ "backends": ["${at}"], "upstreams": ["${at}"], "port": 80 }`,
      [/^backends: unknown option; did you mean upstreams\?/, /^port: unknown option; did you mean listen\?/]],
    ['all at once', 'c.json',
      `{ "upstreams": ["${at}", "x"], "listen": ["y", 70000], "strategy": "z", "drainTimeout": "w", "via": 5 }`,
      [/^upstreams\[1\]\.origin: .*"x"/, /^listen\[0\]: .*"y"/, /^listen\[1\]: .*70000/,
        /^strategy: must be random, .* \(got "z"\)$/, /^drainTimeout: .*"w"/, /^via: .* \(got 5\)$/]],
    ['a strategy that is none', 'c.mjs', `export default { upstreams: ['${at}'], strategy: {} };`,
      [/^strategy: .*; name is missing, pick is missing \(got \{\}\)$/]],
    ['hooks in JSON', 'c.json',
      `{ "upstreams": ["${at}"], "onRequest": "./h.mjs", "pools": { "b": { "upstreams": [], "connect": 5 } } }`,
      [/^onRequest: needs code, which JSON cannot hold; write the file as a module, e\.g\. equipoise\.config\.mjs/,
        /^pools\.b\.connect: needs code, which JSON cannot hold/]],
    ['null', 'c.json',
      `{ "upstreams": ["${at}"], "workers": null, "strategy": null, "listen": null, "pidFile": null }`,
      [/^workers: must be an integer .* \(got null\)$/, /^strategy: .*null/, /^listen: must be .* \(got null\)$/,
        /^pidFile: must be a file path.* \(got null\)$/]],
    ['a package that is not there', 'c.mjs',
      'import { defineConfig } from "equipoise"; export default defineConfig({});',
      [/^config: .*: Cannot find package 'equipoise' imported from \/.*\/c\.mjs; run npm install equipoise there$/]],
    ['an address twice', 'c.json', `{ "upstreams": ["${at}"], "listen": [8080, "127.0.0.1:8080", { "port": 8080 }] }`,
      [/^listen\[2\]: .*: is there twice; list it once$/]],
    ['nowhere to listen', 'c.json', `{ "upstreams": ["${at}"], "listen": [] }`, [/^listen: must name at least one/]],
    ['an address that is none', 'c.json', `{ "upstreams": ["${at}"], "listen": { "prot": 1 } }`,
      [/^listen\.prot: unknown option; did you mean port\?/]],
  ];
  for (const [what, file, text, problems] of table) {
    test(what, async (t) => {
      const { code, stdout, stderr } = await runHere(['-c', file], { cwd: directory(t, { [file]: text }) });
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      const lines = stderr.trimEnd().split('\n').map((line) => line.replace(/^equipoise: /, ''));
      const missing = problems.filter((problem) => !lines.some((line) => problem.test(line)));
      assert.deepEqual(missing, [], stderr);
      // What follows from a problem is not reported as another one.
      assert.equal(lines.length, problems.length + 1, stderr);
    });
  }
  test('an ES module in a CommonJS package', async (t) => {
    const cwd = directory(t, { 'c.js': 'export default {};', 'package.json': '{ "type": "commonjs" }' });
    const { code, stderr } = await runHere(['-c', 'c.js'], { cwd });
    assert.equal(code, 2);
    assert.match(stderr, /^equipoise: config: .*: rename it to \.mjs, or set "type": "module" in package\.json$/m);
  });
  const strips = 'typescript' in process.features && process.features.typescript !== false;
  test('TypeScript, if Node does not support it', { skip: strips ? 'this Node strips types' : false }, async (t) => {
    const { code, stderr } = await runHere(['-c', 'c.ts'], { cwd: directory(t, { 'c.ts': 'export default {};' }) });
    assert.equal(code, 2);
    assert.match(stderr,
      /^equipoise: config: .*: TypeScript needs Node 22\.18 or newer \(this is Node [\d.]+\); compile /);
  });
  const noFlag = strips ? false : 'this Node does not run it anyway';
  test('TypeScript, if Node is told not to run it', { skip: noFlag }, async (t) => {
    const cwd = directory(t, { 'c.ts': 'export default {};' });
    const { code, stderr } = await run(['-c', 'c.ts'], { cwd, execArgv: ['--no-experimental-strip-types'] });
    assert.equal(code, 2);
    assert.match(stderr, /^equipoise: config: .*: TypeScript is turned off \(--no-strip-types.*; leave out that/);
  });
  test('a file that does not exist', async (t) => {
    const { code, stderr } = await run(['-c', 'c.json'], { cwd: directory(t) });
    assert.equal(code, 2);
    assert.equal(stderr,
      'equipoise: config: cannot load c.json: the file does not exist\nequipoise: See equipoise --help.\n');
  });
  test('--demo beside its upstreams', async (t) => {
    const cwd = directory(t, { 'c.json': `{ "upstreams": ["${at}"] }` });
    const { code, stderr } = await runHere(['-c', 'c.json', '--demo'], { cwd });
    assert.equal(code, 2);
    assert.match(stderr, /^equipoise: --demo: has its own upstreams/);
  });
});
