import assert from 'node:assert/strict';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { listenOnPath, removeStaleSocket } from '../../src/cluster/stale-socket.ts';
import { directory } from '../support/process-files.ts';
import { crashOn } from './crash.ts';

function listen(t: TestContext, path: string): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(path, () => {
      t.after(() => server.close());
      resolve(server);
    });
  });
}

describe('the path of a Unix socket', () => {
  test('that a crash left behind is reused', async (t) => {
    const path = join(directory(t), 'socket');
    crashOn(path);
    await assert.rejects(listen(t, path), { code: 'EADDRINUSE' });
    const server = await listenOnPath(path, () => listen(t, path));
    assert.ok(server.listening && existsSync(path));
  });

  test('that is free is used', async (t) => {
    const path = join(directory(t), 'socket');
    assert.ok((await listenOnPath(path, () => listen(t, path))).listening);
  });

  test('on which a process listens is left alone', async (t) => {
    const path = join(directory(t), 'socket');
    const owner = await listen(t, path);
    await assert.rejects(listenOnPath(path, () => listen(t, path)), {
      code: 'EADDRINUSE', address: path, message: `listen EADDRINUSE: ${path} is in use: another process listens on it`,
    });
    const greeted = new Promise((resolve) => owner.once('connection', resolve));
    const socket = net.connect({ path });
    await greeted;
    socket.destroy();
  });

  for (const [what, make] of [
    ['a file', (path: string) => { writeFileSync(path, 'precious'); }],
    ['a link to a file', (path: string) => {
      writeFileSync(`${path}-target`, 'precious');
      symlinkSync(`${path}-target`, path);
    }],
  ] as const) {
    test(`that is ${what} is left alone`, async (t) => {
      const path = join(directory(t), 'socket');
      make(path);
      await assert.rejects(listenOnPath(path, () => listen(t, path)), {
        code: 'EADDRINUSE', message: /is in use: it is not a socket; remove it, or choose another path$/,
      });
      assert.equal(readFileSync(path, 'utf8'), 'precious');
    });
  }

  test('that two processes claim at once is removed once', async (t) => {
    const path = join(directory(t), 'socket');
    crashOn(path);
    const outcomes = await Promise.allSettled([1, 2].map(() => listenOnPath(path, () => listen(t, path))));
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    assert.deepEqual((await removeStaleSocket(path)).kind, 'taken', 'one listens');
  });

  test('that fails for another reason is left alone', async (t) => {
    const path = join(directory(t), 'nowhere', 'socket');
    await assert.rejects(listenOnPath(path, () => listen(t, path)), { code: /^(EACCES|ENOENT)$/ });
  });
});
