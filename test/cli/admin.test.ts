/** `--admin`: one listener for all workers, through drains and reloads. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createBalancer } from '../../src/balancer.ts';
import { AdminListener } from '../../src/cli/admin.ts';
import { readArguments } from '../../src/cli/arguments.ts';
import { configure } from '../../src/cli/config.ts';
import { connectTo } from '../support/client.ts';
import { type Binary, start } from '../support/process-binary.ts';
import { get, order, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const LISTEN = ['-l', '127.0.0.1:0'];

/** The port of its admin listener. */
async function adminOf(binary: Binary): Promise<number> {
  await binary.logged(/admin listener: http:\/\/127\.0\.0\.1:\d+/);
  return Number(/admin listener: http:\/\/127\.0\.0\.1:(\d+)/.exec(binary.stderr)?.[1]);
}

async function problemsOf(...argv: string[]): Promise<readonly string[]> {
  const problems: string[] = [];
  await configure(readArguments([...argv, 'http://127.0.0.1:3001'], problems), problems);
  return problems;
}

test('an address that others can reach needs a token', async (t) => {
  assert.deepEqual(await problemsOf('--admin', '9090'), []);
  assert.deepEqual(await problemsOf('--admin', 'unix:/tmp/admin.sock,mode=660'), []);
  assert.match((await problemsOf('--admin', '0.0.0.0:9090')).join(), /^admin: 0\.0\.0\.0 can be reached by others/);
  assert.match((await problemsOf('--admin', 'fd:3')).join(), /^admin: must be \[host:\]port or unix:PATH/);
  const file = join(directory(t), 'token');
  writeFileSync(file, 'a-token\n');
  assert.deepEqual(await problemsOf('--admin', '0.0.0.0:9090', '--admin-token-file', file), []);
  assert.match((await problemsOf('--admin-token-file', file)).join(), /there is no admin listener/);
  assert.match((await problemsOf('--admin', '9090', '--admin-token-file', '/nowhere')).join(), /cannot be read/);
});

for (const workers of ['1', '2']) {
  describe(`--admin, with ${workers} to serve`, () => {
    test('drains in all of them, and does not hold the exit up', async (t) => {
      const [a, b] = [await startNamed(t, 'A'), await startNamed(t, 'B')];
      const binary = start(t, [...LISTEN, '-w', workers, '--stop-delay', '0.5', '--admin', '127.0.0.1:0', a, b]);
      const port = await binary.port();
      const admin = await adminOf(binary);
      assert.equal((await get(admin, '/readyz')).status, 200);
      assert.match((await get(admin, '/metrics')).body, /^equipoise_workers /m);
      await order(admin, a, 'drain', Number(workers));
      for (let i = 0; i < 10; i++) assert.equal((await get(port)).body, 'B');
      binary.signal('SIGTERM');
      assert.equal((await binary.exit()).code, 0);
    });

    test('lives, but is not ready, during the stop delay', async (t) => {
      // Longer than any test takes.
      const args = [...LISTEN, '-w', workers, '--stop-delay', '86400', '--admin', '127.0.0.1:0'];
      const binary = start(t, [...args, await startNamed(t, 'A')]);
      await binary.port();
      const admin = await adminOf(binary);
      binary.signal('SIGTERM');
      await binary.logged(/SIGTERM: /);
      let status = 0;
      while (status !== 503) ({ status } = await get(admin, '/readyz'));
      assert.equal((await get(admin, '/livez')).status, 200);
      binary.signal('SIGTERM');
      assert.equal((await binary.exit()).code, 1);
    });
  });
}

test('a replaced worker leaves a connection of its admin listener time for a request that is on its way', async (t) => {
  const balancer = createBalancer({ upstreams: ['http://127.0.0.1:1'] });
  t.after(() => balancer.close({ timeoutMs: 0 }));
  const where = { port: 0, host: '127.0.0.1' };
  const listener = new AdminListener({ where, token: undefined, hosts: [] }, balancer, {});
  t.after(() => listener.close());
  const client = await connectTo(t, Number(/:(\d+)/.exec(await listener.listen())?.[1]));
  const begun = performance.now();
  listener.draining();
  assert.equal(await client.over(), 'end');
  // A second until all workers know, then half a second of grace: timers may be late, but not early.
  const took = performance.now() - begun;
  assert.ok(took > 1_450, `it was closed after ${took} ms`);
});

test('a worker that ends answers what its admin listener was asked before', async (t) => {
  const balancer = createBalancer({ upstreams: ['http://127.0.0.1:1'] });
  t.after(() => balancer.close({ timeoutMs: 0 }));
  const { mock } = t.mock.method(balancer, 'on');
  const where = { port: 0, host: '127.0.0.1' };
  const listener = new AdminListener({ where, token: undefined, hosts: [] }, balancer, {});
  const answer = get(Number(/:(\d+)/.exec(await listener.listen())?.[1]), '/why?wait=0.1');
  // It has been asked when decisions are recorded.
  while (!mock.calls.some(({ arguments: [event] }) => event === 'decided')) await turn();
  await listener.close();
  assert.deepEqual(JSON.parse((await answer).body), { decisions: [], recordingFor: 60 });
});
