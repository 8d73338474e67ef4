/**
 * `configure`: what a change of the pools leaves alone, and what becomes of pools that change, come or go.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { BalancerOptions, PoolOptions } from '../../../src/options/options.ts';
import type { Strategy, Upstream } from '../../../src/strategy.ts';
import { get, post } from '../../support/client.ts';
import { NODE_HTTP, SOCKET } from '../../support/fronts.ts';
import { type PoolsUnderTest, startPools } from '../../support/pools.ts';
import { close, echo, head, request, response, type ScriptedUpstream, serve, startUpstream, untilEnd, when }
  from '../../support/upstream.ts';
import { gate, turns, within } from '../../support/wait.ts';

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: raw\r\n';
const ROUTES = [{ path: '/web', pool: 'web' }, { path: '/api', pool: 'api' }];
const named = (name: string) => serve(() => response(name));

/** Picks the first candidate, and notes what it is told. */
class Noting implements Strategy {
  readonly name: string;
  readonly told: number[] = [];
  readonly settledAt: string[] = [];

  constructor(name: string) {
    this.name = name;
  }

  pick(candidates: readonly Upstream[]): Upstream | undefined {
    return candidates[0];
  }

  changed(candidates: readonly Upstream[]): void {
    this.told.push(candidates.length);
  }

  settled({ origin }: Upstream): void {
    this.settledAt.push(origin);
  }
}

/** Two pools, `web` and `api`, with an upstream each. */
async function two(t: TestContext, options: Partial<BalancerOptions> = {}, pool: Partial<PoolOptions> = {}): Promise<
  PoolsUnderTest & { web: ScriptedUpstream; api: ScriptedUpstream; events: string[] }
> {
  const [web, api] = [await startUpstream(t, named('web')), await startUpstream(t, named('api'))];
  const under = await startPools(t, {
    pools: { web: { upstreams: [web.origin], ...pool }, api: { upstreams: [api.origin] } }, routes: ROUTES, ...options,
  });
  const events: string[] = [];
  for (const name of ['added', 'draining', 'removed'] as const) {
    under.balancer.on(name, (event) => events.push(`${name} ${event.pool} ${event.upstream.origin}`));
  }
  return { ...under, web, api, events };
}

describe('a pool that has not changed', () => {
  test('keeps its connections, counts and strategy, whatever else changes', async (t) => {
    const strategy = new Noting('web');
    const { balancer, web, api, connect, events } = await two(t, {}, { strategy });
    const client = await connect();
    assert.equal((await client.exchange(get('/web'))).text, 'web');
    const before = balancer.pools['web'];
    const upstream = before?.upstreams[0];
    await balancer.configure({
      pools: { web: { upstreams: [web.origin], strategy }, api: { upstreams: [api.origin], maxInFlight: 5 } },
      routes: [...ROUTES, { answer: { status: 200 } }],
    });
    assert.equal(balancer.pools['web'], before);
    assert.equal(before?.upstreams[0], upstream);
    assert.equal((await client.exchange(get('/web'))).text, 'web');
    assert.equal(web.peers.length, 1, 'the idle connection was kept');
    assert.equal(upstream?.picks, 2);
    assert.deepEqual(strategy.told, [1]);
    assert.deepEqual(events, []);
  });

  test('keeps its WebSockets, through twenty changes of the others', async (t) => {
    const upstream = await startUpstream(t, [[head, SWITCH, untilEnd]]);
    const { balancer, web, connect } = await two(t, { upstreams: [upstream.origin] });
    await balancer.configure({ routes: [{ pool: 'default' }] });
    const open = await connect();
    open.send(get('/', UPGRADE));
    assert.match((await open.head()).line, / 101 /);
    for (let i = 0; i < 20; i++) {
      await balancer.configure({ pools: { [`p${i}`]: { upstreams: [web.origin] } }, routes: [{ pool: 'default' }] });
    }
    assert.deepEqual(Object.keys(balancer.pools), ['default', 'p19']);
    assert.equal(balancer.upstreams[0]?.inFlight, 1);
    open.send('x');
    assert.equal(open.inbox.ended, undefined);
    open.destroy();
  });

  test('is not touched by the same options again', async (t) => {
    const strategy = new Noting('web');
    const { balancer, web, api, events } = await two(t, {}, { strategy, healthCheck: { path: '/up' }, retryOn: [503] });
    const options = {
      pools: {
        web: { upstreams: [{ origin: web.origin, weight: 1 }], strategy, healthCheck: { path: '/up' }, retryOn: [503] },
        api: { upstreams: [api.origin] },
      },
      routes: ROUTES,
    };
    for (let i = 0; i < 3; i++) await balancer.configure(options);
    await balancer.configure({});
    assert.deepEqual(strategy.told, [1]);
    assert.deepEqual(events, []);
  });
});

