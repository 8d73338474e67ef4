/**
 * Workers that are told to drain before they serve. Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Program } from './program.ts';

/** Starts that end once the worker is told to drain, and how. */
const STARTS = {
  'its function rejects': 'await told(stopping); throw new Error("too late");',
  'its server cannot listen': `
    await told(stopping);
    return http.createServer().listen({ path: "/nowhere/app.sock" });`,
  'it fails outside of its function': `
    await told(stopping);
    http.createServer().listen({ path: "/nowhere/app.sock" });
    return new Promise(() => undefined);`,
} as const;

const TOLD = `
  const told = (stopping) => new Promise((resolve) => stopping.addEventListener('abort', resolve));`;

describe('a worker that was told to drain before it served has not failed', () => {
  for (const [what, start] of Object.entries(STARTS)) {
    test(`if ${what}: the launch ends with 0, and says why that worker did not start`, async (t) => {
      const program = new Program(t, `
        import cluster from 'node:cluster';${TOLD}
        await launch(async ({ stopping }) => {
          if (cluster.worker.id === 1) return http.createServer().listen(0, '127.0.0.1');
          console.log('second');
          ${start}
        }, { workers: 2 });`);
      await program.logged(/worker 1 \(process \d+\) is ready/);
      await program.printed(/second/);
      program.signal('SIGTERM');
      assert.equal((await program.exit()).code, 0);
      assert.match(program.stderr, /too late|\/nowhere\/app\.sock/);
      if (what !== 'it fails outside of its function') {
        assert.match(program.stderr, /worker 2: told to drain before it served, it failed to start: /);
        assert.match(program.stderr, /worker 2 \(process \d+\) ended: exit code 0$/m);
      }
    });
  }

  test('in another cluster: its process ends with 0', async (t) => {
    const program = new Program(t, `
      import cluster from 'node:cluster';${TOLD}
      if (cluster.isPrimary) {
        const worker = cluster.fork();
        process.on('SIGTERM', () => worker.process.kill('SIGTERM'));
        process.exit(await new Promise((resolve) => worker.on('exit', resolve)));
      }
      await launch(async ({ stopping }) => {
        console.log('begun');
        await told(stopping);
        throw new Error('too late');
      });`);
    await program.printed(/begun/);
    program.signal('SIGTERM');
    assert.equal((await program.exit()).code, 0);
    assert.match(program.stderr, /told to drain before it served, it failed to start: too late/);
  });

  test('with a reload under way: the launch ends with 0', async (t) => {
    const program = new Program(t, `${TOLD}
      await launch(async ({ setup, stopping }) => {
        if (setup === 1) return http.createServer().listen(0, '127.0.0.1');
        console.log('replacement');
        await told(stopping);
        throw new Error('too late');
      }, { workers: 2, setup: 1, onReload: () => ({ setup: 2 }) });`);
    await program.logged(/all workers are ready/);
    program.signal('SIGHUP');
    await program.printed(/replacement/);
    program.signal('SIGTERM');
    assert.equal((await program.exit()).code, 0);
  });
});
