/**
 * Upstreams by name, through the balancer, with the machine's lookup replaced.
 */
import assert from 'node:assert/strict';
import dns, { type LookupAddress } from 'node:dns';
import net from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { atEnd } from '../support/scope.ts';
import { echo, response, serve, startUpstream } from '../support/upstream.ts';
import { gate, Signal, turns } from '../support/wait.ts';

type Answer = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;

/** Replaces `dns.lookup` for names. Names in `answers` are answered once `held` resolves, others never. */
function replaceLookup(
  t: TestContext, answers: Map<string, string[] | string>, held: Promise<unknown> = turns(1),
): { asked: string[]; signal: Signal } {
  const asked: string[] = [];
  const signal = new Signal();
  const machine = dns.lookup;
  t.mock.method(dns, 'lookup', (name: string, options: dns.LookupAllOptions, found: Answer) => {
    // As servers do that listen on an address.
    if (net.isIP(name) !== 0) {
      machine(name, options, found);
      return;
    }
    asked.push(name);
    signal.raise();
    const answer = answers.get(name);
    if (answer === undefined) return;
    void held.then(() => {
      if (typeof answer === 'string') found(Object.assign(new Error(answer), { code: answer }), []);
      else found(null, answer.map((address) => ({ address, family: net.isIP(address) })));
    });
  });
  return { asked, signal };
}

/** Two servers on one port, of 127.0.0.1 and of 127.0.0.2, that answer with their addresses. */
async function twins(t: TestContext): Promise<number> {
  const one = await startUpstream(t, serve(() => response('one')));
  const two = net.createServer((socket) => {
    socket.on('data', () => socket.write(response('two'))).on('error', () => undefined);
  });
  atEnd(t, () => new Promise((resolve) => two.close(resolve)));
  await new Promise<void>((resolve) => {
    two.listen(one.port, '127.0.0.2', resolve);
  });
  return one.port;
}

async function text(under: BalancerUnderTest): Promise<string> {
  const client = await under.connect();
  const { text: body, status } = await client.exchange(get('/'));
  client.destroy();
  await under.settled(under.picks.length);
  return status === 200 ? body : String(status);
}

for (const front of FRONTS) {
  describe(`a name that moves, through ${front.name}`, () => {
    test('is followed once the connection reaches its maximum age, though the old address answers', async (t) => {
      const port = await twins(t);
      const answers = new Map([['a.test', ['127.0.0.1']]]);
      replaceLookup(t, answers);
      const under = await startBalancer(t, {
        upstreams: [`http://a.test:${port}`], front, maxUpstreamConnectionMs: 10_000, rng: () => 0,
      });
      assert.equal(await text(under), 'one');
      answers.set('a.test', ['127.0.0.2']);
      for (let i = 0; i < 3; i++) {
        await under.advance(3_333);
        assert.equal(await text(under), 'one');
      }
      await under.advance(1);
      assert.equal(await text(under), 'two');
    });
  });
}

test('by default that is after 270 to 300 s', async (t) => {
  const port = await twins(t);
  const answers = new Map([['a.test', ['127.0.0.1']]]);
  replaceLookup(t, answers);
  const under = await startBalancer(t, { upstreams: [`http://a.test:${port}`], rng: () => 0.999 });
  assert.equal(await text(under), 'one');
  answers.set('a.test', ['127.0.0.2']);
  for (let ms = 3_000; ms < 270_000; ms += 3_000) {
    await under.advance(3_000);
    assert.equal(await text(under), 'one', `after ${ms} ms`);
  }
  await under.advance(3_100);
  assert.equal(await text(under), 'two');
});

test('many connections to one name share its lookup', async (t) => {
  const upstream = await startUpstream(t, echo);
  const { opened, open } = gate();
  const { asked } = replaceLookup(t, new Map([['a.test', ['127.0.0.1']]]), opened);
  const under = await startBalancer(t, { upstreams: [`http://a.test:${upstream.port}`] });
  const clients = await Promise.all(Array.from({ length: 20 }, () => under.connect()));
  for (const client of clients) client.send(get('/x'));
  await under.picked(20);
  open();
  for (const client of clients) assert.equal((await client.response()).text, '/x');
  assert.equal(upstream.peers.length, 20);
  assert.deepEqual(asked, ['a.test']);
});

