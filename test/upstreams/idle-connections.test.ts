import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import {
  echo, halfClose, type Peer, request, reset, response, type ScriptedUpstream, startUpstream, when,
} from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

/** An upstream that answers with the number of the connection that a request came over. */
async function numbering(t: TestContext, fields = ''): Promise<ScriptedUpstream> {
  return startUpstream(t, async (peer) => {
    for (;;) {
      await peer.request();
      peer.send(response(String(peer.number), fields));
    }
  });
}

/** An upstream whose connections are held until the test releases each. */
class Holding {
  readonly releases: (() => void)[] = [];

  readonly script = async (peer: Peer): Promise<void> => {
    for (;;) {
      await peer.request();
      const { opened, open } = gate();
      this.releases[peer.number - 1] = open;
      await opened;
      peer.send(response(String(peer.number)));
    }
  };
}

/** Opens `count` connections at once, and returns them in the order of `order` (numbers from 1). */
async function warm(
  t: TestContext, order: readonly number[], options: Partial<TestOptions> = {},
): Promise<{ under: BalancerUnderTest; upstream: ScriptedUpstream; ask: () => Promise<string> }> {
  const holding = new Holding();
  const upstream = await startUpstream(t, holding.script);
  const under = await startBalancer(t, { upstreams: [upstream], ...options });
  const clients = [];
  while (clients.length < order.length) {
    const client = await under.connect();
    clients.push(client.exchange(get()));
    await upstream.read(clients.length);
  }
  for (const [i, number] of order.entries()) {
    holding.releases[number - 1]?.();
    await under.settled(i + 1);
  }
  await Promise.all(clients);
  const asking = await under.connect();
  const ask = async (): Promise<string> => {
    const before = upstream.requests.length;
    const answer = asking.exchange(get());
    await upstream.read(before + 1);
    const peer = upstream.peers.find(({ requests }) => requests.at(-1) === upstream.latest);
    holding.releases[(peer?.number ?? 0) - 1]?.();
    return (await answer).text;
  };
  return { under, upstream, ask };
}

describe('connections to an upstream', () => {
  test('are reused, the most recently used first', async (t) => {
    const { ask, upstream } = await warm(t, [2, 3, 1]);
    assert.equal(await ask(), '1');
    assert.equal(await ask(), '1');
    assert.equal(upstream.peers.length, 3);
  });

  test('are opened when all are in use', async (t) => {
    const { upstream } = await warm(t, [1, 2, 3, 4]);
    assert.equal(upstream.peers.length, 4);
  });

  test('belong to one upstream: another has its own', async (t) => {
    const [one, two] = [await numbering(t), await numbering(t)];
    let turn = 0;
    const under = await startBalancer(t, {
      upstreams: [one, two], strategy: { name: 'in turn', pick: (candidates) => candidates[turn++ % 2] },
    });
    const client = await under.connect();
    for (let i = 0; i < 6; i++) await client.exchange(get(`/${i}`));
    assert.deepEqual(one.plainEvents, ['open', 'GET /0', 'GET /2', 'GET /4']);
    assert.deepEqual(two.plainEvents, ['open', 'GET /1', 'GET /3', 'GET /5']);
  });

  test('are shared by all downstreams', async (t) => {
    const upstream = await numbering(t);
    const under = await startBalancer(t, { upstreams: [upstream] });
    for (let i = 0; i < 5; i++) {
      const client = await under.connect();
      assert.equal((await client.exchange(get())).text, '1');
      client.destroy();
    }
  });
});

