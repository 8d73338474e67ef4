/**
 * Redis behind `--tcp`: its own benchmark and client, one of three servers killed and brought back under load, a drain.
 *
 * redis-benchmark runs only while all servers are up: it ends at the first reset, and where its first connection is
 * refused, it waits forever (7.0, also without a balancer). The load of the other tests is of this file.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { type Binary, start } from '../support/process-binary.ts';
import { freePort } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { type LoadConnection, ReconnectingLoad } from '../support/reconnecting-load.ts';

const missing = ['redis-server', 'redis-benchmark', 'redis-cli'].filter((tool) => (
  spawnSync(tool, ['--version']).error !== undefined));
const redis = { skip: missing.length === 0 ? false : `needs ${missing.join(', ')}, which is not installed` };
const exec = promisify(execFile);

class RedisServer {
  readonly port: number;
  #child: ChildProcess | undefined;
  readonly #cwd: string;

  constructor(port: number, cwd: string) {
    this.port = port;
    this.#cwd = cwd;
  }

  /** Resolves when it accepts connections. */
  async start(): Promise<void> {
    const child = spawn('redis-server', [
      '--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
    ], { cwd: this.#cwd, stdio: 'ignore' });
    this.#child = child;
    for (;;) {
      assert.equal(child.exitCode, null, 'redis-server has ended');
      const connection = new Connection(this.port);
      const answer = await connection.ask('PING').catch(() => '');
      connection.close();
      if (answer === '+PONG\r\n') return;
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}

/** A connection that sends one command at a time. */
class Connection implements LoadConnection {
  server: number | undefined;
  readonly #key: string;
  readonly #socket: Socket;
  #got = '';
  #answer: ((text: string) => void) | undefined;
  #fail: ((why: Error) => void) | undefined;
  #failed: Error | undefined;

  constructor(port: number, client = 0) {
    this.#key = `key:${client}`;
    const failed = (error: Error): void => {
      this.#failed ??= error;
      this.#fail?.(this.#failed);
    };
    this.#socket = net.connect(port, '127.0.0.1').setNoDelay(true).on('error', failed).on('close', () => {
      failed(new Error('closed'));
    }).on('data', (bytes) => {
      this.#got += String(bytes);
      // Of the commands here, an array is the only answer of more than one line.
      if (this.#got.split('\r\n').length < (this.#got.startsWith('*') ? 6 : 2)) return;
      const answer = this.#got;
      this.#got = '';
      this.#answer?.(answer);
    });
  }

  ask(command: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#answer = resolve;
      this.#fail = reject;
      if (this.#failed === undefined) this.#socket.write(`${command}\r\n`);
      else reject(this.#failed);
    });
  }

  async identify(): Promise<number> {
    this.server = Number(/(\d+)\r\n$/.exec(await this.ask('CONFIG GET port'))?.[1]);
    return this.server;
  }

  /** Two commands. */
  async work(i: number): Promise<void> {
    assert.equal(await this.ask(`SET ${this.#key} ${'v'.repeat(i)}.`), '+OK\r\n');
    assert.equal(await this.ask(`STRLEN ${this.#key}`), `:${i + 1}\r\n`);
  }

  end(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Three servers, and the balancer before them. */
async function startAll(t: TestContext): Promise<{
  readonly servers: readonly [RedisServer, RedisServer, RedisServer]; readonly binary: Binary; readonly port: number;
}> {
  const cwd = directory(t);
  const make = async (): Promise<RedisServer> => {
    const server = new RedisServer(await freePort(), cwd);
    t.after(() => server.kill());
    await server.start();
    return server;
  };
  const servers = [await make(), await make(), await make()] as const;
  const binary = start(t, [
    '--tcp', '-l', '127.0.0.1:0', '-s', 'round-robin', ...servers.map(({ port }) => `tcp://127.0.0.1:${port}`),
  ]);
  const port = Number(/tcp:\/\/127\.0\.0\.1:(\d+)/.exec(await binary.ready())?.[1]);
  return { servers, binary, port };
}

test('redis-benchmark and redis-cli, without an error', redis, async (t) => {
  const { binary, port } = await startAll(t);
  const args = ['-h', '127.0.0.1', '-p', String(port)];
  const { stdout, stderr } = await exec('redis-benchmark', [
    ...args, '-n', '10000', '-c', '20', '-P', '4', '-d', '1000', '-t', 'ping,set,get,lpush', '--csv',
  ], { timeout: 100_000, killSignal: 'SIGKILL' });
  assert.equal(stderr, '');
  // The line of titles, and one for each test: two of PING.
  assert.equal(stdout.trim().split('\n').length, 6, stdout);
  assert.equal((await exec('redis-cli', [...args, 'echo', 'hello'], { timeout: 60_000 })).stdout, 'hello\n');
  await binary.stop();
  assert.equal(binary.stderr.replace(/^.*SIGTERM: .*\n/m, ''), '');
});

test('kill -9 of one of three under load, and its return', redis, async (t) => {
  const { servers, port } = await startAll(t);
  const ports = servers.map((server) => server.port);
  const [killed, ...others] = servers;
  const load = new ReconnectingLoad(CLIENTS, COMMANDS, (client) => new Connection(port, client));
  try {
    await load.answered(ports, 300);
    await killed.kill();
    await load.answered(others.map((server) => server.port), 2_000);
    await killed.start();
    await load.answered(ports, 300);
  } finally {
    await load.stop();
  }
  t.diagnostic(`answers: ${[...load.answers.values()].join(', ')}; lost connections: ${load.failures.length}`);
  assert.deepEqual(load.unexplained(killed.port), []);
});

test('SIGTERM: open connections go on to their ends, and new ones are refused', redis, async (t) => {
  const { binary, port } = await startAll(t);
  const connections = Array.from({ length: CLIENTS }, () => new Connection(port));
  for (const connection of connections) await connection.identify();
  binary.signal('SIGTERM');
  await binary.logged(/SIGTERM/);
  const asked = (): Promise<string | undefined> => new Connection(port).ask('PING')
    .then(() => 'served', (error: unknown) => (error as NodeJS.ErrnoException).code);
  let refusal = await asked();
  // A connection that is in the backlog of the listener as that closes is reset by the system.
  while (refusal === 'ECONNRESET') refusal = await asked();
  assert.equal(refusal, 'ECONNREFUSED');
  for (const connection of connections) {
    assert.equal(await connection.ask('PING'), '+PONG\r\n');
    connection.end();
  }
  const { code, stderr } = await binary.exit();
  assert.equal(code, 0);
  assert.doesNotMatch(stderr, /cut|reset/);
});

const CLIENTS = 20;
/** Of one connection, twice. */
const COMMANDS = 50;
