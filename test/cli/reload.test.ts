import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { type Binary, start } from '../support/process-binary.ts';
import { get, startHolding, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { turns, within } from '../support/wait.ts';

/** Longer than any test takes, in seconds. */
const LONG = 80_000;

describe('SIGHUP with workers applies all changes of the file', () => {
  test('the number of workers', async (t) => {
    const { binary, write } = await configured(t, { workers: 2 });
    await binary.ready();
    write({ workers: 3 });
    await reloaded(binary);
    // 1 and 2 were replaced, and one was added.
    await binary.logged(/worker 5 .* is ready/);
    write({ workers: 1 });
    await reloaded(binary);
    binary.signal('SIGTERM');
    const { code, stderr } = await binary.exit();
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /worker 7 /);
  });

  test('the drain timeout, of the primary and of the workers', async (t) => {
    const upstream = await startHolding(t, '', 'never');
    const { binary, write } = await configured(t, { workers: 2, drainTimeout: LONG, upstreams: [upstream.origin] });
    const port = await binary.port();
    write({ workers: 2, drainTimeout: 0.1, upstreams: [upstream.origin] });
    await reloaded(binary);
    const answer = get(port).catch(() => 'cut');
    await upstream.asked();
    binary.signal('SIGTERM');
    assert.equal(await answer, 'cut');
    assert.equal((await binary.exit()).code, 0);
    upstream.release();
  });

  test('the reload timeout: how long replaced workers may take', async (t) => {
    const upstream = await startHolding(t, '', 'never');
    const { binary, write } = await configured(t, { workers: 2, upstreams: [upstream.origin] });
    const answer = get(await binary.port()).catch(() => 'cut');
    await upstream.asked();
    write({ workers: 2, reloadTimeout: 0.1, upstreams: [upstream.origin] });
    await reloaded(binary);
    assert.equal(await answer, 'cut');
    upstream.release();
  });

  test('the delay before it stops', async (t) => {
    const { binary, write } = await configured(t, { workers: 2 });
    const port = await binary.port();
    write({ workers: 2, stopDelay: LONG });
    await reloaded(binary);
    binary.signal('SIGTERM');
    await binary.logged(/SIGTERM: /);
    for (let i = 0; i < 10; i++) assert.equal((await get(port)).status, 200);
    binary.signal('SIGTERM');
    assert.equal((await binary.exit()).code, 1);
  });

  test('the path of the pid file', async (t) => {
    const { binary, write, cwd } = await configured(t, { workers: 2, pidFile: 'a.pid' });
    await binary.ready();
    assert.ok(existsSync(join(cwd, 'a.pid')));
    write({ workers: 2, pidFile: 'b.pid' });
    await reloaded(binary);
    // The log line about the complete reload comes first.
    const moved = async (): Promise<void> => {
      while (existsSync(join(cwd, 'a.pid'))) await turns(1);
    };
    await within(moved(), () => 'the end of a.pid');
    assert.equal(readFileSync(join(cwd, 'b.pid'), 'utf8'), `${binary.pid}\n`);
  });
});

test('requests in flight outlive a reload, whatever the drain timeout', async (t) => {
  for (const workers of [1, 2]) {
    const upstream = await startHolding(t, 'start ', 'end');
    const { binary, write } = await configured(t, { workers, drainTimeout: 0, upstreams: [upstream.origin] });
    const port = await binary.port();
    const answer = get(port);
    await upstream.asked();
    write({ workers, drainTimeout: 0, upstreams: [await startNamed(t, 'B')] });
    await reloaded(binary);
    // By the time the new worker answers, the drain timeout would have cut the old one's response.
    for (let i = 0; i < 20; i++) assert.equal((await get(port)).body, 'B');
    upstream.release();
    assert.equal((await answer).body, 'start end');
  }
});

test('a single process takes new limits from the file, too', async (t) => {
  const upstream = await startHolding(t, '', 'never');
  const { binary, write } = await configured(t, { drainTimeout: LONG, upstreams: [upstream.origin] });
  const answer = get(await binary.port()).catch(() => 'cut');
  await upstream.asked();
  write({ drainTimeout: 0.1, upstreams: [upstream.origin] });
  await reloaded(binary);
  binary.signal('SIGTERM');
  await binary.logged(/SIGTERM: finishing what is in flight, for 0\.1 s at most/);
  assert.equal(await answer, 'cut');
  assert.equal((await binary.exit()).code, 0);
  upstream.release();
});

test('a worker that dies is replaced by one with the last good configuration', async (t) => {
  const b = await startNamed(t, 'B');
  const { binary, write, cwd } = await configured(t, { workers: 2 });
  const port = await binary.port();
  // Invalid, and not reloaded yet.
  writeFileSync(join(cwd, 'c.json'), '{');
  killOne(binary, 1);
  await binary.logged(/worker 3 .* is ready/);
  assert.equal((await get(port)).body, 'A');
  binary.signal('SIGHUP');
  await binary.logged(/reload failed, the old workers keep serving: config: cannot load .*c\.json/);
  killOne(binary, 2);
  await binary.logged(/worker 4 .* is ready/);
  for (let i = 0; i < 10; i++) assert.equal((await get(port)).body, 'A');
  write({ workers: 2, upstreams: [b] });
  await reloaded(binary);
  writeFileSync(join(cwd, 'c.json'), '{');
  killOne(binary, 5);
  await binary.logged(/worker 7 .* is ready/);
  for (let i = 0; i < 10; i++) assert.equal((await get(port)).body, 'B');
});

interface Configured {
  readonly binary: Binary;
  readonly cwd: string;
  /** Rewrites the file. */
  readonly write: (config: object) => void;
}

/** The binary with a configuration file, in front of an upstream A unless the file names others. */
async function configured(t: TestContext, config: object): Promise<Configured> {
  const cwd = directory(t);
  const upstreams = [await startNamed(t, 'A')];
  const write = (what: object): void => {
    writeFileSync(join(cwd, 'c.json'), JSON.stringify({ listen: '127.0.0.1:0', upstreams, ...what }));
  };
  write(config);
  return { binary: start(t, ['-c', 'c.json'], { cwd }), cwd, write };
}

/** Makes it reload, and waits until it is done. */
async function reloaded(binary: Binary): Promise<void> {
  const times = (binary.stderr.match(/reload: complete|reloaded: /g)?.length ?? 0) + 1;
  binary.signal('SIGHUP');
  await binary.logged(new RegExp(`(?:(?:reload: complete|reloaded: )[^]*){${times}}`));
}

function killOne(binary: Binary, id: number): void {
  const pid = new RegExp(`worker ${id} \\(process (\\d+)\\) is ready`).exec(binary.stderr)?.[1];
  process.kill(Number(pid), 'SIGKILL');
}
