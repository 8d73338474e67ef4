/**
 * `context.stopping` during the stop delay, in a worker of a launch and of another cluster.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get } from '../support/process-client.ts';
import { Program } from './program.ts';

/** Longer than any test takes: it is over when SIGUSR2 says so. */
const DELAY_MS = 86_400_000;

const APP = `
  let passed = 0;
  process.on('SIGUSR2', () => { passed = ${DELAY_MS}; });
  const time = {
    now: () => performance.now() + passed,
    epoch: () => Date.now(),
    every(ms, tick) {
      const timer = setInterval(() => { if (ms < ${DELAY_MS} || passed > 0) tick(); }, 20);
      timer.unref();
      return () => clearInterval(timer);
    },
  };
  await launch(async ({ stopping }) => {
    const server = http.createServer((request, response) => response.end(stopping.aborted ? 'not ready' : 'ready'));
    stopping.addEventListener('abort', () => console.log('stopping'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    console.log('port ' + server.address().port);
    return server;
  }, { workers: 1, stopDelayMs: ${DELAY_MS}, drainTimeoutMs: 10_000, time });`;

describe('with stopDelayMs a worker is notified at once, and serves until the delay is over', () => {
  for (const [how, before] of [
    ['of a launch', ''],
    ['of another cluster', `
      import cluster from 'node:cluster';
      if (cluster.isPrimary) {
        const worker = cluster.fork();
        for (const name of ['SIGTERM', 'SIGUSR2']) process.on(name, () => worker.process.kill(name));
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
      for (let i = 0; i < 3; i++) assert.equal((await get(port)).body, 'not ready');
      program.signal('SIGUSR2');
      assert.equal((await program.exit()).code, 0);
    });
  }
});
