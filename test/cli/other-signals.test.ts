import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { start } from '../support/process-binary.ts';
import { get, startHolding, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const LISTEN = ['-l', '127.0.0.1:0'];

/** A configuration that finishes loading on SIGWINCH. */
const SLOW = `
  console.error('loading');
  const waiting = setInterval(() => undefined, 1000);
  await new Promise((resolve) => process.once('SIGWINCH', resolve));
  clearInterval(waiting);
  export default { upstreams: ['http://127.0.0.1:9'], listen: '127.0.0.1:0' };
`;

for (const workers of ['1', '2']) {
  describe(`SIGUSR1 and SIGUSR2, with ${workers} to serve`, () => {
    test('are logged in one line, and have no other effect', async (t) => {
      const binary = start(t, [...LISTEN, '-w', workers, await startNamed(t, 'A')]);
      const port = await binary.port();
      for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
        binary.signal(signal);
        await binary.logged(new RegExp(`^equipoise: ${signal}: ignored; .*$`, 'm'));
        assert.equal((await get(port)).body, 'A');
      }
      binary.signal('SIGTERM');
      const { code, stderr } = await binary.exit();
      assert.equal(code, 0);
      assert.doesNotMatch(stderr, /debugger/i);
      assert.equal(stderr.match(/SIGUSR\d/g)?.length, 2, stderr);
    });

    test('have no effect while it drains', async (t) => {
      const upstream = await startHolding(t, 'start ', 'end');
      const binary = start(t, [...LISTEN, '-w', workers, upstream.origin]);
      const answer = get(await binary.port());
      await upstream.asked();
      binary.signal('SIGTERM');
      await binary.logged(/SIGTERM/);
      for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
        binary.signal(signal);
        await binary.logged(new RegExp(`${signal}: ignored`));
      }
      upstream.release();
      assert.equal((await answer).body, 'start end');
      assert.equal((await binary.exit()).code, 0);
    });

    test('have no effect while it starts, and neither has SIGHUP', async (t) => {
      const cwd = directory(t, { 'slow.mjs': SLOW });
      const binary = start(t, ['-c', 'slow.mjs', '-w', workers], { cwd });
      await binary.logged(/loading/);
      binary.signal('SIGHUP');
      for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
        binary.signal(signal);
        await binary.logged(new RegExp(`${signal}: ignored`));
      }
      binary.signal('SIGWINCH');
      if (workers === '1') {
        await binary.ready();
        // The file may have changed since it was read.
        await binary.logged(/^equipoise: reloaded: /m);
      }
      assert.doesNotMatch(binary.stderr, /debugger/i);
      binary.signal('SIGTERM');
      await binary.exit();
    });
  });
}

test('SIGTERM before it is ready: it exits with 0', async (t) => {
  const cwd = directory(t, { 'slow.mjs': SLOW });
  const binary = start(t, ['-c', 'slow.mjs'], { cwd });
  await binary.logged(/loading/);
  binary.signal('SIGTERM');
  const { code, signal, stdout, stderr } = await binary.exit();
  assert.deepEqual([code, signal, stdout], [0, null, '']);
  assert.match(stderr, /^equipoise: SIGTERM: stopped before it was ready$/m);
});

test('SIGHUP with nothing to reload is logged', async (t) => {
  for (const [args, why] of [
    [['--demo'], 'the upstreams of --demo are built in'],
    [[await startNamed(t, 'A')], 'no configuration file was given \\(--config\\)'],
  ] as const) {
    const binary = start(t, [...LISTEN, ...args]);
    const port = await binary.port();
    binary.signal('SIGHUP');
    await binary.logged(new RegExp(`^equipoise: SIGHUP: nothing to reload: ${why}\\n$`));
    assert.equal((await get(port)).status, 200);
  }
});
