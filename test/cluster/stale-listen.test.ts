/**
 * Unix sockets that a crash left behind, under a launch.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { directory } from '../support/process-files.ts';
import { crashOn } from './crash.ts';
import { allGone, Program } from './program.ts';

const LISTENS = {
  'by the server that run returns': (path: string) => `launch(() => app.listen(${path}), { workers: 2 })`,
  'by a run that awaits it, and rejects': (path: string) => `launch(async () => {
    await new Promise((resolve, reject) => { app.once('error', reject).listen({ path: ${path} }, resolve); });
    return app;
  }, { workers: 2 })`,
  'by a run that awaits it, and fails by an event': (path: string) => `launch(async () => {
    await new Promise((resolve) => { app.listen(${path}, resolve); });
    return app;
  }, { workers: 2, distribution: 'primary' })`,
  'by dispatch': (path: string) => `launch(() => app, {
    workers: 2, dispatch: { name: 'first', pick: ([first]) => first }, listen: { path: ${path} },
  })`,
};

const program = (launch: string): string => `
  const app = http.createServer((request, response) => response.end('hello\\n'));
  await ${launch};`;

for (const [how, launch] of Object.entries(LISTENS)) {
  describe(`a Unix socket, listened on ${how}`, () => {
    test('is taken over from a process that crashed', async (t) => {
      const path = join(directory(t), 'socket');
      crashOn(path);
      const running = new Program(t, program(launch(JSON.stringify(path))));
      await running.logged(/all workers are ready: 2/);
      assert.equal(await get(path), 'hello\n');
      running.signal('SIGTERM');
      assert.deepEqual(await running.exit(), { code: 0, signal: null }, running.stderr);
    });

    test('is left alone if a process listens on it', async (t) => {
      const path = join(directory(t), 'socket');
      await owning(t, path);
      const running = new Program(t, program(launch(JSON.stringify(path))));
      assert.deepEqual(await running.exit(), { code: 1, signal: null }, running.stderr);
      assert.match(running.stderr, /EADDRINUSE/);
      assert.equal(await get(path), 'owner\n');
    });
  });
}

test('a file at the path stays, and the launch ends', async (t) => {
  const path = join(directory(t), 'socket');
  writeFileSync(path, 'precious');
  const running = new Program(t, program(LISTENS['by dispatch'](JSON.stringify(path))));
  assert.deepEqual(await running.exit(), { code: 1, signal: null });
  assert.match(running.stderr, /the launch failed: listen EADDRINUSE: .* it is not a socket; remove it/);
  assert.equal(readFileSync(path, 'utf8'), 'precious');
});

test('after kill -9 of the primary, the next one takes the socket over', async (t) => {
  const path = join(directory(t), 'socket');
  const text = program(LISTENS['by the server that run returns'](JSON.stringify(path)));
  const first = new Program(t, text);
  await first.logged(/all workers are ready: 2/);
  first.signal('SIGKILL');
  await first.exit();
  // Their output closes shortly before they exit.
  await allGone(first.workers);
  assert.ok(existsSync(path), 'it left its socket');
  const second = new Program(t, text);
  await second.logged(/all workers are ready: 2/);
  assert.match(second.stderr, /removed the Unix socket .*socket, which a crashed process had left behind/);
  assert.equal(await get(path), 'hello\n');
});

function get(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    http.get({ socketPath: path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        body += part;
      }).on('end', () => {
        resolve(body);
      });
    }).on('error', reject);
  });
}

async function owning(t: TestContext, path: string): Promise<net.Server> {
  const server = http.createServer((_request, response) => response.end('owner\n')).listen(path);
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await new Promise((resolve) => server.once('listening', resolve));
  return server;
}
