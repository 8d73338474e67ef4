/**
 * What of an exchange, or of a connection, survives young collections. All of it should be dead by the first: what
 * grows old costs a copy at each, and a full collection in the end. The tables of a Map or Set that churns with
 * requests keep each other's garbage alive (see `Downstreams`): that shows here. Octets are counted, no time is.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { atEnd } from '../support/scope.ts';
import { within } from '../support/wait.ts';
import { Client, startUpstream } from './exchanges.ts';
import type { Told } from './survivors-program.ts';

const PROGRAM = fileURLToPath(new URL('./survivors-program.ts', import.meta.url));
const FLAGS = [
  '--expose-gc', '--single-threaded',
  // A small nursery, so that there are many young collections; and no full one, which would make up for it.
  '--min-semi-space-size=1', '--max-semi-space-size=1', '--initial-old-space-size=1024',
];
const AT_ONCE = 16;
/** The least of some groups counts: V8 keeps what it compiles, and a collection may come at any moment. */
const GROUPS = 4;
/** 20 to 80 for a request, or 4,500 with a Map of downstreams. */
const BOUND = 600;
/** 1,600, most of it Node's own for a socket, or 2,800 with a Map of downstreams. */
const CONNECTION_BOUND = 2_200;

async function ask(child: ChildProcess): Promise<number> {
  child.send('');
  const [told] = await within(once(child, 'message'), () => 'the balancer to tell') as [Told];
  assert.ok('promotedBytes' in told);
  return told.promotedBytes;
}

async function start(t: TestContext, front: string, origin: string): Promise<{ child: ChildProcess; port: number }> {
  const env = { ...process.env, NODE_V8_COVERAGE: undefined };
  const child = fork(PROGRAM, [front, origin], { env, execArgv: [...FLAGS, '--import', 'tsx'] });
  atEnd(t, async () => {
    const exit = once(child, 'exit');
    child.disconnect();
    await exit;
  });
  const [told] = await within(once(child, 'message'), () => 'the balancer to listen') as [Told];
  assert.ok('port' in told);
  return { child, port: told.port };
}

/** One request over a connection of its own. */
function visit(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    socket.on('error', reject).on('close', () => {
      resolve();
    });
    socket.resume();
  });
}

/** Measures `run`, which does `count` of them, several times. */
async function survivors(child: ChildProcess, count: number, run: () => Promise<unknown>): Promise<number[]> {
  await run();
  await ask(child);
  const each: number[] = [];
  for (let group = 0; group < GROUPS; group++) {
    await run();
    each.push(Math.round(await ask(child) / count));
  }
  return each;
}

describe('little grows old', () => {
  for (const [front, each] of [['handle', 400], ['listen', 400]] as const) {
    test(`of a request by ${front}`, async (t) => {
      const { child, port } = await start(t, front, await startUpstream(t));
      const clients = Array.from({ length: AT_ONCE }, () => new Client(t, port));
      const found = await survivors(child, AT_ONCE * each, () => Promise.all(clients.map((one) => one.exchange(each))));
      t.diagnostic(`octets that grew old for each request: ${found.join(', ')}`);
      assert.ok(Math.min(...found) <= BOUND, `${found.join(', ')} octets of each grow old`);
    });
  }

  test('of a new connection by listen', async (t) => {
    const { child, port } = await start(t, 'listen', await startUpstream(t));
    const each = 100;
    const visits = async (): Promise<void> => {
      for (let i = 0; i < each; i++) await visit(port);
    };
    const found = await survivors(child, AT_ONCE * each, () => Promise.all(Array.from({ length: AT_ONCE }, visits)));
    t.diagnostic(`octets that grew old for each connection: ${found.join(', ')}`);
    assert.ok(Math.min(...found) <= CONNECTION_BOUND, `${found.join(', ')} octets of each grow old`);
  });
});