describe('a pool that changes', () => {
  test('keeps the health, counts and connections of the upstreams that stay', async (t) => {
    const [good, bad, late] = [await startUpstream(t, echo), await startUpstream(t, [[request, close]]),
      await startUpstream(t, echo)];
    const pool = { ejectAfter: 1, ejectMs: 60_000, strategy: new Noting('first') };
    const under = await startPools(t, { pools: { web: { ...pool, upstreams: [bad.origin, good.origin] } } });
    const { balancer } = under;
    const client = await under.connect();
    assert.equal((await client.exchange(get('/a'))).text, '/a');
    await balancer.configure({
      pools: { web: { ...pool, upstreams: [late.origin, { origin: good.origin, weight: 2 }, bad.origin] } },
    });
    const all = balancer.pools['web']?.upstreams ?? [];
    assert.deepEqual(all.map(({ origin, state, picks, weight }) => [origin, state, picks, weight]), [
      [bad.origin, 'ejected', 1, 1], [good.origin, 'active', 1, 2], [late.origin, 'active', 0, 1],
    ]);
    assert.equal((await client.exchange(get('/b'))).text, '/b');
    assert.equal(good.peers.length, 1);
  });

  test('has its new rules for requests that begin later; those in flight keep theirs', async (t) => {
    const { opened, open } = gate();
    const upstream = await startUpstream(t, [[request, when(opened), response('late')], [request]]);
    const under = await startPools(t, { upstreams: [upstream.origin], responseTimeoutMs: 10_000, maxAttempts: 1 });
    const [early, later] = [await under.connect(), await under.connect()];
    early.send(get('/'));
    await upstream.read(1);
    await under.balancer.configure({ responseTimeoutMs: 100 });
    later.send(get('/'));
    await upstream.read(2);
    under.time.advance(130);
    assert.equal((await later.response()).status, 504);
    open();
    assert.equal((await early.response()).text, 'late');
  });

  test('has its limits at once, also for those that wait', async (t) => {
    const { opened, open } = gate();
    const upstream = await startUpstream(t, [[request, when(opened), response('one')], [request, response('two')]]);
    const under = await startPools(t, { upstreams: [upstream.origin], maxInFlight: 1, maxQueued: 1 });
    const [first, second, third] = [await under.connect(), await under.connect(), await under.connect()];
    first.send(get('/'));
    await upstream.read(1);
    second.send(get('/'));
    await turns(5);
    assert.equal((await third.exchange(get('/'))).status, 503);
    await under.balancer.configure({ maxInFlight: 2 });
    assert.equal((await second.response()).text, 'two');
    open();
    assert.equal((await first.response()).text, 'one');
  });

  test('gets another strategy, told of the candidates; attempts settle with the one that picked', async (t) => {
    const { opened, open } = gate();
    const upstream = await startUpstream(t, [[request, when(opened), response('one')], [request, response('two')]]);
    const [old, fresh] = [new Noting('old'), new Noting('fresh')];
    const under = await startPools(t, { upstreams: [upstream.origin], strategy: old });
    const [first, second] = [await under.connect(), await under.connect()];
    first.send(get('/'));
    await upstream.read(1);
    await under.balancer.configure({ strategy: fresh });
    assert.equal(under.balancer.strategy, 'fresh');
    assert.deepEqual(fresh.told, [1]);
    assert.equal((await second.exchange(get('/'))).text, 'two');
    open();
    assert.equal((await first.response()).text, 'one');
    assert.deepEqual([old.settledAt, fresh.settledAt], [[upstream.origin], [upstream.origin]]);
    assert.deepEqual(old.told, [1], 'it hears no more of changes');
  });

  test('opens new connections where connect has changed', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startPools(t, { upstreams: [upstream.origin] });
    const client = await under.connect();
    await client.exchange(get('/a'));
    let asked = 0;
    await under.balancer.configure({ connect: () => {
      asked++;
      return undefined;
    } });
    await client.exchange(get('/b'));
    assert.deepEqual([asked, upstream.peers.length], [1, 2]);
  });

  test('is swept as often as its shortest timeout needs', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startPools(t, { upstreams: [upstream.origin], maxAttempts: 1 });
    await under.balancer.configure({ responseTimeoutMs: 80 });
    assert.equal(under.time.timers, 1);
    const client = await under.connect();
    client.send(get('/'));
    await upstream.read(1);
    under.time.advance(100);
    assert.equal((await client.response()).status, 504);
  });
});

