import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { start } from '../support/process-binary.ts';
import { get, startHolding, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { runsInOneProcess } from '../support/runs.ts';

const LISTEN = ['-l', '127.0.0.1:0'];

/** The processes that the log reports as ready. */
function workersIn(stderr: string): number[] {
  return [...stderr.matchAll(/\(process (\d+)\) is ready/g)].map(([, pid]) => Number(pid));
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('with --workers', () => {
  test('the workers serve, one line says so, SIGTERM stops them all with exit code 0', async (t) => {
    const binary = start(t, [...LISTEN, '-w', '2', '-s', 'round-robin', await startNamed(t, 'A')]);
    const port = await binary.port();
    assert.equal(await binary.ready(), `Load balancer with round-robin strategy listening on http://127.0.0.1:${port}`);
    for (let i = 0; i < 10; i++) assert.equal((await get(port)).body, 'A');
    const workers = workersIn(binary.stderr);
    assert.equal(workers.length, 2);
    binary.signal('SIGTERM');
    const { code, stdout } = await binary.exit();
    assert.deepEqual([code, stdout.trim().split('\n').length], [0, 1]);
    assert.deepEqual(workers.filter(isThere), []);
  });

  test('a worker that is killed is replaced', async (t) => {
    const binary = start(t, [...LISTEN, '-w', '2', await startNamed(t, 'A')]);
    const port = await binary.port();
    process.kill(workersIn(binary.stderr)[0] ?? assert.fail('no worker'), 'SIGKILL');
    await binary.logged(/SIGKILL, perhaps out of memory/);
    await binary.logged(/worker 3 .* is ready/);
    assert.equal((await get(port)).body, 'A');
  });

  test('SIGHUP starts new workers with the current configuration', async (t) => {
    const [a, b] = [await startNamed(t, 'A'), await startNamed(t, 'B')];
    const path = join(directory(t), 'config.json');
    const write = (upstreams: readonly string[]): void => {
      writeFileSync(path, JSON.stringify({ upstreams, listen: '127.0.0.1:0', workers: 2 }));
    };
    write([a]);
    const binary = start(t, ['-c', path]);
    const port = await binary.port();
    write([b]);
    binary.signal('SIGHUP');
    await binary.logged(/reload: complete/);
    assert.equal((await get(port)).body, 'B');
  });

  test('with a wrong configuration, the old workers keep serving', async (t) => {
    const path = join(directory(t), 'config.json');
    writeFileSync(path, JSON.stringify({ upstreams: [await startNamed(t, 'A')], listen: '127.0.0.1:0', workers: 2 }));
    const binary = start(t, ['-c', path]);
    const port = await binary.port();
    writeFileSync(path, JSON.stringify({ upstreams: 5 }));
    binary.signal('SIGHUP');
    await binary.logged(/reload failed, the old workers keep serving: upstreams: must be .* \(got 5\)/);
    assert.equal((await get(port)).body, 'A');
    binary.signal('SIGTERM');
    assert.equal((await binary.exit()).code, 0);
  });

  test('what the drain timeout cuts is logged once and is not a failure', async (t) => {
    const upstream = await startHolding(t, '', 'never');
    const binary = start(t, [...LISTEN, '-w', '2', '--drain-timeout', '0.1', upstream.origin]);
    const answer = get(await binary.port()).catch(() => 'cut');
    await upstream.asked();
    binary.signal('SIGTERM');
    const { code, stderr } = await binary.exit();
    assert.equal(code, 0, stderr);
    assert.equal(stderr.match(/1 connection/g)?.length, 1, stderr);
    assert.equal(await answer, 'cut');
    upstream.release();
  });
});

describe('a wrong number of workers', () => {
  const runHere = runsInOneProcess();
  for (const value of ['0', '-1', '1.5', 'many', '1025']) {
    test(`${value} is not a number of workers`, async () => {
      const { code, stderr } = await runHere([`--workers=${value}`, 'http://127.0.0.1:9']);
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`workers: must be an integer from 1 to 1024, or auto \\(got "${value}"\\)`));
    });
  }
});

describe('alone', () => {
  test('SIGHUP takes the upstreams from the current configuration', async (t) => {
    const [a, b] = [await startNamed(t, 'A'), await startNamed(t, 'B')];
    const path = join(directory(t), 'config.mjs');
    const write = (...upstreams: string[]): void => {
      writeFileSync(path, `export default { upstreams: ${JSON.stringify(upstreams)}, listen: '127.0.0.1:0' };`);
    };
    write(a);
    const binary = start(t, ['-c', path]);
    const port = await binary.port();
    assert.equal((await get(port)).body, 'A');
    write(b, b.replace('127.0.0.1', 'localhost'));
    binary.signal('SIGHUP');
    await binary.logged(/reloaded: upstreams, /);
    assert.equal((await get(port)).body, 'B');
    writeFileSync(path, 'export default { upstreams: 5 };');
    binary.signal('SIGHUP');
    await binary.logged(/not reloaded, nothing has changed/);
    await binary.logged(/upstreams: must be .* \(got 5\)/);
    assert.equal((await get(port)).body, 'B');
    binary.signal('SIGTERM');
    assert.equal((await binary.exit()).code, 0);
  });

  test('SIGHUP without a configuration file changes nothing', async (t) => {
    const binary = start(t, [...LISTEN, await startNamed(t, 'A')]);
    const port = await binary.port();
    binary.signal('SIGHUP');
    await binary.logged(/nothing to reload/);
    assert.equal((await get(port)).body, 'A');
  });
});
