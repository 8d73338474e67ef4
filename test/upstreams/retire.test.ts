/**
 * How long, and for how many requests, a connection to an upstream is used.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { UPGRADE } from '../support/fault-row.ts';
import { SWITCHED } from '../support/faults.ts';
import { FRONTS } from '../support/fronts.ts';
import { bytes, echo, request, startUpstream } from '../support/upstream.ts';

for (const front of FRONTS) {
  describe(`a connection to an upstream, through ${front.name}`, () => {
    test('serves as many requests as it may', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front, maxRequestsPerUpstreamConnection: 3 });
      const client = await under.connect();
      for (let i = 1; i <= 7; i++) assert.equal((await client.exchange(get(`/${i}`))).text, `/${i}`);
      assert.deepEqual(upstream.peers.map(({ requests }) => requests.length), [3, 3, 1]);
      assert.equal(await upstream.gone(1), 'end');
    });

    test('is closed at its maximum age when it is idle', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream], front, maxUpstreamConnectionMs: 2_000, rng: () => 0.5,
      });
      await (await under.connect()).exchange(get());
      await under.settled(1);
      await under.advance(1_899);
      assert.equal(upstream.peers[0]?.inbox.ended, undefined);
      // A twentieth sooner: half of the jitter.
      await under.advance(1);
      assert.equal(await upstream.gone(1), 'end');
    });

    test('is closed at its maximum age only after its response is complete', async (t) => {
      const upstream = await startUpstream(t, [
        [request, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', async (peer) => {
          await under.settled(0);
          await peer.inbox.over();
        }],
        echo,
      ]);
      const under = await startBalancer(t, { upstreams: [upstream], front, maxUpstreamConnectionMs: 2_000 });
      const client = await under.connect();
      client.send(get());
      await client.inbox.until('hello');
      await under.advance(10_000);
      await under.advance(10_000);
      assert.equal(upstream.peers[0]?.inbox.ended, undefined);
      upstream.peers[0]?.send('world');
      assert.equal((await client.inbox.until('world')).length > 0, true);
      await upstream.gone(1);
      assert.equal((await client.exchange(get('/next'))).text, '/next');
      assert.equal(upstream.peers.length, 2);
    });

    test('that carries a tunnel stays open', async (t) => {
      const upstream = await startUpstream(t, [[request, SWITCHED.head, bytes(4), 'pong']]);
      const under = await startBalancer(t, {
        upstreams: [upstream], front, maxUpstreamConnectionMs: 2_000, maxRequestsPerUpstreamConnection: 1,
      });
      const client = await under.connect();
      client.send(get('/', UPGRADE));
      await client.head();
      await under.advance(60_000);
      client.send('ping');
      await client.inbox.until('pong');
    });
  });
}
