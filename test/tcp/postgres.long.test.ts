/**
 * PostgreSQL behind `--tcp`: pgbench with connections that stay and with one for each transaction, one of three servers
 * killed and brought back under load, a drain.
 *
 * pgbench ends at the first connection that it loses, and a server that is killed takes its connections with it. While
 * that happens, the load is of this file; pgbench runs before, while the server is down, and after its return.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import net, { type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { start } from '../support/process-binary.ts';
import { freePort } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { type LoadConnection, ReconnectingLoad } from '../support/reconnecting-load.ts';
import { Signal, within } from '../support/wait.ts';

const exec = promisify(execFile);
const bin = binaries();
const user = unprivileged();
const postgres = {
  skip: bin === undefined ? 'needs initdb, postgres and pgbench (Debian: postgresql), which are not installed'
    : user === undefined ? 'needs a user postgres: PostgreSQL does not run as root' : false,
};

/** Where initdb and pgbench are; Debian keeps those of each version in a directory of their own. */
function binaries(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian)
    ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)).map((version) => join(debian, version, 'bin')) : [];
  return [...versions, ...(process.env['PATH'] ?? '').split(':')]
    .find((path) => ['initdb', 'postgres', 'pgbench'].every((name) => existsSync(join(path, name))));
}

/** As whom the servers run: their package's user instead of root. */
function unprivileged(): { readonly uid?: number; readonly gid?: number } | undefined {
  if (process.getuid?.() !== 0) return {};
  const [uid, gid] = ['-u', '-g'].map((which) => spawnSync('id', [which, 'postgres'], { encoding: 'utf8' }));
  return uid?.status === 0 && gid?.status === 0 ? { uid: Number(uid.stdout), gid: Number(gid.stdout) } : undefined;
}

function tool(name: string): string {
  return join(bin ?? '', name);
}

const ENV = { ...process.env, LC_ALL: 'C', PGUSER: 'postgres', PGDATABASE: 'postgres', PGHOST: '127.0.0.1' };

class PostgresServer {
  readonly port: number;
  readonly #data: string;
  #child: ChildProcess | undefined;

  constructor(port: number, data: string) {
    this.port = port;
    this.#data = data;
  }

  /** Resolves when it answers queries. */
  async start(): Promise<void> {
    // Processes of one that was killed may need a moment to notice.
    while (!await this.#started());
  }

  async #started(): Promise<boolean> {
    const child = spawn(tool('postgres'), [
      '-D', this.#data, '-p', String(this.port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=',
      '-c', 'fsync=off', '-c', 'max_connections=60', '-c', 'shared_buffers=16MB',
    ], { ...user, cwd: this.#data, env: ENV, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    const signal = new Signal();
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      signal.raise();
    });
    child.once('exit', () => {
      signal.raise();
    });
    await signal.until(
      () => log.includes('ready to accept connections') || child.exitCode !== null, () => `PostgreSQL; ${log}`);
    if (child.exitCode === null) return true;
    assert.match(log, /still in use/);
    return false;
  }

  /** `SIGINT` shuts it down in order, `SIGQUIT` at once. */
  async stop(how: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(how);
    await within(gone, () => 'PostgreSQL to stop');
  }
}

/** A connection that asks one question at a time, by the simple protocol (PostgreSQL, chapter 55). */
class Connection implements LoadConnection {
  server: number | undefined;
  readonly #socket: Socket;
  readonly #signal = new Signal();
  #bytes: Buffer = Buffer.alloc(0);
  #failed: Error | undefined;
  /** The text of the last row. */
  #row = '';
  #ready = 0;

