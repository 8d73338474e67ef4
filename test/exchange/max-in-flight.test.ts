import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { type Peer, response, startUpstream } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

for (const front of FRONTS) {
  describe(`maxInFlight through ${front.name}`, () => {
    test('a full upstream is not a candidate until an attempt on it has settled', async (t) => {
      const releases: (() => void)[] = [];
      const hold = async (peer: Peer): Promise<void> => {
        for (;;) {
          await peer.request();
          const { opened, open } = gate();
          releases.push(open);
          await opened;
          peer.send(response('done'));
        }
      };
      const [one, two] = [await startUpstream(t, hold), await startUpstream(t, hold)];
      const under = await startBalancer(t, {
        upstreams: [{ origin: one.origin, maxInFlight: 2 }, { origin: two.origin, maxInFlight: 1 }], front,
      });
      const inFlight = (): number[] => under.balancer.upstreams.map((upstream) => upstream.inFlight);
      const clients = [await under.connect(), await under.connect(), await under.connect()];
      for (const [i, client] of clients.entries()) {
        client.send(get());
        await under.picked(i + 1);
      }
      await one.read(2);
      await two.read(1);
      assert.deepEqual(inFlight(), [2, 1]);
      assert.deepEqual(under.picks.map(({ candidates }) => candidates), [
        [one.origin, two.origin], [one.origin, two.origin], [two.origin],
      ]);

      // All are full: 503 with Retry-After, and the strategy is not asked.
      const late = await under.connect();
      const refused = await late.exchange(get());
      assert.equal(refused.status, 503);
      assert.equal(refused.head.get('retry-after'), '1');
      assert.equal(under.picks.length, 3);
      assert.deepEqual(inFlight(), [2, 1]);

      // One has settled: its upstream is a candidate again.
      releases[0]?.();
      await under.settled(1);
      assert.deepEqual(inFlight(), [1, 1]);
      late.send(get());
      await under.picked(4);
      assert.deepEqual(under.picks[3]?.candidates, [one.origin]);
      await one.read(3);
      for (const release of releases) release();
      assert.equal((await late.response()).text, 'done');
      for (const client of clients) assert.equal((await client.response()).text, 'done');
      assert.deepEqual(inFlight(), [0, 0]);
    });

    test('the count is up to date before the strategy is asked again', async (t) => {
      const opened = gate();
      const upstream = await startUpstream(t, async (peer) => {
        await peer.request();
        await opened.opened;
        peer.send(response('done'));
      });
      const seen: number[] = [];
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        strategy: {
          name: 'counts',
          pick: ([candidate]) => {
            seen.push(candidate?.inFlight ?? -1);
            return candidate;
          },
        },
      });
      const clients = [await under.connect(), await under.connect(), await under.connect()];
      for (const client of clients) client.send(get());
      await upstream.read(3);
      opened.open();
      for (const client of clients) await client.response();
      assert.deepEqual(seen, [0, 1, 2]);
    });

    test('an attempt is in flight up to the last byte of its response', async (t) => {
      const more = gate();
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.request();
        peer.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx');
        await more.opened;
        peer.send('y');
      }]);
      const under = await startBalancer(t, { upstreams: [{ origin: upstream.origin, maxInFlight: 1 }], front });
      const client = await under.connect();
      client.send(get());
      await client.head();
      await client.inbox.exactly(1);
      assert.equal(under.balancer.upstreams[0]?.inFlight, 1);
      assert.equal((await (await under.connect()).exchange(get())).status, 503);
      more.open();
      await client.inbox.exactly(1);
      await under.settled(1);
      assert.equal(under.balancer.upstreams[0].inFlight, 0);
    });

    test('an upload that outlasts its response is in flight', async (t) => {
      const upstream = await startUpstream(t, [async (peer) => {
        const head = await peer.head();
        peer.send(response('early'));
        await peer.body(head);
      }]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', 'Content-Length: 5\r\n', 'POST'));
      assert.equal((await client.response()).text, 'early');
      assert.equal(under.balancer.upstreams[0]?.inFlight, 1);
      client.send('hello');
      await under.settled(1);
    });
  });
}
