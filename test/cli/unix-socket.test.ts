import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { umaskOf, withUmask } from '../../src/cli/listening.ts';
import { run, start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

test('a socket is bound with a umask that leaves it its mode at most', () => {
  const before = process.umask(0o022);
  try {
    const during = withUmask(umaskOf([{ path: '/a', mode: 0o660 }, { port: 1 }]), () => process.umask(0o777));
    assert.equal(during, 0o137);
    assert.throws(() => withUmask(0o077, () => {
      throw new Error('not bound');
    }), /not bound/);
    assert.equal(process.umask(before), 0o022);
  } finally {
    process.umask(before);
  }
});

const noAbstract = process.platform === 'linux' ? false : 'abstract sockets exist on Linux alone';

for (const workers of ['1', '2']) {
  test(`an abstract socket is balanced from and to, with ${workers} to serve`, { skip: noAbstract }, async (t) => {
    const [front, back] = [`equipoise-front-${process.pid}-${workers}`, `equipoise-back-${process.pid}-${workers}`];
    const cwd = directory(t, { 'inner.json': JSON.stringify({ via: 'inner' }) });
    const args = ['-c', 'inner.json', '-l', `unix:@${back}`, '-w', workers, await startNamed(t, 'A')];
    const inner = start(t, args, { cwd });
    assert.match(await inner.ready(), new RegExp(`listening on unix:@${back}$`));
    const outer = start(t, ['-l', `unix:@${front}`, '-w', workers, `unix:@${back}`]);
    await outer.ready();
    assert.equal((await get({ socketPath: `\0${front}` })).body, 'A');
    const { code, stderr } = await run(['-l', `unix:@${front}`, '-w', workers, 'http://127.0.0.1:9']);
    assert.equal(code, 1);
    assert.ok(stderr.includes(`listen: unix:@${front} is in use (EADDRINUSE): another process listens on it`), stderr);
  });

  describe(`a Unix socket, with ${workers} to serve`, () => {
    test('that a crash left behind is replaced', async (t) => {
      const socketPath = join(directory(t), 'sock');
      const args = ['-l', `unix:${socketPath}`, '-w', workers];
      const first = start(t, [...args, await startNamed(t, 'A')]);
      await first.ready();
      first.signal('SIGKILL');
      await first.exit();
      // Workers that lost their primary drain and close the socket.
      const gone = async (): Promise<boolean> => get({ socketPath }).then(() => false, () => true);
      while (!await gone());
      assert.ok(existsSync(socketPath), 'the crash left the file');
      const second = start(t, [...args, await startNamed(t, 'B')]);
      await second.ready();
      assert.equal((await get({ socketPath })).body, 'B');
      second.signal('SIGTERM');
      assert.equal((await second.exit()).code, 0);
      assert.equal(existsSync(socketPath), false);
    });

    test('that another process listens on is left alone', async (t) => {
      const socketPath = join(directory(t), 'sock');
      const first = start(t, ['-l', `unix:${socketPath}`, await startNamed(t, 'A')]);
      await first.ready();
      const { code, stderr } = await run(['-l', `unix:${socketPath}`, '-w', workers, 'http://127.0.0.1:9']);
      assert.equal(code, 1);
      assert.equal(stderr,
        `equipoise: listen: unix:${socketPath} is in use (EADDRINUSE): another process listens on it\n`);
      assert.equal((await get({ socketPath })).body, 'A');
    });

    test('does not replace a file', async (t) => {
      const path = join(directory(t, { precious: 'precious' }), 'precious');
      const { code, stderr } = await run(['-l', `unix:${path}`, '-w', workers, 'http://127.0.0.1:9']);
      assert.equal(code, 1);
      assert.match(stderr, /^equipoise: listen: unix:.*precious is in use \(EADDRINUSE\): it is not a socket.*\n$/);
      assert.equal(readFileSync(path, 'utf8'), 'precious');
    });

    test('has the configured mode, from the command line or a file', async (t) => {
      const cwd = directory(t);
      const [a, b] = [join(cwd, 'a'), join(cwd, 'b')];
      const listen = [`unix:${a},mode=660`, { path: b, mode: '600' }];
      writeFileSync(join(cwd, 'c.json'), JSON.stringify({ listen, upstreams: [await startNamed(t, 'A')] }));
      const fromFile = start(t, ['-c', 'c.json', '-w', workers], { cwd });
      await fromFile.ready();
      assert.deepEqual([a, b].map((path) => statSync(path).mode & 0o777), [0o660, 0o600]);
      assert.equal((await get({ socketPath: a })).body, 'A');
      fromFile.signal('SIGTERM');
      assert.equal((await fromFile.exit()).code, 0);
      const fromArguments = start(t, ['-l', `unix:${a},mode=606`, '-w', workers, 'http://127.0.0.1:9']);
      await fromArguments.ready();
      assert.equal(statSync(a).mode & 0o777, 0o606);
    });
  });
}
