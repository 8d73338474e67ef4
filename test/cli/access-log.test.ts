import assert from 'node:assert/strict';
import { existsSync, readFileSync, readSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Binary, start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory, namedPipe } from '../support/process-files.ts';
import { turns, within } from '../support/wait.ts';

const LISTEN = ['-l', '127.0.0.1:0'];

function targets(path: string): string[] {
  const text = existsSync(path) ? readFileSync(path, 'latin1') : '';
  assert.ok(text === '' || text.endsWith('\n'), 'whole lines');
  return text.split('\n').slice(0, -1).map((line) => (JSON.parse(line) as { target: string }).target);
}

/** Resolves when the files together have `count` lines. The end of a large write may show later than its start. */
function lines(paths: readonly string[], count: number): Promise<void> {
  const found = (): number => paths.map((path) => existsSync(path) ? readFileSync(path, 'latin1') : '').join('')
    .split('\n').length - 1;
  const looking = async (): Promise<void> => {
    while (found() < count) await turns(10);
  };
  return within(looking(), () => `${count} lines in ${paths.join(', ')}, got ${found()}`);
}

async function stop(binary: Binary): Promise<void> {
  binary.signal('SIGTERM');
  const { code, stderr } = await binary.exit();
  assert.equal(code, 0, stderr);
}

for (const workers of ['1', '2']) {
  describe(`the access log of the binary, with ${workers} to serve`, () => {
    test('each request has one whole line in the file, over rotations by SIGUSR1', async (t) => {
      const folder = directory(t);
      const file = join(folder, 'access.log');
      const binary = start(t, [...LISTEN, '-w', workers, '--access-log', file, await startNamed(t, 'A')]);
      const port = await binary.port();
      const files = [file];
      let asked = 0;
      for (let round = 1; round <= 3; round++) {
        const answers = Array.from({ length: 60 }, () => get(port, `/${++asked}${'x'.repeat(asked * 10)}`));
        await Promise.all(answers);
        await lines(files, asked);
        const old = join(folder, `access.log.${round}`);
        renameSync(file, old);
        files.push(old);
        binary.signal('SIGUSR1');
        await within((async (): Promise<void> => {
          while (!existsSync(file)) await turns(10);
        })(), () => 'the file to be made again');
        if (round === 3) await binary.logged(/SIGUSR1: reopening the access log/);
      }
      await get(port, '/last');
      await stop(binary);
      const all = files.flatMap(targets);
      const numbered = all.filter((target) => target !== '/last');
      const numbers = numbered.map((target) => Number(/^\/(\d+)x*$/.exec(target)?.[1]));
      assert.deepEqual(numbers.sort((a, b) => a - b), Array.from({ length: asked }, (_, at) => at + 1));
      assert.equal(all.length, asked + 1);
      assert.doesNotMatch(binary.stderr, /ignored/);
    });

    test('- is standard output, in the format that was chosen', async (t) => {
      const binary = start(t, [
        ...LISTEN, '-w', workers, '--access-log', '-', '--access-log-format', 'common', await startNamed(t, 'A'),
      ]);
      await get(await binary.port(), '/a');
      await binary.printed(/^127\.0\.0\.1 - - \[[^\]]+\] "GET \/a HTTP\/1\.1" 200 1$/m);
      binary.signal('SIGUSR1');
      await binary.logged(/SIGUSR1: ignored/);
      await stop(binary);
    });

    test('a full disk or a closed pipe stops nothing, and is reported once', async (t) => {
      for (const to of ['/dev/full', '-']) {
        const binary = start(t, [...LISTEN, '-w', workers, '--access-log', to, await startNamed(t, 'A')]);
        const port = await binary.port();
        if (to === '-') await binary.hangUp();
        for (let i = 0; i < 5; i++) assert.equal((await get(port)).body, 'A');
        if (to !== '-') {
          await binary.logged(/access log: \/dev\/full cannot be written, so lines are lost: ENOSPC/);
          assert.ok((binary.stderr.match(/ENOSPC/g)?.length ?? 0) <= Number(workers), binary.stderr);
        }
        await stop(binary);
      }
    });

    test('a named pipe whose reader stalls delays nothing, and gets whole lines once it reads', async (t) => {
      const made = namedPipe(t);
      if (made === undefined) return;
      const { pipe, reader } = made;
      const binary = start(t, [...LISTEN, '-w', workers, '--access-log', pipe, await startNamed(t, 'A')]);
      const port = await binary.port();
      // More than a pipe holds.
      const rest = 'x'.repeat(3_000);
      const asked = Array.from({ length: 60 }, (_, at) => `/${at}${rest}`);
      for (const target of asked) assert.equal((await get(port, target)).body, 'A');
      const [bytes, parts] = [Buffer.alloc(65_536), [] as string[]];
      const reading = async (): Promise<void> => {
        while (parts.join('').split('\n').length <= asked.length) {
          try {
            parts.push(bytes.toString('latin1', 0, readSync(reader, bytes)));
          } catch (error) {
            assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
          }
          await turns(1);
        }
      };
      await within(reading(), () => `${asked.length} lines, got ${parts.join('').length} octets`);
      const whole = parts.join('').split('\n').slice(0, -1);
      const got = whole.map((line) => (JSON.parse(line) as { target: string }).target);
      assert.deepEqual(got.sort(), asked.sort());
      await stop(binary);
    });

    test('a file that cannot be opened is named, and nothing is served', async (t) => {
      const file = join(directory(t), 'none', 'access.log');
      const binary = start(t, [...LISTEN, '-w', workers, '--access-log', file, 'http://127.0.0.1:9']);
      const { code, stderr } = await binary.exit();
      assert.equal(code, 1);
      assert.match(stderr, /access-log: .*\/none\/access\.log cannot be opened: ENOENT/);
    });
  });
}

test('the configuration file can name it, beside itself', async (t) => {
  const upstreams = [await startNamed(t, 'A')];
  const config = { upstreams, listen: '127.0.0.1:0', accessLog: 'here.log', accessLogFormat: 'json' };
  const folder = directory(t, { 'lb.json': JSON.stringify(config) });
  const binary = start(t, ['-c', join(folder, 'lb.json')]);
  await get(await binary.port(), '/a');
  await stop(binary);
  assert.deepEqual(targets(join(folder, 'here.log')), ['/a']);
});

test('where the file cannot be reopened, the old one is kept', async (t) => {
  const folder = directory(t);
  const [file, moved] = [join(folder, 'access.log'), join(folder, 'old.log')];
  const binary = start(t, [...LISTEN, '--access-log', file, await startNamed(t, 'A')]);
  const port = await binary.port();
  renameSync(file, moved);
  symlinkSync(join(folder, 'none', 'x'), file);
  binary.signal('SIGUSR1');
  await binary.logged(/the access log is not reopened, lines still go to the old file: .* cannot be opened/);
  await get(port, '/a');
  await stop(binary);
  assert.deepEqual(targets(moved), ['/a']);
});

test('wrong settings are named', async (t) => {
  const binary = start(t, [...LISTEN, '--access-log-format', 'jsno', 'http://127.0.0.1:9']);
  const { code, stderr } = await binary.exit();
  assert.equal(code, 2);
  assert.match(stderr, /access-log-format: must be json, common or combined \(got "jsno"\)/);
  assert.match(stderr, /access-log-format: there is no access log; add --access-log, or leave it out/);
});
