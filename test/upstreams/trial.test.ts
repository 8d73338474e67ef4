import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { ask } from '../support/fallible.ts';
import { FRONTS } from '../support/fronts.ts';
import { Holding } from '../support/holding.ts';
import { failsWith } from '../support/streams.ts';
import { echo, startUpstream } from '../support/upstream.ts';

interface Scene {
  readonly under: BalancerUnderTest;
  readonly holding: Holding;
  readonly other: string;
  /** The events of ejections. */
  readonly heard: unknown[];
  /** Whether the ejected one accepts connections. */
  readonly fail: (failing: boolean) => void;
}

/** A balancer over an upstream that holds its requests and one that echoes, with the first ejected for 1,000 ms. */
async function ejected(t: TestContext, options: Partial<TestOptions>): Promise<Scene> {
  const holding = await Holding.start(t);
  const other = (await startUpstream(t, echo)).origin;
  let failing = true;
  const under = await startBalancer(t, {
    upstreams: [holding.origin, other], rng: () => 0.5,
    connect: ({ origin }) => failing && origin === holding.origin ? failsWith('ECONNREFUSED') : undefined,
    ...options,
  });
  const heard: unknown[] = [];
  under.balancer
    .on('ejected', ({ upstream: { origin }, forMs }) => heard.push(['ejected', origin, forMs]))
    .on('readmitted', ({ upstream: { origin, state } }) => heard.push(['readmitted', origin, state]));
  await ask(under, 5);
  assert.deepEqual(heard.splice(0), [['ejected', holding.origin, 1_000]]);
  return {
    under, holding, other, heard,
    fail: (is) => {
      failing = is;
    },
  };
}

for (const front of FRONTS) {
  describe(`an upstream whose ejection is over, through ${front.name}`, () => {
    test('is tried by one request at a time; its answer readmits it', async (t) => {
      const { under, holding, other, heard, fail } = await ejected(t, { front });
      const [view] = under.balancer.upstreams;
      fail(false);
      await under.advance(999);
      await ask(under, 1);
      assert.equal(under.picks.at(-1)?.candidates.length, 1);
      await under.advance(1);
      assert.equal(view?.state, 'trial');

      const trial = await under.connect();
      trial.send(get('/trial'));
      await holding.came(1);
      await ask(under, 3);
      assert.deepEqual(under.picks.slice(-4).map(({ candidates }) => candidates), [
        [holding.origin, other], [other], [other], [other],
      ]);
      assert.deepEqual([view.state, view.inFlight, heard], ['trial', 1, []]);
      holding.release();
      assert.equal((await trial.response()).text, '/trial');
      assert.deepEqual(heard, [['readmitted', holding.origin, 'active']]);
      assert.deepEqual([view.state, view.ejections], ['active', 1]);

      // Now it takes every request.
      const clients = [await under.connect(), await under.connect()];
      for (const client of clients) client.send(get());
      await holding.came(3);
      // They may have come in any order.
      holding.release();
      holding.release();
      for (const client of clients) assert.equal((await client.response()).status, 200);
    });

    test('is ejected for twice as long each time the trial fails', async (t) => {
      const { under, holding, heard } = await ejected(t, { front, maxEjectMs: 5_000 });
      for (const [ms, next] of [[1_000, 2_000], [2_000, 4_000], [4_000, 5_000], [5_000, 5_000]] as const) {
        await under.advance(ms);
        assert.equal(under.balancer.upstreams[0]?.state, 'trial');
        assert.deepEqual(await ask(under, 1), [200], 'the request is served all the same');
        assert.deepEqual(heard.splice(0), [['ejected', holding.origin, next]]);
      }
      assert.equal(under.balancer.upstreams[0]?.ejections, 5);
    });

    test('is tried again where the downstream of its trial goes away', async (t) => {
      const { under, holding, heard, fail } = await ejected(t, { front });
      fail(false);
      await under.advance(1_000);
      for (let i = 1; i <= 3; i++) {
        const trial = await under.connect();
        trial.send(get());
        await holding.came(i);
        trial.reset();
        await under.settled(10 + i);
        assert.deepEqual([under.balancer.upstreams[0]?.state, heard], ['trial', []]);
      }
      const trial = await under.connect();
      trial.send(get());
      await holding.came(4);
      for (let i = 0; i < 4; i++) holding.release();
      await trial.response();
      assert.deepEqual(heard, [['readmitted', holding.origin, 'active']]);
    });

    test('is tried even while earlier requests are in flight', async (t) => {
      const holding = await Holding.start(t);
      const other = await startUpstream(t, echo);
      let failing = false;
      const under = await startBalancer(t, {
        upstreams: [{ origin: holding.origin, maxInFlight: 4 }, other], front, rng: () => 0.5,
        connect: ({ origin }) => failing && origin === holding.origin ? failsWith('ECONNREFUSED') : undefined,
      });
      const [view] = under.balancer.upstreams;
      const [long, longer] = [await under.connect(), await under.connect()];
      long.send(get('/long'));
      await holding.came(1);
      longer.send(get('/longer'));
      await holding.came(2);
      failing = true;
      await under.advance(1);
      await ask(under, 5);
      assert.deepEqual([view?.state, view?.inFlight], ['ejected', 2]);
      failing = false;
      await under.advance(1_000);
      const trial = await under.connect();
      trial.send(get('/trial'));
      await holding.came(3);
      await ask(under, 1);
      assert.deepEqual(under.picks.at(-1)?.candidates, [other.origin], 'but by one at a time');
      // Earlier requests say nothing about its health now, and their end does not make room for another trial.
      holding.release();
      assert.equal((await long.response()).text, '/long');
      assert.equal(view?.state, 'trial');
      await ask(under, 1);
      assert.deepEqual(under.picks.at(-1)?.candidates, [other.origin]);
      holding.release();
      holding.release();
      assert.equal((await longer.response()).text, '/longer');
      assert.equal((await trial.response()).text, '/trial');
      assert.equal(view.state, 'active');
    });

    test('keeps its own limit during its trial', async (t) => {
      const holding = await Holding.start(t);
      const other = await startUpstream(t, echo);
      let failing = false;
      const under = await startBalancer(t, {
        upstreams: [{ origin: holding.origin, maxInFlight: 2 }, other], front, rng: () => 0.5, ejectAfter: 1,
        connect: ({ origin }) => failing && origin === holding.origin ? failsWith('ECONNREFUSED') : undefined,
      });
      const long = await under.connect();
      long.send(get('/long'));
      await holding.came(1);
      failing = true;
      await under.advance(1);
      await ask(under, 1);
      await under.balancer.update([{ origin: holding.origin, maxInFlight: 1 }, other.origin]);
      await under.advance(1_000);
      assert.equal(under.balancer.upstreams[0]?.state, 'trial');
      await ask(under, 1);
      assert.deepEqual(under.picks.at(-1)?.candidates, [other.origin]);
      holding.release();
      await long.response();
    });

    test('can be removed during its trial, and while it is ejected', async (t) => {
      const { under, holding, heard, fail } = await ejected(t, { front });
      fail(false);
      await under.advance(1_000);
      const trial = await under.connect();
      trial.send(get('/trial'));
      await holding.came(1);
      const removed = under.balancer.remove(holding.origin);
      holding.release();
      assert.equal((await trial.response()).text, '/trial');
      await removed;
      assert.deepEqual(heard, [], 'it has no health to speak of any more');
      const { state, ejections, picks } = under.balancer.add(holding.origin);
      assert.deepEqual([state, ejections, picks], ['active', 0, 0], 'one that is added is new');
    });
  });
}
