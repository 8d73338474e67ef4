/**
 * Workers that a reload has replaced finish what they have in flight.
 */
import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { Signal } from '../support/wait.ts';
import { FakeLaunch } from './supervise/fake-workers.ts';
import { ANSWER_MS, Load, Program } from './program.ts';

describe('a worker that a reload replaced', () => {
  test('gets the reload timeout; at the end of the launch, the drain timeout', async () => {
    const launch = FakeLaunch.ready({ workers: 1, drainTimeoutMs: 5_000, reloadTimeoutMs: 60_000 });
    void launch.supervisor.reload();
    launch.worker(2).says('ready');
    assert.deepEqual(launch.worker(1).limits, [60_000]);
    launch.advance(30_000);
    launch.supervisor.close('SIGTERM');
    assert.deepEqual([launch.worker(1).limits, launch.worker(2).limits], [[60_000, 5_000], [5_000]]);
    launch.worker(2).says('drained').ends();
    launch.advance(5_900);
    assert.ok(!launch.worker(1).done.includes('kill'));
    launch.advance(200);
    assert.ok(launch.worker(1).done.includes('kill'));
    launch.worker(1).dies();
    assert.equal(await launch.ended(), 1);
  });

  test('keeps its own limit if that is shorter', () => {
    const launch = FakeLaunch.ready({ workers: 1, drainTimeoutMs: 5_000, reloadTimeoutMs: 2_000 });
    void launch.supervisor.reload();
    launch.worker(2).says('ready');
    launch.supervisor.close('SIGTERM');
    assert.deepEqual(launch.worker(1).limits, [2_000]);
  });

  test('must end if there are too many: the oldest first, and the log says so', async () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    for (let i = 0; i < 34; i++) {
      const reloaded = launch.supervisor.reload();
      launch.all.at(-1)?.says('ready');
      assert.equal(await reloaded, true);
    }
    const hurried = launch.all.filter(({ limits }) => limits.includes(0)).map(({ id }) => id);
    assert.deepEqual(hurried, [1, 2]);
    const line = 'worker 1 (process 1001) must end at once: more than 32 replaced workers are draining';
    assert.equal(launch.lines.filter((other) => other === line).length, 1);
  });
});

const APP = (options: string): string => `
  const app = http.createServer((request, response) => setTimeout(() => response.end('hello\\n'), ${ANSWER_MS}));
  app.on('upgrade', (request, socket) => {
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n');
    socket.pipe(socket);
  });
  await launch(async () => {
    await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve));
    process.stdout.write('port ' + app.address().port + '\\n');
    return app;
  }, { workers: 2, ${options} });`;

test('ten reloads under load: no request fails, 500 open WebSockets outlive them, SIGTERM cuts them', async (t) => {
  const program = new Program(t, APP('drainTimeoutMs: 300,'));
  const port = await program.port();
  const sockets = await Promise.all(Array.from({ length: 500 }, () => Tunnel.open(t, port)));
  const load = new Load(port, 8, true);
  for (let i = 1; i <= 10; i++) {
    await load.answered(20);
    program.signal('SIGHUP');
    await program.logged(/reload: complete/, i);
  }
  await load.answered(20);
  await load.end();
  await Promise.all(sockets.map((socket, i) => socket.echoes(`message ${i}`)));
  program.signal('SIGTERM');
  assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
  const cut = [...program.stderr.matchAll(/did not drain in time: cut (\d+) connections?/g)];
  assert.equal(cut.reduce((sum, [, count]) => sum + Number(count), 0), 500, program.stderr);
  await Promise.all(sockets.map((socket) => socket.closed()));
});

test('the reload timeout cuts what replaced workers still have in flight, and that is not a failure', async (t) => {
  const program = new Program(t, APP('reloadTimeoutMs: 200,'));
  const socket = await Tunnel.open(t, await program.port());
  program.signal('SIGHUP');
  await program.logged(/did not drain in time: cut 1 connection$/);
  await socket.closed();
  program.signal('SIGTERM');
  assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
});

/** An upgraded connection. */
class Tunnel {
  #text = '';
  readonly #socket: Socket;
  readonly #signal = new Signal();

  private constructor(t: TestContext, port: number) {
    this.#socket = net.connect(port, '127.0.0.1');
    this.#socket.on('error', () => {
      // 'close' follows.
    });
    this.#socket.setEncoding('latin1').on('data', (part: string) => {
      this.#text += part;
      this.#signal.raise();
    }).on('close', () => {
      this.#signal.raise();
    });
    t.after(() => {
      this.#socket.destroy();
    });
  }

  static async open(t: TestContext, port: number): Promise<Tunnel> {
    const tunnel = new Tunnel(t, port);
    tunnel.#socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    await tunnel.#until(() => tunnel.#text.endsWith('\r\n\r\n'), 'a 101');
    return tunnel;
  }

  async echoes(text: string): Promise<void> {
    assert.ok(!this.#socket.closed, 'it is closed');
    this.#socket.write(text);
    await this.#until(() => this.#text.endsWith(text) || this.#socket.closed, `${text} to be echoed`);
    assert.ok(!this.#socket.closed, 'it is closed');
  }

  async closed(): Promise<void> {
    await this.#until(() => this.#socket.closed, 'its end');
  }

  async #until(seen: () => boolean, what: string): Promise<void> {
    await this.#signal.until(seen, () => `${what}: ${this.#text}`);
  }
}
