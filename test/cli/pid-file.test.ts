import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { PidFile } from '../../src/cli/pid-file.ts';
import { BINARY, run, start } from '../support/process-binary.ts';
import { startHolding, startNamed, get } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const LISTEN = ['-l', '127.0.0.1:0'];
const OWN = `${process.pid}\n`;

describe('a pid file', () => {
  test('holds our process id until it is removed, and leaves nothing behind', (t) => {
    const folder = directory(t);
    const path = join(folder, 'pid');
    const file = new PidFile();
    file.write(path);
    assert.equal(readFileSync(path, 'utf8'), OWN);
    assert.deepEqual(readdirSync(folder), ['pid']);
    file.remove();
    assert.deepEqual(readdirSync(folder), []);
    file.remove();
  });

  test('replaces one that a crash left behind', (t) => {
    const path = join(directory(t, { pid: '99999999\n' }), 'pid');
    new PidFile().write(path);
    assert.equal(readFileSync(path, 'utf8'), OWN);
  });

  test('stays if another process has written its own', (t) => {
    const path = join(directory(t), 'pid');
    const file = new PidFile();
    file.write(path);
    writeFileSync(path, '1\n');
    file.remove();
    assert.equal(readFileSync(path, 'utf8'), '1\n');
  });

  test('may already be gone when it is removed', (t) => {
    const folder = directory(t);
    const path = join(folder, 'pid');
    const [file, other] = [new PidFile(), new PidFile()];
    file.write(path);
    other.write(path);
    other.remove();
    file.remove();
    assert.deepEqual(readdirSync(folder), []);
  });

  test('replaces a symbolic link, and leaves its target alone', (t) => {
    const folder = directory(t, { precious: 'precious' });
    const path = join(folder, 'pid');
    symlinkSync('precious', path);
    const file = new PidFile();
    file.write(path);
    assert.equal(readFileSync(path, 'utf8'), OWN);
    assert.equal(readFileSync(join(folder, 'precious'), 'utf8'), 'precious');
    file.remove();
    assert.deepEqual(readdirSync(folder), ['precious']);
  });

  test('moves', (t) => {
    const folder = directory(t);
    const file = new PidFile();
    file.write(join(folder, 'a'));
    file.write(join(folder, 'b'));
    assert.deepEqual(readdirSync(folder), ['b']);
    file.write(undefined);
    assert.deepEqual(readdirSync(folder), []);
  });

  test('stays where it was if it cannot move', (t) => {
    const folder = directory(t);
    const file = new PidFile();
    file.write(join(folder, 'a'));
    assert.throws(() => {
      file.write(join(folder, 'none', 'b'));
    }, /^Error: pid-file: cannot write .*none\/b: the directory .*none does not exist$/);
    assert.deepEqual(readdirSync(folder), ['a']);
  });

  test('replaces only regular files', (t) => {
    const folder = directory(t);
    mkdirSync(join(folder, 'pid'));
    const cannot = (path: string, why: string): void => {
      assert.throws(() => {
        new PidFile().write(path);
      }, { message: `pid-file: cannot write ${path}: ${why}` });
    };
    cannot(join(folder, 'pid'), 'it is a directory');
    cannot('/dev/null', 'it is not a regular file');
    assert.deepEqual(readdirSync(folder), ['pid']);
  });

  const root = process.getuid?.() === 0;
  test('needs a writable directory', { skip: root ? 'root may write anywhere' : false }, (t) => {
    const folder = directory(t);
    chmodSync(folder, 0o500);
    assert.throws(() => {
      new PidFile().write(join(folder, 'pid'));
    }, /^Error: pid-file: cannot write .*: EACCES: permission denied$/);
  });
});

test('a pid file for which the disk has no room leaves nothing behind', async (t) => {
  const folder = directory(t);
  const path = join(folder, 'pid');
  // With this limit, a file can be made and nothing written to it.
  const child = spawn('sh', ['-c', 'ulimit -f 0; exec "$@"', 'sh', process.execPath, BINARY, ...LISTEN,
    '--pid-file', path, 'http://127.0.0.1:9'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = await once(child, 'close') as [number];
  assert.equal(code, 1);
  assert.match(stderr, /^equipoise: pid-file: cannot write .*pid: EFBIG: file too large$/m);
  assert.deepEqual(readdirSync(folder), []);
});

for (const workers of ['1', '2']) {
  describe(`--pid-file, with ${workers} to serve`, () => {
    test('exists when the binary is ready, and is gone when it has exited', async (t) => {
      const folder = directory(t);
      const path = join(folder, 'pid');
      const binary = start(t, [...LISTEN, '-w', workers, '--pid-file', path, await startNamed(t, 'A')]);
      await binary.ready();
      assert.equal(readFileSync(path, 'utf8'), `${binary.pid}\n`);
      binary.signal('SIGTERM');
      assert.equal((await binary.exit()).code, 0);
      assert.deepEqual(readdirSync(folder), []);
    });

    test('is removed when a second signal ends the binary at once', async (t) => {
      const path = join(directory(t), 'pid');
      const upstream = await startHolding(t, '', 'never');
      const binary = start(t, [...LISTEN, '-w', workers, '--pid-file', path, upstream.origin]);
      const answer = get(await binary.port()).catch(() => 'cut');
      await upstream.asked();
      binary.signal('SIGTERM');
      await binary.logged(/SIGTERM/);
      binary.signal('SIGTERM');
      assert.equal((await binary.exit()).code, 1);
      assert.equal(await answer, 'cut');
      assert.equal(existsSync(path), false);
      upstream.release();
    });

    test('still belongs to the first binary when a second one cannot start', async (t) => {
      const path = join(directory(t), 'pid');
      const binary = start(t, [...LISTEN, '-w', workers, '--pid-file', path, await startNamed(t, 'A')]);
      const port = await binary.port();
      const second = await run(['-l', `127.0.0.1:${port}`, '-w', workers, '--pid-file', path, 'http://127.0.0.1:9']);
      assert.equal(second.code, 1);
      assert.equal(readFileSync(path, 'utf8'), `${binary.pid}\n`);
    });

    test('that cannot be written ends the binary with 1, before it says that it is ready', async (t) => {
      const folder = directory(t);
      const { code, stdout, stderr } = await run([...LISTEN, '-w', workers, '--pid-file', folder, 'http://127.0.0.1:9']);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /^equipoise: pid-file: cannot write .*: it is a directory$/m);
      assert.doesNotMatch(stderr, /^ +at /m);
    });
  });
}
