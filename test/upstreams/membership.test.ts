import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Upstream } from '../../src/strategy.ts';
import { first, startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { bytes, echo, head, request, response, startUpstream, when } from '../support/upstream.ts';
import { gate, turns } from '../support/wait.ts';

const INVALID = { name: 'BalancerError', code: 'OPTIONS_INVALID' };

describe('an upstream that is added', () => {
  test('is a candidate at once', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [] });
    const client = await under.connect();
    assert.equal((await client.exchange(get())).status, 503);
    const added = under.balancer.add(upstream.origin);
    assert.equal(added.origin, upstream.origin);
    assert.equal((await client.exchange(get('/a'))).text, '/a');
    assert.deepEqual(under.balancer.upstreams, [added]);
  });

  test('shows its public values', async (t) => {
    const under = await startBalancer(t, { upstreams: [] });
    const { balancer } = under;
    const added = balancer.add({ origin: 'http://a.test:81', weight: 3, maxInFlight: 7, tags: { zone: 'b' } });
    const { id, origin, state, weight, inFlight, maxInFlight, tags, latencyMs, picks, failures } = added;
    assert.deepEqual({ id, origin, state, weight, inFlight, maxInFlight, tags, latencyMs, picks, failures }, {
      id: 'http://a.test:81',
      origin: 'http://a.test:81',
      state: 'active',
      weight: 3,
      inFlight: 0,
      maxInFlight: 7,
      tags: { zone: 'b' },
      latencyMs: 0,
      picks: 0,
      failures: 0,
    });
    await balancer.remove(origin);
    assert.equal(added.state, 'gone');
  });

  test('is added only once', async (t) => {
    const under = await startBalancer(t, { upstreams: ['http://a.test'] });
    for (const origin of ['http://a.test', 'http://a.test:80', 'http://A.test/']) {
      assert.throws(() => under.balancer.add(origin), INVALID);
    }
    assert.equal(under.balancer.upstreams.length, 1);
  });

  test('must be valid', async (t) => {
    const under = await startBalancer(t, { upstreams: [] });
    for (const wrong of [
      '', 'a.test', 'ftp://a.test', 'http://a.test/path', 'http://a.test?q', 'http://user@a.test', 'https://a.test',
      { origin: 'http://a.test', weight: 0 }, { origin: 'http://a.test', maxInFlight: 0 }, 7,
    ]) {
      assert.throws(() => under.balancer.add(wrong as string), INVALID, JSON.stringify(wrong));
    }
    assert.deepEqual(under.balancer.upstreams, []);
  });
});

for (const front of FRONTS) {
  describe(`an upstream that is removed, through ${front.name}`, () => {
    test('gets nothing new, and finishes what it has', async (t) => {
      const late = gate();
      const upstream = await startUpstream(t, [[request, when(late.opened), response('late')]]);
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream, other], front });
      const client = await under.connect();
      client.send(get());
      await upstream.read(1);

      let removed = false;
      const removal = under.balancer.remove(upstream.origin).then(() => {
        removed = true;
      });
      // Draining ones are shown last.
      assert.deepEqual(under.balancer.upstreams.map(({ origin, state, inFlight }) => [origin, state, inFlight]), [
        [other.origin, 'active', 0], [upstream.origin, 'draining', 1],
      ]);
      assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
      assert.deepEqual(under.picks[1]?.candidates, [other.origin]);
      assert.equal(removed, false);

      late.open();
      assert.equal((await client.response()).text, 'late');
      await removal;
      assert.deepEqual(under.balancer.upstreams.map(({ origin }) => origin), [other.origin]);
      // Its connections go with it.
      await upstream.gone(1);
    });

    test('keeps its tunnels until they close', async (t) => {
      const upstream = await startUpstream(t, [[
        head, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n', bytes(2), 'ho',
      ]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      await client.head();
      const removal = under.balancer.remove(upstream.origin);
      client.send('hi');
      assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
      client.end();
      await removal;
      assert.equal(under.outcomes[0]?.ok, true);
    });
  });
}