for (const front of [SOCKET, NODE_HTTP]) {
  describe(`a pool that is removed, through ${front.name}`, () => {
    test('finishes what it has in flight, WebSockets included', async (t) => {
      const { opened, open } = gate();
      const upstream = await startUpstream(t, [
        [request, when(opened), response('late')], [head, SWITCH, untilEnd],
      ]);
      const other = await startUpstream(t, named('other'));
      const under = await startPools(t, { pools: { old: { upstreams: [upstream.origin] } } }, front);
      const { balancer } = under;
      const events: string[] = [];
      for (const name of ['added', 'draining', 'removed'] as const) {
        balancer.on(name, ({ pool }) => events.push(`${name} ${pool}`));
      }
      const member = balancer.pools['old']?.upstreams[0];
      const [client, tunnel] = [await under.connect(), await under.connect()];
      client.send(get('/'));
      await upstream.read(1);
      tunnel.send(get('/', UPGRADE));
      await tunnel.head();
      let gone = false;
      const configured = balancer.configure({ pools: { new: { upstreams: [other.origin] } } }).then(() => {
        gone = true;
      });
      assert.deepEqual(Object.keys(balancer.pools), ['new']);
      assert.equal((await (await under.connect()).exchange(get('/'))).text, 'other');
      open();
      assert.equal((await client.response()).text, 'late');
      client.end();
      await turns(5);
      assert.deepEqual([gone, member?.state, member?.inFlight], [false, 'draining', 1]);
      tunnel.destroy();
      await within(configured, () => 'the removal');
      assert.equal(member?.state, 'gone');
      assert.deepEqual(events, ['added new', 'draining old', 'removed old']);
    });

    test('serves those that wait in its queue', async (t) => {
      const { opened, open } = gate();
      const upstream = await startUpstream(t, [
        [request, when(opened), response('one', 'Connection: close\r\n'), close], [request, response('two')],
      ]);
      const under = await startPools(t, {
        pools: { old: { upstreams: [upstream.origin], maxInFlight: 1, maxQueued: 5 } },
      }, front);
      const { balancer } = under;
      const [first, second] = [await under.connect(), await under.connect()];
      first.send(get('/'));
      await upstream.read(1);
      second.send(get('/'));
      await turns(10);
      const configured = balancer.configure({ pools: { new: { upstreams: [] } } });
      await turns(10);
      assert.equal(second.inbox.ended, undefined);
      open();
      assert.equal((await first.response()).text, 'one');
      assert.equal((await second.response()).text, 'two');
      first.end();
      second.end();
      await within(configured, () => 'the removal');
    });

    test('retries what fails, and waits for a hook that is under way', async (t) => {
      const { opened, open } = gate();
      const failing = await startUpstream(t, [[request, when(opened), close]]);
      const other = await startUpstream(t, echo);
      const { opened: decided, open: decide } = gate();
      const under = await startPools(t, {
        pools: { old: { upstreams: [failing.origin, other.origin], strategy: new Noting('first'), ejectAfter: 0 } },
        onRequest: ({ request: { target } }) => target === '/slow' ? decided : undefined,
      }, front);
      const [client, slow] = [await under.connect(), await under.connect()];
      client.send(get('/quick'));
      await failing.read(1);
      slow.send(get('/slow'));
      await turns(10);
      const configured = under.balancer.configure({ pools: { new: { upstreams: [] } } });
      open();
      assert.equal((await client.response()).text, '/quick');
      failing.refuse();
      decide();
      assert.equal((await slow.response()).text, '/slow');
      client.end();
      slow.end();
      await within(configured, () => 'the removal');
    });

    test('is cut where that takes longer than asked for', async (t) => {
      const upstream = await startUpstream(t, [[request], [head, SWITCH]]);
      const under = await startPools(t, { pools: { old: { upstreams: [upstream.origin] } } }, front);
      const [client, tunnel] = [await under.connect(), await under.connect()];
      client.send(get('/'));
      await upstream.read(1);
      tunnel.send(get('/', UPGRADE));
      await tunnel.head();
      const configured = under.balancer.configure({ pools: { new: { upstreams: [] } } }, { timeoutMs: 2_000 });
      await turns(5);
      under.time.advance(1_900);
      await turns(5);
      assert.equal(client.inbox.ended, undefined);
      under.time.advance(300);
      await turns(5);
      under.time.advance(300);
      await within(configured, () => 'the removal');
      assert.equal((await client.response()).status, 503);
      await tunnel.over();
    });
  });
}