  constructor(port: number) {
    const failed = (error: Error): void => {
      this.#failed ??= error;
      this.#signal.raise();
    };
    this.#socket = net.connect(port, '127.0.0.1').setNoDelay(true).on('error', failed).on('close', () => {
      failed(new Error('closed'));
    }).on('data', (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      while (this.#bytes.length >= 5 && this.#bytes.length > this.#bytes.readUInt32BE(1)) {
        const end = 1 + this.#bytes.readUInt32BE(1);
        const [type, body] = [String.fromCharCode(this.#bytes[0] ?? 0), this.#bytes.subarray(5, end)];
        this.#bytes = this.#bytes.subarray(end);
        if (type === 'E') failed(new Error(body.toString('latin1').replaceAll('\0', ' ')));
        // One column.
        else if (type === 'D') this.#row = body.toString('latin1', 6);
        else if (type === 'Z') this.#ready++;
      }
      this.#signal.raise();
    });
    const parameters = Buffer.from('\0\x03\0\0user\0postgres\0database\0postgres\0\0', 'latin1');
    this.#send('', parameters);
  }

  /** The one value that is the answer. */
  async ask(query: string): Promise<string> {
    await this.#idle(1);
    this.#ready = 0;
    this.#send('Q', Buffer.from(`${query}\0`));
    await this.#idle(1);
    return this.#row;
  }

  async identify(): Promise<number> {
    this.server = Number(await this.ask('SELECT inet_server_port()'));
    return this.server;
  }

  async work(i: number): Promise<void> {
    assert.equal(await this.ask(`SELECT repeat('v', ${i}) || '.'`), `${'v'.repeat(i)}.`);
  }

  end(): void {
    this.#send('X', Buffer.alloc(0));
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(type: string, body: Buffer): void {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(4 + body.length);
    this.#socket.write(Buffer.concat([Buffer.from(type, 'latin1'), head, body]));
  }

  /** Resolves when the server is ready for so many queries more. */
  async #idle(count: number): Promise<void> {
    await this.#signal.until(() => this.#ready >= count || this.#failed !== undefined, () => 'PostgreSQL to answer');
    if (this.#failed !== undefined) throw this.#failed;
  }
}

/** Three servers with the tables of pgbench. */
async function startServers(t: TestContext): Promise<readonly [PostgresServer, PostgresServer, PostgresServer]> {
  const servers: PostgresServer[] = [];
  // Before their directory is removed.
  t.after(() => Promise.all(servers.map((server) => server.stop('SIGQUIT'))));
  const cwd = directory(t);
  if (user?.uid !== undefined && user.gid !== undefined) chownSync(cwd, user.uid, user.gid);
  const asUser = { ...user, cwd, env: ENV };
  execFileSync(tool('initdb'), ['-D', '0', '-A', 'trust', '--no-sync', '--no-locale', '-U', 'postgres'], {
    ...asUser, stdio: 'ignore',
  });
  const make = async (name: string): Promise<PostgresServer> => {
    const server = new PostgresServer(await freePort(), join(cwd, name));
    servers.push(server);
    await server.start();
    return server;
  };
  const first = await make('0');
  await exec(tool('pgbench'), ['-i', '-q', '-s', '1', '-p', String(first.port)], asUser);
  await first.stop('SIGINT');
  for (const name of ['1', '2']) execFileSync('cp', ['-r', '0', name], asUser);
  await first.start();
  return [first, await make('1'), await make('2')];
}

/** pgbench with reads alone. */
class Pgbench {
  readonly #child: ChildProcess;
  readonly #signal = new Signal();
  #stdout = '';
  #stderr = '';
  #over = false;

  constructor(port: number, ...args: readonly string[]) {
    const child = spawn(tool('pgbench'), ['-n', '-S', '-p', String(port), ...args], {
      env: ENV, stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#signal.raise();
    });
    child.once('close', () => {
      this.#over = true;
      this.#signal.raise();
    });
  }

  /** With `-P`: resolves at the first report, when all clients are connected. */
  async running(): Promise<void> {
    await this.#signal.until(() => this.#stderr.includes('progress:') || this.#over, () => 'a report of pgbench');
    assert.ok(!this.#over, this.#stderr);
  }

  /** Resolves when it is over, without an error. Returns the number of its transactions. */
  async done(): Promise<number> {
    try {
      await this.#signal.until(() => this.#over, () => `the end of pgbench: ${this.#stderr}`);
    } finally {
      this.#child.kill('SIGKILL');
    }
    assert.equal(this.#child.exitCode, 0, this.#stderr);
    assert.equal(this.#stderr.replace(/^(?:pgbench \(.*\)|progress: .*)\n/gm, ''), '');
    assert.match(this.#stdout, /number of failed transactions: 0 /);
    return Number(/actually processed: (\d+)/.exec(this.#stdout)?.[1]);
  }
}

test('PostgreSQL behind --tcp', postgres, async (t) => {
  const servers = await startServers(t);
  const ports = servers.map((server) => server.port);
  const binary = start(t, [
    '--tcp', '-l', '127.0.0.1:0', '-s', 'round-robin', '--drain-timeout', '60',
    ...ports.map((each) => `tcp://127.0.0.1:${each}`),
  ]);
  const port = Number(/tcp:\/\/127\.0\.0\.1:(\d+)/.exec(await binary.ready())?.[1]);

  await t.test('pgbench, with connections that stay and with one for each transaction', async () => {
    assert.equal(await new Pgbench(port, '-c', '12', '-j', '2', '-t', '500').done(), 6_000);
    assert.equal(await new Pgbench(port, '-c', '6', '-t', '30', '-C').done(), 180);
    assert.equal(binary.stderr, '');
  });

  await t.test('kill -9 of one of three under load, and its return', async () => {
    const [killed, ...others] = servers;
    const load = new ReconnectingLoad(6, 20, () => new Connection(port));
    try {
      await load.answered(ports, 40);
      await killed.stop('SIGKILL');
      await load.answered(others.map((server) => server.port), 200);
      assert.equal(await new Pgbench(port, '-c', '4', '-t', '20', '-C').done(), 80);
      await killed.start();
      await load.answered(ports, 40);
    } finally {
      await load.stop();
    }
    assert.equal(await new Pgbench(port, '-c', '6', '-t', '20', '-C').done(), 120);
    t.diagnostic(`answers: ${[...load.answers.values()].join(', ')}; lost connections: ${load.failures.length}`);
    assert.deepEqual(load.unexplained(killed.port), []);
  });

  await t.test('SIGTERM: connections in use go on to their ends, and new ones are refused', async () => {
    const idle = new Connection(port);
    await idle.identify();
    const bench = new Pgbench(port, '-c', '6', '-T', '4', '-P', '1');
    await bench.running();
    binary.signal('SIGTERM');
    await binary.logged(/SIGTERM/);
    const asked = (): Promise<string | undefined> => new Connection(port).identify()
      .then(() => 'served', (error: unknown) => (error as NodeJS.ErrnoException).code);
    let refusal = await asked();
    // A connection that is in the backlog of the listener as that closes is reset by the system.
    while (refusal === 'ECONNRESET') refusal = await asked();
    assert.equal(refusal, 'ECONNREFUSED');
    assert.ok(await bench.done() > 0);
    await idle.work(3);
    idle.end();
    const { code, stderr } = await binary.exit();
    assert.equal(code, 0);
    assert.doesNotMatch(stderr.slice(stderr.indexOf('SIGTERM')), /cut|reset/);
  });
});
