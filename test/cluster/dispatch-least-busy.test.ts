import assert from 'node:assert/strict';
import { test } from 'node:test';
import { get } from '../support/process-client.ts';
import { Program } from './program.ts';

const LEAST_BUSY = new URL('../../dist/strategies/least-busy.js', import.meta.url).href;

/** Three workers. On request, one starts to compute and leaves its event loop hardly any idle time. */
const APP = `
  const server = http.createServer((request, response) => {
    response.end(String(process.pid));
    if (request.url === '/compute') compute();
  });
  function compute() {
    for (const end = performance.now() + 10; performance.now() < end;);
    if (process.connected) setImmediate(compute);
  }
  const { leastBusy } = await import(${JSON.stringify(LEAST_BUSY)});
  const strategy = leastBusy();
  await launch(() => server, {
    workers: 3, listen: { port: 0, host: '127.0.0.1' },
    dispatch: {
      name: 'watched ' + strategy.name,
      pick(candidates, context) {
        if (candidates.some(({ load }) => load > 0.9)) process.stdout.write('seen that it is busy\\n');
        return strategy.pick(candidates, context);
      },
    },
    onEvent: ({ type, address }) => { if (type === 'listening') process.stdout.write('port ' + address.port + '\\n'); },
  });
`;

test('dispatch by leastBusy() spares a worker that computes', async (t) => {
  const program = new Program(t, APP);
  const port = await program.port();
  const { body: computing } = await get(port, '/compute');
  // Its load is reported a moment later; each connection is a chance to see it.
  while (!program.stdout.includes('seen')) await get(port);
  const served = new Map<string, number>();
  for (let i = 0; i < 150; i++) {
    const { body } = await get(port);
    served.set(body, (served.get(body) ?? 0) + 1);
  }
  // One at a time, so all counts are equal. An even share would be 50; by load it is 7, as the others are idle.
  const got = served.get(computing) ?? 0;
  assert.ok(got < 35, `it got ${got} of 150`);
  assert.equal(served.size - (got > 0 ? 1 : 0), 2, 'both others serve');
  program.signal('SIGTERM');
  assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
});
