/**
 * A worker that could not be started has no process to signal. The test runs in its own process group, because the
 * signal once went to the whole group: the primary, and the process that had started it.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

const PROCESSES = new URL('../../../dist/src/cluster/supervise/processes.js', import.meta.url).href;

for (const what of ['drain(false, 1_000)', 'kill()']) {
  test(`${what} of a worker that could not be started signals no process`, async () => {
    const program = `
      import { Processes } from ${JSON.stringify(PROCESSES)};
      process.execPath = '/nowhere/node';
      process.on('SIGTERM', () => process.stdout.write('SIGTERM '));
      const release = { cwd: process.cwd(), exec: '/nowhere/app.mjs' };
      const processes = new Processes({ release, hear: () => undefined, tell: () => undefined });
      let gone;
      const over = new Promise((resolve) => { gone = resolve; });
      const worker = processes.fork({ id: 1 }, { setup: undefined, drainTimeoutMs: 1_000 }, ({ type }) => {
        if (type === 'gone') gone();
      });
      worker.${what};
      await over;
      process.stdout.write('alive');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      detached: true, stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const [code, signal] = await once(child, 'close') as [number | null, string | null];
    assert.deepEqual({ said, code, signal }, { said: 'alive', code: 0, signal: null });
  });
}
