import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { refusingOrigin } from '../support/upstream.ts';

// journald restarts, a log pipe breaks, a disk is full: only the log is lost.
for (const workers of ['1', '2']) {
  describe(`when its output has no reader, with ${workers} to serve`, () => {
    test('the binary keeps serving and exits gracefully', async (t) => {
      const binary = start(t, ['-l', '127.0.0.1:0', '-w', workers, refusingOrigin()]);
      const port = await binary.port();
      await binary.hangUp();
      // Each request is a failure that is logged, and the primary logs the signals.
      for (let i = 0; i < 10; i++) {
        binary.signal('SIGUSR2');
        assert.equal((await get(port)).status, 502);
      }
      binary.signal('SIGTERM');
      const { code, signal } = await binary.exit();
      assert.deepEqual([code, signal], [0, null]);
    });

    const full = existsSync('/dev/full') ? false : 'this system has no /dev/full';
    test('the same on a full disk', { skip: full }, async (t) => {
      const fd = openSync('/dev/full', 'w');
      t.after(() => {
        closeSync(fd);
      });
      const args = ['-l', '127.0.0.1:0', '-w', workers, refusingOrigin()];
      const binary = start(t, args, { stdio: ['ignore', 'pipe', fd] });
      const port = await binary.port();
      for (let i = 0; i < 10; i++) {
        binary.signal('SIGUSR2');
        assert.equal((await get(port)).status, 502);
      }
      binary.signal('SIGTERM');
      assert.equal((await binary.exit()).code, 0);
    });

    test('a reader that stops reading delays neither requests nor the exit', async (t) => {
      // A process that never reads its standard input.
      const idle = ['-e', 'setInterval(() => undefined, 1e9)'];
      const reader = spawn(process.execPath, idle, { stdio: ['pipe', 'ignore'] });
      t.after(() => reader.kill('SIGKILL'));
      const cwd = directory(t);
      // More than the pipe's buffer holds.
      writeFileSync(join(cwd, 'strategy.mjs'), `process.stderr.write('x'.repeat(8e6));
        export default { name: 'first', pick: ([first]) => first };`);
      const args = ['-l', '127.0.0.1:0', '-w', workers, '-s', './strategy.mjs', await startNamed(t, 'A')];
      const binary = start(t, args, { cwd, stdio: ['ignore', 'pipe', reader.stdin] });
      const port = await binary.port();
      for (let i = 0; i < 10; i++) {
        binary.signal('SIGUSR2');
        assert.equal((await get(port)).body, 'A');
      }
      binary.signal('SIGTERM');
      assert.equal((await binary.exit()).code, 0);
    });
  });
}
