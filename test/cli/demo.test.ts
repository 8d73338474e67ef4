import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from '../support/process-binary.ts';
import { get } from '../support/process-client.ts';

test('--demo balances over three upstreams that name themselves', async (t) => {
  const binary = start(t, ['--demo', '-l', '127.0.0.1:0', '-s', 'round-robin']);
  const port = await binary.port();
  const bodies: string[] = [];
  for (let i = 0; i < 6; i++) bodies.push((await get(port, `/${i}`)).body);
  const names = bodies.map((body) => /^Hello from upstream ([A-Z]): GET \/\d\n$/.exec(body)?.[1]);
  assert.deepEqual([...names].sort(), ['A', 'A', 'B', 'B', 'C', 'C']);
  const { body } = await get(port, '/x?y=1', { method: 'DELETE' });
  assert.match(body, /: DELETE \/x\?y=1\n$/);
  binary.signal('SIGTERM');
  assert.equal((await binary.exit()).code, 0, 'the upstreams end with it');
});

test('--demo needs no other argument', async (t) => {
  const binary = start(t, ['--demo', '-l', '127.0.0.1:0']);
  assert.match(await binary.ready(), /^Load balancer with random strategy listening on http:\/\/127\.0\.0\.1:\d+$/);
});
