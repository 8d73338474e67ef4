import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { HealthCheckOptions } from '../../src/options/options.ts';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { failsWith, neverConnects } from '../support/streams.ts';
import { echo, type ScriptedUpstream, serve, startUpstream } from '../support/upstream.ts';

/** No jitter: half of it above, half of it below. The first probe comes half an interval after the start. */
const rng = (): number => 0.5;
const INTERVAL = 1_000;
const CHECK = { path: '/health', intervalMs: INTERVAL, timeoutMs: 400, rise: 2, fall: 3 } as const;

/** An upstream that answers `/health` as the test says, and everything else with 200. */
async function startPatient(t: TestContext): Promise<{ upstream: ScriptedUpstream; answer: { status: string } }> {
  const answer = { status: '200 OK' };
  const upstream = await startUpstream(t, serve(({ head: { line } }) => {
    return `HTTP/1.1 ${line.includes('/health') ? answer.status : '200 OK'}\r\nContent-Length: 0\r\n\r\n`;
  }));
  return { upstream, answer };
}

/** Lets probes come, one per interval, each with time for its answer. */
async function probes(under: BalancerUnderTest, upstream: ScriptedUpstream, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const before = upstream.events.filter((event) => event.endsWith(' end') || event.endsWith(' reset')).length;
    await under.advance(INTERVAL);
    // Each uses its own connection, which ends with it.
    while (upstream.events.filter((event) => event.endsWith(' end') || event.endsWith(' reset')).length === before) {
      await under.advance(0);
    }
    await under.advance(0);
  }
}

async function start(
  t: TestContext, upstream: ScriptedUpstream, healthCheck: HealthCheckOptions = CHECK,
): Promise<{ under: BalancerUnderTest; events: string[] }> {
  const under = await startBalancer(t, { upstreams: [upstream, 'http://other.test'], healthCheck, rng });
  const events: string[] = [];
  under.balancer
    .on('ejected', ({ upstream: { origin }, forMs }) => events.push(`${origin} ejected ${forMs}`))
    .on('readmitted', ({ upstream: { origin } }) => events.push(`${origin} readmitted`));
  return { under, events };
}

const NO_OTHERS = { connect: ({ origin }: { readonly origin: string }) => {
  return origin === 'http://other.test' ? neverConnects() : undefined;
} };

describe('a probe', () => {
  test('is a GET of the path over a connection of its own, and no traffic', async (t) => {
    const { upstream } = await startPatient(t);
    const under = await startBalancer(t, { upstreams: [upstream], healthCheck: CHECK, rng });
    await under.advance(INTERVAL / 2);
    await upstream.read(1);
    await probes(under, upstream, 2);
    assert.deepEqual(upstream.requests.map(({ head }) => [head.line, head.get('host'), head.get('connection')]),
      Array.from({ length: 3 }, () => ['GET /health HTTP/1.1', `127.0.0.1:${upstream.port}`, 'close']));
    assert.equal(upstream.peers.length, 3);
    const [{ picks, inFlight, responses, failures } = assert.fail()] = under.balancer.upstreams;
    assert.deepEqual([under.picks.length, picks, inFlight, responses, failures], [0, 0, 0, 0, 0]);
  });

  test('comes at an interval with jitter', async (t) => {
    const { upstream } = await startPatient(t);
    const chances = [0, 0.999, 0];
    const under = await startBalancer(t, {
      upstreams: [upstream], healthCheck: CHECK, rng: () => chances.shift() ?? 0.5,
    });
    // At once; then after 1.1 intervals; then 0.9 intervals after that one was due.
    await upstream.gone(1);
    await under.advance(1_050);
    assert.equal(upstream.requests.length, 1);
    await under.advance(125);
    await upstream.gone(2);
    await under.advance(800);
    assert.equal(upstream.requests.length, 2);
    await under.advance(125);
    await upstream.read(3);
  });

  test('without a path is only a connect', async (t) => {
    const upstream = await startUpstream(t, []);
    upstream.refuse();
    const healthCheck = { intervalMs: INTERVAL, fall: 1 };
    const under = await startBalancer(t, { upstreams: [upstream], healthCheck, rng });
    let ejected = 0;
    under.balancer.on('ejected', () => { ejected++; });
    await under.advance(INTERVAL / 2);
    while (ejected === 0) await under.advance(0);
    const well = await startUpstream(t, () => undefined);
    const second = await startBalancer(t, { upstreams: [well], healthCheck, rng });
    await second.advance(INTERVAL / 2);
    await well.gone(1);
    assert.deepEqual(well.plainEvents.filter((event) => event.startsWith('GET')), []);
    assert.equal(second.balancer.upstreams[0]?.state, 'active');
  });

  test('has the Host that is configured', async (t) => {
    const { upstream } = await startPatient(t);
    const under = await startBalancer(t, {
      upstreams: [{ origin: upstream.origin, healthCheck: { ...CHECK, host: 'app.example' } }], rng,
    });
    await under.advance(INTERVAL / 2);
    await upstream.read(1);
    assert.equal(upstream.requests[0]?.head.get('host'), 'app.example');
  });
});

