/**
 * Drained upstreams: no candidates, but a strategy may send there what belongs there (`context.draining`).
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PickContext, Strategy, Upstream } from '../../src/strategy.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { Holding, Waits } from '../support/holding.ts';
import { close, echo, request, response, startUpstream } from '../support/upstream.ts';

/** Picks the upstream that the target begins with, wherever it is offered; else the first candidate. */
class Loyal implements Strategy {
  readonly name = 'loyal';
  readonly picksFull: boolean;
  /** What each pick got: how many candidates, draining and full ones, and the attempt. */
  readonly told: string[] = [];
  readonly #origins: readonly string[];

  constructor(origins: readonly string[], picksFull = true) {
    this.#origins = origins;
    this.picksFull = picksFull;
  }

  pick(candidates: readonly Upstream[], { attempt, draining = [], full = [], request }: PickContext) {
    this.told.push(`${candidates.length} ${draining.length} ${full.length} attempt ${attempt}`);
    const own = this.#origins[Number(request.target[1])];
    return [...candidates, ...draining, ...full].find(({ origin }) => origin === own) ?? candidates[0];
  }
}

for (const front of FRONTS) {
  describe(`a drained upstream, through ${front.name},`, () => {
    test('serves what the strategy sends there, also if it is the only one, until it is removed', async (t) => {
      const [own, other] = [await startUpstream(t, echo), await startUpstream(t, echo)];
      const strategy = new Loyal([own.origin, other.origin]);
      const under = await startBalancer(t, { front, upstreams: [own, other], strategy });
      const { balancer } = under;
      const client = await under.connect();
      const served = async (target: string): Promise<number> => (await client.exchange(get(target))).status;
      await balancer.drain(own.origin);
      assert.deepEqual([await served('/0'), await served('/1'), await served('/2')], [200, 200, 200]);
      await balancer.drain(other.origin);
      assert.deepEqual([await served('/1'), await served('/0'), await served('/2')], [200, 200, 503]);
      assert.deepEqual(under.outcomes.map(({ origin }) => origin),
        [own, other, other, other, own].map(({ origin }) => origin));
      const [upstream] = balancer.upstreams;
      assert.equal(upstream?.state, 'drained');
      await balancer.remove(own.origin);
      assert.deepEqual([await served('/0'), await served('/1')], [503, 200]);
      balancer.activate(other.origin);
      assert.deepEqual([await served('/0'), await served('/1')], [200, 200]);
      assert.deepEqual(strategy.told, [
        '1 1 0 attempt 1', '1 1 0 attempt 1', '1 1 0 attempt 1', '0 2 0 attempt 1', '0 2 0 attempt 1',
        '0 2 0 attempt 1', '0 1 0 attempt 1', '0 1 0 attempt 1', '1 0 0 attempt 1', '1 0 0 attempt 1',
      ]);
    });

    test('is offered beside candidates alone to a strategy without picksFull', async (t) => {
      const [own, other] = [await startUpstream(t, echo), await startUpstream(t, echo)];
      const under = await startBalancer(t, {
        front, upstreams: [own, other], strategy: new Loyal([own.origin, other.origin], false),
      });
      await under.balancer.drain(own.origin);
      const client = await under.connect();
      assert.equal((await client.exchange(get('/0'))).status, 200);
      assert.equal(under.outcomes[0]?.origin, own.origin);
      await under.balancer.drain(other.origin);
      assert.equal((await client.exchange(get('/0'))).status, 503);
    });

    test('at its limit, is waited for', async (t) => {
      const [own, other] = [await Holding.start(t), await startUpstream(t, echo)];
      const strategy = new Loyal([own.origin, other.origin]);
      const under = await startBalancer(t, {
        front, upstreams: [{ origin: own.origin, maxInFlight: 1 }, other], maxQueued: 9, strategy,
      });
      const waits = new Waits(under);
      const drained = under.balancer.drain(own.origin);
      const [one, next] = [await under.connect(), await under.connect()];
      one.send(get('/0/a'));
      await own.came(1);
      const waiting = await waits.send(get('/0/b'));
      assert.equal((await next.exchange(get('/1/c'))).text, '/1/c');
      own.release();
      await own.came(2);
      own.release();
      assert.deepEqual([(await one.response()).text, (await waiting.response()).text], ['/0/a', '/0/b']);
      await drained;
    });

    test('that failed this request is offered no more; one that only closed an idle connection is', async (t) => {
      const failing = await startUpstream(t, [[request, close], [request, close]]);
      const idle = await startUpstream(t, [[request, response('one'), request, close], [request, response('two')]]);
      const other = await startUpstream(t, echo);
      const strategy = new Loyal([failing.origin, idle.origin]);
      const under = await startBalancer(t, { front, upstreams: [failing, idle, other], strategy });
      await under.balancer.drain(failing.origin);
      await under.balancer.drain(idle.origin);
      const client = await under.connect();
      assert.equal((await client.exchange(get('/0'))).text, '/0');
      assert.equal((await client.exchange(get('/1'))).text, 'one');
      await under.balancer.drain(other.origin);
      assert.equal((await client.exchange(get('/1'))).text, 'two');
      assert.deepEqual(strategy.told, [
        '1 2 0 attempt 1', '1 1 0 attempt 2', '1 2 0 attempt 1', '0 3 0 attempt 1', '0 3 0 attempt 2',
      ]);
    });

    test('that is ejected is offered no more', async (t) => {
      const [own, other] = [await startUpstream(t, [[request, close]]), await startUpstream(t, echo)];
      const strategy = new Loyal([own.origin]);
      const under = await startBalancer(t, { front, upstreams: [own, other], strategy, ejectAfter: 1 });
      await under.balancer.drain(own.origin);
      const client = await under.connect();
      for (let at = 0; at < 2; at++) assert.equal((await client.exchange(get('/0'))).text, '/0');
      assert.deepEqual(strategy.told, ['1 1 0 attempt 1', '1 0 0 attempt 2', '1 0 0 attempt 1']);
    });
  });
}

test('a candidate that only closed an idle connection stays one for a strategy that picks full ones', async (t) => {
  const idle = await startUpstream(t, [[request, response('one'), request, close], [request, response('two')]]);
  const other = await startUpstream(t, echo);
  const strategy = new Loyal([idle.origin]);
  const under = await startBalancer(t, { upstreams: [idle, other], strategy });
  const client = await under.connect();
  assert.equal((await client.exchange(get('/0'))).text, 'one');
  assert.equal((await client.exchange(get('/0'))).text, 'two');
  assert.equal(strategy.told.at(-1), '2 0 0 attempt 2');
});

test('a strategy that picks full ones and declines where all are full has the request wait for any', async (t) => {
  const own = await Holding.start(t);
  const under = await startBalancer(t, {
    upstreams: [{ origin: own.origin, maxInFlight: 1 }], maxQueued: 9,
    strategy: { name: 'declines', picksFull: true, pick: ([one]) => one },
  });
  const waits = new Waits(under);
  const client = await under.connect();
  client.send(get('/a'));
  await own.came(1);
  const waiting = await waits.send(get('/b'));
  own.release();
  await own.came(2);
  own.release();
  assert.deepEqual([(await client.response()).text, (await waiting.response()).text], ['/a', '/b']);
  assert.deepEqual(under.picks.map(({ attempt }) => attempt), [1, 1, 1]);
});
