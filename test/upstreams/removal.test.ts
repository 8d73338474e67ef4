import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { SILENT } from '../support/replies.ts';
import { neverConnects } from '../support/streams.ts';
import { echo, head, request, startUpstream } from '../support/upstream.ts';
import { within } from '../support/wait.ts';

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';

for (const front of FRONTS) {
  for (const way of ['remove', 'update'] as const) {
    describe(`what an upstream has in flight when its time to drain is over, by ${way} through ${front.name}`, () => {
      test('is answered 503 where no response has begun, otherwise cut; tunnels are closed', async (t) => {
        const upstream = await startUpstream(t, [
          SILENT, [request, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'], [head, SWITCH],
        ]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const [waiting, reading, tunnel] = [await under.connect(), await under.connect(), await under.connect()];
        waiting.send(get());
        await upstream.read(1);
        reading.send(get());
        await reading.head();
        tunnel.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
        await tunnel.head();
        const { balancer } = under;
        const removed = way === 'remove' ? balancer.remove(upstream.origin, { timeoutMs: 3_000 })
          : balancer.update([], { timeoutMs: 3_000 });
        await under.advance(2_999);
        assert.equal(under.outcomes.length, 0);
        assert.equal(balancer.upstreams[0]?.inFlight, 3);
        await under.advance(1);
        await within(removed, () => 'the removal');
        const answer = await waiting.response();
        assert.deepEqual([answer.status, answer.head.get('proxy-status'), answer.head.get('retry-after')], [
          503, 'equipoise; error=destination_unavailable', '1',
        ]);
        await assert.rejects(reading.inbox.exactly(10), { name: 'Broken' });
        await tunnel.over();
        for (const number of [1, 2, 3]) await upstream.gone(number);
        assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [
          [true, 'UPSTREAM_REMOVED'], [true, 'UPSTREAM_REMOVED'], [true, 'UPSTREAM_REMOVED'],
        ]);
        assert.deepEqual(balancer.upstreams, []);
      });

      test('goes to another where it is still connecting: nothing was sent', async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, {
          upstreams: ['http://a.test', upstream], front,
          connect: ({ origin }) => origin === 'http://a.test' ? neverConnects() : undefined,
        });
        const client = await under.connect();
        client.send(get('/a'));
        await under.picked(1);
        const { balancer } = under;
        const removed = way === 'remove' ? balancer.remove('http://a.test', { timeoutMs: 1_000 })
          : balancer.update([upstream.origin], { timeoutMs: 1_000 });
        await under.advance(1_000);
        await within(removed, () => 'the removal');
        assert.equal((await client.response()).text, '/a');
      });
    });
  }

  describe(`a removal through ${front.name}`, () => {
    test('with timeoutMs 0 cuts at the next tick', async (t) => {
      const upstream = await startUpstream(t, [SILENT]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get());
      await upstream.read(1);
      const removed = under.balancer.remove(upstream.origin, { timeoutMs: 0 });
      await under.advance(1);
      await within(removed, () => 'the removal');
      assert.equal((await client.response()).status, 503);
    });

    test('without a timeout never cuts', async (t) => {
      const upstream = await startUpstream(t, [SILENT]);
      const under = await startBalancer(t, { upstreams: [upstream], front, responseTimeoutMs: 2_000_000_000 });
      const client = await under.connect();
      client.send(get());
      await upstream.read(1);
      const removed = under.balancer.remove(upstream.origin);
      await under.advance(1_000_000_000);
      assert.equal(under.balancer.upstreams[0]?.state, 'draining');
      client.destroy();
      await within(removed, () => 'the removal');
    });

    test('leaves alone what other upstreams have in flight', async (t) => {
      const [upstream, other] = [await startUpstream(t, [SILENT]), await startUpstream(t, [SILENT])];
      const under = await startBalancer(t, {
        upstreams: [upstream, other], front,
        strategy: { name: 'by target', pick: (candidates, { request: asked }) => (
          candidates.at(asked.target === '/other' ? -1 : 0)) },
      });
      const [one, two] = [await under.connect(), await under.connect()];
      one.send(get());
      await upstream.read(1);
      two.send(get('/other'));
      await other.read(1);
      const removed = under.balancer.remove(upstream.origin, { timeoutMs: 10 });
      await under.advance(10);
      await within(removed, () => 'the removal');
      assert.equal((await one.response()).status, 503);
      assert.equal(under.balancer.upstreams[0]?.inFlight, 1);
      two.destroy();
      await under.settled(2);
    });
  });
}

test('an upstream named localhost is reached on any of its addresses', async (t) => {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [`http://localhost:${upstream.port}`] });
  const client = await under.connect();
  assert.equal((await client.exchange(get('/a'))).text, '/a');
  assert.equal((await client.exchange(get('/b'))).text, '/b');
  assert.equal(upstream.peers.length, 1);
  assert.deepEqual(under.reports, []);
});

describe('remove and update', () => {
  test('check their options, and change nothing where they are invalid', async (t) => {
    const { balancer } = await startBalancer(t, { upstreams: ['http://a.test'] });
    const table: [given: unknown, problem: string][] = [
      ...[['"5000"', '5000'], ['NaN', NaN], ['-1', -1]].map(([shown, timeoutMs]): [unknown, string] => [
        { timeoutMs },
        `timeoutMs: must be a number of milliseconds ≥ 0, or Infinity for no limit (got ${shown})`,
      ]),
      [{ timeout: 5_000 }, 'timeout: unknown option'],
      [{ timeoutMs: 0, delayMs: 1 }, 'delayMs: unknown option'],
    ];
    for (const [given, problem] of table) {
      for (const [method, call] of [
        ['remove', () => balancer.remove('http://a.test', given as object)],
        ['update', () => balancer.update(['http://b.test'], given as object)],
      ] as const) {
        await assert.rejects(call(), (error: Error & { code?: string }) => {
          assert.equal(error.code, 'OPTIONS_INVALID');
          assert.ok(error.message.includes(`${method}.${problem}`), error.message);
          return true;
        });
      }
      for (const call of [balancer.remove('http://a.test', 1 as never), balancer.update([], 'x' as never)]) {
        await assert.rejects(call, { code: 'OPTIONS_INVALID' });
      }
      assert.deepEqual(balancer.upstreams.map(({ origin }) => origin), ['http://a.test']);
    }
  });
});
