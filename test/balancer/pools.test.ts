/**
 * Several pools in one balancer: what each has of its own, and what they do together.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createBalancer } from '../../src/balancer.ts';
import type { PoolOptions } from '../../src/options/options.ts';
import type { BalancerPool } from '../../src/pools/balancer-pool.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { FakeWorkers } from '../support/channel.ts';
import { get } from '../support/client.ts';
import { type PoolsUnderTest, startPools } from '../support/pools.ts';
import { echo, refusingOrigin, request, response, serve, startUpstream, when } from '../support/upstream.ts';
import { gate, turns, within } from '../support/wait.ts';

const A = 'http://a.test';
const BY_PATH = [{ path: '/web', pool: 'web' }, { path: '/api', pool: 'api' }];
const named = (name: string) => serve(() => response(name));
const busy = response('busy', '', '503 Service Unavailable');

describe('balancer.pools', () => {
  test('has each pool with its upstreams, to be changed by itself', async (t) => {
    const { balancer } = await startPools(t, {
      pools: { web: { upstreams: [A] }, api: { upstreams: [A, 'http://b.test'] } }, routes: BY_PATH,
    });
    const { web, api } = balancer.pools;
    assert.ok(web !== undefined && api !== undefined);
    assert.deepEqual([web, api].map(({ name, strategy }) => [name, strategy]), [['web', 'random'], ['api', 'random']]);
    assert.equal(api.add('http://c.test').origin, 'http://c.test');
    await web.update(['http://d.test']);
    await api.remove('http://b.test');
    assert.deepEqual(web.upstreams.map(({ origin }) => origin), ['http://d.test']);
    assert.deepEqual(api.upstreams.map(({ origin }) => origin), [A, 'http://c.test']);
    assert.throws(() => web.add('http://d.test'), { code: 'OPTIONS_INVALID' });
    await assert.rejects(web.remove('nonsense'), { code: 'OPTIONS_INVALID' });
  });

  test('can neither be changed nor fall back on what objects inherit', async (t) => {
    const pools: Readonly<Record<string, PoolOptions>> = {
      constructor: { upstreams: [A] }, toString: { upstreams: [] },
    };
    const { balancer } = await startPools(t, { pools, routes: [{ pool: 'constructor' }] });
    assert.deepEqual(Object.keys(balancer.pools), ['constructor', 'toString']);
    const at = (name: string): BalancerPool | undefined => balancer.pools[name];
    assert.equal(at('constructor')?.upstreams[0]?.origin, A);
    assert.equal(at('hasOwnProperty'), undefined);
    assert.equal(Object.getPrototypeOf(balancer.pools), null);
    assert.ok(Object.isFrozen(balancer.pools) && Object.isFrozen(at('toString')));
  });

  test('has the pool default where the balancer has upstreams, alone or besides others', async (t) => {
    const { balancer } = await startPools(t, { upstreams: [A], pools: { api: { upstreams: [] } } });
    assert.deepEqual(Object.keys(balancer.pools), ['default', 'api']);
    balancer.add('http://b.test');
    assert.deepEqual(balancer.pools['default']?.upstreams, balancer.upstreams);
    assert.equal(balancer.upstreams.length, 2);
    assert.equal(balancer.strategy, 'random');
  });

  test('says which pool to use where there is no default', async (t) => {
    const { balancer } = await startPools(t, {
      pools: { web: { upstreams: [] }, api: { upstreams: [] } }, routes: BY_PATH,
    });
    const error = (what: string): object => ({ code: 'OPTIONS_INVALID', message:
      `${what}: is about the pool default, and there is none; use pools.web.${what} (pools: web, api)` });
    assert.throws(() => balancer.upstreams, error('upstreams'));
    assert.throws(() => balancer.strategy, error('strategy'));
    assert.throws(() => balancer.add(A), error('add'));
    await assert.rejects(balancer.remove(A), error('remove'));
    await assert.rejects(balancer.update([A]), error('update'));
  });

  test('takes nothing new once the balancer is closed', async (t) => {
    const { balancer, time } = await startPools(t, { pools: { web: { upstreams: [A] } } });
    const closed = balancer.close({ timeoutMs: 0 });
    time.advance(1);
    await within(closed, () => 'the close');
    assert.throws(() => balancer.pools['web']?.add(A), { code: 'CLOSING' });
    await assert.rejects(async () => balancer.pools['web']?.update([]), { code: 'CLOSING' });
  });
});

describe('without routes', () => {
  test('everything goes to the only pool', async (t) => {
    const upstream = await startUpstream(t, named('api'));
    const under = await startPools(t, { pools: { api: { upstreams: [upstream.origin] } } });
    assert.equal((await (await under.connect()).exchange(get('/a/../b'))).text, 'api');
  });

  test('everything goes to default, and a hook may choose another pool', async (t) => {
    const [one, two] = [await startUpstream(t, named('default')), await startUpstream(t, named('api'))];
    const under = await startPools(t, {
      upstreams: [one.origin],
      pools: { api: { upstreams: [two.origin] } },
      onRequest(exchange) {
        if (exchange.request.target === '/api') exchange.pool = 'api';
      },
    });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/'))).text, 'default');
    assert.equal((await client.exchange(get('/api'))).text, 'api');
    assert.equal((await client.exchange(get('/'))).text, 'default');
  });
});

describe('each pool has its own', () => {
  test('limits and queue', async (t) => {
    const { opened: held, open } = gate();
    const [web, api] = [await startUpstream(t, [[request, when(held), response('web')], [request, response('x')]]),
      await startUpstream(t, named('api'))];
    const under = await startPools(t, {
      pools: {
        web: { upstreams: [web.origin], maxInFlight: 1, maxQueued: 1 },
        api: { upstreams: [api.origin] },
      },
      routes: BY_PATH,
    });
    const queued: unknown[] = [];
    under.balancer.on('queued', (event) => queued.push(event));
    const [first, second, third] = [await under.connect(), await under.connect(), await under.connect()];
    first.send(get('/web'));
    await web.read(1);
    second.send(get('/web'));
    await turns(5);
    assert.equal((await third.exchange(get('/web'))).status, 503);
    assert.equal((await third.exchange(get('/api'))).text, 'api');
    assert.deepEqual(queued, [{ pool: 'web', waiting: 1 }]);
    second.destroy();
    open();
    assert.equal((await first.response()).text, 'web');
  });

  test('health, though they share an origin; events say which', async (t) => {
    const upstream = await startUpstream(t, serve(({ head: { line } }) => (
      line.includes('/web') ? busy : response('x'))));
    const under = await startPools(t, {
      pools: {
        web: { upstreams: [upstream.origin, 'http://b.test'], ejectAfter: 1, maxAttempts: 1, strategy: {
          name: 'first', pick: (candidates) => candidates[0],
        } },
        api: { upstreams: [upstream.origin] },
      },
      routes: BY_PATH,
    });
    const events: unknown[] = [];
    const { balancer } = under;
    balancer
      .on('ejected', ({ pool, upstream: { origin } }) => events.push(['ejected', pool, origin]))
      .on('readmitted', ({ pool, upstream: { origin } }) => events.push(['readmitted', pool, origin]))
      .on('settled', ({ pool }) => events.push(['settled', pool]))
      .on('added', ({ pool }) => events.push(['added', pool]))
      .on('draining', ({ pool }) => events.push(['draining', pool]))
      .on('removed', ({ pool }) => events.push(['removed', pool]));
    const client = await under.connect();
    assert.equal((await client.exchange(get('/web'))).status, 503);
    assert.equal((await client.exchange(get('/api'))).status, 200);
    const { web, api } = balancer.pools;
    assert.deepEqual([web?.upstreams[0]?.state, api?.upstreams[0]?.state], ['ejected', 'active']);
    api?.add('http://c.test');
    await api?.remove('http://c.test');
    assert.deepEqual(events, [
      ['ejected', 'web', upstream.origin], ['settled', 'web'], ['settled', 'api'], ['added', 'api'], ['removed', 'api'],
    ]);
  });

  test('retries, and the event that tells of one', async (t) => {
    const upstream = await startUpstream(t, echo);
    const first = (): { name: string; pick: (candidates: readonly never[]) => never | undefined } => (
      { name: 'first', pick: (candidates) => candidates[0] });
    const under = await startPools(t, {
      pools: {
        web: { upstreams: [refusingOrigin(), upstream.origin], strategy: first() },
        api: { upstreams: [refusingOrigin(), upstream.origin], maxAttempts: 1, strategy: first() },
      },
      routes: BY_PATH,
    });
    const retried: string[] = [];
    under.balancer.on('retried', ({ pool, attempt }) => retried.push(`${pool} ${attempt}`));
    const client = await under.connect();
    assert.equal((await client.exchange(get('/web'))).status, 200);
    assert.equal((await client.exchange(get('/api'))).status, 502);
    assert.deepEqual(retried, ['web 1']);
  });

  test('timeouts, noticed in time by the shortest of all', async (t) => {
    const [web, api] = [await startUpstream(t, [[request]]), await startUpstream(t, [[request]])];
    const under = await startPools(t, {
      pools: {
        web: { upstreams: [web.origin] },
        api: { upstreams: [api.origin], responseTimeoutMs: 80, maxAttempts: 1 },
      },
      routes: BY_PATH,
    });
    const [slow, quick] = [await under.connect(), await under.connect()];
    slow.send(get('/web'));
    quick.send(get('/api'));
    await web.read(1);
    await api.read(1);
    under.time.advance(100);
    assert.equal((await quick.response()).status, 504);
    assert.equal(slow.inbox.ended, undefined);
    slow.destroy();
  });

  test('probes', async (t) => {
    const [web, api] = [await startUpstream(t, named('web')), await startUpstream(t, named('api'))];
    const under = await startPools(t, {
      pools: {
        web: { upstreams: [web.origin], healthCheck: { path: '/web' } },
        api: { upstreams: [api.origin], healthCheck: { path: '/api' } },
      },
      routes: BY_PATH,
    });
    for (let i = 0; i < 60; i++) {
      under.time.advance(100);
      await turns(1);
    }
    await web.read(1);
    await api.read(1);
    assert.match(web.peers[0]?.requests[0]?.head.line ?? '', /^GET \/web /);
    assert.match(api.peers[0]?.requests[0]?.head.line ?? '', /^GET \/api /);
  });

  test('channel to its peers', async (t) => {
    const workers = new FakeWorkers();
    const startOne = (worker: number): Promise<PoolsUnderTest> => {
      const pool = (name: string): PoolOptions => ({
        upstreams: [refusingOrigin(), 'http://b.test'], ejectAfter: 1, maxAttempts: 1,
        peers: workers.channel(worker, name), strategy: { name: 'first', pick: (candidates) => candidates[0] },
      });
      return startPools(t, { pools: { web: pool('web'), api: pool('api') }, routes: BY_PATH });
    };
    const [one, two] = [await startOne(1), await startOne(2)];
    workers.deliver();
    assert.equal((await (await one.connect()).exchange(get('/web'))).status, 502);
    one.time.advance(200);
    workers.deliver();
    const states = Object.values(two.balancer.pools).map(({ upstreams: [first] }) => first?.state);
    assert.deepEqual(states, ['ejected', 'active']);
  });

  test('seat on a channel, left again where another pool cannot have one', () => {
    const time = new VirtualTime();
    let seats = 0;
    const channel = { join: () => {
      seats++;
      return { send: () => undefined, leave: () => seats-- };
    } };
    const broken = { join: () => {
      throw new Error('no');
    } };
    assert.throws(() => createBalancer({
      pools: { a: { upstreams: [], peers: channel }, b: { upstreams: [], peers: broken } },
      routes: [], time,
    }), { code: 'OPTIONS_INVALID' });
    assert.equal(seats, 0);
    assert.equal(time.timers, 0);
  });
});

test('close waits for the requests of all pools', async (t) => {
  const { opened: held, open } = gate();
  const script = [request, when(held), response('done')];
  const [web, api] = [await startUpstream(t, [script]), await startUpstream(t, [script])];
  const under = await startPools(t, {
    pools: { web: { upstreams: [web.origin] }, api: { upstreams: [api.origin] } }, routes: BY_PATH,
  });
  const clients = [await under.connect(), await under.connect()];
  clients[0]?.send(get('/web'));
  clients[1]?.send(get('/api'));
  await web.read(1);
  await api.read(1);
  const closing = under.balancer.close();
  await turns(3);
  open();
  for (const client of clients) {
    assert.equal((await client.response()).text, 'done');
    client.end();
  }
  under.time.advance(1_000);
  assert.deepEqual(await within(closing, () => 'the close'), { cut: 0 });
});
