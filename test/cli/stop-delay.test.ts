import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { start } from '../support/process-binary.ts';
import { get, startHolding, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

/** Longer than any test takes. */
const LONG = '86400';
const LISTEN = ['-l', '127.0.0.1:0'];

for (const workers of ['1', '2']) {
  describe(`--stop-delay, with ${workers} to serve`, () => {
    test('new connections are served after SIGTERM; a second SIGTERM ends it at once', async (t) => {
      const binary = start(t, [...LISTEN, '-w', workers, '--stop-delay', LONG, await startNamed(t, 'A')]);
      const port = await binary.port();
      binary.signal('SIGTERM');
      await binary.logged(/SIGTERM: /);
      for (let i = 0; i < 10; i++) assert.equal((await get(port)).body, 'A');
      binary.signal('SIGTERM');
      assert.equal((await binary.exit()).code, 1);
    });

    test('then it drains: the drain timeout begins when the delay is over', async (t) => {
      const upstream = await startHolding(t, 'start ', 'end');
      const binary = start(t,
        [...LISTEN, '-w', workers, '--stop-delay', '0.5', '--drain-timeout', LONG, upstream.origin]);
      const port = await binary.port();
      const answer = get(port);
      await upstream.asked();
      binary.signal('SIGTERM');
      await binary.logged(/SIGTERM: /);
      // Served during the delay; once it is over, connections are refused.
      const refused = async (): Promise<boolean> => get(port, '/', { method: 'HEAD' }).then(() => false, () => true);
      upstream.release();
      while (!await refused());
      assert.equal((await answer).body, 'start end');
      assert.equal((await binary.exit()).code, 0);
    });

    test('what is in flight is cut only after both', async (t) => {
      const upstream = await startHolding(t, 'start', 'never');
      const binary = start(t,
        [...LISTEN, '-w', workers, '--stop-delay', '0.5', '--drain-timeout', '0', upstream.origin]);
      const port = await binary.port();
      const answer = get(port).catch(() => 'cut');
      await upstream.asked();
      binary.signal('SIGTERM');
      assert.equal(await answer, 'cut');
      const { code, stderr } = await binary.exit();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /1 connection/);
      assert.doesNotMatch(stderr, /killed/);
    });
  });
}

test('a worker that dies during the delay is replaced', async (t) => {
  const args = [...LISTEN, '-w', '2', '--stop-delay', LONG, '--drain-timeout', LONG];
  const binary = start(t, [...args, await startNamed(t, 'A')]);
  const port = await binary.port();
  const { pid } = /worker 1 \(process (?<pid>\d+)\) is ready/.exec(binary.stderr)?.groups ?? {};
  binary.signal('SIGTERM');
  await binary.logged(/SIGTERM: still accepting for 86400 s, then all workers drain/);
  process.kill(Number(pid), 'SIGKILL');
  await binary.logged(/worker 3 .* is ready/);
  for (let i = 0; i < 10; i++) assert.equal((await get(port)).body, 'A');
  binary.signal('SIGTERM');
  assert.equal((await binary.exit()).code, 1);
});

test('a reload of workers does not wait for it', async (t) => {
  const cwd = directory(t);
  const write = (origin: string): void => {
    writeFileSync(join(cwd, 'c.json'), JSON.stringify({
      upstreams: [origin], listen: '127.0.0.1:0', workers: 2, stopDelay: Number(LONG),
    }));
  };
  write(await startNamed(t, 'A'));
  const binary = start(t, ['-c', 'c.json'], { cwd });
  const port = await binary.port();
  write(await startNamed(t, 'B'));
  binary.signal('SIGHUP');
  await binary.logged(/reload: complete/);
  await binary.logged(/(worker [12] .*ended: exit code 0[^]*){2}/);
  assert.equal((await get(port)).body, 'B');
  binary.signal('SIGTERM');
  await binary.logged(/SIGTERM: /);
  binary.signal('SIGTERM');
  await binary.exit();
});
