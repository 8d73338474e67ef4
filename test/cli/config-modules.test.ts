/**
 * Configuration files that are modules: `defineConfig`, hooks, TypeScript, and reloads of them.
 */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run, start } from '../support/process-binary.ts';
import { get, startNamed, startUpstream } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const STRIPS_TYPES = 'typescript' in process.features && process.features.typescript !== false;

/** A directory with equipoise installed in it. */
function project(t: TestContext): string {
  const cwd = directory(t);
  mkdirSync(join(cwd, 'node_modules'));
  symlinkSync(ROOT, join(cwd, 'node_modules/equipoise'), 'dir');
  return cwd;
}

/** Writes a configuration with hooks that say `version`, also as the modification time, which a reload looks at. */
function write(path: string, origin: string, version: number, more = ''): void {
  writeFileSync(path, `import { defineConfig } from 'equipoise';
    export default defineConfig({
      listen: '127.0.0.1:0', upstreams: [${JSON.stringify(origin)}], ${more}
      onRequest({ request }) {
        if (request.target === '/closed') return new Response('closed', { status: 403 });
        request.headers.set('x-version', '${version}');
      },
      onResponse({ response }) { response.headers.set('x-seen', 'v${version}'); },
      onError: (exchange, { code, status }) => new Response(\`sorry: \${code}\`, { status }),
      routes: [{ path: '/closed' }, { path: '/open' }],
    });`);
  utimesSync(path, version, version);
}

/** An upstream that answers with the version that a hook sent. */
function startEcho(t: TestContext): Promise<string> {
  return startUpstream(t, (request, response) => {
    response.end(`version ${String(request.headers['x-version'])}`);
  });
}

async function checkHooks(port: number, version: number): Promise<void> {
  const open = await get(port, '/open');
  assert.deepEqual([open.status, open.body, open.headers['x-seen']], [200, `version ${version}`, `v${version}`]);
  const closed = await get(port, '/closed');
  assert.deepEqual([closed.status, closed.body], [403, 'closed']);
  const missing = await get(port, '/missing');
  assert.deepEqual([missing.status, missing.body], [404, 'sorry: NO_ROUTE']);
}

describe('hooks in a module', () => {
  for (const name of ['c.mjs', ...(STRIPS_TYPES ? ['c.ts', 'c.mts'] : [])]) {
    test(`${name}, in a single process`, async (t) => {
      const cwd = project(t);
      write(join(cwd, name), await startEcho(t), 1);
      const binary = start(t, ['-c', name], { cwd });
      await checkHooks(await binary.port(), 1);
    });
  }

  test('with workers: each runs them, and SIGHUP loads them anew', async (t) => {
    const cwd = project(t);
    const origin = await startEcho(t);
    write(join(cwd, 'c.mjs'), origin, 1, 'workers: 2,');
    const binary = start(t, ['-c', 'c.mjs'], { cwd });
    const port = await binary.port();
    for (let i = 0; i < 4; i++) await checkHooks(port, 1);
    write(join(cwd, 'c.mjs'), origin, 2, 'workers: 2,');
    binary.signal('SIGHUP');
    await binary.logged(/reload: complete/);
    for (let i = 0; i < 4; i++) await checkHooks(port, 2);
  });

  test('in a single process they stay over a SIGHUP that brings other upstreams', async (t) => {
    const cwd = project(t);
    write(join(cwd, 'c.mjs'), await startNamed(t, 'A'), 1);
    const binary = start(t, ['-c', 'c.mjs'], { cwd });
    const port = await binary.port();
    assert.equal((await get(port, '/open')).body, 'A');
    write(join(cwd, 'c.mjs'), await startNamed(t, 'B'), 1, '// as before');
    utimesSync(join(cwd, 'c.mjs'), 2, 2);
    binary.signal('SIGHUP');
    await binary.logged(/reloaded/);
    const { body, headers } = await get(port, '/open');
    assert.deepEqual([body, headers['x-seen']], ['B', 'v1']);
    assert.equal((await get(port, '/closed')).status, 403);
  });
});

test('types are stripped from TypeScript', { skip: STRIPS_TYPES ? false : 'this Node does not run TypeScript' },
  async (t) => {
    const cwd = project(t);
    writeFileSync(join(cwd, 'c.ts'), `import { defineConfig, type Config } from 'equipoise';
      interface State { user: string }
      const config: Config<State> = defineConfig<State>({
        listen: '127.0.0.1:0', upstreams: ['${await startNamed(t, 'A')}'],
        onRequest(exchange): void { exchange.state = { user: 'alice' }; },
        onResponse({ state, response }) { response.headers.set('x-user', state.user); },
      });
      export default config;`);
    const binary = start(t, ['-c', 'c.ts'], { cwd });
    const { body, headers } = await get(await binary.port());
    assert.deepEqual([body, headers['x-user']], ['A', 'alice']);
  });

test('what TypeScript needs a compiler for is named, with its place',
  { skip: STRIPS_TYPES ? false : 'this Node does not run TypeScript' }, async (t) => {
    const cwd = directory(t, { 'c.ts': 'enum Zone { A }\nexport default { upstreams: [Zone.A] };' });
    const { code, stderr } = await run(['-c', 'c.ts'], { cwd });
    assert.equal(code, 2);
    assert.match(stderr, /^equipoise: config: cannot load c\.ts: line 1, .*enum is not supported in strip-only mode\n/);
  });

test('a module that keeps a timer does not keep a process that is done', async (t) => {
  const origin = await startNamed(t, 'A');
  const module = (upstream: string): string => `setInterval(() => undefined, 1000);
    export default { listen: '127.0.0.1:0', upstreams: ['${upstream}'] };`;
  const cwd = directory(t, { 'wrong.mjs': module('x'), 'right.mjs': module(origin) });
  assert.equal((await run(['-c', 'wrong.mjs'], { cwd })).code, 2);
  assert.equal((await run(['-c', 'right.mjs', '--check'], { cwd })).code, 0);
  const binary = start(t, ['-c', 'right.mjs'], { cwd });
  await binary.ready();
  binary.signal('SIGTERM');
  assert.deepEqual([(await binary.exit()).code, (await binary.exit()).signal], [0, null]);
});

test('a JSON file may name its schema', async (t) => {
  const schema = './node_modules/equipoise/config.schema.json';
  const config = { $schema: schema, listen: '127.0.0.1:0', upstreams: [await startNamed(t, 'A')] };
  const cwd = directory(t, { 'c.json': JSON.stringify(config) });
  const binary = start(t, ['-c', 'c.json'], { cwd });
  assert.equal((await get(await binary.port())).body, 'A');
  assert.equal(binary.stderr, '');
});