describe('an idle connection to an upstream', () => {
  const table: [name: string, fields: string, options: Partial<TestOptions>, idleMs: number][] = [
    ['is kept for 4 s', '', {}, 4_000],
    ['is kept as long as the option says', '', { upstreamIdleTimeoutMs: 1_500 }, 1_500],
    ['is kept a second less than its upstream does', 'Keep-Alive: timeout=5\r\n', {}, 4_000],
    ['is kept a second less than its upstream does, however long', 'Keep-Alive: timeout=120\r\n', {}, 119_000],
    ['is kept a second less than its upstream does, short as it is', 'Keep-Alive: timeout=2\r\n', {}, 1_000],
    ['is kept as its upstream says among other things', 'Keep-Alive: max=100, timeout=10\r\n', {}, 9_000],
    ['is kept as its upstream says, whatever the option', 'Keep-Alive: timeout=10\r\n', {
      upstreamIdleTimeoutMs: 1_500,
    }, 9_000],
    ['is kept for 4 s where its upstream says nothing of time', 'Keep-Alive: max=100\r\n', {}, 4_000],
  ];
  for (const [name, fields, options, idleMs] of table) {
    test(`${name}: ${idleMs} ms`, async (t) => {
      const upstream = await numbering(t, fields);
      const under = await startBalancer(t, { upstreams: [upstream], keepAliveTimeoutMs: 1_000_000, ...options });
      const client = await under.connect();
      assert.equal((await client.exchange(get())).text, '1');
      await under.settled(1);
      await under.advance(idleMs - 1);
      assert.equal((await client.exchange(get())).text, '1');
      await under.settled(2);
      // Its time restarts with each use.
      await under.advance(idleMs - 1);
      assert.equal(upstream.peers[0]?.inbox.ended, undefined);
      await under.advance(1);
      await upstream.gone(1);
      assert.equal((await client.exchange(get())).text, '2');
    });
  }

  for (const [name, fields, options] of [
    ['with upstreamIdleTimeoutMs 0', '', { upstreamIdleTimeoutMs: 0 }],
    ['with maxIdlePerUpstream 0', '', { maxIdlePerUpstream: 0 }],
    ['where its upstream keeps it for a second', 'Keep-Alive: timeout=1\r\n', {}],
    ['where its upstream keeps it for no time', 'Keep-Alive: timeout=0\r\n', {}],
  ] as const) {
    test(`is not kept at all ${name}`, async (t) => {
      const upstream = await numbering(t, fields);
      const under = await startBalancer(t, { upstreams: [upstream], ...options });
      const client = await under.connect();
      assert.equal((await client.exchange(get())).text, '1');
      await upstream.gone(1);
      assert.equal((await client.exchange(get())).text, '2');
    });
  }

  test('lasts as long as the last response says', async (t) => {
    const fields = ['Keep-Alive: timeout=2\r\n', 'Keep-Alive: timeout=60\r\n', ''];
    const upstream = await startUpstream(t, [[...fields.flatMap((field) => [request, response('x', field)])]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    for (const idleMs of [999, 58_999]) {
      await client.exchange(get());
      await under.advance(idleMs);
    }
    await client.exchange(get());
    await under.settled(3);
    await under.advance(3_999);
    assert.equal(upstream.peers[0]?.inbox.ended, undefined);
    await under.advance(1);
    await upstream.gone(1);
  });

  test('is closed where there are enough already', async (t) => {
    const { upstream, ask } = await warm(t, [1, 2, 3, 4, 5], { maxIdlePerUpstream: 2 });
    for (const number of [3, 4, 5]) await upstream.gone(number);
    assert.equal(await ask(), '2');
    assert.equal(upstream.peers[0]?.inbox.ended, undefined);
  });

  test('that is not needed grows old, while the one in use does not', async (t) => {
    const { under, upstream, ask } = await warm(t, [1, 2, 3]);
    for (let i = 0; i < 4; i++) {
      await under.advance(1_000);
      assert.equal(await ask(), '3');
      await under.settled(4 + i);
    }
    await upstream.gone(1);
    await upstream.gone(2);
    assert.equal(await ask(), '3');
  });

  for (const [name, step] of [['closes', halfClose], ['resets', reset]] as const) {
    test(`that its upstream ${name} is dropped, and the next one is used`, async (t) => {
      const over = gate();
      const together = gate();
      let arrived = 0;
      const both = (): Promise<void> => {
        if (++arrived === 2) together.open();
        return together.opened;
      };
      const upstream = await startUpstream(t, [
        [request, both, response('1'), echo],
        [request, both, () => under.settled(1), response('2'), when(over.opened), step],
        echo,
      ]);
      const under = await startBalancer(t, { upstreams: [upstream] });
      const [one, two] = [await under.connect(), await under.connect()];
      const first = one.exchange(get());
      await upstream.read(1);
      await Promise.all([first, two.exchange(get())]);
      await under.settled(2);
      over.open();
      await upstream.gone(2);
      // Nothing was in flight on it: nothing is reported or retried.
      for (let i = 0; i < 5; i++) await under.advance(0);
      assert.equal((await one.exchange(get('/x'))).text, '/x');
      assert.equal(under.picks.length, 3);
      assert.equal(upstream.peers.length, 2);
      assert.deepEqual(under.reports, []);
    });
  }
});
