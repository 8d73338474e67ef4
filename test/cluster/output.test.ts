import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { writeLine } from '../../src/cluster/output.ts';
import { turns, within } from '../support/wait.ts';

/** A stream that fails its writes, and lives on, as those of the process do. */
function failing(): Writable {
  return new Writable({
    autoDestroy: false,
    write: (_chunk, _encoding, done) => {
      setImmediate(done, Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    },
  });
}

test('a line that nobody reads is lost, and nothing else', async () => {
  const stream = failing();
  for (let i = 0; i < 3; i++) writeLine(stream, 'line');
  await turns(10);
  assert.equal(stream.listenerCount('error'), 0);
});

test('a stream that throws is no matter either', () => {
  const stream = failing();
  stream.write = () => {
    throw new Error('ENOSPC');
  };
  writeLine(stream, 'line');
});

test('a process outlives the reader of its log; errors of what it writes itself are its own', async (t) => {
  const program = `
    import { writeLine } from ${JSON.stringify(new URL('../../src/cluster/output.ts', import.meta.url).href)};
    process.stdin.once('data', async () => {
      for (let i = 0; i < 3; i++) {
        writeLine(process.stderr, 'a line');
        await new Promise(setImmediate);
      }
      process.stderr.once('error', ({ code }) => {
        process.stdout.write('heard ' + code + ', others listen: ' + process.stderr.listenerCount('error'));
        process.exit();
      });
      process.stderr.write('its own');
    });`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program]);
  t.after(() => child.kill('SIGKILL'));
  child.stderr.destroy();
  await once(child.stderr, 'close');
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stdin.write('go');
  const [code] = (await within(once(child, 'close'), () => `its end: ${out}`)) as [number];
  assert.deepEqual([code, out], [0, 'heard EPIPE, others listen: 0']);
});
