/**
 * Upstreams that close idle connections without warning: each request of an idempotent burst is served, whether the
 * close is seen in time, crosses the request, or comes exactly as it arrives.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { type Client, get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { quiet } from '../support/quiet.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { atEnd } from '../support/scope.ts';
import { close, type Peer, request, reset, response, startUpstream } from '../support/upstream.ts';
import { Signal } from '../support/wait.ts';

const CLIENTS = 20;
const UPSTREAMS = 3;

/** In each burst all clients ask at once. All must be answered 200. */
async function bursts(clients: readonly Client[], count: number, pause: () => Promise<unknown>): Promise<void> {
  for (let burst = 0; burst < count; burst++) {
    if (burst > 0) await pause();
    const answers = await Promise.all(clients.map((client, at) => client.exchange(get(`/${burst}-${at}`))));
    assert.deepEqual(answers.filter(({ status }) => status !== 200).map(({ text }) => text), []);
  }
}

/** A server of Node that closes connections idle for 50 ms, and does not announce it. */
async function startImpatient(t: TestContext, onConnection: (socket: Socket) => void): Promise<string> {
  const server = http.createServer((asked, answer) => {
    // With our own Connection field, Node adds no Keep-Alive.
    answer.setHeader('Connection', 'keep-alive');
    // Like its keepAliveTimeout, to which some versions add a second.
    answer.once('finish', () => asked.socket.setTimeout(50));
    answer.end('here');
  });
  server.on('connection', onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(t, async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const seed = testSeed();

for (const front of FRONTS) {
  describe(`upstreams that close idle connections, through ${front.name}`, () => {
    test('servers of Node, after 50 ms: every request of the bursts is served', async (t) => {
      quiet(t);
      const signal = new Signal();
      let [opened, closed] = [0, 0];
      const starting = Array.from({ length: UPSTREAMS }, () => startImpatient(t, (socket) => {
        opened++;
        socket.once('close', () => {
          closed++;
          signal.raise();
        });
      }));
      const rng = seededRandom(seed);
      const under = await startBalancer(t, {
        upstreams: await Promise.all(starting),
        front,
        strategy: { name: 'drawn', pick: (candidates) => candidates[Math.floor(rng() * candidates.length)] },
      });
      const clients = await Promise.all(Array.from({ length: CLIENTS }, () => under.connect()));
      // The next burst comes when the first connection is closed: the others are about to be, if they are not yet.
      await bursts(clients, 15, () => {
        const before = closed;
        return signal.until(() => closed > before || closed === opened, () => 'an idle connection to be closed');
      });
      assert.deepEqual(under.outcomes.filter(({ error = 'UPSTREAM_CLOSED' }) => error !== 'UPSTREAM_CLOSED'), []);
    });

    test(`exactly as a request arrives: every one is served (EQUIPOISE_SEED=${seed})`, async (t) => {
      quiet(t);
      const rng = seededRandom(seed);
      const impatient = async (peer: Peer): Promise<void> => {
        for (let left = 1 + Math.floor(rng() * 3); left > 0; left--) {
          await request(peer);
          peer.send(response('here'));
        }
        await peer.bytes(1);
        (rng() < 0.5 ? close : reset)(peer);
      };
      const upstreams = await Promise.all(Array.from({ length: UPSTREAMS }, () => startUpstream(t, impatient)));
      const under = await startBalancer(t, {
        upstreams,
        front,
        strategy: { name: 'drawn', pick: (candidates) => candidates[Math.floor(rng() * candidates.length)] },
      });
      const clients = await Promise.all(Array.from({ length: CLIENTS }, () => under.connect()));
      await bursts(clients, 40, () => Promise.resolve());
      const stale = under.outcomes.filter(({ error }) => error === 'UPSTREAM_CLOSED').length;
      assert.ok(stale > 100, `${stale} requests met a close`);
      assert.equal(under.balancer.upstreams.reduce((sum, { ejections }) => sum + ejections, 0), 0);
    });
  });
}
