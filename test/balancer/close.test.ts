import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { type FrontKind, FRONTS, NODE_HTTP, serve, SOCKET } from '../support/fronts.ts';
import { bytes, echo, head, request, reset, response, startUpstream, when } from '../support/upstream.ts';
import { gate, within } from '../support/wait.ts';

/** The grace in which an idle connection's next request, already on its way, is still answered. */
const GRACE_MS = 200;
const ASK = 'Connection: Upgrade\r\nUpgrade: raw\r\n';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';

function done(closed: Promise<{ cut: number }>): Promise<{ cut: number }> {
  return within(closed, () => 'the balancer to close');
}

for (const front of FRONTS) {
  describe(`closing a balancer with requests through ${front.name}`, () => {
    test('answers what is in flight, with Connection: close', async (t) => {
      const late = gate();
      const upstream = await startUpstream(t, [[request, when(late.opened), response('late')]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get());
      await upstream.read(1);
      let closed: unknown;
      const closing = under.balancer.close().then((result) => {
        closed = result;
      });
      await under.advance(5_000);
      assert.equal(closed, undefined);
      late.open();
      const answer = await client.response();
      assert.equal(answer.text, 'late');
      assert.equal(answer.head.get('connection'), 'close');
      assert.equal(await client.over(), 'end');
      client.end();
      await within(closing, () => 'the balancer to close');
      assert.deepEqual(closed, { cut: 0 });
    });

    test('lets a response that has begun finish', async (t) => {
      const late = gate();
      const upstream = await startUpstream(t, [
        [request, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', when(late.opened), 'world'],
      ]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get());
      await client.head();
      const closing = under.balancer.close();
      late.open();
      assert.equal((await client.inbox.exactly(10)).toString(), 'helloworld');
      // A server of node:http manages its connections itself.
      if (front === SOCKET) assert.equal(await client.over(), 'end');
      client.end();
      assert.deepEqual(await done(closing), { cut: 0 });
    });

    test('lets an upload that is under way finish', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(post('/', 'hello').subarray(0, -1));
      await upstream.saw('1 POST /');
      const closing = under.balancer.close();
      client.send('o');
      assert.equal((await client.response()).text, '/');
      client.end();
      assert.deepEqual(await done(closing), { cut: 0 });
    });

    test('cuts what is not done in time, and returns how much that was', async (t) => {
      const upstream = await startUpstream(t, [
        [request], [request, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'], [head, SWITCH], echo,
      ]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const [waiting, reading, tunnel, idle] = [
        await under.connect(), await under.connect(), await under.connect(), await under.connect(),
      ];
      waiting.send(get('/waiting'));
      await upstream.read(1);
      reading.send(get('/reading'));
      await reading.head();
      tunnel.send(get('/tunnel', ASK));
      await tunnel.head();
      await idle.exchange(get('/idle'));
      await under.settled(1);

      const closing = under.balancer.close({ timeoutMs: 3_000 });
      await under.advance(GRACE_MS);
      await under.advance(2_999 - GRACE_MS);
      assert.equal(under.outcomes.length, 1);
      await under.advance(1);
      assert.deepEqual(await done(closing), { cut: 3 });
      await assert.rejects(waiting.response(), { name: 'Broken' });
      await assert.rejects(reading.inbox.exactly(10), { name: 'Broken' });
      await tunnel.over();
      for (const number of [1, 2, 3]) await upstream.gone(number);
      assert.deepEqual(under.outcomes.slice(1).map(({ ok, error }) => [ok, error]), [
        [true, 'CLOSING'], [true, 'CLOSING'], [true, 'CLOSING'],
      ]);
    });

    test('lets a tunnel close on its own', async (t) => {
      const upstream = await startUpstream(t, [[head, SWITCH, bytes(2), 'ho']]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      const closing = under.balancer.close();
      client.send('hi');
      assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
      client.end();
      assert.deepEqual(await done(closing), { cut: 0 });
    });

    test('closes the idle connections to the upstreams', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      await client.exchange(get());
      client.destroy();
      const closing = under.balancer.close();
      await under.advance(GRACE_MS);
      await done(closing);
      await upstream.gone(1);
      assert.deepEqual(under.balancer.upstreams, []);
    });

    test('keeps retrying for a request that is in flight', async (t) => {
      const upstream = await startUpstream(t, [[request, response('warm'), request, reset], echo]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      await client.exchange(get());
      client.send(get('/x'));
      await under.picked(2);
      const closing = under.balancer.close();
      assert.equal((await client.response()).text, '/x');
      client.end();
      await done(closing);
    });
  });
}

describe('closing a balancer', () => {
  test('with nothing open is done at once', async (t) => {
    const under = await startBalancer(t, { upstreams: ['http://a.test'] });
    assert.deepEqual(await done(under.balancer.close()), { cut: 0 });
    assert.equal(under.time.timers, 0);
  });

  test('that never listened is done at once', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: NODE_HTTP });
    assert.deepEqual(await done(under.balancer.close()), { cut: 0 });
  });

  test('twice is the same as once', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const [one, two] = [under.balancer.close({ timeoutMs: 1_000 }), under.balancer.close({ timeoutMs: 99_000 })];
    await under.advance(1_000);
    assert.deepEqual(await done(one), { cut: 1 });
    assert.deepEqual(await done(two), { cut: 1 });
    assert.deepEqual(await done(under.balancer.close()), { cut: 1 });
  });

  test('accepts no more connections', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const closing = under.balancer.close({ timeoutMs: 1_000 });
    await assert.rejects(under.connect(), { code: 'ECONNREFUSED' });
    await assert.rejects(under.balancer.listen({ port: 0 }), { name: 'BalancerError', code: 'CLOSING' });
    await under.advance(1_000);
    await done(closing);
    await assert.rejects(under.balancer.listen({ port: 0 }), { name: 'BalancerError', code: 'CLOSING' });
  });

  test('closes idle connections after a short grace, and does not count them as cut', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const [used, fresh] = [await under.connect(), await under.connect()];
    await used.exchange(get());
    const closing = under.balancer.close();
    await under.advance(GRACE_MS - 1);
    assert.equal(used.inbox.ended, undefined);
    await under.advance(1);
    assert.equal(await used.over(), 'end');
    assert.equal(await fresh.over(), 'end');
    used.end();
    fresh.end();
    assert.deepEqual(await done(closing), { cut: 0 });
  });

  test('in less than that grace does not count them either', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const [used, fresh] = [await under.connect(), await under.connect()];
    await used.exchange(get());
    await fresh.exchange(get());
    const closing = under.balancer.close({ timeoutMs: 100 });
    await under.advance(100);
    assert.deepEqual(await done(closing), { cut: 0 });
    await used.over();
    await fresh.over();
  });

  test('does not wait for idle downstreams that do not close', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    await client.exchange(get());
    const closing = under.balancer.close();
    await under.advance(GRACE_MS);
    await under.advance(2_000);
    assert.deepEqual(await done(closing), { cut: 0 });
  });

  test('answers a request that comes within that grace', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    await client.exchange(get());
    const closing = under.balancer.close();
    const answer = await client.exchange(get('/late'));
    assert.equal(answer.text, '/late');
    assert.equal(answer.head.get('connection'), 'close');
    assert.equal(await client.over(), 'end');
    client.end();
    assert.deepEqual(await done(closing), { cut: 0 });
  });

  test('waits for the rest of a head that has begun, and answers it', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    await client.exchange(get());
    client.send('GET /half HT');
    await (await under.connect()).exchange(get());
    const closing = under.balancer.close({ timeoutMs: 3_000 });
    await under.advance(GRACE_MS);
    await under.advance(2_000);
    assert.equal(client.inbox.ended, undefined);
    client.send('TP/1.1\r\nHost: a.test\r\n\r\n');
    const answer = await client.response();
    assert.deepEqual([answer.text, answer.head.get('connection')], ['/half', 'close']);
    client.end();
    assert.deepEqual(await done(closing), { cut: 0 });
  });

  test('does not wait for the rest of a head beyond its own time', async (t) => {
    const under = await startBalancer(t, { upstreams: [] });
    const client = await under.connect();
    client.send('GET / HT');
    await (await under.connect()).exchange(get());
    const closing = under.balancer.close({ timeoutMs: 500 });
    await under.advance(499);
    assert.equal(client.inbox.ended, undefined);
    await under.advance(1);
    assert.deepEqual(await done(closing), { cut: 0 });
    await client.over();
  });

  test('does not serve what is pipelined behind what it answers', async (t) => {
    const late = gate();
    const upstream = await startUpstream(t, [[request, when(late.opened), response('late'), echo]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get('/1') + get('/2'));
    await upstream.read(1);
    const closing = under.balancer.close();
    late.open();
    assert.equal((await client.response()).head.get('connection'), 'close');
    assert.equal(await client.over(), 'end');
    client.end();
    await done(closing);
    assert.equal(under.picks.length, 1);
  });

  test('closes a connection once the rest of its upload has been discarded', async (t) => {
    const read = gate();
    const upstream = await startUpstream(t, [[head, response('early'), when(read.opened), reset]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(post('/', 'hello').subarray(0, -1));
    assert.equal((await client.response()).text, 'early');
    read.open();
    await under.settled(1);
    const closing = under.balancer.close();
    client.send('o');
    await under.advance(GRACE_MS);
    assert.equal(await client.over(), 'end');
    client.end();
    await under.advance(2_000);
    assert.deepEqual(await done(closing), { cut: 0 });
  });

  test('with no time at all cuts all that is in flight', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const closing = under.balancer.close({ timeoutMs: 0 });
    await under.advance(0);
    assert.deepEqual(await done(closing), { cut: 1 });
    await client.over();
  });

  test('waits for upstreams that were being removed', async (t) => {
    const late = gate();
    const upstream = await startUpstream(t, [[request, when(late.opened), response('late')]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const removal = under.balancer.remove(upstream.origin);
    const closing = under.balancer.close();
    late.open();
    assert.equal((await client.response()).text, 'late');
    await removal;
    client.end();
    await done(closing);
  });

  test('is not held up by a request that came and went meanwhile', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const closing = under.balancer.close();
    client.destroy();
    assert.deepEqual(await done(closing), { cut: 0 });
  });
});

/** The test's own server, which keeps accepting connections whatever the balancer does. */
const ACCEPT: FrontKind = {
  name: 'accept',
  open: (balancer) => serve(net.createServer({ allowHalfOpen: true }, balancer.accept)),
};

describe('a balancer that is closing', () => {
  test('closes connections that are handed to it', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: ACCEPT });
    const held = await under.connect();
    held.send(get('/held'));
    await upstream.read(1);
    const closing = under.balancer.close();
    await (await under.connect()).over();
    held.destroy();
    assert.deepEqual(await done(closing), { cut: 0 });
  });

  test('serves requests that node:http hands to it, and tells them to close', async (t) => {
    const upstream = await startUpstream(t, [[request], echo]);
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
    const held = await under.connect();
    held.send(get('/held'));
    await upstream.read(1);
    const closing = under.balancer.close();
    const answer = await (await under.connect()).exchange(get('/late'));
    assert.equal(answer.text, '/late');
    assert.equal(answer.head.get('connection'), 'close');
    held.destroy();
    await done(closing);
  });
});

