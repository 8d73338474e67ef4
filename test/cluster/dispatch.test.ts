import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { get, listening } from '../support/process-client.ts';
import { ANSWER_MS, Load, Program, signalIfThere } from './program.ts';

const LEAST = `{
  name: 'least',
  pick: (candidates) => candidates.reduce((least, other) => other.inFlight < least.inFlight ? other : least),
}`;

/** A program whose primary dispatches connections. */
const app = (more: string, strategy = LEAST, run = '() => server'): string => `
  const held = [];
  const server = http.createServer((request, response) => {
    if (request.url === '/held') {
      process.stdout.write('held by ' + process.pid + '\\n');
      held.push(response);
    } else setTimeout(() => response.end(process.pid + '\\n'), ${ANSWER_MS});
  });
  process.on('SIGUSR2', () => { for (const response of held) response.end('released\\n'); });
  await launch(${run}, {
    workers: 2, drainTimeoutMs: 15_000, dispatch: ${strategy}, listen: { port: 0, host: '127.0.0.1' }, ${more}
    onEvent: ({ type, address }) => { if (type === 'listening') process.stdout.write('port ' + address.port + '\\n'); },
  });
`;

test('dispatch follows the strategy, and nothing is lost on reload, kill or shutdown', async (t) => {
  const program = new Program(t, app(''));
  const port = await program.port();
  const answers = [get(port, '/held'), get(port, '/held')];
  await program.printed(/held by (\d+)\nheld by (?!\1)/);
  const load = new Load(port, 8, true);
  await load.answered(50);
  program.signal('SIGHUP');
  await program.logged(/is ready$/, 4);
  await load.answered(50);
  await load.end();
  for (const pid of program.workers) signalIfThere(pid, 'SIGUSR2');
  assert.deepEqual((await Promise.all(answers)).map(({ body }) => body), ['released\n', 'released\n']);

  process.kill(program.workers[2] ?? assert.fail('no worker'), 'SIGKILL');
  await program.logged(/is ready$/, 5);
  const last = new Load(port, 16, false);
  await last.answered(50);
  program.signal('SIGTERM');
  await last.end(false);
  assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
});

test('dispatch to a run that takes connections through onConnection', async (t) => {
  const run = `({ onConnection }) => {
    const sockets = new Set();
    onConnection((socket) => { sockets.add(socket); server.emit('connection', socket); });
    return () => { for (const socket of sockets) socket.destroy(); };
  }`;
  const program = new Program(t, app('', LEAST, run));
  assert.equal((await get(await program.port())).status, 200);
  program.signal('SIGTERM');
  assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
});

test('dispatch on a port in use ends the launch', async (t) => {
  const port = await listening(t, http.createServer());
  const program = new Program(t, app(`listen: { port: ${port}, host: '127.0.0.1' },`));
  assert.deepEqual(await program.exit(), { code: 1, signal: null }, program.stderr);
  assert.match(program.stderr, /the launch failed: listen EADDRINUSE/);
  assert.deepEqual(program.workers, []);
});

test('if the strategy fails, the connection is closed, and the log says so', async (t) => {
  const program = new Program(t, app('', "{ name: 'bad', pick: () => { throw new Error('no luck'); } }"));
  await assert.rejects(get(await program.port()), /socket hang up|ECONNRESET/);
  await program.logged(/dispatch: strategy bad threw in pick: no luck; the connection was closed/);
});
