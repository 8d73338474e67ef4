/** `sticky` in the binary: workers share nothing, and understand each other's cookies. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test('a client stays on its upstream, whatever worker it comes to', async (t) => {
  const cwd = directory(t);
  mkdirSync(join(cwd, 'node_modules'));
  symlinkSync(ROOT, join(cwd, 'node_modules/equipoise'), 'dir');
  const upstreams = await Promise.all(['A', 'B', 'C'].map((name) => startNamed(t, name)));
  writeFileSync(join(cwd, 'c.mjs'), `import { defineConfig } from 'equipoise';
    import { random } from 'equipoise/strategies/random';
    import { sticky } from 'equipoise/strategies/sticky';
    export default defineConfig({
      listen: '127.0.0.1:0', upstreams: ${JSON.stringify(upstreams)}, strategy: sticky(random()),
      onResponse({ response }) { response.headers.set('x-worker', String(process.pid)); },
    });`);
  const port = await start(t, ['-c', 'c.mjs', '-w', '2'], { cwd }).port();
  const first = await get(port);
  const [cookie = ''] = first.headers['set-cookie'] ?? [];
  assert.match(cookie, /^equipoise=[0-9a-f]{16}; Path=\/; HttpOnly$/);
  // The system and node:cluster choose the worker of a connection; each request has a connection of its own.
  const workers = new Set([first.headers['x-worker']]);
  for (let tries = 0; workers.size < 2 || tries < 20; tries++) {
    assert.ok(tries < 1_000, 'only one worker answers');
    const answer = await get(port, '/', { headers: { cookie: cookie.split(';')[0] } });
    assert.equal(answer.body, first.body);
    assert.equal(answer.headers['set-cookie'], undefined);
    workers.add(answer.headers['x-worker']);
  }
});