describe('a balancer that is closed', () => {
  test('closes connections that are handed to it', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: ACCEPT });
    await done(under.balancer.close());
    const client = await under.connect();
    await client.over();
  });

  test('answers requests that node:http hands to it with 503', async (t) => {
    const upstream = await startUpstream(t, []);
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
    await done(under.balancer.close());
    const answer = await (await under.connect()).exchange(get());
    assert.equal(answer.status, 503);
    assert.equal(answer.head.get('connection'), 'close');
  });

  test('closes upgrades that node:http hands to it, with or without an answer', async (t) => {
    const upstream = await startUpstream(t, []);
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
    await done(under.balancer.close());
    const client = await under.connect();
    client.send(get('/', ASK));
    await client.over();
  });
});

test('no upstream can be added to a balancer that closes', async (t) => {
  const under = await startBalancer(t, { upstreams: ['http://a.test'] });
  const closed = under.balancer.close();
  const closing = { name: 'BalancerError', code: 'CLOSING' };
  assert.throws(() => under.balancer.add('http://b.test'), closing);
  await assert.rejects(under.balancer.update(['http://a.test', 'http://b.test']), closing);
  await closed;
  assert.deepEqual(under.balancer.upstreams, []);
});

describe('closing a balancer after a delay', () => {
  test('makes it unready at once, and serves until the delay is over', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    assert.equal(under.balancer.ready, true);
    const early = await under.connect();
    await early.exchange(get());
    const closing = under.balancer.close({ delayMs: 3_000, timeoutMs: 1_000 });
    assert.equal(under.balancer.ready, false);
    await assert.rejects(under.balancer.listen({ port: 0 }), { name: 'BalancerError', code: 'CLOSING' });
    await under.advance(2_999);
    const late = await under.connect();
    for (const client of [early, late]) {
      const answer = await client.exchange(get());
      assert.equal(answer.status, 200);
      assert.equal(answer.head.get('connection'), undefined);
    }
    await under.advance(1);
    await assert.rejects(under.connect(), { code: 'ECONNREFUSED' });
    const last = await late.exchange(get());
    assert.equal(last.head.get('connection'), 'close');
    await under.advance(GRACE_MS);
    assert.equal(await early.over(), 'end');
    early.end();
    late.end();
    assert.deepEqual(await done(closing), { cut: 0 });
    assert.equal(under.balancer.ready, false);
  });

  test('cuts what is left when its time is over as well, and not before', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const closing = under.balancer.close({ delayMs: 3_000, timeoutMs: 1_000 });
    await under.advance(3_000);
    await under.advance(999);
    assert.equal(under.outcomes.length, 0);
    await under.advance(1);
    assert.deepEqual(await done(closing), { cut: 1 });
    await client.over();
  });

  test('lets the upstreams change meanwhile', async (t) => {
    const [a, b] = [await startUpstream(t, []), await startUpstream(t, echo)];
    const under = await startBalancer(t, { upstreams: [a] });
    const closing = under.balancer.close({ delayMs: 1_000 });
    await under.balancer.update([b.origin]);
    const client = await under.connect();
    assert.equal((await client.exchange(get('/moved'))).text, '/moved');
    client.end();
    await client.over();
    await under.advance(1_000);
    assert.throws(() => under.balancer.add('http://c.test'), { name: 'BalancerError', code: 'CLOSING' });
    assert.deepEqual(await done(closing), { cut: 0 });
  });

  test('is shortened by a second call with a shorter delay', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const closing = under.balancer.close({ delayMs: 60_000, timeoutMs: 60_000 });
    await under.advance(1_000);
    const again = under.balancer.close({ timeoutMs: 5_000 });
    await assert.rejects(under.connect(), { code: 'ECONNREFUSED' });
    await under.advance(4_999);
    assert.equal(under.outcomes.length, 0);
    await under.advance(1);
    assert.deepEqual(await done(closing), { cut: 1 });
    assert.deepEqual(await done(again), { cut: 1 });
    await client.over();
  });

  test('is shortened by a second call with less time for what is in flight', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const closing = under.balancer.close({ timeoutMs: 60_000 });
    await under.advance(1_000);
    void under.balancer.close({ timeoutMs: 99_000, delayMs: 99_000 });
    void under.balancer.close({ timeoutMs: 0 });
    await under.advance(0);
    assert.deepEqual(await done(closing), { cut: 1 });
    await client.over();
  });

  test('is not extended by a second call with more time', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const closing = under.balancer.close({ delayMs: 1_000, timeoutMs: 1_000 });
    void under.balancer.close({ delayMs: 2_000, timeoutMs: 60_000 });
    await under.advance(1_000);
    await assert.rejects(under.connect(), { code: 'ECONNREFUSED' });
    await under.advance(1_000);
    assert.deepEqual(await done(closing), { cut: 1 });
    await client.over();
  });
});

