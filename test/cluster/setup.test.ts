/**
 * What a reload changes for workers that start after it.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { get } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { turns } from '../support/wait.ts';
import { FakeLaunch } from './supervise/fake-workers.ts';
import { Program } from './program.ts';

const states = (launch: FakeLaunch): string[] => launch.states.filter((state) => !state.endsWith('draining'));

describe('a reload', () => {
  test('gives its setup to new workers, and to those that replace dead ones', async () => {
    const launch = FakeLaunch.ready({ setup: 'old' });
    const reloaded = launch.supervisor.reload({ setup: 'new' });
    launch.worker(3).says('ready');
    launch.worker(4).says('ready');
    assert.equal(await reloaded, true);
    launch.worker(4).dies();
    assert.deepEqual(launch.all.map(({ plan }) => plan.setup), ['old', 'old', 'new', 'new', 'new']);
  });

  test('that fails leaves the setup, the limits and the number of workers as they were', async () => {
    const launch = FakeLaunch.ready({ setup: 'old' });
    const reloaded = launch.supervisor.reload({ setup: 'new', workers: 4, drainTimeoutMs: 5, reloadTimeoutMs: 5 });
    launch.worker(3).says('ready');
    launch.worker(4).ends(1);
    assert.equal(await reloaded, false);
    assert.equal(launch.supervisor.desired, 2);
    launch.advance(5_000);
    launch.worker(2).dies();
    assert.equal(launch.all.at(-1)?.plan.setup, 'old');
    launch.all.at(-1)?.says('ready');
    launch.supervisor.close('SIGTERM');
    assert.deepEqual(launch.all.at(-1)?.limits, [10_000]);
  });

  test('resizes when the first new worker is ready', async () => {
    for (const workers of [1, 4]) {
      const launch = FakeLaunch.ready({ workers: 2 });
      const reloaded = launch.supervisor.reload({ workers });
      assert.deepEqual(states(launch), ['1 ready', '2 ready', '3 starting']);
      for (let id = 3; id <= 2 + workers; id++) launch.worker(id).says('ready');
      assert.equal(await reloaded, true);
      assert.equal(states(launch).length, workers);
      assert.ok(launch.lines.includes(`workers wanted: ${workers}`));
    }
  });

  test('asks onReload each time it begins', async () => {
    let n = 0;
    const launch = FakeLaunch.ready({ workers: 1 }, undefined, () => Promise.resolve({ setup: ++n }));
    const both = [launch.supervisor.reload(), launch.supervisor.reload()];
    await turns(1);
    launch.worker(2).says('ready');
    await turns(1);
    launch.worker(3).says('ready');
    assert.deepEqual(await Promise.all(both), [true, true]);
    assert.deepEqual(launch.all.map(({ plan }) => plan.setup), [undefined, 1, 2]);
  });

  test('does not begin if onReload fails', async () => {
    const launch = FakeLaunch.ready({}, undefined, () => Promise.reject(new Error('no luck')));
    assert.equal(await launch.supervisor.reload(), false);
    assert.equal(launch.all.length, 2);
    assert.ok(launch.lines.includes('reload failed, the old workers keep serving: no luck'));
  });

  test('that waits for onReload does not fail if a worker dies, and ends with the launch', async () => {
    let answer: (change: object) => void = () => undefined;
    const asked = new Promise<object>((resolve) => {
      answer = resolve;
    });
    const launch = FakeLaunch.ready({}, undefined, () => asked);
    const reloaded = launch.supervisor.reload();
    launch.worker(1).dies();
    launch.worker(3).ends(1);
    assert.ok(!launch.events.some(({ type }) => type === 'reload-failed'));
    launch.supervisor.close('SIGTERM');
    assert.equal(await reloaded, false);
    const before = launch.all.length;
    answer({});
    await turns(1);
    assert.equal(launch.all.length, before);
  });
});

test('SIGHUP applies what onReload returns; replacements get the setup of the last successful reload', async (t) => {
  const at = directory(t);
  const file = join(at, 'setup.json');
  const write = (value: object): void => {
    writeFileSync(file, JSON.stringify(value));
  };
  const first = { workers: 1, setup: { name: 'one' } };
  write(first);
  const program = new Program(t, `
    import { readFileSync } from 'node:fs';
    import cluster from 'node:cluster';
    const read = () => JSON.parse(readFileSync(${JSON.stringify(file)}, 'utf8'));
    await launch(async ({ setup }) => {
      if (setup.name === 'broken') throw new Error('it is broken');
      const server = http.createServer((request, response) => response.end(setup.name + '\\n'));
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
      process.stdout.write('port ' + server.address().port + '\\n');
      return server;
    }, { ...(cluster.isPrimary ? read() : {}), onReload: async () => read() });`, { at });
  const port = await program.port();
  assert.equal((await get(port)).body, 'one\n');
  write({ workers: 2, setup: { name: 'two' } });
  program.signal('SIGHUP');
  await program.logged(/reload: complete/);
  assert.equal((await get(port)).body, 'two\n');
  for (const wrong of [{ setup: { name: 'broken' } }, { workers: 'many' }]) {
    write(wrong);
    program.signal('SIGHUP');
    await program.logged(/reload failed/, 'setup' in wrong ? 1 : 2);
  }
  assert.match(program.stderr, /reload failed, .*: it is broken|reload failed, .*exit code 1: it is broken/);
  assert.match(program.stderr, /reload failed, .*workers: must be an integer/);
  const before = program.workers.length;
  process.kill(program.workers.at(-1) ?? assert.fail('no worker'), 'SIGKILL');
  await program.logged(/is ready$/, before + 1);
  for (let i = 0; i < 10; i++) assert.equal((await get(port)).body, 'two\n');
});
