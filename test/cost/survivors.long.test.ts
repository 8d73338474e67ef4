/**
 * How much of an exchange, or of a connection, survives young collections. Nothing should survive the first: what is
 * promoted is copied, and costs a full collection in the end. The tables of a Map or Set that churns with requests keep
 * each other's garbage alive, which shows here. Octets are counted; nothing is timed.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';
import { Client, startUpstream } from './exchanges.ts';
import { type MeasuredBalancer, startMeasured } from './process.ts';

const FLAGS = [
  '--expose-gc', '--single-threaded',
  // A small nursery, for many young collections; and no full one, which would free what was promoted.
  '--min-semi-space-size=1', '--max-semi-space-size=1', '--initial-old-space-size=1024',
];
const AT_ONCE = 16;
/** The smallest group counts: V8 keeps what it compiles, and a collection may happen at any moment. */
const GROUPS = 4;
/** 20 to 80 for a request, or 4,500 with a Map of downstreams. */
const BOUND = 600;
/** 1,600, most of it Node's own for a socket, or 2,800 with a Map of downstreams. */
const CONNECTION_BOUND = 2_200;

/** One request over a new connection. */
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

/** Measures `run`, which does `count` exchanges or connections, several times. */
async function survivors(
  balancer: MeasuredBalancer, count: number, run: () => Promise<unknown>,
): Promise<number[]> {
  await run();
  await balancer.memory();
  const each: number[] = [];
  for (let group = 0; group < GROUPS; group++) {
    await run();
    const { promotedBytes } = await balancer.memory();
    each.push(Math.round(promotedBytes / count));
  }
  return each;
}

describe('little is promoted to the old generation', () => {
  for (const [front, each] of [['handle', 400], ['listen', 400]] as const) {
    test(`for a request by ${front}`, async (t) => {
      const balancer = await startMeasured(t, FLAGS, front, await startUpstream(t));
      const clients = Array.from({ length: AT_ONCE }, () => new Client(t, balancer.port));
      const run = (): Promise<unknown> => Promise.all(clients.map((client) => client.exchange(each)));
      const found = await survivors(balancer, AT_ONCE * each, run);
      t.diagnostic(`octets promoted per request: ${found.join(', ')}`);
      assert.ok(Math.min(...found) <= BOUND, `${found.join(', ')} octets are promoted`);
    });
  }

  test('for a new connection by listen', async (t) => {
    const balancer = await startMeasured(t, FLAGS, 'listen', await startUpstream(t));
    const each = 100;
    const visits = async (): Promise<void> => {
      for (let i = 0; i < each; i++) await visit(balancer.port);
    };
    const found = await survivors(balancer, AT_ONCE * each, () => Promise.all(Array.from({ length: AT_ONCE }, visits)));
    t.diagnostic(`octets promoted per connection: ${found.join(', ')}`);
    assert.ok(Math.min(...found) <= CONNECTION_BOUND, `${found.join(', ')} octets are promoted`);
  });
});
