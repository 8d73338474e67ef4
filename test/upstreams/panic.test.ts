import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createBalancer } from '../../src/balancer.ts';
import { startBalancer } from '../support/balancer.ts';
import { connectTo, get } from '../support/client.ts';
import { ask, byTarget, Fallible } from '../support/fallible.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { Holding } from '../support/holding.ts';
import { atEnd } from '../support/scope.ts';
import { failsWith } from '../support/streams.ts';
import { echo, startUpstream } from '../support/upstream.ts';

/** No idle connections: an upstream that is down is down at once. */
const LENIENT = { rng: () => 0.5, strategy: byTarget, upstreamIdleTimeoutMs: 0 } as const;
/** One failure is enough, and ejections last exactly as long as configured. */
const STRICT = { ...LENIENT, ejectAfter: 1 } as const;
const NAMES = 'abcdefghij';

for (const front of FRONTS) {
  describe(`where too many are ejected, through ${front.name}`, () => {
    for (const count of [1, 2, 3, 10]) {
      test(`all ${count} of ${count} are candidates, and the one that returns serves at once`, async (t) => {
        const fallible = await Fallible.start(t, count);
        const under = await startBalancer(t, {
          upstreams: fallible.options, front, connect: fallible.connect, ...STRICT, maxAttempts: 1,
        });
        const names = NAMES.slice(0, count);
        for (const upstream of fallible.upstreams) fallible.down.add(upstream);
        for (const name of names) await ask(under, 1, `/${name}`);
        assert.deepEqual(under.balancer.upstreams.map(({ state }) => state), Array.from(names, () => 'ejected'));
        await under.advance(500);
        await ask(under, 1, '/a');
        assert.equal(fallible.names(under.picks.at(-1)?.candidates ?? []), names);

        const last = fallible.at(count - 1);
        fallible.down.delete(last);
        assert.deepEqual(await ask(under, 1, `/${names.at(-1) ?? ''}`), [200]);
        const view = under.balancer.upstreams.at(-1);
        assert.deepEqual([view?.origin, view?.state, view?.weight], [last.origin, 'active', 1]);
      });
    }

    test('two of three are not: the third serves alone', async (t) => {
      const fallible = await Fallible.start(t, 3);
      const under = await startBalancer(t, {
        upstreams: fallible.options, front, connect: fallible.connect, ...STRICT,
      });
      for (const i of [0, 1]) fallible.down.add(fallible.at(i));
      assert.deepEqual(await ask(under, 3, '/a'), [200, 200, 200]);
      assert.deepEqual(under.picks.map(({ candidates }) => fallible.names(candidates)), ['abc', 'bc', 'c', 'c', 'c']);
    });

    test('the first of all to return serves the very next requests, with its whole weight', async (t) => {
      const fallible = await Fallible.start(t, 3);
      const under = await startBalancer(t, {
        upstreams: fallible.options, front, connect: fallible.connect, ...STRICT,
      });
      for (const upstream of fallible.upstreams) fallible.down.add(upstream);
      assert.deepEqual(await ask(under, 1), [502]);
      // Down for long: in a panic their trials fail, like their attempts before.
      for (let i = 0; i < 5; i++) {
        await under.advance(40_000);
        assert.deepEqual(await ask(under, 1), [502]);
      }
      await under.advance(40_000);
      assert.deepEqual(under.balancer.upstreams.map(({ state }) => state), ['trial', 'trial', 'trial']);
      fallible.down.delete(fallible.at(2));
      const before = under.picks.length;
      assert.deepEqual(await ask(under, 5), [200, 200, 200, 200, 200]);
      const picks = under.picks.slice(before).map(({ candidates }) => fallible.names(candidates));
      assert.deepEqual(picks, ['abc', 'bc', 'c', 'c', 'c', 'c', 'c']);
      const { state, weight } = under.balancer.upstreams[2] ?? {};
      assert.deepEqual([state, weight], ['active', 1], 'it is needed whole');
    });

    test('no upstream starts slowly, and those on trial take every request', async (t) => {
      const [one, two] = [await Holding.start(t), await startUpstream(t, echo)];
      let failing = true;
      const under = await startBalancer(t, {
        upstreams: [
          { origin: one.origin, tags: { name: 'a' }, weight: 4 }, { origin: two.origin, tags: { name: 'b' } },
        ],
        front, ...STRICT,
        connect: () => failing ? failsWith('ECONNREFUSED') : undefined,
      });
      const [a, b] = under.balancer.upstreams;
      await ask(under, 1, '/b');
      failing = false;
      await under.advance(1_000);
      assert.deepEqual([a?.state, b?.state], ['trial', 'trial']);
      const clients = [await under.connect(), await under.connect(), await under.connect()];
      for (const client of clients) client.send(get('/a'));
      await one.came(3);
      assert.equal(a?.inFlight, 3);
      // They may have come in any order.
      for (let i = 0; i < 3; i++) one.release();
      for (const client of clients) assert.equal((await client.response()).status, 200);
      assert.deepEqual([a.state, a.weight, b?.state], ['active', 4, 'trial']);
      // With one of two healthy the panic is over: the other starts slowly.
      await ask(under, 1, '/b');
      assert.deepEqual([b?.state, b?.weight], ['active', 0.1]);
    });

    test('one that starts slowly has its whole weight while it is needed', async (t) => {
      const fallible = await Fallible.start(t, 3);
      const under = await startBalancer(t, {
        upstreams: fallible.options, front, connect: fallible.connect, ...STRICT, maxEjectedPercent: 40,
      });
      const weights = (): number[] => under.balancer.upstreams.map(({ weight }) => weight);
      fallible.down.add(fallible.at(0));
      await ask(under, 1, '/a');
      fallible.down.clear();
      await under.advance(1_000);
      await ask(under, 1, '/a');
      assert.deepEqual(weights(), [0.1, 1, 1]);
      for (const i of [1, 2]) fallible.down.add(fallible.at(i));
      await ask(under, 1, '/b');
      await ask(under, 1, '/c');
      assert.deepEqual(weights(), [1, 1, 1]);
      fallible.down.clear();
      await under.advance(500);
      await ask(under, 1, '/b');
      assert.deepEqual(weights(), [0.1, 1, 1], 'and no longer');
    });

    test('with 0 percent all are always candidates', async (t) => {
      const fallible = await Fallible.start(t, 2);
      const under = await startBalancer(t, {
        upstreams: fallible.options, front, connect: fallible.connect, ...STRICT, maxEjectedPercent: 0,
      });
      fallible.down.add(fallible.at(0));
      await ask(under, 2, '/a');
      assert.equal(under.balancer.upstreams[0]?.state, 'ejected');
      assert.deepEqual(under.picks.map(({ candidates }) => fallible.names(candidates)), ['ab', 'b', 'ab', 'b']);
    });

    test('with 100 percent there is no panic: where all are ejected, none is tried: 503', async (t) => {
      const fallible = await Fallible.start(t, 2);
      const under = await startBalancer(t, {
        upstreams: fallible.options, front, connect: fallible.connect, ...STRICT, maxEjectedPercent: 100,
      });
      for (const upstream of fallible.upstreams) fallible.down.add(upstream);
      assert.deepEqual(await ask(under, 2), [502, 503]);
      assert.equal(under.picks.length, 2);
      fallible.down.clear();
      assert.deepEqual(await ask(under, 1), [503]);
      await under.advance(1_000);
      assert.deepEqual(await ask(under, 1), [200]);
    });
  });

  describe(`a request that all candidates have failed, through ${front.name}`, () => {
    test('goes to an ejected one rather than to none', async (t) => {
      const fallible = await Fallible.start(t, 3);
      const under = await startBalancer(t, {
        upstreams: fallible.options, front, connect: fallible.connect, ...LENIENT,
      });
      fallible.down.add(fallible.at(2));
      await ask(under, 5, '/c');
      assert.equal(under.balancer.upstreams[2]?.state, 'ejected');
      await under.advance(1);
      fallible.down.clear();
      for (const i of [0, 1]) fallible.down.add(fallible.at(i));
      const before = under.picks.length;
      assert.deepEqual(await ask(under, 1), [200]);
      const picks = under.picks.slice(before).map(({ candidates }) => fallible.names(candidates));
      assert.deepEqual(picks, ['ab', 'b', 'c']);
      // Serving shows that it is healthy.
      assert.deepEqual([under.balancer.upstreams[2].state, under.balancer.upstreams[2].weight], ['active', 1]);
    });

    test('tries an ejected one once, like any other', async (t) => {
      const fallible = await Fallible.start(t, 3);
      const under = await startBalancer(t, {
        upstreams: fallible.options, front, connect: fallible.connect, ...LENIENT, maxAttempts: 9,
      });
      for (const upstream of fallible.upstreams) fallible.down.add(upstream);
      await ask(under, 2, '/c');
      const before = under.picks.length;
      assert.deepEqual(await ask(under, 1), [502]);
      assert.equal(under.picks.length - before, 3);
    });
  });
}

test('a strategy that removes the last resort and then picks it has not picked a candidate', async (t) => {
  const told: string[] = [];
  const balancer = createBalancer({
    upstreams: ['http://a.test', 'http://b.test'],
    ejectAfter: 1,
    maxEjectedPercent: 100,
    connect: () => failsWith('ECONNREFUSED'),
    strategy: {
      name: 'rash',
      pick: (candidates, { attempt, request }) => {
        if (request.target === '/b') return attempt === 1 ? candidates[1] : undefined;
        const [candidate] = candidates;
        if (candidate?.state === 'ejected') void balancer.remove(candidate.origin);
        return candidate;
      },
    },
    onReport: ({ error: { code } }) => told.push(code),
  });
  balancer.on('removed', ({ upstream: { origin } }) => told.push(`removed ${origin}`));
  const door = await SOCKET.open(balancer);
  atEnd(t, () => balancer.close({ timeoutMs: 0 }));
  const client = await connectTo(t, door.port);
  assert.equal((await client.exchange(get('/b'))).status, 503);
  assert.equal((await client.exchange(get('/a'))).status, 500);
  assert.deepEqual(told, ['CONNECT_REFUSED', 'CONNECT_REFUSED', 'removed http://b.test', 'STRATEGY_FAILED']);
});
