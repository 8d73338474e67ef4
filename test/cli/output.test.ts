import assert from 'node:assert/strict';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';

test('one line on standard output says that it is ready, and how', async (t) => {
  const binary = start(t, ['-l', '127.0.0.1:0', await startNamed(t, 'A')]);
  const port = await binary.port();
  assert.equal(binary.stdout, `Load balancer with random strategy listening on http://127.0.0.1:${port}\n`);
  assert.equal((await get(port)).body, 'A', 'it is as ready as it says');
  binary.signal('SIGTERM');
  const { code, stdout } = await binary.exit();
  assert.equal(code, 0);
  assert.equal(stdout, `Load balancer with random strategy listening on http://127.0.0.1:${port}\n`);
});

test('the log goes to standard error', async (t) => {
  const origin = await nobody();
  const binary = start(t, ['-l', '127.0.0.1:0', origin]);
  const port = await binary.port();
  const { status, headers, body } = await get(port);
  assert.equal(status, 502);
  assert.match(String(headers['proxy-status']), /^equipoise; error=connection_refused$/);
  assert.ok(!body.includes(new URL(origin).port), 'the answer names no address');
  await binary.logged(/\n/);
  assert.match(binary.stderr, new RegExp(`^equipoise: CONNECT_REFUSED ${origin}: .*ECONNREFUSED.*\\n$`));
  assert.equal(binary.stdout.split('\n').length, 2, 'standard output has the one line');
});

/** An origin where nothing listens. */
async function nobody(): Promise<string> {
  const server = net.createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}