describe('pools that come and go', () => {
  test('leave no timer, probe or seat behind', async (t) => {
    const probed = await startUpstream(t, serve(() => response('up')));
    const under = await startPools(t, { upstreams: [] });
    const { balancer, time } = under;
    let seats = 0;
    const peers = (): NonNullable<PoolOptions['peers']> => ({ join: () => {
      seats++;
      return { send: (_, sent) => sent?.(), leave: () => seats-- };
    } });
    const timers = time.timers;
    for (let i = 0; i < 10; i++) {
      const pool = { upstreams: [probed.origin], healthCheck: { path: '/up', intervalMs: 40 } };
      await balancer.configure({ pools: { a: pool, b: { ...pool, peers: peers() } } });
      assert.equal(seats, 1);
      await balancer.configure({ pools: { a: pool, b: { ...pool, maxQueued: 5 } } });
      assert.equal(seats, 1, 'a pool keeps its seat where peers are left out');
      for (let each = 0; each < 10; each++) {
        time.advance(20);
        await turns(1);
      }
      await within(balancer.configure({ pools: null }), () => 'the removal');
      assert.deepEqual([seats, time.timers, Object.keys(balancer.pools)], [0, timers, ['default']]);
    }
    assert.ok(probed.peers.length > 0);
    const count = probed.peers.length;
    for (let each = 0; each < 20; each++) {
      time.advance(100);
      await turns(1);
    }
    assert.equal(probed.peers.length, count, 'a pool that is gone is not probed');
  });

  test('refuse changes by whoever still holds one', async (t) => {
    const under = await startPools(t, { pools: { old: { upstreams: ['http://a.test'] } } });
    const { old } = under.balancer.pools;
    await under.balancer.configure({ pools: { new: { upstreams: [] } } });
    const gone = { code: 'OPTIONS_INVALID', message: 'the pool old was removed; see balancer.pools' };
    assert.throws(() => old?.add('http://b.test'), gone);
    await assert.rejects(async () => old?.update([]), gone);
    await assert.rejects(async () => old?.remove('http://a.test'), gone);
    assert.deepEqual(old?.upstreams, []);
  });

  test('include default: named, at the top level, moved, removed', async (t) => {
    const upstream = await startUpstream(t, echo);
    const { origin } = upstream;
    const under = await startPools(t, { upstreams: [origin], maxQueued: 3 });
    const { balancer } = under;
    const before = balancer.upstreams[0];
    const names = (): string[] => Object.keys(balancer.pools);
    await balancer.configure({ pools: { api: { upstreams: [] } } });
    assert.deepEqual(names(), ['default', 'api']);
    await balancer.configure({ pools: { default: { upstreams: [origin] }, api: { upstreams: [] } } });
    assert.deepEqual([names(), balancer.upstreams[0] === before], [['default', 'api'], true]);
    await balancer.configure({ maxInFlight: 7 });
    assert.deepEqual(names(), ['default', 'api']);
    await balancer.configure({ pools: { api: { upstreams: [origin] } } });
    assert.deepEqual(names(), ['api']);
    await balancer.configure({ upstreams: [origin] });
    assert.deepEqual(names(), ['default', 'api']);
    await balancer.configure({ upstreams: null });
    assert.deepEqual(names(), ['api']);
    assert.equal((await (await under.connect()).exchange(post('/x', 'body'))).status, 200);
  });
});

test('an upstream that was added later stays where upstreams are left out, and goes where they are not', async (t) => {
  const under = await startPools(t, { upstreams: [{ origin: 'http://a.test', healthCheck: false }] });
  const { balancer } = under;
  balancer.add('http://b.test');
  await balancer.configure({ maxQueued: 5, healthCheck: { path: '/up' } });
  assert.deepEqual(balancer.upstreams.map(({ origin }) => origin), ['http://a.test', 'http://b.test']);
  await balancer.configure({ upstreams: ['http://a.test'] });
  assert.deepEqual(balancer.upstreams.map(({ origin }) => origin), ['http://a.test']);
});