test('close checks its options, and closes nothing where they are invalid', async (t) => {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream] });
  const table: [given: unknown, message: RegExp][] = [
    [{ timeoutMs: '5000' }, /close\.timeoutMs: must be a number of milliseconds ≥ 0, or Infinity .*\(got "5000"\)/],
    [{ timeoutMs: NaN }, /close\.timeoutMs: .*\(got NaN\)/],
    [{ timeoutMs: -1 }, /close\.timeoutMs: .*\(got -1\)/],
    [{ delayMs: Infinity }, /close\.delayMs: must be a number of milliseconds ≥ 0 \(got Infinity\)/],
    [{ delayMs: '1' }, /close\.delayMs: .*\(got "1"\)/],
    [{ timeout: 5_000 }, /close\.timeout: unknown option/],
    [5_000, /close: must be an object \(got 5000\)$/],
    [null, /close: must be an object \(got null\)$/],
  ];
  for (const [given, message] of table) {
    const expected = { name: 'BalancerError', code: 'OPTIONS_INVALID', message };
    await assert.rejects(under.balancer.close(given as object), expected);
    assert.equal(under.balancer.ready, true);
  }
  const client = await under.connect();
  assert.equal((await client.exchange(get())).status, 200);
  client.end();
  await client.over();
});
