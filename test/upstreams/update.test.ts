import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Strategy, Upstream } from '../../src/strategy.ts';
import { first, startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { ask, Fallible } from '../support/fallible.ts';
import { FRONTS } from '../support/fronts.ts';
import { Holding } from '../support/holding.ts';
import { echo, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

const INVALID = { name: 'BalancerError', code: 'OPTIONS_INVALID' };

/** Picks the first, and records its notifications. */
function listening(): { strategy: Strategy; told: string[] } {
  const told: string[] = [];
  return {
    told,
    strategy: {
      ...first,
      changed: (candidates: readonly Upstream[]) => {
        told.push(candidates.map(({ origin, weight }) => `${origin.slice('http://'.length)} ${weight}`).join(', '));
      },
    },
  };
}

describe('an update', () => {
  test('adds, drains and changes as one change', async (t) => {
    const { strategy, told } = listening();
    const { balancer } = await startBalancer(t, {
      upstreams: ['http://a.test', { origin: 'http://b.test', weight: 2 }, 'http://c.test'], strategy,
    });
    told.length = 0;
    await balancer.update([
      'http://d.test', { origin: 'http://b.test', weight: 3, tags: { zone: 'x' } }, 'http://e.test', 'http://a.test',
    ]);
    assert.deepEqual(told, ['a.test 1, b.test 3, d.test 1, e.test 1']);
    assert.deepEqual(balancer.upstreams.map(({ origin, weight, state, tags }) => [origin, weight, state, tags]), [
      ['http://a.test', 1, 'active', {}], ['http://b.test', 3, 'active', { zone: 'x' }],
      ['http://d.test', 1, 'active', {}], ['http://e.test', 1, 'active', {}],
    ]);
  });

  test('resets options that are left out to their defaults', async (t) => {
    const { balancer } = await startBalancer(t, {
      upstreams: [{ origin: 'http://a.test', weight: 5, maxInFlight: 7, tags: { zone: 'x' } }],
    });
    await balancer.update(['http://a.test']);
    const [view] = balancer.upstreams;
    assert.deepEqual([view?.weight, view?.maxInFlight, view?.tags], [1, Infinity, {}]);
  });

  test('notifies the strategy where something relevant to it changes', async (t) => {
    const { strategy, told } = listening();
    const { balancer } = await startBalancer(t, { upstreams: ['http://a.test'], strategy });
    const table: [options: object, told: boolean][] = [
      [{}, false],
      [{ maxInFlight: 5 }, false],
      [{ maxInFlight: 5, healthCheck: false }, false],
      [{ weight: 2 }, true],
      [{ weight: 2 }, false],
      [{ weight: 2, tags: { zone: 'x' } }, true],
      [{ weight: 2, tags: { zone: 'x' } }, false],
      [{ weight: 2, tags: { zone: 'y' } }, true],
      [{ weight: 2, tags: { region: 'y' } }, true],
      [{ weight: 2, tags: { region: 'y', zone: 'x' } }, true],
      [{ weight: 2 }, true],
    ];
    for (const [options, expected] of table) {
      told.length = 0;
      await balancer.update([{ origin: 'http://a.test', ...options }]);
      assert.equal(told.length, expected ? 1 : 0, JSON.stringify(options));
    }
  });

  test('that is invalid changes nothing', async (t) => {
    const { strategy, told } = listening();
    const { balancer } = await startBalancer(t, { upstreams: ['http://a.test', 'http://b.test'], strategy });
    const before = balancer.upstreams;
    told.length = 0;
    for (const wrong of [
      ['http://c.test', 'nonsense'], ['http://c.test', 'http://c.test'], ['http://a.test', 'HTTP://A.test:80/'],
      [{ origin: 'http://a.test', weight: 0 }], ['https://a.test'], 'http://a.test', undefined, [undefined],
    ]) {
      await assert.rejects(balancer.update(wrong as string[]), INVALID, JSON.stringify(wrong));
    }
    assert.deepEqual(balancer.upstreams, before);
    assert.deepEqual(told, []);
  });

  test('to an empty list: 503, until an upstream is added', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    await under.balancer.update([]);
    assert.deepEqual(await ask(under, 1), [503]);
    await under.balancer.update([upstream.origin]);
    assert.deepEqual(await ask(under, 1), [200]);
  });

  test('returns what happened to each upstream', async (t) => {
    const holding = await Holding.start(t);
    const under = await startBalancer(t, { upstreams: [holding.origin, 'http://b.test', 'http://c.test'] });
    const told: unknown[] = [];
    for (const event of ['added', 'draining', 'removed'] as const) {
      under.balancer.on(event, ({ upstream: { origin, state, inFlight } }) => {
        told.push([event, origin, state, inFlight]);
      });
    }
    const client = await under.connect();
    client.send(get());
    await holding.came(1);
    const updated = under.balancer.update(['http://c.test', 'http://d.test']);
    assert.deepEqual(told.splice(0), [
      ['draining', holding.origin, 'draining', 1], ['removed', 'http://b.test', 'gone', 0],
      ['added', 'http://d.test', 'active', 0],
    ]);
    holding.release();
    await client.response();
    await updated;
    assert.deepEqual(told, [['removed', holding.origin, 'gone', 0]]);
  });
});

for (const front of FRONTS) {
  describe(`an update with requests through ${front.name}`, () => {
    test('keeps counts and connections of those that stay', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream, 'http://b.test'], front });
      const client = await under.connect();
      await client.exchange(get());
      await under.settled(1);
      const [view] = under.balancer.upstreams;
      await under.balancer.update([{ origin: upstream.origin, weight: 2 }]);
      assert.equal(under.balancer.upstreams[0], view);
      await client.exchange(get());
      await under.settled(2);
      assert.deepEqual([view?.picks, view?.weight, upstream.peers.length], [2, 2, 1]);
    });

    test('applies the new limit at once', async (t) => {
      const holding = await Holding.start(t);
      const under = await startBalancer(t, { upstreams: [holding.origin], front });
      const clients = [await under.connect(), await under.connect()];
      for (const [i, client] of clients.entries()) {
        client.send(get());
        await holding.came(i + 1);
      }
      const limit = (maxInFlight: number): Promise<void> => (
        under.balancer.update([{ origin: holding.origin, maxInFlight }]));
      await limit(2);
      assert.deepEqual(await ask(under, 1), [503]);
      await limit(1);
      holding.release();
      await clients[0]?.response();
      assert.deepEqual(await ask(under, 1), [503], 'one is still as many as may be');
      await limit(2);
      const third = await under.connect();
      third.send(get());
      await holding.came(3);
      holding.release();
      holding.release();
      await clients[1]?.response();
      await third.response();
    });

    test('resolves when the drained upstreams have finished what they had in flight', async (t) => {
      const [holding, other] = [await Holding.start(t), await startUpstream(t, echo)];
      const under = await startBalancer(t, { upstreams: [holding.origin], front });
      const client = await under.connect();
      client.send(get('/late'));
      await holding.came(1);
      let over = false;
      const updated = under.balancer.update([other.origin]).then(() => {
        over = true;
      });
      assert.deepEqual(await ask(under, 2), [200, 200]);
      assert.equal(over, false);
      holding.release();
      assert.equal((await client.response()).text, '/late');
      await updated;
      assert.deepEqual(under.balancer.upstreams.map(({ origin }) => origin), [other.origin]);
    });

    test('adds a draining upstream anew: the old one ends, the new one begins', async (t) => {
      const holding = await Holding.start(t);
      const under = await startBalancer(t, { upstreams: [holding.origin], front });
      const client = await under.connect();
      client.send(get('/old'));
      await holding.came(1);
      const [old] = under.balancer.upstreams;
      const drained = under.balancer.update([]);
      await under.balancer.update([holding.origin]);
      const [fresh] = under.balancer.upstreams;
      assert.deepEqual(under.balancer.upstreams.map(({ state, picks }) => [state, picks]), [
        ['active', 0], ['draining', 1],
      ]);
      const second = await under.connect();
      second.send(get('/new'));
      await holding.came(2);
      for (const one of [client, second]) {
        holding.release();
        await one.response();
      }
      await drained;
      assert.deepEqual([old?.state, old?.picks, fresh?.state, fresh?.picks], ['gone', 1, 'active', 1]);
      assert.deepEqual(under.balancer.upstreams, [fresh]);
    });

    test('leaves health as it is', async (t) => {
      const fallible = await Fallible.start(t, 2);
      const under = await startBalancer(t, {
        upstreams: fallible.options, front, connect: fallible.connect, ejectAfter: 1, rng: () => 0.5,
      });
      const [view] = under.balancer.upstreams;
      fallible.down.add(fallible.at(0));
      await ask(under, 1);
      const again = fallible.options.map((options) => ({ ...options, weight: 4 }));
      await under.balancer.update(again);
      assert.equal(view?.state, 'ejected');
      fallible.down.clear();
      await under.advance(1_000);
      await under.balancer.update(fallible.options);
      assert.equal(view.state, 'trial');
      await ask(under, 1);
      await under.balancer.update(again);
      assert.deepEqual([view.state, view.weight], ['active', 0.4], 'a tenth of its new weight');
    });

    test('replaces another that is still under way', async (t) => {
      const holding = await Holding.start(t);
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [holding.origin], front });
      const client = await under.connect();
      client.send(get());
      await holding.came(1);
      const updates = [under.balancer.update(['http://b.test']), under.balancer.update([other.origin])];
      await turns(1);
      assert.deepEqual(await ask(under, 1), [200]);
      holding.release();
      await client.response();
      await Promise.all(updates);
      assert.deepEqual(under.balancer.upstreams.map(({ origin }) => origin), [other.origin]);
    });
  });
}
