import assert from 'node:assert/strict';
import { test } from 'node:test';
import { get } from '../support/process-client.ts';
import { within } from '../support/wait.ts';
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
  let clear = 0;
  let toBusy = 0;
  await launch(() => server, {
    workers: 3, listen: { port: 0, host: '127.0.0.1' },
    dispatch: {
      name: 'watched ' + strategy.name,
      pick(candidates, context) {
        const picked = strategy.pick(candidates, context);
        const busy = candidates.filter(({ load }) => load > 0.9);
        const idle = candidates.filter(({ load, inFlight }) => load < 0.5 && inFlight === 0);
        // On an overloaded machine others look busy, too, or are late to tell that a connection has closed.
        if (busy.length === 1 && idle.length > 0) {
          clear++;
          if (picked === busy[0]) toBusy++;
          if (clear === 150) process.stdout.write('of 150 to ' + busy[0].pid + ': ' + toBusy + '\\n');
        }
        return picked;
      },
    },
    onEvent: ({ type, address }) => { if (type === 'listening') process.stdout.write('port ' + address.port + '\\n'); },
  });
`;

test('dispatch by leastBusy() spares a worker that computes', async (t) => {
  const program = new Program(t, APP);
  const port = await program.port();
  const { body: computing } = await get(port, '/compute');
  const served = new Set<string>();
  const ask = async (): Promise<void> => {
    while (!/^of 150 /m.test(program.stdout)) served.add((await get(port)).body);
  };
  await within(ask(), () => `150 connections while only one is busy: ${program.stdout}`);
  const [, pid, got] = /^of 150 to (\d+): (\d+)$/m.exec(program.stdout) ?? [];
  assert.equal(pid, computing);
  // An even share would be 50.
  assert.ok(Number(got) < 35, `it got ${got} of 150`);
  assert.ok([...served].filter((each) => each !== computing).length === 2, 'both others serve');
  program.signal('SIGTERM');
  assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
});
