import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { start } from '../support/process-binary.ts';
import { get, startHolding, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

// Everything an operator may do to one process in an hour, while it keeps serving.
test('an hour with an operator', async (t) => {
  const upstreams = [await startNamed(t, 'A')];
  const cwd = directory(t);
  const write = (text: string): void => {
    writeFileSync(join(cwd, 'c.json'), text);
  };
  const config = { upstreams, listen: ['127.0.0.1:0', 'unix:edge.sock,mode=660'], pidFile: 'edge.pid' };
  write(JSON.stringify(config));
  const binary = start(t, ['-w', '2', '-c', 'c.json'], { cwd });
  const port = await binary.port();
  const serves = async (name: string): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      assert.equal((await get(port)).body, name);
      assert.equal((await get({ socketPath: join(cwd, 'edge.sock') })).body, name);
    }
  };
  await serves('A');
  const ready = (id: number): number => {
    return Number(new RegExp(`worker ${id} \\(process (\\d+)\\) is ready`).exec(binary.stderr)?.[1]);
  };

  // Another upstream, more workers: -w on the command line takes precedence, so there are still two.
  write(JSON.stringify({ ...config, workers: 4, upstreams: [await startNamed(t, 'B')] }));
  binary.signal('SIGHUP');
  await binary.logged(/reload: complete/);
  await serves('B');

  // The out-of-memory killer, or a person.
  process.kill(ready(3), 'SIGKILL');
  await binary.logged(/worker 5 .* is ready/);
  await serves('B');

  // Log rotation.
  binary.signal('SIGUSR1');
  await binary.logged(/SIGUSR1: ignored/);
  binary.signal('SIGUSR2');
  await binary.logged(/SIGUSR2: ignored/);
  await serves('B');

  // A typo in the file.
  write(JSON.stringify(config).slice(0, -1));
  binary.signal('SIGHUP');
  await binary.logged(/reload failed/);
  await serves('B');

  // The log collector restarts and no longer reads the log, not even that a worker died.
  await binary.hangUp();
  process.kill(ready(5), 'SIGKILL');
  await serves('B');
  binary.signal('SIGUSR2');
  assert.equal(readFileSync(join(cwd, 'edge.pid'), 'utf8'), `${binary.pid}\n`);

  // The last request is in flight when the machine shuts down.
  const upstream = await startHolding(t, 'start ', 'end');
  write(JSON.stringify({ ...config, upstreams: [upstream.origin] }));
  binary.signal('SIGHUP');
  let answer = get(port);
  while (await Promise.race([answer.then(({ body }) => body === 'B'), upstream.asked().then(() => false)])) {
    answer = get(port);
  }
  binary.signal('SIGTERM');
  upstream.release();
  assert.equal((await answer).body, 'start end');
  const { code, signal } = await binary.exit();
  assert.deepEqual([code, signal], [0, null]);
  assert.equal(existsSync(join(cwd, 'edge.sock')), false);
  assert.deepEqual(readdirSync(cwd), ['c.json']);
});
