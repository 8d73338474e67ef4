import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { ask, byTarget, Fallible } from '../support/fallible.ts';
import { FRONTS } from '../support/fronts.ts';
import { answering, SILENT } from '../support/replies.ts';
import { neverConnects } from '../support/streams.ts';
import {
  close, echo, type Peer, refusingOrigin, request, reset, response, type Scripts, startUpstream,
} from '../support/upstream.ts';

/** Ejections last exactly as long as configured. */
const EXACT = { rng: () => 0.5 } as const;

/** The events of ejections, as they come. */
function watch(under: BalancerUnderTest): unknown[] {
  const heard: unknown[] = [];
  under.balancer
    .on('ejected', ({ upstream: { origin, state }, forMs }) => heard.push(['ejected', origin, state, forMs]))
    .on('readmitted', ({ upstream: { origin, state } }) => heard.push(['readmitted', origin, state]));
  return heard;
}

/** On each connection the same. */
function always(...steps: readonly ((peer: Peer) => unknown)[]): Scripts {
  return async (peer) => {
    for (const step of steps) await step(peer);
  };
}

for (const front of FRONTS) {
  describe(`an upstream is ejected after five failures in a row, through ${front.name}`, () => {
    const table: [name: string, scripts: Scripts | 'refuses'][] = [
      ['refuses connects', 'refuses'],
      ['closes without a response', always(request, close)],
      ['resets without a response', always(request, reset)],
      ['answers nonsense', always(request, (peer) => {
        peer.send('nonsense\r\n\r\n');
      })],
      ...[502, 503, 504].map((status): [string, Scripts] => [`answers ${status}`, answering(status)]),
    ];
    for (const [name, scripts] of table) {
      test(`where it ${name}`, async (t) => {
        const origin = scripts === 'refuses' ? refusingOrigin() : (await startUpstream(t, scripts)).origin;
        const other = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [origin, other], front, ...EXACT });
        const heard = watch(under);
        await ask(under, 4);
        assert.deepEqual(heard, []);
        await ask(under, 1);
        assert.deepEqual(heard, [['ejected', origin, 'ejected', 1_000]]);
        const [view] = under.balancer.upstreams;
        assert.deepEqual([view?.state, view?.ejections, view?.picks], ['ejected', 1, 5]);
        // It gets nothing, and is not offered as a candidate.
        assert.deepEqual(await ask(under, 3), [200, 200, 200]);
        assert.deepEqual(under.picks.slice(-3).map(({ candidates }) => candidates), [
          [other.origin], [other.origin], [other.origin],
        ]);
        assert.equal(view?.picks, 5);
      });
    }

    test('where it does not answer in time', async (t) => {
      const upstream = await startUpstream(t, Array.from({ length: 5 }, () => SILENT));
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, responseTimeoutMs: 1_000, ...EXACT });
      const heard = watch(under);
      const clients = [];
      for (let i = 0; i < 5; i++) {
        clients.push((await under.connect()).send(get()));
        await upstream.read(i + 1);
      }
      await under.advance(1_000);
      for (const client of clients) assert.equal((await client.response()).status, 504);
      assert.deepEqual(heard, [['ejected', upstream.origin, 'ejected', 1_000]]);
    });

    test('where it does not connect in time', async (t) => {
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: ['http://a.test', other], front, connectTimeoutMs: 1_000, ...EXACT,
        connect: ({ origin }) => origin === 'http://a.test' ? neverConnects() : undefined,
      });
      const heard = watch(under);
      const clients = [];
      for (let i = 0; i < 5; i++) {
        clients.push((await under.connect()).send(get()));
        await under.picked(i + 1);
      }
      await under.advance(1_000);
      for (const client of clients) assert.equal((await client.response()).status, 200);
      assert.deepEqual(heard, [['ejected', 'http://a.test', 'ejected', 1_000]]);
    });

    test('where it exceeds the total time of a request', async (t) => {
      const upstream = await startUpstream(t, Array.from({ length: 5 }, () => SILENT));
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, totalTimeoutMs: 1_000, ...EXACT });
      for (let i = 0; i < 5; i++) {
        (await under.connect()).send(get());
        await upstream.read(i + 1);
      }
      await under.advance(1_000);
      await under.settled(5);
      assert.equal(under.balancer.upstreams[0]?.state, 'ejected');
    });
  });

  describe(`an upstream is not ejected, through ${front.name}`, () => {
    for (const status of [400, 404, 429, 500, 501, 505, 599]) {
      test(`for answers with ${status}`, async (t) => {
        const upstream = await startUpstream(t, answering(status));
        const under = await startBalancer(t, { upstreams: [upstream, 'http://a.test'], front, ejectAfter: 2 });
        assert.deepEqual(await ask(under, 5), Array.from({ length: 5 }, () => status));
        assert.equal(under.balancer.upstreams[0]?.state, 'active');
      });
    }

    test('for downstreams that go away', async (t) => {
      const upstream = await startUpstream(t, Array.from({ length: 5 }, () => SILENT));
      const under = await startBalancer(t, { upstreams: [upstream, 'http://a.test'], front, ejectAfter: 2 });
      for (let i = 1; i <= 5; i++) {
        const client = await under.connect();
        client.send(get());
        await upstream.read(i);
        client.reset();
        await under.settled(i);
      }
      assert.equal(under.balancer.upstreams[0]?.state, 'active');
      assert.equal(under.balancer.upstreams[0].failures, 0);
    });

    test('for idle connections that it closes as the next request comes', async (t) => {
      const upstream = await startUpstream(t, async (peer) => {
        await peer.request();
        peer.send(response('ok'));
        await peer.request();
        close(peer);
      });
      const under = await startBalancer(t, {
        upstreams: [upstream, 'http://a.test'], front, ejectAfter: 1, maxAttempts: 1,
      });
      for (let i = 0; i < 5; i++) assert.deepEqual(await ask(under, 2), [200, 502]);
      assert.equal(under.reports.length, 5);
      assert.equal(under.balancer.upstreams[0]?.state, 'active');
    });

    test('for failures between which it answers', async (t) => {
      const { upstreams, options } = await Fallible.start(t, 2, always(async (peer) => {
        const { head } = await peer.request();
        if (head.line.includes('/good')) peer.send(response('ok'));
        close(peer);
      }));
      const under = await startBalancer(t, { upstreams: options, strategy: byTarget, front, maxAttempts: 1 });
      for (let i = 0; i < 4; i++) {
        await ask(under, 4);
        await ask(under, 1, '/good');
      }
      assert.equal(under.balancer.upstreams[0]?.state, 'active');
      await ask(under, 5);
      assert.equal(under.balancer.upstreams[0].state, 'ejected');
      assert.equal(upstreams[1]?.peers.length, 0);
    });

    test('for failures between which it begins an answer that never ends', async (t) => {
      const upstream = await startUpstream(t, async (peer) => {
        const { head } = await peer.request();
        if (head.line.includes('/stream')) peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
        else close(peer);
      });
      const under = await startBalancer(t, { upstreams: [upstream, 'http://a.test'], front });
      const streams = [];
      for (let i = 0; i < 3; i++) {
        await ask(under, 4);
        const stream = await under.connect();
        streams.push(stream);
        stream.send(get('/stream'));
        await stream.head();
      }
      assert.equal(under.balancer.upstreams[0]?.state, 'active');
      assert.equal(under.balancer.upstreams[0].inFlight, 3);
      for (const stream of streams) stream.destroy();
    });
  });

  test(`the view of an upstream counts, through ${front.name}`, async (t) => {
    const fallible = await Fallible.start(t, 2);
    const under = await startBalancer(t, { upstreams: fallible.options, front, connect: fallible.connect, ...EXACT });
    const counts = (): unknown => under.balancer.upstreams.map(({ picks, failures, responses, retries, ejections }) => (
      { picks, failures, responses, retries, ejections }));
    await ask(under, 2);
    // The next request would use its idle connection.
    await under.advance(4_000);
    fallible.down.add(fallible.at(0));
    await ask(under, 6);
    assert.deepEqual(counts(), [
      { picks: 7, failures: 5, responses: 2, retries: 5, ejections: 1 },
      { picks: 6, failures: 0, responses: 6, retries: 0, ejections: 0 },
    ]);
  });

  test(`an ejected upstream has no idle connections, through ${front.name}`, async (t) => {
    const upstream = await startUpstream(t, async (peer) => {
      for (;;) {
        const { head } = await peer.request();
        if (head.line.includes('/bad')) peer.send(response('busy', '', '503 Busy'));
        else {
          await upstream.read(2);
          peer.send(response('ok'));
        }
      }
    });
    const under = await startBalancer(t, { upstreams: [upstream, 'http://a.test'], front, ...EXACT });
    const [one, two] = [await under.connect(), await under.connect()];
    await Promise.all([one.exchange(get()), two.exchange(get())]);
    await under.settled(2);
    assert.equal(upstream.peers.length, 2);
    await ask(under, 5, '/bad');
    assert.equal(under.balancer.upstreams[0]?.state, 'ejected');
    // The one that has just brought an answer may stay; the other is closed.
    const idle = upstream.peers.find(({ requests }) => requests.length === 1);
    await upstream.gone(idle?.number ?? 0);
  });
}
