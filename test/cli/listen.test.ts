import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import net, { type AddressInfo, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { run, start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const PREFIX = 'Load balancer with random strategy listening on ';
const hasIpv6 = Object.values(networkInterfaces()).flat().some((one) => one?.address === '::1');

describe('--listen', () => {
  test('with a port: on every interface; prints an address that a local browser can open', async (t) => {
    const binary = start(t, ['--listen', '0', await startNamed(t, 'A')]);
    const port = await binary.port();
    assert.equal(await binary.ready(), `${PREFIX}every interface, http://127.0.0.1:${port}`);
    assert.equal((await get(port)).body, 'A');
  });

  test('with a name and a port', async (t) => {
    const binary = start(t, ['--listen=localhost:0', await startNamed(t, 'A')]);
    const port = await binary.port();
    assert.equal((await get({ host: 'localhost', port })).body, 'A');
  });

  test('with an IPv6 address and a port', { skip: hasIpv6 ? false : 'this machine has no ::1' }, async (t) => {
    const binary = start(t, ['-l', '[::1]:0', await startNamed(t, 'A')]);
    const port = await binary.port();
    assert.equal(await binary.ready(), `${PREFIX}http://[::1]:${port}`);
    assert.equal((await get({ host: '::1', port })).body, 'A');
  });

  test('with the path of a Unix socket, which is removed on exit', async (t) => {
    const path = join(directory(t), 'balancer.sock');
    const binary = start(t, ['-l', `unix:${path}`, await startNamed(t, 'A')]);
    assert.equal(await binary.ready(), `${PREFIX}unix:${path}`);
    const { status, body } = await get({ socketPath: path });
    assert.deepEqual([status, body], [200, 'A']);
    binary.signal('SIGTERM');
    assert.equal((await binary.exit()).code, 0);
    assert.equal(existsSync(path), false);
  });

  test('with the descriptor of a socket that is already open (socket activation)', async (t) => {
    const server = await listener(t);
    const { port } = server.address() as AddressInfo;
    // The only way to get the descriptor of a handle from Node.
    const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
    const binary = start(t, ['-l', 'fd:3', await startNamed(t, 'A')], { stdio: ['ignore', 'pipe', 'pipe', fd] });
    server.close();
    assert.equal(await binary.ready(), `${PREFIX}http://127.0.0.1:${port}`);
    assert.equal((await get(port)).body, 'A');
  });

  test('several times: on each address', async (t) => {
    const path = join(directory(t), 'balancer.sock');
    const binary = start(t, ['-l', '127.0.0.1:0', '--listen', '127.0.0.1:0', '-l', `unix:${path}`,
      await startNamed(t, 'A')]);
    const line = await binary.ready();
    const [, first, second, third] = /^.* on http:\/\/127\.0\.0\.1:(\d+), http:\/\/127\.0\.0\.1:(\d+), unix:(.*)$/
      .exec(line) ?? [];
    assert.equal(third, path);
    assert.notEqual(first, second);
    for (const where of [Number(first), Number(second), { socketPath: path }]) {
      assert.equal((await get(where)).body, 'A');
    }
  });
});

describe('if it cannot listen, it exits with 1 and names the address and the reason once', () => {
  for (const workers of ['1', '2']) {
    test(`a port in use, with ${workers} to serve`, async (t) => {
      const server = await listener(t);
      const { port } = server.address() as AddressInfo;
      const { code, stdout, stderr } = await run(['-l', `127.0.0.1:${port}`, '-w', workers, 'http://127.0.0.1:3001']);
      assert.deepEqual([code, stdout], [1, '']);
      const told = stderr.split('\n').filter((line) => line.includes('EADDRINUSE'));
      assert.equal(told.length, 1, stderr);
      assert.match(told[0] ?? '', new RegExp(`listen: 127\\.0\\.0\\.1:${port} is in use \\(EADDRINUSE\\): stop what `
        + 'listens there, or choose another address$'));
    });
  }

  test('the second of two', async (t) => {
    const server = await listener(t);
    const { port } = server.address() as AddressInfo;
    const { code, stdout, stderr } = await run(['-l', '127.0.0.1:0', '-l', `127.0.0.1:${port}`, '--demo']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, new RegExp(`^equipoise: listen: 127\\.0\\.0\\.1:${port} is in use .*\n$`));
  });

  test('an address of another machine', async () => {
    const { code, stdout, stderr } = await run(['-l', '192.0.2.1:8080', 'http://127.0.0.1:3001']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.equal(stderr, 'equipoise: listen: 192.0.2.1:8080 is not an address of this machine (EADDRNOTAVAIL)\n');
  });

  test('a Unix socket in a directory that does not exist', async (t) => {
    const folder = join(directory(t), 'nowhere');
    const { code, stdout, stderr } = await run(['-l', `unix:${folder}/balancer.sock`, 'http://127.0.0.1:3001']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.equal(stderr, `equipoise: listen: unix:${folder}/balancer.sock: the directory ${folder} does not exist\n`);
  });

  test('a number that is not an open descriptor', async () => {
    const { code, stdout, stderr } = await run(['-l', 'fd:77', 'http://127.0.0.1:3001']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^equipoise: listen: fd:77 is not a listening socket that this process was given: .+\n$/);
  });
});

/** A listening server, closed at the end of the test. */
async function listener(t: TestContext): Promise<Server> {
  const server = net.createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return server;
}
