/**
 * `-l systemd`: sockets that a manager passes, as sd_listen_fds(3) says. Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Stream } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { takePassedSockets } from '../../src/cli/passed-sockets.ts';
import { root } from '../support/documents.ts';
import { run } from '../support/process-binary.ts';
import { freePort, get, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { Signal } from '../support/wait.ts';

const MAIN = join(root, 'dist/src/cli/main.js');

describe('the environment of passed sockets', () => {
  test('is removed where it is for this process', () => {
    const env = { LISTEN_FDS: '2', LISTEN_PID: '7', LISTEN_FDNAMES: 'web', OTHER: 'x' };
    const { sockets, problem } = takePassedSockets(env, 7);
    assert.equal(problem, undefined);
    assert.deepEqual(sockets.map(({ fd, name }) => [fd, name]), [[3, 'web'], [4, 'unknown']]);
    assert.deepEqual(env, { OTHER: 'x' });
  });

  const none: readonly (readonly [env: Record<string, string>, problem: RegExp])[] = [
    [{}, /^LISTEN_FDS is not set; start this process by a \.socket unit/],
    [{ LISTEN_FDS: '1' }, /for another process \(LISTEN_PID is not set\)/],
    [{ LISTEN_FDS: '1', LISTEN_PID: '8' }, /another process \(LISTEN_PID is 8, and this is process 7\); .* use exec/],
    [{ LISTEN_FDS: '0', LISTEN_PID: '7' }, /^LISTEN_FDS is 0; start/],
    [{ LISTEN_FDS: '-1', LISTEN_PID: '7' }, /^LISTEN_FDS is -1; start/],
  ];
  for (const [env, expected] of none) {
    test(`${JSON.stringify(env)} has none, and says why`, () => {
      const { sockets, problem = '' } = takePassedSockets(env, 7);
      assert.deepEqual(sockets, []);
      assert.match(problem, expected);
    });
  }
});

/** A process that a manager started, and what it has written. */
class Managed {
  output = '';
  readonly child: ChildProcess;
  readonly #signal = new Signal();
  #closed = false;

  /** `handle` becomes its file descriptor 3. */
  constructor(t: TestContext, command: readonly string[], handle?: Stream) {
    const [program = '', ...args] = command;
    this.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe', ...(handle === undefined ? [] : [handle])] });
    const add = (text: Buffer): void => {
      this.output += text.toString();
      this.#signal.raise();
    };
    this.child.stdout?.on('data', add);
    this.child.stderr?.on('data', add);
    // 'close' rather than 'exit': by then all its output has been read.
    this.child.on('close', () => {
      this.#closed = true;
      this.#signal.raise();
    });
    t.after(async () => {
      if (this.#closed) return;
      this.child.kill('SIGTERM');
      await this.exit();
    });
  }

  wrote(pattern: RegExp, times = 1): Promise<void> {
    return this.#signal.until(() => this.output.split(pattern).length > times,
      () => `${String(pattern)} in ${JSON.stringify(this.output)}`);
  }

  async exit(): Promise<number | null> {
    await this.#signal.until(() => this.#closed, () => `the end; it wrote ${JSON.stringify(this.output)}`);
    return this.child.exitCode;
  }
}

const noPython = spawnSync('python3', ['--version']).status === 0 ? false : 'needs python3 to pass sockets with';

/** Makes sockets by lines of Python, a list of them in `made`, and becomes the binary, which gets them. */
function pass(t: TestContext, made: string, args: readonly string[]): Managed {
  const program = `
import os, socket, sys
made = ${made}
for i, one in enumerate(made): os.dup2(one.fileno(), 20 + i)
for i, one in enumerate(made): os.dup2(20 + i, 3 + i, inheritable=True)
names = ':'.join('s%d' % i for i in range(len(made)))
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(made)), LISTEN_FDNAMES=names)
os.execv(sys.argv[1], sys.argv[1:])`;
  return new Managed(t, ['python3', '-c', program, process.execPath, MAIN, ...args]);
}

test('sockets that do not listen, and those for datagrams, are refused', { skip: noPython }, async (t) => {
  const made = '[socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), ' +
    "*socket.socketpair()]; made[0].bind(('127.0.0.1', 0))";
  const managed = pass(t, made, ['-l', 'systemd', 'http://127.0.0.1:9']);
  assert.equal(await managed.exit(), 2);
  assert.match(managed.output, /listen: systemd: the socket s0 \(file descriptor 3\) is for datagrams; write Listen/);
  assert.match(managed.output, /listen: systemd: the socket s1 \(file descriptor 4\) is for datagrams/);
  assert.match(managed.output, /listen: systemd: the socket s2 \(file descriptor 5\) does not listen; .*Accept=no/);
});

test('without sockets, the binary says so; --check accepts that', async () => {
  const { code, stderr } = await run(['-l', 'systemd', '-l', 'systemd', 'http://127.0.0.1:9']);
  assert.equal(code, 2);
  assert.match(stderr, /^equipoise: listen: systemd: no sockets were passed: LISTEN_FDS is not set; start this/);
  assert.match(stderr, /listen: systemd is there twice; /);
  const checked = await run(['-l', 'systemd', '--check', 'http://127.0.0.1:9']);
  assert.equal(checked.code, 0);
  assert.match(checked.stdout, /\nListen\n {2}the sockets that systemd passes\n/);
});

