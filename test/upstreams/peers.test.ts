/**
 * Balancers that share their state over the launcher's own channel, in one process.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { Channel, ChannelMember } from '../../src/channel.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { FakeWorkers } from '../support/channel.ts';
import { get } from '../support/client.ts';
import { ask, byTarget, Fallible } from '../support/fallible.ts';
import { Holding } from '../support/holding.ts';
import { seededRandom } from '../../src/testing/random.ts';
import { echo, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

/** Ejections last exactly as long as configured. */
const EXACT = { rng: () => 0.5 } as const;
const PERIOD = 100;

/** Balancers in several workers, all with the same upstreams. */
class Fleet {
  readonly workers = new FakeWorkers();
  readonly balancers: BalancerUnderTest[] = [];
  readonly #t: TestContext;
  readonly #options: TestOptions;

  constructor(t: TestContext, options: TestOptions) {
    this.#t = t;
    this.#options = options;
  }

  static async start(t: TestContext, count: number, options: TestOptions): Promise<Fleet> {
    const fleet = new Fleet(t, options);
    for (let i = 0; i < count; i++) await fleet.add();
    await fleet.pass();
    return fleet;
  }

  /** Adds a worker; its number is its index plus one. */
  async add(): Promise<BalancerUnderTest> {
    const peers = this.workers.channel(this.balancers.length + 1);
    const balancer = await startBalancer(this.#t, { ...this.#options, peers });
    this.balancers.push(balancer);
    this.workers.deliver();
    return balancer;
  }

  at(place: number): BalancerUnderTest {
    const balancer = this.balancers[place];
    assert.ok(balancer !== undefined);
    return balancer;
  }

  /** The states of all upstreams, one word for each balancer. */
  get states(): string[] {
    return this.balancers.map(({ balancer }) => balancer.upstreams.map(({ state }) => state).join(' '));
  }

  /** What is in flight according to each balancer. */
  get inFlight(): number[][] {
    return this.balancers.map(({ balancer }) => balancer.upstreams.map(({ inFlight }) => inFlight));
  }

  /** Lets a period pass, and delivers all messages. */
  async pass(ms = PERIOD): Promise<void> {
    for (const balancer of this.balancers) await balancer.advance(ms);
    this.workers.deliver();
  }

  /** Lets some seconds pass: by then, counts of others have been taken over. */
  async agree(): Promise<void> {
    for (let i = 0; i < 30; i++) await this.pass();
  }
}

/** Sends a request, and resolves with its status. */
async function request(under: BalancerUnderTest, target = '/'): Promise<number> {
  const client = await under.connect();
  client.send(get(target, 'Connection: close\r\n'));
  const { status } = await client.response();
  return status;
}

function heard(under: BalancerUnderTest): string[] {
  const events: string[] = [];
  under.balancer
    .on('ejected', ({ forMs }) => events.push(`ejected ${forMs}`))
    .on('readmitted', () => events.push('readmitted'));
  return events;
}

describe('balancers that share their state', () => {
  test('eject at once what one of them ejects, for as long, and readmit it together', async (t) => {
    const fallible = await Fallible.start(t, 2);
    const fleet = await Fleet.start(t, 3, {
      upstreams: fallible.options, strategy: byTarget, connect: fallible.connect, ...EXACT,
    });
    const events = fleet.balancers.map(heard);
    fallible.down.add(fallible.at(0));
    await ask(fleet.at(0), 4, '/a');
    fleet.workers.deliver();
    assert.deepEqual(fleet.states, ['active active', 'active active', 'active active']);
    await ask(fleet.at(0), 1, '/a');
    // No time has passed.
    fleet.workers.deliver();
    assert.deepEqual(fleet.states, ['ejected active', 'ejected active', 'ejected active']);
    assert.deepEqual(events, [['ejected 1000'], ['ejected 1000'], ['ejected 1000']]);
    await fleet.pass(999);
    assert.deepEqual(fleet.states, ['ejected active', 'ejected active', 'ejected active']);
    await fleet.pass(1);
    assert.deepEqual(fleet.states, ['trial active', 'trial active', 'trial active']);
    // The trial of one fails: all eject it for twice as long.
    await ask(fleet.at(1), 1, '/a');
    fleet.workers.deliver();
    assert.deepEqual(fleet.states, ['ejected active', 'ejected active', 'ejected active']);
    await fleet.pass(1_999);
    assert.deepEqual(fleet.states, ['ejected active', 'ejected active', 'ejected active']);
    await fleet.pass(1);
    fallible.down.clear();
    await ask(fleet.at(2), 1, '/a');
    fleet.workers.deliver();
    assert.deepEqual(fleet.states, ['active active', 'active active', 'active active']);
    for (const { balancer } of fleet.balancers) assert.equal(balancer.upstreams[0]?.weight, 0.1, 'it starts slowly');
    const all = ['ejected 1000', 'ejected 2000', 'readmitted'];
    assert.deepEqual(events, [all, all, all]);
    assert.deepEqual(fleet.balancers.map(({ balancer }) => balancer.upstreams[0]?.ejections), [2, 2, 2]);
  });

  test('do not repeat news: what a peer reported is not reported again', async (t) => {
    const fallible = await Fallible.start(t, 2);
    const fleet = await Fleet.start(t, 2, {
      upstreams: fallible.options, strategy: byTarget, connect: fallible.connect, ejectAfter: 1, ...EXACT,
    });
    fleet.workers.said.length = 0;
    fallible.down.add(fallible.at(0));
    await ask(fleet.at(0), 1, '/a');
    fleet.workers.deliver();
    fleet.workers.deliver();
    const values = fleet.workers.said.map(([worker, said]) => [worker, said.type === 'send' ? said.value : said.type]);
    assert.deepEqual(values, [[1, { ejected: { [fallible.at(0).origin]: 1_000 }, readmitted: [] }]]);
  });

  test('see what all of them have in flight', async (t) => {
    const holding = await Holding.start(t);
    const other = await startUpstream(t, echo);
    const fleet = await Fleet.start(t, 3, { upstreams: [holding.upstream, other], ...EXACT });
    const answers = [0, 0, 1].map((place) => request(fleet.at(place)));
    await holding.came(3);
    assert.deepEqual(fleet.inFlight, [[2, 0], [1, 0], [0, 0]]);
    await fleet.agree();
    assert.deepEqual(fleet.inFlight, [[3, 0], [3, 0], [3, 0]]);
    assert.deepEqual(fleet.balancers.map(({ balancer }) => balancer.upstreams[0]?.inFlightElsewhere), [1, 2, 3]);
    for (let i = 0; i < 3; i++) holding.release();
    await Promise.all(answers);
    await fleet.agree();
    assert.deepEqual(fleet.inFlight, [[0, 0], [0, 0], [0, 0]]);
  });

  test('take over the counts of others gradually, their own at once', async (t) => {
    const holding = await Holding.start(t);
    const fleet = await Fleet.start(t, 2, { upstreams: [holding.upstream], ...EXACT });
    const answers = Array.from({ length: 10 }, () => request(fleet.at(0)));
    await holding.came(10);
    const seen: number[] = [];
    for (let i = 0; i < 12; i++) {
      await fleet.pass();
      seen.push(Math.round(fleet.inFlight[1]?.[0] ?? NaN));
    }
    // Sent after the first period; from then on, each period takes over a fifth of the rest.
    assert.deepEqual(seen, [0, 2, 4, 5, 6, 7, 7, 8, 8, 9, 9, 9]);
    assert.equal(fleet.inFlight[0]?.[0], 10);
    for (let i = 0; i < 10; i++) holding.release();
    await Promise.all(answers);
  });

  test('send at most one message of counts in a tenth of a second, and none where nothing has changed', async (t) => {
    const holding = await Holding.start(t);
    const fleet = await Fleet.start(t, 2, { upstreams: [holding.upstream], ...EXACT });
    fleet.workers.said.length = 0;
    await fleet.pass();
    await fleet.pass();
    assert.deepEqual(fleet.workers.said, []);
    const answers = Array.from({ length: 20 }, () => request(fleet.at(0)));
    await holding.came(20);
    await fleet.pass();
    await fleet.pass();
    assert.deepEqual(fleet.workers.said.length, 1);
    for (let i = 0; i < 20; i++) holding.release();
    await Promise.all(answers);
    await fleet.pass();
    await fleet.pass();
    assert.deepEqual(fleet.workers.said.length, 2);
  });

  test('send nothing while an earlier message is not sent yet, and catch up afterwards', async (t) => {
    const holding = await Holding.start(t);
    const fleet = await Fleet.start(t, 2, { upstreams: [holding.upstream], ...EXACT });
    const release = fleet.workers.hold();
    const answers = [request(fleet.at(0))];
    await holding.came(1);
    await fleet.pass();
    fleet.workers.said.length = 0;
    answers.push(request(fleet.at(0)));
    await holding.came(2);
    for (let i = 0; i < 5; i++) await fleet.pass();
    assert.deepEqual(fleet.workers.said, []);
    release();
    await fleet.agree();
    assert.deepEqual(fleet.inFlight, [[2], [2]]);
    holding.release();
    holding.release();
    await Promise.all(answers);
  });

  test('let least-connections count what all of them have in flight', async (t) => {
    const [a, b] = [await Holding.start(t), await Holding.start(t)];
    const fleet = await Fleet.start(t, 2, {
      upstreams: [a.upstream, b.upstream], strategy: leastConnections({ rng: seededRandom(1) }), ...EXACT,
    });
    const answers = Array.from({ length: 10 }, () => request(fleet.at(0)));
    await Promise.all([a.came(5), b.came(5)]);
    for (let i = 0; i < 5; i++) b.release();
    await fleet.at(0).settled(5);
    await fleet.agree();
    // By its own counts the second one would give each of them two.
    answers.push(...Array.from({ length: 4 }, () => request(fleet.at(1))));
    await b.came(9);
    assert.deepEqual([a.targets.length, fleet.inFlight[1]], [5, [5, 4]]);
    for (let i = 0; i < 5; i++) a.release();
    for (let i = 0; i < 4; i++) b.release();
    await Promise.all(answers);
  });

  test('apply limits to what each of them has in flight itself', async (t) => {
    const holding = await Holding.start(t);
    const fleet = await Fleet.start(t, 2, { upstreams: [{ origin: holding.origin, maxInFlight: 1 }], ...EXACT });
    const answers = [request(fleet.at(0))];
    await holding.came(1);
    await fleet.pass();
    answers.push(request(fleet.at(1)));
    await holding.came(2);
    holding.release();
    holding.release();
    await Promise.all(answers);
  });

  test('forget the counts of a peer that is gone', async (t) => {
    const holding = await Holding.start(t);
    const fleet = await Fleet.start(t, 3, { upstreams: [holding.upstream], ...EXACT });
    const answers = [0, 2].map((place) => request(fleet.at(place)));
    await holding.came(2);
    await fleet.agree();
    assert.deepEqual(fleet.inFlight, [[2], [2], [2]]);
    fleet.workers.end(1);
    fleet.workers.deliver();
    await fleet.agree();
    assert.deepEqual(fleet.inFlight.slice(1), [[1], [1]]);
    holding.release();
    holding.release();
    await Promise.all(answers);
  });

  test('tell a late joiner what it has missed', async (t) => {
    const fallible = await Fallible.start(t, 2);
    const holding = await Holding.start(t);
    const fleet = await Fleet.start(t, 2, {
      upstreams: [...fallible.options, { origin: holding.origin, tags: { name: 'c' } }],
      strategy: byTarget, connect: fallible.connect, ejectAfter: 1, ...EXACT,
    });
    const answer = request(fleet.at(1), '/c');
    await holding.came(1);
    fallible.down.add(fallible.at(0));
    await ask(fleet.at(0), 1, '/a');
    await fleet.pass();
    fallible.down.clear();
    await fleet.add();
    await fleet.pass(300);
    assert.deepEqual(fleet.states[2], 'ejected active active');
    // It ends with that of the others: about 100 ms of it had passed, and 300 when the newcomer learnt of it.
    await fleet.pass(599);
    assert.deepEqual(fleet.states[2], 'ejected active active');
    await fleet.pass(1);
    assert.deepEqual(fleet.states[2], 'trial active active');
    // Older members do not get news again that are over there.
    await ask(fleet.at(0), 1, '/a');
    fleet.workers.deliver();
    assert.deepEqual(fleet.states, Array.from({ length: 3 }, () => 'active active active'));
    await fleet.agree();
    assert.deepEqual(fleet.inFlight[2], [0, 0, 1]);
    holding.release();
    await answer;
  });

  test('know the counts of an upstream that is added later', async (t) => {
    const holding = await Holding.start(t);
    const other = await startUpstream(t, echo);
    const fleet = await Fleet.start(t, 2, { upstreams: [holding.upstream, other], ...EXACT });
    const answer = request(fleet.at(0));
    await holding.came(1);
    await fleet.at(1).balancer.remove(holding.origin);
    await fleet.agree();
    assert.deepEqual(fleet.inFlight[1], [0]);
    fleet.at(1).balancer.add(holding.origin);
    assert.deepEqual(fleet.inFlight[1], [0, 1]);
    holding.release();
    await answer;
    await fleet.agree();
    assert.deepEqual(fleet.inFlight[1], [0, 0]);
  });

  test('ignore messages they do not understand', async (t) => {
    const upstream = await startUpstream(t, echo);
    const fleet = await Fleet.start(t, 1, { upstreams: [upstream], ...EXACT });
    const seat = fleet.workers.channel(7).join({
      heard: () => undefined, left: () => undefined, leads: () => undefined,
    });
    const { origin } = upstream;
    for (const message of [
      null, 5, 'text', [], {}, { news: 1 }, { ejected: 5 }, { ejected: { [origin]: 'long', other: 5 } },
      { ejected: { [origin]: -5 } }, { readmitted: {} }, { readmitted: [5, 'other'] }, { inFlight: { [origin]: 'x' } },
      { inFlight: { [origin]: -1 } }, { inFlight: [] }, { out: 5 }, { hello: 1 },
    ]) seat.send(message);
    fleet.workers.deliver();
    assert.deepEqual([fleet.states, fleet.inFlight], [['active'], [[0]]]);
    seat.send({ ejected: { [origin]: null }, inFlight: { [origin]: 2 } });
    fleet.workers.deliver();
    await fleet.agree();
    assert.deepEqual([fleet.states, fleet.inFlight], [['ejected'], [[2]]]);
    seat.leave();
    fleet.workers.deliver();
    await fleet.agree();
    assert.deepEqual(fleet.inFlight, [[0]]);
    assert.deepEqual(fleet.at(0).reports, []);
  });

  test('get nothing more from one that has closed', async (t) => {
    const upstream = await startUpstream(t, echo);
    const fleet = await Fleet.start(t, 2, { upstreams: [upstream], ...EXACT });
    await fleet.at(1).balancer.close({ timeoutMs: 0 });
    fleet.workers.said.length = 0;
    fleet.at(1).time.advance(PERIOD);
    assert.deepEqual(fleet.workers.said, []);
    assert.equal(fleet.at(1).time.timers, 0);
  });
});

describe('of balancers that share their state, one probes', () => {
  const INTERVAL = 1_000;
  const healthCheck = { path: '/health', intervalMs: INTERVAL, timeoutMs: 400, rise: 1, fall: 1 } as const;

  interface Probed {
    readonly fleet: Fleet;
    /** How many probes the first upstream has had. */
    readonly probed: () => number;
    readonly answer: { status: string };
  }

  async function startFleet(t: TestContext): Promise<Probed> {
    const answer = { status: '200 OK' };
    let probed = 0;
    const upstream = await startUpstream(t, async (peer) => {
      await peer.request();
      probed++;
      peer.send(`HTTP/1.1 ${answer.status}\r\nContent-Length: 0\r\n\r\n`);
    });
    const other = await startUpstream(t, async (peer) => {
      await peer.request();
      peer.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    });
    const fleet = await Fleet.start(t, 3, { upstreams: [upstream, other], healthCheck, ...EXACT });
    return { fleet, probed: () => probed, answer };
  }

  /** Lets intervals pass until `seen`, some ten at most. */
  async function until(fleet: Fleet, seen: () => boolean): Promise<void> {
    for (let i = 0; i < 20 && !seen(); i++) {
      await fleet.pass(INTERVAL / 2);
      for (let j = 0; j < 50 && !seen(); j++) await fleet.pass(0);
    }
    assert.ok(seen());
  }

  test('and the others use its results', async (t) => {
    const { fleet, probed, answer } = await startFleet(t);
    await until(fleet, () => probed() === 3);
    // If three balancers probed, they would have done so by now.
    answer.status = '503 Service Unavailable';
    await until(fleet, () => fleet.states.every((state) => state === 'ejected active'));
    const before = probed();
    answer.status = '200 OK';
    await until(fleet, () => fleet.states.every((state) => state === 'active active'));
    assert.equal(probed(), before + 1);
  });

  test('and when it drains or dies the next one continues from there', async (t) => {
    const { fleet, probed, answer } = await startFleet(t);
    answer.status = '503 Service Unavailable';
    await until(fleet, () => fleet.states.every((state) => state === 'ejected active'));
    fleet.workers.relay.drain(1);
    await fleet.pass(0);
    // Results of the former prober stay valid.
    assert.deepEqual(fleet.states, ['ejected active', 'ejected active', 'ejected active']);
    const before = probed();
    await until(fleet, () => probed() === before + 2);
    assert.deepEqual(fleet.states, ['ejected active', 'ejected active', 'ejected active']);
    fleet.workers.end(2);
    fleet.workers.deliver();
    answer.status = '200 OK';
    await until(fleet, () => fleet.states[2] === 'active active');
    assert.equal(fleet.states[0], 'active active');
  });
});

test('a peer that did not read for long catches up on ejections, readmissions and counts', async (t) => {
  const origins = ['http://127.0.0.1:1', 'http://127.0.0.1:2'];
  const [a = '', b = ''] = origins;
  const fleet = await Fleet.start(t, 2, { upstreams: origins, ...EXACT });
  const other = fleet.workers.channel(3).join({
    heard: () => undefined, left: () => undefined, leads: () => undefined,
  });
  const tell = (news: object): void => {
    other.send(news);
    fleet.workers.deliver();
  };
  tell({ ejected: { [a]: null }, inFlight: { [a]: 7 } });
  await fleet.agree();
  assert.deepEqual(fleet.states, ['ejected active', 'ejected active']);
  assert.deepEqual(fleet.inFlight, [[7, 0], [7, 0]]);

  const resume = fleet.workers.stop(2);
  tell({ readmitted: [a], ejected: { [b]: null } });
  for (let i = 0; i < 300; i++) tell({ inFlight: { [b]: i } });
  tell({ inFlight: { [b]: 3 } });
  other.leave();
  fleet.workers.deliver();
  await fleet.pass();
  assert.deepEqual(fleet.states, ['active ejected', 'ejected active']);
  resume();
  await fleet.agree();
  assert.deepEqual(fleet.states, ['active ejected', 'active ejected']);
  assert.deepEqual(fleet.inFlight, [[0, 0], [0, 0]]);
});

test('a member that throws while it applies the news of a peer still reports its own ejections', async (t) => {
  const fallible = await Fallible.start(t, 2);
  const sent: unknown[] = [];
  let joined: ChannelMember | undefined;
  const peers: Channel = { join: (member) => {
    joined = member;
    return { send: (news) => sent.push(news), leave: () => undefined };
  } };
  const under = await startBalancer(t, {
    upstreams: fallible.options, strategy: byTarget, connect: fallible.connect, peers, ...EXACT,
  });
  assert.ok(joined !== undefined);
  // A message whose parts cannot be read is a fault of the channel, which gets the error.
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const { proxy: list, revoke: revokeList } = Proxy.revocable([], {});
  revokeList();
  const hostile = new Proxy({}, { ownKeys: () => {
    throw new Error('oh no');
  } });
  for (const message of [{ ejected: hostile }, { readmitted: list }, { out: proxy }]) {
    assert.throws(() => joined?.heard(message, 7));
  }
  fallible.down.add(fallible.at(0));
  await ask(under, 5, '/a');
  await turns(1);
  const told = sent.filter((news) => Object.keys((news as { ejected?: object }).ejected ?? {}).length > 0);
  assert.equal(told.length, 1, 'what it finds out by itself it tells');
});

test('a send that throws does not hold back later news', async (t) => {
  const fallible = await Fallible.start(t, 2);
  const sent: string[] = [];
  let fails = false;
  const peers: Channel = { join: () => ({ leave: () => undefined, send: (news, done) => {
    sent.push(Object.keys((news as { ejected?: object }).ejected ?? {}).join());
    if (fails) throw new Error('oh no');
    done?.();
  } }) };
  const under = await startBalancer(t, {
    upstreams: fallible.options, strategy: byTarget, connect: fallible.connect, peers, ...EXACT, maxAttempts: 1,
  });
  fails = true;
  fallible.down.add(fallible.at(0));
  await ask(under, 5, '/a');
  await turns(1);
  fallible.down.add(fallible.at(1));
  await ask(under, 5, '/b');
  await turns(1);
  assert.deepEqual(sent.filter((origins) => origins !== ''), [0, 1].map((at) => fallible.at(at).origin));
});
