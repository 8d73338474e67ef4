/**
 * Strategies that keep a client on its upstream: they may name one at its limit, and wait for it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PickContext, Strategy, Upstream } from '../../src/strategy.ts';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { Holding, Waits } from '../support/holding.ts';
import { echo, startUpstream } from '../support/upstream.ts';

/** Sends `/0/...` to the first upstream, `/1/...` to the second, and so on, whether they have room or not. */
class ByTarget implements Strategy {
  readonly name = 'by-target';
  readonly picksFull: boolean;
  /** What each pick got: how many candidates and full ones, and the attempt. */
  readonly told: string[] = [];
  #all: readonly Upstream[] = [];

  constructor(picksFull = true) {
    this.picksFull = picksFull;
  }

  changed(candidates: readonly Upstream[]): void {
    this.#all = candidates;
  }

  pick(candidates: readonly Upstream[], { attempt, full = [], request }: PickContext): Upstream | undefined {
    this.told.push(`${candidates.length} ${full.length} attempt ${attempt}`);
    const own = this.#all[Number(request.target[1]) % this.#all.length];
    return [...candidates, ...full].find((upstream) => upstream === own) ?? candidates[0];
  }
}

for (const front of FRONTS) {
  describe(`a strategy that picks full upstreams, through ${front.name}`, () => {
    test('makes a request wait for its own upstream, although another has room', async (t) => {
      const [own, other] = [await Holding.start(t), await Holding.start(t)];
      const strategy = new ByTarget();
      const under = await startBalancer(t, {
        upstreams: [{ origin: own.origin, maxInFlight: 1 }, { origin: other.origin, maxInFlight: 1 }],
        front, maxQueued: 9, strategy,
      });
      const waits = new Waits(under);
      const client = await under.connect();
      client.send(get('/0/a'));
      await own.came(1);
      const waiting = await waits.send(post('/0/b', 'body'));
      assert.deepEqual(waits.counts, [1]);
      // Later requests for another upstream do not wait.
      const third = await under.connect();
      third.send(get('/1/c'));
      await other.came(1);
      other.release();
      assert.equal((await third.response()).text, '/1/c');
      assert.deepEqual(own.targets, ['/0/a'], 'room elsewhere is not for it');
      own.release();
      await own.came(2);
      own.release();
      assert.equal((await waiting.response()).text, '/0/b');
      assert.equal((await client.response()).text, '/0/a');
      assert.deepEqual(strategy.told, [
        '2 0 attempt 1', '1 1 attempt 1', '1 1 attempt 1', '2 0 attempt 1',
      ]);
    });

    test('is asked where all are full, and each waits for its own in order of arrival', async (t) => {
      const [own, other] = [await Holding.start(t), await Holding.start(t)];
      const strategy = new ByTarget();
      const under = await startBalancer(t, {
        upstreams: [{ origin: own.origin, maxInFlight: 1 }, { origin: other.origin, maxInFlight: 1 }],
        front, maxQueued: 9, strategy,
      });
      const waits = new Waits(under);
      const clients = [await under.connect(), await under.connect()];
      clients[0]?.send(get('/0/a'));
      clients[1]?.send(get('/1/a'));
      await own.came(1);
      await other.came(1);
      for (const target of ['/0/b', '/0/c', '/1/b']) clients.push(await waits.send(get(target)));
      other.release();
      await other.came(2);
      assert.deepEqual(own.targets, ['/0/a']);
      own.release();
      await own.came(2);
      own.release();
      await own.came(3);
      for (const one of [own, other]) one.release();
      assert.deepEqual([own.targets, other.targets], [['/0/a', '/0/b', '/0/c'], ['/1/a', '/1/b']]);
      for (const client of clients) assert.equal((await client.response()).status, 200);
      assert.equal(strategy.told[2], '0 2 attempt 1');
    });

    test('leads to 503 with Retry-After where none may wait, and when the wait takes too long', async (t) => {
      const [own, other] = [await Holding.start(t), await startUpstream(t, echo)];
      const under = await startBalancer(t, {
        upstreams: [{ origin: own.origin, maxInFlight: 1 }, other], front, maxQueued: 1, queueTimeoutMs: 2_000,
        strategy: new ByTarget(),
      });
      const waits = new Waits(under);
      const client = await under.connect();
      client.send(get('/0/a'));
      await own.came(1);
      const waiting = await waits.send(get('/0/b'));
      const refused = await (await under.connect()).exchange(get('/0/c'));
      await under.advance(1_999);
      assert.equal(waiting.inbox.ended, undefined);
      await under.advance(1);
      for (const { status, head } of [refused, await waiting.response()]) {
        assert.deepEqual([status, head.get('retry-after'), head.get('proxy-status')], [
          503, '1', 'equipoise; error=connection_limit_reached',
        ]);
      }
      assert.equal((await (await under.connect()).exchange(get('/1/d'))).text, '/1/d');
      own.release();
      assert.equal((await client.response()).status, 200);
    });

    test('is asked again when the upstream that a request waits for is removed', async (t) => {
      const [own, other] = [await Holding.start(t), await startUpstream(t, echo)];
      const under = await startBalancer(t, {
        upstreams: [{ origin: own.origin, maxInFlight: 1 }, other], front, maxQueued: 9, strategy: new ByTarget(),
      });
      const waits = new Waits(under);
      const client = await under.connect();
      client.send(get('/0/a'));
      await own.came(1);
      const waiting = await waits.send(get('/0/b'));
      const removed = under.balancer.remove(own.origin);
      assert.equal((await waiting.response()).text, '/0/b');
      own.release();
      assert.equal((await client.response()).status, 200);
      await removed;
    });

    test('cannot extend a wait, however often it is asked meanwhile', async (t) => {
      const holdings = [await Holding.start(t), await Holding.start(t)];
      let wanted = 0;
      const under = await startBalancer(t, {
        upstreams: holdings.map(({ origin }) => ({ origin, maxInFlight: 1 })), front, maxQueued: 9,
        queueTimeoutMs: 2_000,
        strategy: {
          name: 'moody',
          picksFull: true,
          // A request that waits for the one wants the other as soon as that has room.
          pick: (candidates, { full = [], request }) => {
            if (request.target === '/held') return candidates[0];
            return full[wanted++ % full.length];
          },
        },
      });
      const waits = new Waits(under);
      const clients = [await under.connect(), await under.connect()];
      for (const [i, client] of clients.entries()) {
        client.send(get('/held'));
        await holdings[i]?.came(1);
      }
      const waiting = await waits.send(get('/waits'));
      await under.advance(1_000);
      holdings[0]?.release();
      await clients[0]?.response();
      await under.picked(4);
      await under.advance(999);
      assert.equal(waiting.inbox.ended, undefined);
      await under.advance(1);
      assert.equal((await waiting.response()).status, 503);
      assert.deepEqual(waits.counts, [1], 'it is told once that it waits');
      holdings[1]?.release();
      await clients[1]?.response();
    });
  });
}

describe('a strategy that has not asked for full upstreams', () => {
  test('is not called where all are full', async (t) => {
    const own = await Holding.start(t);
    const strategy = new ByTarget(false);
    const under = await startBalancer(t, {
      upstreams: [{ origin: own.origin, maxInFlight: 1 }], maxQueued: 9, strategy,
    });
    const waits = new Waits(under);
    const client = await under.connect();
    client.send(get('/0/a'));
    await own.came(1);
    const waiting = await waits.send(get('/0/b'));
    assert.equal(strategy.told.length, 1);
    own.release();
    await own.came(2);
    own.release();
    assert.equal((await waiting.response()).text, '/0/b');
    assert.equal((await client.response()).status, 200);
  });
});
