import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { RateFloor } from '../../src/exchange/rate-floor.ts';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { type Client, get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import {
  bytes, head, request, response, type ScriptedUpstream, startUpstream, type Step,
} from '../support/upstream.ts';

describe('the floor', () => {
  /** 100 octets a second, at most 10 s behind: a bucket of 1,000. */
  const floor = (): RateFloor => {
    const made = new RateFloor(100);
    made.start(500, 10_000);
    return made;
  };

  test('a peer that moves nothing has as long as it may fall behind', () => {
    const idle = floor();
    assert.equal(idle.sweep(10_500, true), false);
    assert.equal(idle.sweep(10_501, true), true);
  });

  test('a peer that moves just enough is never late', () => {
    const steady = floor();
    for (let now = 1_500; now < 1_000_000; now += 1_000) {
      steady.moved(100);
      assert.equal(steady.sweep(now, true), false);
    }
  });

  test('a peer that moves half of it has twice as long', () => {
    const slow = floor();
    let now = 500;
    for (let late = false; !late; late = slow.sweep(now, true)) {
      now += 100;
      slow.moved(5);
    }
    assert.ok(now > 20_400 && now < 20_800, `late at ${now}`);
  });

  test('a burst earns no credit beyond the bucket', () => {
    const hasty = floor();
    hasty.moved(1_000_000_000);
    assert.equal(hasty.sweep(1_500, true), false);
    assert.equal(hasty.sweep(10_500, true), false);
    assert.equal(hasty.sweep(10_501, true), true);
  });

  test('time in which nothing is awaited does not count', () => {
    const patient = floor();
    assert.equal(patient.sweep(1_000_000, false), false);
    assert.equal(patient.sweep(1_010_000, true), false);
    assert.equal(patient.sweep(1_010_001, true), true);
  });

  test('each start fills the bucket', () => {
    const used = floor();
    assert.equal(used.sweep(10_501, true), true);
    used.start(20_000, 10_000);
    assert.equal(used.sweep(30_000, true), false);
    assert.equal(used.sweep(30_001, true), true);
  });

  test('a floor of 0 is never late', () => {
    const none = new RateFloor(0);
    none.start(0, 10_000);
    assert.equal(none.sweep(1e9, true), false);
  });
});

/** An octet every 2 s is never idle for 5 s, and half as fast as required. */
const RULES = { idleTimeoutMs: 5_000, minBodyBytesPerSecond: 1, responseTimeoutMs: 60_000 } as const;

for (const front of FRONTS) {
  describe(`a downstream that is slow, through ${front.name}`, () => {
    const ten: readonly Step[] = Array.from({ length: 10 }, () => bytes(1));

    /** Sends an octet every 2 s until the attempt has settled; returns how many. */
    async function trickle(
      under: BalancerUnderTest, client: Client, upstream: ScriptedUpstream,
    ): Promise<number> {
      for (let sent = 0; ; sent++) {
        if (under.outcomes.length > 0) return sent;
        client.send('x');
        await upstream.saw('1 read x', sent + 1);
        await under.advance(2_000);
      }
    }

    const start = async (
      t: TestContext, upstream: ScriptedUpstream, more?: Partial<TestOptions>,
    ): Promise<{ under: BalancerUnderTest; client: Client }> => {
      const under = await startBalancer(t, { upstreams: [upstream], front, ...RULES, ...more });
      return { under, client: await under.connect() };
    };

    test('to send a body of known length: 408', async (t) => {
      const upstream = await startUpstream(t, [[head, ...ten]]);
      const { under, client } = await start(t, upstream);
      client.send(get('/', 'Content-Length: 100\r\n', 'POST'));
      await upstream.saw('1 POST /');
      assert.equal(await trickle(under, client, upstream), 5);
      const answer = await client.response();
      assert.equal(answer.status, 408);
      assert.equal(answer.head.get('proxy-status'), 'equipoise; error=http_request_error');
      assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [[true, 'REQUEST_TIMEOUT']]);
      await upstream.gone(1);
    });

    test('to send a body that was answered already: the connection ends', async (t) => {
      const upstream = await startUpstream(t, [[head, response('early'), ...ten]]);
      const { under, client } = await start(t, upstream);
      client.send(get('/', 'Content-Length: 100\r\n', 'POST'));
      assert.equal((await client.response()).text, 'early');
      assert.equal(await trickle(under, client, upstream), 5);
      await client.over();
      await upstream.gone(1);
    });

    test('to send while its response is under way: allowed, it may be a conversation', async (t) => {
      const upstream = await startUpstream(t, [[
        head, 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n', ...ten, 'done',
      ]]);
      const { under, client } = await start(t, upstream);
      client.send(get('/', 'Content-Length: 10\r\n', 'POST'));
      await client.head();
      for (let sent = 1; sent <= 10; sent++) {
        client.send('x');
        await upstream.saw('1 read x', sent);
        await under.advance(2_000);
      }
      assert.equal(String(await client.inbox.exactly(4)), 'done');
    });

    test('at the floor: served', async (t) => {
      const upstream = await startUpstream(t, [[head, ...ten, response('served')]]);
      const { under, client } = await start(t, upstream);
      client.send(get('/', 'Content-Length: 10\r\n', 'POST'));
      for (let sent = 1; sent <= 10; sent++) {
        client.send('x');
        await upstream.saw('1 read x', sent);
        await under.advance(1_000);
      }
      assert.equal((await client.response()).text, 'served');
    });

    test('with no floor: served', async (t) => {
      const upstream = await startUpstream(t, [[head, ...ten, response('served')]]);
      const { under, client } = await start(t, upstream, { minBodyBytesPerSecond: 0 });
      client.send(get('/', 'Content-Length: 10\r\n', 'POST'));
      for (let sent = 1; sent <= 10; sent++) {
        client.send('x');
        await upstream.saw('1 read x', sent);
        await under.advance(4_999);
      }
      assert.equal((await client.response()).text, 'served');
    });

    test('for an upstream that is even slower: not its fault', async (t) => {
      const upstream = await startUpstream(t, [[request, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n']]);
      const { under, client } = await start(t, upstream);
      client.send(get());
      await client.head();
      for (let sent = 0; sent < 10; sent++) {
        await under.advance(4_999);
        upstream.peers[0]?.send('x');
        assert.equal(String(await client.inbox.exactly(1)), 'x');
      }
      await under.settled(1);
      assert.equal(under.outcomes[0]?.error, undefined);
    });

    test('to read a response: it is cut', async (t) => {
      // A floor too high for any reader, and an idle timeout that does not end it first.
      const upstream = await startUpstream(t, [[request, async (peer) => {
        peer.send('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
        await peer.push(Buffer.alloc(100_000_000)).catch(() => undefined);
      }]]);
      const { under, client } = await start(t, upstream, { idleTimeoutMs: 60_000, minBodyBytesPerSecond: 100_000_000 });
      client.send(get());
      await client.head();
      while (under.outcomes.length === 0) {
        // It reads a little now and then, so it is never idle for long.
        await client.inbox.skip(500_000);
        await under.advance(20_000);
      }
      assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [[true, 'DOWNSTREAM_STALLED']]);
      await client.over();
    });
  });
}
