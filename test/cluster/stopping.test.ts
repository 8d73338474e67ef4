/**
 * `context.stopping` during the stop delay, in a worker of a launch and of another cluster.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get } from '../support/process-client.ts';
import { Program } from './program.ts';

const APP = `
  await launch(async ({ stopping }) => {
    const server = http.createServer((request, response) => response.end(stopping.aborted ? 'not ready' : 'ready'));
    stopping.addEventListener('abort', () => console.log('stopping'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    console.log('port ' + server.address().port);
    return server;
  }, { workers: 1, stopDelayMs: 1500, drainTimeoutMs: 10_000 });`;

describe('with stopDelayMs a worker is notified at once, and serves until the delay is over', () => {
  for (const [how, before] of [
    ['of a launch', ''],
    ['of another cluster', `
      import cluster from 'node:cluster';
      if (cluster.isPrimary) {
        const worker = cluster.fork();
        process.on('SIGTERM', () => worker.process.kill('SIGTERM'));
        await new Promise((resolve) => worker.on('exit', resolve));
        process.exit();
      }`],
  ] as const) {
    test(how, async (t) => {
      const program = new Program(t, `${before}${APP}`);
      await program.printed(/port \d+\n/);
      const port = Number(/port (\d+)/.exec(program.stdout)?.[1]);
      assert.equal((await get(port)).body, 'ready');
      if (how === 'of a launch') await program.logged(/all workers are ready/);
      program.signal('SIGTERM');
      await program.printed(/stopping/);
      assert.equal((await get(port)).body, 'not ready');
      assert.equal((await program.exit()).code, 0);
    });
  }
});