test('an address is not looked up', async (t) => {
  const upstream = await startUpstream(t, echo);
  const { asked } = replaceLookup(t, new Map());
  const under = await startBalancer(t, { upstreams: [upstream] });
  assert.equal(await text(under), '/');
  assert.deepEqual(asked, []);
});

test('all addresses of a name are tried', async (t) => {
  const upstream = await startUpstream(t, echo);
  replaceLookup(t, new Map([['a.test', ['127.0.0.3', '127.0.0.1']]]));
  const under = await startBalancer(t, { upstreams: [`http://a.test:${upstream.port}`] });
  assert.equal(await text(under), '/');
  assert.deepEqual(under.reports, []);
});

describe('a lookup', () => {
  test('that hangs does not delay other names, and is reported as a timeout', async (t) => {
    const upstream = await startUpstream(t, echo);
    const { asked, signal } = replaceLookup(t, new Map([['a.test', ['127.0.0.1']]]));
    const [hanging, well] = ['hangs.test', 'a.test'].map((name) => `http://${name}:${upstream.port}`);
    const under = await startBalancer(t, {
      upstreams: [hanging ?? '', well ?? ''], maxAttempts: 1,
      strategy: { name: 'by target', pick: (all, { request }) => all[request.target === '/hangs' ? 0 : 1] },
    });
    const waiting = await Promise.all([1, 2, 3, 4, 5].map(() => under.connect()));
    for (const client of waiting) client.send(get('/hangs'));
    await under.picked(5);
    await signal.until(() => asked.length > 0, () => 'a lookup');
    assert.equal((await (await under.connect()).exchange(get('/well'))).text, '/well');
    assert.deepEqual(asked, ['hangs.test', 'a.test']);
    await under.advance(5_000);
    for (const client of waiting) {
      const answer = await client.response();
      assert.deepEqual([answer.status, answer.head.get('proxy-status')], [504, 'equipoise; error=dns_timeout']);
    }
  });

  test('that fails is covered by the previous answer', async (t) => {
    const upstream = await startUpstream(t, echo);
    const answers = new Map<string, string[] | string>([['a.test', ['127.0.0.1']]]);
    const { asked } = replaceLookup(t, answers);
    const under = await startBalancer(t, { upstreams: [`http://a.test:${upstream.port}`], upstreamIdleTimeoutMs: 0 });
    assert.equal(await text(under), '/');
    answers.set('a.test', 'EAI_AGAIN');
    assert.equal(await text(under), '/');
    answers.delete('a.test');
    const client = await under.connect();
    client.send(get('/hung'));
    await under.picked(3);
    await turns(2);
    await under.advance(1_000);
    assert.equal((await client.response()).text, '/hung');
    assert.equal(asked.length, 3);
  });

  test('is available to connect', async (t) => {
    const upstream = await startUpstream(t, echo);
    const { asked } = replaceLookup(t, new Map([['a.test', ['127.0.0.1']]]));
    const under = await startBalancer(t, {
      upstreams: [`http://a.test:${upstream.port}`, `http://hangs.test:${upstream.port}`],
      connect: ({ host, port }, { lookup }) => net.connect({ host, port, lookup }),
      strategy: { name: 'by target', pick: (all, { request }) => all[request.target === '/hangs' ? 1 : 0] },
      maxAttempts: 1, front: SOCKET,
    });
    assert.equal(await text(under), '/');
    const client = await under.connect();
    client.send(get('/hangs'));
    await under.picked(2);
    await turns(2);
    await under.advance(5_000);
    assert.equal((await client.response()).head.get('proxy-status'), 'equipoise; error=dns_timeout');
    assert.deepEqual(asked, ['a.test', 'hangs.test']);
  });
});