describe('an upstream that is probed', () => {
  test('is ejected by bad probes in a row, and readmitted by good ones, slowly', async (t) => {
    const { upstream, answer } = await startPatient(t);
    const { under, events } = await start(t, upstream, { ...CHECK, fall: 3, rise: 2 });
    const view = under.balancer.upstreams[0];
    assert.ok(view !== undefined);
    // The other one is healthy: if all were down, the first to return would get its whole weight.
    await under.balancer.update([upstream.origin, { origin: 'http://other.test', healthCheck: false }]);
    await under.advance(INTERVAL / 2);
    await upstream.gone(1);
    answer.status = '503 Service Unavailable';
    await probes(under, upstream, 2);
    answer.status = '200 OK';
    await probes(under, upstream, 1);
    answer.status = '500 Internal Server Error';
    await probes(under, upstream, 2);
    assert.equal(view.state, 'active');
    await probes(under, upstream, 1);
    assert.equal(view.state, 'ejected');
    // Time alone does not bring it back.
    await probes(under, upstream, 40);
    assert.equal(view.state, 'ejected');
    answer.status = '204 No Content';
    await probes(under, upstream, 1);
    assert.equal(view.state, 'ejected');
    await probes(under, upstream, 1);
    assert.equal(view.state, 'active');
    assert.ok(view.weight < 1, 'it starts slowly');
    assert.deepEqual(events.filter((event) => !event.startsWith('http://other')), [
      `${upstream.origin} ejected Infinity`, `${upstream.origin} readmitted`,
    ]);
  });

  const statuses: readonly [status: number | string | undefined, answered: number, good: boolean][] = [
    [undefined, 200, true], [undefined, 399, true], [undefined, 404, false], [undefined, 500, false],
    [204, 204, true], [204, 200, false], ['200-299', 299, true], ['200-299', 301, false], ['404', 404, true],
  ];
  for (const [status, answered, good] of statuses) {
    test(`with status ${String(status)}, ${answered} is ${good ? 'good' : 'bad'}`, async (t) => {
      const { upstream, answer } = await startPatient(t);
      answer.status = `${answered} X`;
      const { under } = await start(t, upstream, { ...CHECK, fall: 1, ...(status === undefined ? {} : { status }) });
      await under.advance(INTERVAL / 2);
      await upstream.gone(1);
      await under.advance(0);
      assert.equal(under.balancer.upstreams[0]?.state, good ? 'active' : 'ejected');
    });
  }

  const faults: readonly [name: string, script: Parameters<typeof startUpstream>[1]][] = [
    ['closes', (peer) => { peer.socket.end(); }],
    ['sends garbage', (peer) => { peer.send('SSH-2.0-x\r\n'); }],
    ['says nothing in time', (peer) => peer.request()],
    ['sends half a head in time', (peer) => { peer.send('HTTP/1.1 200 OK\r\n'); }],
  ];
  for (const [name, script] of faults) {
    test(`and ${name} is unhealthy`, async (t) => {
      const upstream = await startUpstream(t, script);
      const { under } = await start(t, upstream, { ...CHECK, fall: 1 });
      await under.advance(INTERVAL / 2);
      await upstream.saw('1 open');
      await under.advance(CHECK.timeoutMs);
      await upstream.gone(1);
      while (under.balancer.upstreams[0]?.state !== 'ejected') await under.advance(0);
    });
  }

  const own: readonly [name: string, connect: TestOptions['connect'], code: string][] = [
    ['connect throws', () => { throw new Error('no way'); }, 'CONNECT_UNUSABLE'],
    ['there are no file descriptors', () => failsWith('EMFILE'), 'RESOURCES_EXHAUSTED'],
    ['there are no local ports', () => failsWith('EADDRNOTAVAIL'), 'RESOURCES_EXHAUSTED'],
  ];
  for (const [name, connect, code] of own) {
    test(`is found neither down nor up where ${name}: that is reported`, async (t) => {
      let failing = false;
      const { upstream, answer } = await startPatient(t);
      const under = await startBalancer(t, {
        upstreams: [upstream], healthCheck: { ...CHECK, fall: 2, rise: 2 }, rng, maxEjectedPercent: 100,
        connect: (to, means) => failing ? connect?.(to, means) : undefined,
      });
      const state = (): string | undefined => under.balancer.upstreams[0]?.state;
      const ownFailure = async (): Promise<void> => {
        failing = true;
        const before = under.reports.length;
        await under.advance(INTERVAL);
        await under.reported(before + 1);
        failing = false;
      };
      await under.advance(INTERVAL / 2);
      await upstream.gone(1);
      for (let i = 0; i < 4; i++) await ownFailure();
      assert.equal(state(), 'active');
      // A bad one counts on where it was.
      answer.status = '500 X';
      await probes(under, upstream, 1);
      await ownFailure();
      assert.equal(state(), 'active');
      await probes(under, upstream, 1);
      assert.equal(state(), 'ejected');
      assert.deepEqual(new Set(under.reports), new Set([`${code} at ${upstream.origin}`]));
    });
  }

  test('may have its own check, or none', async (t) => {
    const [{ upstream: one }, { upstream: two }] = [await startPatient(t), await startPatient(t)];
    const under = await startBalancer(t, {
      upstreams: [
        { origin: one.origin, healthCheck: { ...CHECK, path: '/health/own' } },
        { origin: two.origin, healthCheck: false },
      ],
      healthCheck: CHECK, rng,
    });
    await under.advance(INTERVAL / 2);
    await one.read(1);
    assert.deepEqual([one.plainEvents.includes('GET /health/own'), two.events], [true, []]);
  });

  test('keeps its results across an update that says the same', async (t) => {
    const { upstream, answer } = await startPatient(t);
    const own = { origin: upstream.origin, healthCheck: { ...CHECK, fall: 2 } };
    const under = await startBalancer(t, { upstreams: [own, 'http://other.test'], ...NO_OTHERS, rng });
    answer.status = '500 X';
    await under.advance(INTERVAL / 2);
    await upstream.gone(1);
    await under.balancer.update([own, 'http://other.test']);
    await probes(under, upstream, 1);
    const state = (): string | undefined => under.balancer.upstreams[0]?.state;
    assert.equal(state(), 'ejected');
    await under.balancer.update([own, 'http://other.test']);
    await probes(under, upstream, 1);
    assert.equal(state(), 'ejected');
    // Without probes, nothing else would readmit it.
    await under.balancer.update([upstream.origin, 'http://other.test']);
    await under.advance(INTERVAL);
    assert.equal(state(), 'active');
    const before = upstream.peers.length;
    await under.advance(10 * INTERVAL);
    assert.equal(upstream.peers.length, before);
  });

  test('and is removed is not probed any more, and a probe under way is aborted', async (t) => {
    const upstream = await startUpstream(t, (peer) => peer.request());
    const { under } = await start(t, upstream);
    await under.advance(INTERVAL / 2);
    await upstream.saw('1 GET /health');
    await under.balancer.remove(upstream.origin);
    await under.advance(INTERVAL);
    await upstream.gone(1);
    await under.advance(10 * INTERVAL);
    assert.equal(upstream.peers.length, 1);
  });

  test('leaves nothing open when the balancer closes', async (t) => {
    const upstream = await startUpstream(t, (peer) => peer.request());
    const { under } = await start(t, upstream);
    await under.advance(INTERVAL / 2);
    await upstream.saw('1 GET /health');
    const closed = under.balancer.close({ timeoutMs: 0 });
    await under.advance(1);
    assert.deepEqual(await closed, { cut: 0 });
    await upstream.gone(1);
  });

  test('serves traffic over other connections', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], healthCheck: CHECK, rng });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/1'))).text, '/1');
    await under.advance(INTERVAL / 2);
    await upstream.read(2);
    assert.equal((await client.exchange(get('/2'))).text, '/2');
    const requests = upstream.events.filter((event) => event.includes('GET'));
    assert.deepEqual(requests, ['1 GET /1', '2 GET /health', '1 GET /2']);
  });
});