describe('an upstream that is removed', () => {
  test('closes its idle connections at once', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    await (await under.connect()).exchange(get());
    await under.settled(1);
    await under.balancer.remove(upstream.origin);
    await upstream.gone(1);
  });

  test('and was the last leaves none: 503', async (t) => {
    const upstream = await startUpstream(t, []);
    const under = await startBalancer(t, { upstreams: [upstream] });
    await under.balancer.remove(upstream.origin);
    assert.equal((await (await under.connect()).exchange(get())).status, 503);
  });

  test('cannot be removed again, nor one that was never there', async (t) => {
    const under = await startBalancer(t, { upstreams: ['http://a.test'] });
    await under.balancer.remove('http://a.test');
    for (const origin of ['http://a.test', 'http://b.test', '']) {
      await assert.rejects(async () => under.balancer.remove(origin), INVALID);
    }
  });

  test('can be named in any way that could add it', async (t) => {
    const under = await startBalancer(t, { upstreams: ['http://a.test:80/'] });
    await under.balancer.remove('http://A.test/');
    assert.deepEqual(under.balancer.upstreams, []);
  });

  test('can be added anew while the old one drains', async (t) => {
    const late = gate();
    const upstream = await startUpstream(t, [[request, when(late.opened), response('late')], echo]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const removal = under.balancer.remove(upstream.origin);
    under.balancer.add(upstream.origin);
    assert.deepEqual(under.balancer.upstreams.map(({ state, inFlight }) => [state, inFlight]), [
      ['active', 0], ['draining', 1],
    ]);
    assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
    late.open();
    assert.equal((await client.response()).text, 'late');
    await removal;
    assert.deepEqual(under.balancer.upstreams.map(({ state, picks }) => [state, picks]), [['active', 1]]);
  });

  test('during a connect is still connected to, and serves the request', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      strategy: {
        name: 'mine',
        pick: (candidates) => {
          setImmediate(() => {
            void under.balancer.remove(upstream.origin);
          });
          return candidates[0];
        },
      },
    });
    assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
  });
});

describe('a strategy is notified', () => {
  test('of every change of membership, with all current upstreams, and of nothing else', async (t) => {
    const told: string[][] = [];
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [{ origin: upstream.origin, maxInFlight: 1 }, 'http://b.test'],
      strategy: {
        ...first,
        changed: (candidates: readonly Upstream[]) => {
          told.push(candidates.map(({ origin }) => origin));
        },
      },
    });
    assert.deepEqual(told.at(-1), [upstream.origin, 'http://b.test']);
    const before = told.length;
    // Full and free again: that is no change (its doc says so).
    await (await under.connect()).exchange(get());
    await under.settled(1);
    assert.equal(told.length, before);
    under.balancer.add('http://c.test');
    await under.balancer.remove('http://b.test');
    assert.deepEqual(told.slice(before), [
      [upstream.origin, 'http://b.test', 'http://c.test'], [upstream.origin, 'http://c.test'],
    ]);
  });
});

describe('the view of an upstream', () => {
  test('counts picks, failures and what is in flight', async (t) => {
    const late = gate();
    const upstream = await startUpstream(t, [
      [request, 'nonsense\r\n\r\n'], [request, response('x'), request, when(late.opened), response('y')],
    ]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const counts = (): (number | undefined)[] => {
      const [view] = under.balancer.upstreams;
      return [view?.picks, view?.failures, view?.inFlight];
    };
    const client = await under.connect();
    await client.exchange(get());
    assert.deepEqual(counts(), [1, 1, 0]);
    await client.exchange(get());
    assert.deepEqual(counts(), [2, 1, 0]);
    client.send(get());
    await under.picked(3);
    assert.deepEqual(counts(), [3, 1, 1]);
    late.open();
    await client.response();
  });

  test('shows the time to a response head, as a moving average over about ten', async (t) => {
    const answers = gate();
    let answer = answers;
    const upstream = await startUpstream(t, [async (peer) => {
      for (;;) {
        await peer.request();
        await answer.opened;
        peer.send(response('x'));
      }
    }]);
    const under = await startBalancer(t, { upstreams: [upstream], upstreamIdleTimeoutMs: 1_000_000 });
    const client = await under.connect();
    const served = async (ms: number): Promise<number> => {
      answer = gate();
      const before = upstream.requests.length;
      client.send(get());
      await upstream.read(before + 1);
      await under.advance(ms);
      answer.open();
      await client.response();
      return under.balancer.upstreams[0]?.latencyMs ?? NaN;
    };
    assert.equal(under.balancer.upstreams[0]?.latencyMs, 0);
    assert.equal(await served(100), 100);
    assert.equal(await served(200), 110);
    assert.equal(await served(110), 110);
    let last = 110;
    for (let i = 0; i < 50; i++) last = await served(10);
    assert.ok(last < 11, String(last));
  });

  test('is read-only', async (t) => {
    const under = await startBalancer(t, { upstreams: ['http://a.test'] });
    const [view] = under.balancer.upstreams as unknown as Record<string, unknown>[];
    assert.ok(view !== undefined);
    for (const name of ['inFlight', 'state', 'picks', 'failures', 'latencyMs']) {
      assert.throws(() => {
        view[name] = 7;
      }, TypeError, name);
    }
    (under.balancer.upstreams as Upstream[]).length = 0;
    await turns(1);
    assert.equal(under.balancer.upstreams.length, 1);
  });
});
