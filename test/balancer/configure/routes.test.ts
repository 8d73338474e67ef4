/**
 * `configure`: routes and hooks, which change for whole requests, and the order of changes.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { get } from '../../support/client.ts';
import { FRONTS } from '../../support/fronts.ts';
import { type PoolsUnderTest, startPools } from '../../support/pools.ts';
import { echo, request, response, serve, startUpstream, when } from '../../support/upstream.ts';
import { gate, turns, within } from '../../support/wait.ts';

const named = (name: string) => serve(() => response(name));

for (const front of FRONTS) {
  describe(`routes, through ${front.name}`, () => {
    test('are swapped with the pools that they name', async (t) => {
      const [one, two] = [await startUpstream(t, named('one')), await startUpstream(t, named('two'))];
      const { balancer, connect } = await startPools(t, { pools: { one: { upstreams: [one.origin] } } }, front);
      const client = await connect();
      assert.equal((await client.exchange(get('/'))).text, 'one');
      await balancer.configure({
        pools: { one: { upstreams: [one.origin] }, two: { upstreams: [two.origin] } },
        routes: [{ path: '/two', pool: 'two' }, { path: '/one', pool: 'one' }],
      });
      assert.equal((await client.exchange(get('/two'))).text, 'two');
      assert.equal((await client.exchange(get('/one'))).text, 'one');
      assert.equal((await client.exchange(get('/'))).status, 404);
      await balancer.configure({ pools: { two: { upstreams: [two.origin] } }, routes: null });
      assert.equal((await client.exchange(get('/'))).text, 'two');
    });

    test('that come count for a request whose head is under way, and for those behind one in flight', async (t) => {
      const { opened, open } = gate();
      const upstream = await startUpstream(t, [[request, when(opened), response('slow')]]);
      const other = await startUpstream(t, named('new'));
      const { balancer, connect } = await startPools(t, { pools: { old: { upstreams: [upstream.origin] } } }, front);
      const [half, pipelined] = [await connect(), await connect()];
      half.send('GET / HTTP/1.1\r\n');
      pipelined.send(get('/'));
      await upstream.read(1);
      await turns(10);
      const configured = balancer.configure({ pools: { new: { upstreams: [other.origin] } } });
      half.send('Host: x\r\n\r\n');
      assert.equal((await half.response()).text, 'new');
      open();
      assert.equal((await pipelined.response()).text, 'slow');
      assert.equal((await pipelined.exchange(get('/'))).text, 'new');
      await within(configured, () => 'the removal');
    });

    test('edit the responses of requests that they routed', async (t) => {
      const { opened, open } = gate();
      const upstream = await startUpstream(t, [[request, when(opened), response('x'), request, response('y')]]);
      const routes = (name: string) => [{ responseHeaders: { 'x-table': name } }];
      const { balancer, connect } = await startPools(t, { upstreams: [upstream.origin], routes: routes('old') }, front);
      const client = await connect();
      client.send(get('/'));
      await upstream.read(1);
      await balancer.configure({ routes: routes('new') });
      open();
      assert.equal((await client.response()).head.get('x-table'), 'old');
      assert.equal((await client.exchange(get('/'))).head.get('x-table'), 'new');
    });
  });

  test(`hooks are those of when the request began, through ${front.name}`, async (t) => {
    const { opened, open } = gate();
    const answers = [request, when(opened), response('x'), request, response('y'), request, response('z')];
    const upstream = await startUpstream(t, [answers]);
    const calls: string[] = [];
    const { balancer, connect } = await startPools(t, {
      upstreams: [upstream.origin],
      onRequest: () => void calls.push('request 1'),
      onResponse: () => void calls.push('response 1'),
    }, front);
    const client = await connect();
    client.send(get('/'));
    await upstream.read(1);
    await balancer.configure({ onRequest: () => void calls.push('request 2'), onResponse: null });
    open();
    await client.response();
    await client.exchange(get('/'));
    assert.deepEqual(calls, ['request 1', 'response 1', 'request 2']);
    await balancer.configure({ onRequest: null });
    assert.equal((await client.exchange(get('/'))).text, 'z');
    assert.equal(calls.length, 3);
  });
}

describe('changes', () => {
  const start = async (t: TestContext): Promise<PoolsUnderTest> => startPools(t, { upstreams: [] });
  const long = (from: number): string[] => Array.from({ length: 2_000 }, (_, i) => `http://n${from + i}.test`);

  test('happen in the order of their calls, and the last one wins', async (t) => {
    const { balancer } = await start(t);
    const told: string[] = [];
    balancer.on('added', ({ pool }) => told.push(pool));
    const all = [
      balancer.configure({ pools: { a: { upstreams: long(0) } } }),
      balancer.configure({ pools: { a: { upstreams: long(1) }, b: { upstreams: ['http://b.test'] } } }),
      balancer.update(long(5)),
      balancer.configure({ pools: { c: { upstreams: long(2) } }, maxQueued: 3 }),
    ];
    assert.deepEqual(Object.keys(balancer.pools), ['default', 'c']);
    assert.equal(balancer.upstreams.length, 2_000);
    await Promise.all(all);
    assert.deepEqual([...new Set(told)], ['a', 'b', 'default', 'c']);
    assert.equal(told.length, 2_000 + 1 + 1 + 2_000 + 2_000);
  });

  test('of long lists take several turns, or are completed by who reads or changes the pools', async (t) => {
    const { balancer } = await start(t);
    let added = 0;
    balancer.on('added', () => added++);
    const first = balancer.configure({ pools: { a: { upstreams: long(0) } } });
    assert.equal(added, 0);
    await first;
    assert.equal(added, 2_000);
    const second = balancer.configure({ pools: { a: { upstreams: long(1_000) } } });
    assert.equal(added, 2_000);
    balancer.pools['a']?.add('http://more.test');
    assert.equal(added, 3_001);
    await second;
    assert.equal(balancer.pools['a']?.upstreams.length, 2_001);
  });

  test('are completed before a close, and refused after it', async (t) => {
    const { balancer, time } = await start(t);
    let added = 0;
    balancer.on('added', () => added++);
    const changed = balancer.configure({ pools: { a: { upstreams: long(0) } } });
    const closed = balancer.close({ timeoutMs: 0 });
    assert.equal(added, 2_000);
    time.advance(1);
    await within(Promise.all([closed, changed]), () => 'the close');
    await assert.rejects(balancer.configure({ maxQueued: 1 }), { code: 'CLOSING' });
    assert.equal(balancer.pools['a']?.upstreams.length, 0);
  });

  test('that remove a pool end with a close', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const { balancer, time, connect } = await startPools(t, { pools: { old: { upstreams: [upstream.origin] } } });
    const client = await connect();
    client.send(get('/'));
    await upstream.read(1);
    const changed = balancer.configure({ pools: { new: { upstreams: [] } } });
    const closed = balancer.close({ timeoutMs: 0 });
    time.advance(1);
    assert.deepEqual(await within(closed, () => 'the close'), { cut: 1 });
    await within(changed, () => 'the removal');
    client.destroy();
  });

  test('asked for by listeners, strategies and getters come after the one that calls them', async (t) => {
    const { balancer } = await start(t);
    const inner: Promise<unknown>[] = [];
    const pool = (name: string) => ({ [name]: { upstreams: [`http://${name}.test`] } });
    balancer.on('added', ({ pool: name }) => {
      if (name === 'a') inner.push(balancer.configure({ pools: pool('b') }));
    });
    await balancer.configure({ get pools() {
      inner.push(balancer.configure({ maxQueued: 9, pools: pool('c') }));
      return pool('a');
    } });
    await Promise.all(inner);
    assert.deepEqual(Object.keys(balancer.pools).length, 2);
    let told = 0;
    await balancer.configure({ strategy: { name: 'nested', pick: ([one]) => one, changed: () => {
      if (told++ === 0) inner.push(balancer.configure({ pools: pool('d') }));
    } } });
    await Promise.all(inner);
    assert.deepEqual(Object.keys(balancer.pools), ['default', 'd']);
  });
});

test('a hundred changes under load fail no request', async (t) => {
  const upstreams = [await startUpstream(t, echo), await startUpstream(t, echo), await startUpstream(t, echo)];
  const origins = upstreams.map(({ origin }) => origin);
  const pick = (from: number): string[] => [origins[from % 3] ?? '', origins[(from + 1) % 3] ?? ''];
  const under = await startPools(t, { pools: { p0: { upstreams: pick(0) } } });
  let over = false;
  let served = 0;
  const load = Array.from({ length: 16 }, async () => {
    const client = await under.connect();
    while (!over) {
      const target = `/${served}`;
      const { status, text } = await client.exchange(get(target));
      assert.deepEqual([status, text], [200, target]);
      served++;
    }
    client.end();
  });
  const removals: Promise<void>[] = [];
  for (let i = 1; i <= 100; i++) {
    const until = served + 20;
    const next = i % 3 === 0 ? { [`p${i}`]: { upstreams: pick(i) } } : {
      [`p${i - i % 3}`]: { upstreams: pick(i), maxQueued: i, ...(i % 2 === 0 && { maxIdlePerUpstream: i }) },
    };
    const [name = ''] = Object.keys(next);
    removals.push(under.balancer.configure({ pools: next, routes: i % 5 === 0 ? null : [{ pool: name }] }));
    while (served < until) await turns(1);
  }
  over = true;
  await within(Promise.all([...load, ...removals]), () => 'the load to end');
  assert.deepEqual(under.reports, []);
});
