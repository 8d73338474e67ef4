import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { describe, test } from 'node:test';
import { LogStream } from '../../src/cluster/log-stream.ts';
import { turns, within } from '../support/wait.ts';

/** A stream whose writes fail but which stays open, like the standard streams of a process. */
function failing(): Writable {
  return new Writable({
    autoDestroy: false,
    write: (_chunk, _encoding, done) => {
      setImmediate(done, Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    },
  });
}

test('without a reader, lines are lost and nothing else fails', async () => {
  const stream = failing();
  const lines = new LogStream(stream);
  for (let i = 0; i < 3; i++) lines.write('line');
  await turns(10);
  assert.equal(stream.listenerCount('error'), 0);
});

test('a stream that throws does no harm either', () => {
  const stream = failing();
  stream.write = () => {
    throw new Error('ENOSPC');
  };
  new LogStream(stream).write('line');
});

describe('a reader that stops reading', () => {
  const LINE = 'x'.repeat(99);

  /** A stream that finishes a write on demand, and the chunks written to it. */
  function stalled(): { readonly stream: Writable; readonly taken: string[]; go: () => void } {
    const taken: string[] = [];
    const state = { go: (): void => undefined };
    const stream = new Writable({
      decodeStrings: false,
      write: (chunk: string, _encoding, done) => {
        taken.push(chunk);
        state.go = done;
      },
    });
    return { stream, taken, go: () => { state.go(); } };
  }

  test('leaves a bounded number of lines waiting, and later reads how many were lost, and where', async () => {
    const { stream, taken, go } = stalled();
    const lines = new LogStream(stream);
    const tried = 10_000;
    for (let i = 0; i < tried; i++) lines.write(LINE);
    assert.ok(stream.writableLength < 270_000, `${stream.writableLength} octets wait`);
    const kept = Math.round(stream.writableLength / 100);
    while (stream.writableLength > 0) {
      go();
      await turns(1);
    }
    const lost = `equipoise: ${tried - kept} lines were lost here: the reader of this log did not keep up\n`;
    assert.deepEqual([taken.length, taken.at(-1)], [kept + 1, lost]);
    lines.write('after');
    assert.equal(taken.at(-1), 'after\n');
    assert.equal(stream.listenerCount('drain'), 0);
  });

  test('reads what was lost before the next line', async () => {
    const { stream, taken, go } = stalled();
    const lines = new LogStream(stream);
    while (stream.writableLength <= 262_144) lines.write(LINE);
    lines.write('lost');
    go();
    await turns(1);
    lines.write('next');
    while (stream.writableLength > 0) {
      go();
      await turns(1);
    }
    assert.match(taken.slice(-2).join(''), /^equipoise: 1 line was lost here: .*\nnext\n$/);
  });
});

test('a process outlives the reader of its log, and still gets the errors of its own writes', async (t) => {
  const program = `
    import { LogStream } from ${JSON.stringify(new URL('../../dist/src/cluster/log-stream.js', import.meta.url).href)};
    const lines = new LogStream(process.stderr);
    process.stdin.once('data', async () => {
      for (let i = 0; i < 3; i++) {
        lines.write('a line');
        await new Promise(setImmediate);
      }
      process.stderr.once('error', ({ code }) => {
        process.stdout.write('heard ' + code + ', others listen: ' + process.stderr.listenerCount('error'));
        process.exit();
      });
      process.stderr.write('its own');
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
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
