/** `drain`, `activate` and `setWeight`: an upstream out of service stays listed, and gets no new work. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BalancerEvents } from '../../src/events.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { Holding } from '../support/holding.ts';
import { echo, startUpstream } from '../support/upstream.ts';

for (const front of FRONTS) {
  describe(`a drained upstream, through ${front.name},`, () => {
    test('gets no new work, finishes what it has, and is back when it is activated', async (t) => {
      const [holding, other] = [await Holding.start(t), await startUpstream(t, echo)];
      const under = await startBalancer(t, { front, upstreams: [holding.upstream, other] });
      const { balancer } = under;
      const told: string[] = [];
      for (const event of ['draining', 'drained', 'activated'] as const) {
        balancer.on(event, ({ upstream: { state } }: BalancerEvents['drained']) => told.push(`${event}: ${state}`));
      }
      const first = (await under.connect()).exchange(get('/held'));
      await holding.came(1);
      let isDrained = false;
      const drained = balancer.drain(holding.origin).then(() => {
        isDrained = true;
      });
      const [one] = balancer.upstreams;
      assert.equal(one?.state, 'draining');
      assert.equal((await (await under.connect()).exchange(get('/next'))).text, '/next');
      assert.equal(isDrained, false);
      holding.release();
      assert.equal((await first).text, '/held');
      await drained;
      assert.equal(one.state, 'drained');
      assert.equal(holding.targets.length, 1);
      balancer.activate(holding.origin);
      assert.equal(one.state, 'active');
      const again = (await under.connect()).exchange(get('/again'));
      await holding.came(2);
      holding.release();
      assert.equal((await again).text, '/again');
      assert.deepEqual(told, ['draining: draining', 'drained: drained', 'activated: active']);
    });

    test('is not tried as a last resort: without another one the answer is 503', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { front, upstreams: [upstream] });
      await under.balancer.drain(upstream.origin);
      assert.equal((await (await under.connect()).exchange(get())).status, 503);
    });
  });
}

describe('a drained upstream', () => {
  test('stays drained through update and configure, and is forgotten when it is removed', async (t) => {
    const [a, b] = ['http://a.test', 'http://b.test'];
    const { balancer } = await startBalancer(t, { upstreams: [a, b] });
    await balancer.drain(a);
    const states = (): string[] => balancer.upstreams.map(({ state }) => state);
    await balancer.update([{ origin: a, tags: { zone: 'x' } }, b, 'http://c.test']);
    assert.deepEqual(states(), ['drained', 'active', 'active']);
    await balancer.configure({ maxInFlight: 7 });
    assert.deepEqual(states(), ['drained', 'active', 'active']);
    await balancer.remove(a);
    balancer.add(a);
    assert.deepEqual(states(), ['active', 'active', 'active']);
  });

  test('of which there is none is refused, as is a weight that is none', async (t) => {
    const { balancer } = await startBalancer(t, { upstreams: ['http://a.test'] });
    await assert.rejects(balancer.drain('http://b.test'), { code: 'OPTIONS_INVALID', message: /no upstream/ });
    await assert.rejects(balancer.drain('b'), { code: 'OPTIONS_INVALID', message: /drain: / });
    assert.throws(() => { balancer.activate('http://b.test'); }, { code: 'OPTIONS_INVALID' });
    for (const weight of [0, -1, NaN, Infinity, '2']) {
      assert.throws(() => { balancer.setWeight('http://a.test', weight as number); },
        { code: 'OPTIONS_INVALID', message: /setWeight: must be a number from 0.001/ });
    }
  });

  test('is no part of what a panic is judged by', async (t) => {
    const upstreams = ['http://a.test', 'http://b.test', 'http://c.test', 'http://d.test'];
    const told: number[] = [];
    const { balancer } = await startBalancer(t, {
      upstreams,
      strategy: { name: 'seeing', pick: ([one]) => one, changed: (candidates) => told.push(candidates.length) },
    });
    await balancer.pools['default']?.drain('http://a.test');
    balancer.activate('http://a.test');
    assert.deepEqual(told, [4, 3, 4]);
  });
});

test('a weight that was set holds until the configuration has another one', async (t) => {
  const a = 'http://a.test';
  const { balancer } = await startBalancer(t, { upstreams: [{ origin: a, weight: 2 }] });
  const weights = (): unknown[] => balancer.upstreams.map(({ weight, configuredWeight }) => [weight, configuredWeight]);
  balancer.setWeight(a, 5);
  assert.deepEqual(weights(), [[5, 2]]);
  await balancer.update([{ origin: a, weight: 2, tags: { zone: 'x' } }]);
  assert.deepEqual(weights(), [[5, 2]]);
  await balancer.update([{ origin: a, weight: 3 }]);
  assert.deepEqual(weights(), [[3, 3]]);
  balancer.setWeight(a, 5);
  balancer.setWeight(a, undefined);
  assert.deepEqual(weights(), [[3, 3]]);
});