const hasSystemd = spawnSync('systemd-socket-activate', ['--version']).status === 0;

for (const workers of ['1', '2']) {
  test(`all sockets are listened on, reloaded or not, with ${workers} to serve`, { skip: noPython }, async (t) => {
    const cwd = directory(t);
    const socketPath = join(cwd, 'app.sock');
    const port = await freePort();
    const made = `[socket.create_server(('127.0.0.1', ${port})), ` +
      `socket.create_server('${socketPath}', family=socket.AF_UNIX)]`;
    const managed = pass(t, made, ['-l', 'systemd', '-w', workers, await startNamed(t, 'A')]);
    await managed.wrote(/listening on http:\/\/127\.0\.0\.1:\d+, unix:/);
    assert.equal((await get(port)).body, 'A');
    assert.equal((await get({ socketPath })).body, 'A');
    const pid = managed.child.pid ?? 0;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
    assert.equal(children.length, workers === '1' ? 0 : 2);
    for (const child of children) assert.doesNotMatch(readFileSync(`/proc/${child}/environ`, 'utf8'), /LISTEN_/);
    managed.child.kill('SIGHUP');
    await managed.wrote(/reload: complete|nothing to reload/);
    assert.equal((await get(port)).body, 'A');
    assert.equal((await get({ socketPath })).body, 'A');
    managed.child.kill('SIGTERM');
    assert.equal(await managed.exit(), 0);
  });

  test(`systemd-socket-activate starts the binary with its first connection, with ${workers} to serve`,
    { skip: hasSystemd ? false : 'needs systemd-socket-activate, which is not installed' }, async (t) => {
      const port = await freePort();
      const socketPath = join(directory(t), 'app.sock');
      const managed = new Managed(t, [
        'systemd-socket-activate', '-l', `127.0.0.1:${port}`, '-l', socketPath, '--fdname=web:local',
        process.execPath, MAIN, '-l', 'systemd', '-w', workers, await startNamed(t, 'A'),
      ]);
      await managed.wrote(/Listening on .*sock/);
      assert.equal((await get(port)).body, 'A');
      assert.equal((await get({ socketPath })).body, 'A');
      managed.child.kill('SIGTERM');
      assert.equal(await managed.exit(), 0);
    });
}

describe('a socket that workers listen on by its file descriptor', () => {
  /** Runs a command with a listening socket as its file descriptor 3, which no other process holds from then on. */
  async function withSocket(t: TestContext, command: readonly string[]): Promise<{ managed: Managed; port: number }> {
    const server = net.createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as AddressInfo;
    const managed = new Managed(t, command, (server as unknown as { readonly _handle: Stream })._handle);
    await new Promise((resolve) => server.close(resolve));
    return { managed, port };
  }

  test('a worker that is told to drain before it listens does not listen, and the binary ends with 0', async (t) => {
    const name = await startNamed(t, 'A');
    const cwd = directory(t, { 'config.mjs': `
      import cluster from 'node:cluster';
      import { existsSync, readFileSync, writeFileSync } from 'node:fs';
      const file = new URL('first.pid', import.meta.url);
      if (cluster.worker?.id === 1) writeFileSync(file, String(process.pid));
      if (cluster.worker?.id === 2) {
        console.error('the second is starting');
        const lives = (pid) => { try { return process.kill(pid, 0); } catch { return false; } };
        const pause = () => new Promise((resolve) => setTimeout(resolve, 10));
        await new Promise((resolve) => process.once('SIGTERM', resolve));
        while (lives(Number(readFileSync(file, 'utf8')))) await pause();
      }
      export default { upstreams: ['${name}'], workers: 2 };` });
    const { managed, port } = await withSocket(t, [
      process.execPath, MAIN, '-l', 'fd:3', '-c', join(cwd, 'config.mjs'),
    ]);
    await managed.wrote(/worker 1 \(process \d+\) is ready/);
    await managed.wrote(/the second is starting/);
    assert.equal((await get(port)).body, 'A');
    managed.child.kill('SIGTERM');
    assert.equal(await managed.exit(), 0, managed.output);
    assert.doesNotMatch(managed.output, /fd:3/);
  });

  test('is lost if all workers are killed at once: the binary ends with 1, and started anew it serves what waited',
    async (t) => {
      const binary = [process.execPath, MAIN, '-l', 'fd:3', '-w', '2', await startNamed(t, 'A')];
      // What systemd does with Restart=on-failure: it holds the socket, and starts the program again.
      const script = '"$@"; echo "code $?"; read -r go < "$GO"; exec "$@"';
      const cwd = directory(t);
      const go = join(cwd, 'go');
      execFileSync('mkfifo', [go]);
      const { managed, port } = await withSocket(t, ['env', `GO=${go}`, 'sh', '-c', script, 'sh', ...binary]);
      await managed.wrote(/all workers are ready: 2/);
      const pids = [...managed.output.matchAll(/\(process (\d+)\) is ready/g)].map((found) => Number(found[1]));
      assert.equal(pids.length, 2);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      await managed.wrote(/^code 1$/m);
      assert.match(managed.output, /the launch failed: fd:3 was closed here with the last worker that listened on it/);
      const waits = get(port);
      writeFileSync(go, 'go\n');
      assert.equal((await waits).body, 'A');
      managed.child.kill('SIGTERM');
      assert.equal(await managed.exit(), 0);
    });
});
