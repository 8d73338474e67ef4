import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Strategy, Upstream } from '../../src/strategy.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { random } from '../../strategies/random.ts';
import { roundRobin } from '../../strategies/round-robin.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { ask, byTarget, Fallible } from '../support/fallible.ts';
import { FRONTS } from '../support/fronts.ts';
import { Holding } from '../support/holding.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { failsWith } from '../support/streams.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const seed = testSeed();

/** Lets the strategy under test pick unless the target says otherwise, and records its notifications. */
function withTargets(strategy: Strategy, told: string[][] = []): Strategy {
  return {
    ...strategy,
    pick: (candidates, context) => {
      return (context.request.target === '/' ? strategy : byTarget).pick(candidates, context);
    },
    changed: (candidates: readonly Upstream[]) => {
      told.push(candidates.map(({ tags, weight }) => `${tags['name'] ?? ''}${weight}`));
      strategy.changed?.(candidates);
    },
  };
}

describe(`an upstream that returns gets its share step by step (EQUIPOISE_SEED=${seed})`, () => {
  const strategies: [make: (rng: () => number) => Strategy, exact: boolean][] = [
    [(rng) => random({ rng }), false], [(rng) => roundRobin({ rng }), true],
    [(rng) => leastConnections({ rng }), false],
  ];
  for (const [make, exact] of strategies) {
    const strategy = make(seededRandom(seed));
    test(`by ${strategy.name}`, async (t) => {
      const fallible = await Fallible.start(t, 2);
      const under = await startBalancer(t, {
        upstreams: fallible.options, connect: fallible.connect, strategy: withTargets(strategy), ejectAfter: 1,
        keepAliveTimeoutMs: 1_000_000,
      });
      fallible.down.add(fallible.at(0));
      await ask(under, 1, '/a');
      fallible.down.clear();
      await under.advance(1_100);
      await ask(under, 1, '/a');
      const client = await under.connect();
      const [returned] = under.balancer.upstreams;
      for (let tenths = 1; tenths <= 10; tenths++) {
        if (tenths > 1) await under.advance(tenths === 2 ? 2_000 : 1_000);
        assert.equal(returned?.weight, tenths / 10);
        // Of 10 + tenths turns it is due as many as it has tenths.
        const due = 4 * tenths;
        const before = returned.picks;
        for (let i = 0; i < 4 * (10 + tenths); i++) await client.exchange(get());
        const got = returned.picks - before;
        // Six times the standard deviation of that many draws, which one of the ten counts exceeds once in a million
        // runs; for turns, the rounding error.
        const spread = exact ? 2 : 6 * Math.sqrt(due * (10 / (10 + tenths)));
        assert.ok(Math.abs(got - due) <= spread, `${got} of ${due} at ${tenths} tenths, seed ${seed}`);
      }
    });
  }

  test('by least-connections under load: in proportion to its current weight', async (t) => {
    const [a, b] = [await Holding.start(t), await Holding.start(t)];
    let failing = true;
    const under = await startBalancer(t, {
      upstreams: [{ origin: a.origin, tags: { name: 'a' } }, { origin: b.origin, tags: { name: 'b' } }],
      strategy: withTargets(leastConnections({ rng: seededRandom(seed) })), ejectAfter: 1,
      connect: ({ origin }) => failing && origin === a.origin ? failsWith('ECONNREFUSED') : undefined,
    });
    const first = await under.connect();
    first.send(get('/a'));
    await b.came(1);
    failing = false;
    b.release();
    await first.response();
    await under.advance(1_100);
    first.send(get('/a'));
    await a.came(1);
    a.release();
    await first.response();
    await under.advance(5_000);
    assert.equal(under.balancer.upstreams[0]?.weight, 0.5);
    const clients = [];
    for (let i = 1; i <= 30; i++) {
      const client = await under.connect();
      client.send(get());
      await under.picked(3 + i);
      clients.push(client);
    }
    assert.deepEqual(under.balancer.upstreams.map(({ inFlight }) => inFlight), [10, 20]);
    await Promise.all([a.came(11), b.came(21)]);
    for (let i = 0; i < 30; i++) {
      a.release();
      b.release();
    }
    for (const client of clients) assert.equal((await client.response()).status, 200);
  });
});

for (const front of FRONTS) {
  test(`a strategy is notified of each change of health, with the new weights, through ${front.name}`, async (t) => {
    const fallible = await Fallible.start(t, 2);
    const told: string[][] = [];
    const under = await startBalancer(t, {
      upstreams: fallible.options, front, connect: fallible.connect, ejectAfter: 1, rng: () => 0.5,
      strategy: withTargets(random(), told),
    });
    assert.deepEqual(told.splice(0), [['a1', 'b1']]);
    fallible.down.add(fallible.at(0));
    await ask(under, 1, '/a');
    assert.deepEqual(told.splice(0), [['b1']], 'ejected');
    fallible.down.clear();
    await under.advance(1_000);
    assert.deepEqual(told.splice(0), [['a1', 'b1']], 'on trial');
    await ask(under, 1, '/a');
    assert.deepEqual(told.splice(0), [['a0.1', 'b1']], 'readmitted');
    for (let i = 0; i < 24; i++) await under.advance(500);
    assert.deepEqual(told.map(([a]) => a), [
      'a0.2', 'a0.3', 'a0.4', 'a0.5', 'a0.6', 'a0.7', 'a0.8', 'a0.9', 'a1',
    ]);
  });

  test(`with slowStartMs 0 it has its whole share at once, through ${front.name}`, async (t) => {
    const fallible = new Fallible([await startUpstream(t, echo), await startUpstream(t, echo)]);
    const under = await startBalancer(t, {
      upstreams: fallible.options, front, connect: fallible.connect, ejectAfter: 1, rng: () => 0.5, slowStartMs: 0,
      strategy: byTarget,
    });
    fallible.down.add(fallible.at(0));
    await ask(under, 1, '/a');
    fallible.down.clear();
    await under.advance(1_000);
    await ask(under, 1, '/a');
    const [view] = under.balancer.upstreams;
    assert.deepEqual([view?.state, view?.weight], ['active', 1]);
  });
}
