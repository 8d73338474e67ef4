/** The admin listener: who may ask, what it answers, and how workers answer as one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingHttpHeaders } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import vm from 'node:vm';
import { type AdminOptions, createAdmin, type Order } from '../../../src/observe/index.ts';
import { page } from '../../../src/observe/admin/page/page.ts';
import { SCRIPT } from '../../../src/observe/admin/page/script.ts';
import { type BalancerUnderTest, startBalancer } from '../../support/balancer.ts';
import { FakeWorkers } from '../../support/channel.ts';
import { get } from '../../support/client.ts';
import { atEnd } from '../../support/scope.ts';
import { echo, startUpstream } from '../../support/upstream.ts';
import { Signal, turns } from '../../support/wait.ts';

const [A, B] = ['http://a.test', 'http://b.test'];

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

type Ask = (path: string, options?: http.RequestOptions, body?: string | Buffer) => Promise<Answer>;

async function started(t: TestContext, options: Partial<AdminOptions> = {}, under?: BalancerUnderTest): Promise<{
  readonly ask: Ask; readonly port: number; readonly under: BalancerUnderTest;
}> {
  const tested = under ?? await startBalancer(t, { upstreams: [A, B] });
  const admin = createAdmin({ balancer: tested.balancer, ...options });
  const server = http.createServer(admin.handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(t, async () => {
    admin.close();
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  const { port } = server.address() as AddressInfo;
  return { ask: askAt(port), port, under: tested };
}

function askAt(port: number): Ask {
  return (path, options = {}, body = '') => new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', path, agent: false, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      });
    });
    request.on('error', reject).end(body);
  });
}

function at(origin: string, action: string, pool = 'default'): string {
  return `/upstreams/${pool}/${encodeURIComponent(origin)}/${action}`;
}

const post = { method: 'POST' };

describe('the admin listener', () => {
  test('says whether it lives and is ready, and lists upstreams by their pinned names', async (t) => {
    const { ask } = await started(t);
    assert.deepEqual([(await ask('/livez')).status, (await ask('/readyz')).status], [200, 200]);
    const { headers, text } = await ask('/upstreams');
    assert.equal(headers['content-type'], 'application/json');
    assert.deepEqual(JSON.parse(text), [A, B].map((origin) => ({
      pool: 'default', origin, state: 'active', weight: 1, inFlight: 0, latencyMs: 0, picks: 0, responses: 0,
      failures: 0, retries: 0, ejections: 0, tags: {},
    })));
  });

  test('is not ready once it is stopping, but lives', async (t) => {
    const stop = new AbortController();
    const { ask } = await started(t, { stopping: stop.signal });
    stop.abort();
    assert.deepEqual([(await ask('/livez')).status, (await ask('/readyz')).status], [200, 503]);
  });

  test('drains, activates and weighs', async (t) => {
    const { ask, under: { balancer } } = await started(t);
    const [one] = balancer.upstreams;
    const { status, text } = await ask(at(A, 'drain'), post);
    assert.deepEqual([status, JSON.parse(text), one?.state],
      [200, { pool: 'default', origin: A, drained: true, workers: 1, confirmed: 1 }, 'drained']);
    assert.equal((await ask(at('HTTP://A.test:80', 'activate'), post)).status, 200);
    assert.equal(one?.state, 'active');
    assert.equal((await ask(at(A, 'weight'), post, ' 2.5\n')).status, 200);
    assert.equal(one.weight, 2.5);
    assert.equal((await ask(at(A, 'weight'), post, '1')).status, 200);
    assert.deepEqual([one.weight, one.configuredWeight], [1, 1]);
  });

  for (const [what, path, options, body, status] of [
    ['an unknown path', '/nope', {}, '', 404],
    ['an unknown upstream', at('http://c.test', 'drain'), post, '', 404],
    ['an unknown pool', at(A, 'drain', 'api'), post, '', 404],
    ['a pool named like a property of every object', at(A, 'drain', 'constructor'), post, '', 404],
    ['a path that is not properly encoded', '/upstreams/default/%zz/drain', post, '', 400],
    ['a path with half of a character', '/upstreams/default/%c3/drain', post, '', 400],
    ['GET where something changes', at(A, 'drain'), {}, '', 405],
    ['POST where something is read', '/upstreams', post, '', 405],
    ['a weight of 0', at(A, 'weight'), post, '0', 400],
    ['a weight that is no number', at(A, 'weight'), post, 'much', 400],
    ['no weight', at(A, 'weight'), post, '', 400],
    ['a body without end', at(A, 'drain'), post, Buffer.alloc(2_000_000), 413],
    ['an unknown question', '/why?color=red', {}, '', 400],
    ['too many answers', '/why?limit=100000', {}, '', 400],
    ['another name (DNS rebinding)', '/upstreams', { headers: { host: 'evil.example' } }, '', 421],
    ['a name that begins like ours', '/upstreams', { headers: { host: 'localhost.evil.example' } }, '', 421],
    ['another address', '/', { headers: { host: '10.1.2.3:80' } }, '', 421],
    ['another origin', at(A, 'drain'), { ...post, headers: { origin: 'http://evil.example' } }, '', 403],
    ['a null origin', at(A, 'drain'), { ...post, headers: { origin: 'null' } }, '', 403],
    ['another port of this host', at(A, 'drain'), { ...post, headers: { origin: 'http://127.0.0.1:1' } }, '', 403],
    ['another site', '/upstreams', { headers: { 'sec-fetch-site': 'cross-site' } }, '', 403],
    ['another site of the same owner', '/events', { headers: { 'sec-fetch-site': 'same-site' } }, '', 403],
    ['metrics, without any', '/metrics', {}, '', 404],
  ] as const) {
    test(`answers ${status} to ${what}, and changes nothing`, async (t) => {
      const { ask, under: { balancer } } = await started(t);
      // The rest of a body that is not read may be reset.
      const answer = await ask(path, options, body).catch((error: unknown) => {
        if (status === 413) return undefined;
        throw error;
      });
      assert.equal(answer?.status ?? status, status, answer?.text);
      assert.equal(answer?.headers['cache-control'] ?? 'no-store', 'no-store');
      assert.deepEqual(balancer.upstreams.map(({ state, weight }) => [state, weight]), [['active', 1], ['active', 1]]);
    });
  }

  test('lets people follow a link to the page, and nothing else', async (t) => {
    const { ask } = await started(t);
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    assert.equal((await ask('/', { headers: link })).status, 200);
    assert.equal((await ask('/', { headers: { ...link, 'sec-fetch-dest': 'iframe' } })).status, 403);
    assert.equal((await ask('/upstreams', { headers: link })).status, 403);
  });

  test('goes by names that are allowed, and by localhost', async (t) => {
    const { ask } = await started(t, { hosts: ['lb.example'] });
    for (const host of ['lb.example', 'LB.example:9090', 'localhost:1', '[::1]:80', '127.9.9.9']) {
      assert.equal((await ask('/upstreams', { headers: { host } })).status, 200, host);
    }
  });

  test('with a token, needs it for all but the probes', async (t) => {
    const { ask } = await started(t, { token: 'right' });
    const basic = (password: string): string => `Basic ${Buffer.from(`me:${password}`).toString('base64')}`;
    for (const [authorization, status] of [
      [undefined, 401], ['Bearer wrong', 401], ['Bearer righ', 401], ['Bearer rightt', 401], ['Bearer', 401],
      [basic('wrong'), 401], ['Basic !', 401], ['Bearer right', 200], ['bearer right', 200], [basic('right'), 200],
    ] as const) {
      const headers = authorization === undefined ? {} : { authorization };
      assert.equal((await ask('/upstreams', { headers })).status, status, authorization);
      assert.equal((await ask('/livez', { headers })).status, 200);
    }
    assert.match(String((await ask('/')).headers['www-authenticate']), /^Bearer .*Basic /);
  });

  test('refuses options that are wrong, all at once', () => {
    const wrong = { balancer: {}, token: '', hosts: ['a/b'], extra: 1, channel: 1 };
    assert.throws(() => createAdmin(wrong as unknown as AdminOptions), ({ code, message }: NodeJS.ErrnoException) => (
      code === 'OPTIONS_INVALID' && ['balancer', 'token', 'hosts', 'extra', 'channel'].every((name) => (
        message.includes(name)))));
  });
});

describe('the page', () => {
  test('runs nothing but its own script, is small, and has a new nonce each time', async (t) => {
    const { ask } = await started(t);
    const [one, other] = [await ask('/'), await ask('/')];
    const policy = String(one.headers['content-security-policy']);
    const [, nonce = ''] = /script-src 'nonce-([^']{24})'/.exec(policy) ?? [];
    assert.match(policy, /^default-src 'none'; .*connect-src 'self'.*frame-ancestors 'none'$/);
    assert.ok(nonce !== '' && one.text.includes(`<script nonce="${nonce}">`) && !other.text.includes(nonce));
    assert.doesNotMatch(one.text, /https?:\/\/(?!www\.w3\.org\/2000\/svg)[a-z]/);
    assert.doesNotMatch(one.text, / on\w+=| style="|innerHTML|<\/script>[^]*<\/script>/);
    assert.ok(Buffer.byteLength(page().html) < 32_000);
    assert.equal(one.headers['x-content-type-options'], 'nosniff');
    // It is JavaScript.
    new vm.Script(SCRIPT);
  });

  test('gets events; one that does not read is dropped, and the others do not notice', async (t) => {
    const { port, under } = await started(t, {});
    const signal = new Signal();
    let text = '';
    const reading = http.get({ port, host: '127.0.0.1', path: '/events', agent: false }, (response) => {
      assert.equal(response.headers['content-type'], 'text/event-stream');
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        signal.raise();
      });
    });
    await signal.until(() => /^data: .*\n\n/m.test(text), () => 'an event');
    const [, data = ''] = /^data: (.*)$/m.exec(text) ?? [];
    const view = JSON.parse(data) as { readonly upstreams: readonly { readonly origin: string }[] };
    assert.deepEqual(view.upstreams.map(({ origin }) => origin), under.balancer.upstreams.map(({ origin }) => origin));
    reading.destroy();
  });

  test('shows a load that was measured over a while, not the moment in which it is asked for', async (t) => {
    let now = { active: 0, idle: 0 };
    t.mock.method(performance, 'eventLoopUtilization', (later = now, before = { active: 0, idle: 0 }) => {
      const [active, idle] = [later.active - before.active, later.idle - before.idle];
      return { active, idle, utilization: active === 0 ? 0 : active / (active + idle) };
    });
    const { port } = await started(t);
    /** The load in the first event of a page. */
    const load = async (): Promise<number> => {
      const socket = net.connect(port, '127.0.0.1');
      atEnd(t, () => {
        socket.destroy();
      });
      let text = '';
      const signal = new Signal();
      socket.setEncoding('utf8').on('data', (part) => {
        text += String(part);
        signal.raise();
      });
      socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await signal.until(() => /^data: .*$/m.test(text) && text.endsWith('\n\n\r\n'), () => 'an event');
      socket.destroy();
      const [, data = ''] = /^data: (.*)$/m.exec(text) ?? [];
      return (JSON.parse(data) as { readonly workers: readonly { readonly load: number }[] }).workers[0]?.load ?? NaN;
    };
    now = { active: 250, idle: 750 };
    assert.equal(await load(), 0.25);
    now = { active: 251, idle: 750 };
    assert.equal(await load(), 0.25);
    now = { active: 1_000, idle: 1_000 };
    assert.equal(await load(), 0.75);
  });

  test('of which too many are open is refused', async (t) => {
    const { ask, port } = await started(t);
    const sockets = Array.from({ length: 256 }, () => net.connect(port, '127.0.0.1'));
    await Promise.all(sockets.map(async (socket) => {
      socket.on('error', () => undefined).write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await once(socket, 'data');
    }));
    assert.equal((await ask('/events')).status, 503);
    assert.equal((await ask('/livez')).status, 200);
    for (const socket of sockets) socket.destroy();
  });
});

test('decisions are recorded only after somebody asked', async (t) => {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream] });
  const { ask } = await started(t, {}, under);
  const client = await under.connect();
  await client.exchange(get('/before'));
  assert.deepEqual((JSON.parse((await ask('/why?wait=0')).text) as { decisions: unknown }).decisions, []);
  await client.exchange(get('/one'));
  await client.exchange(get('/two'));
  const found = async (query: string): Promise<string[]> => {
    const { text } = await ask(`/why?wait=0&${query}`);
    return (JSON.parse(text) as { decisions: { target: string }[] }).decisions.map(({ target }) => target);
  };
  assert.deepEqual(await found(''), ['/two', '/one']);
  assert.deepEqual(await found('limit=1'), ['/two']);
  assert.deepEqual(await found('path=/o'), ['/one']);
  assert.deepEqual(await found('status=2xx&pool=default'), ['/two', '/one']);
  assert.deepEqual(await found('status=503'), []);
  assert.deepEqual(await found(`upstream=${encodeURIComponent(upstream.origin)}`), ['/two', '/one']);
  assert.deepEqual(await found('upstream=http://other'), []);
});

describe('the admin listeners of workers', () => {
  interface Worker {
    readonly ask: Ask;
    readonly under: BalancerUnderTest;
  }

  async function workers(t: TestContext, count: number): Promise<{ fake: FakeWorkers; all: readonly Worker[] }> {
    const fake = new FakeWorkers();
    const all: Worker[] = [];
    for (let i = 1; i <= count; i++) {
      all.push(await started(t, { channel: fake.channel(i, 'admin') }));
      fake.deliver();
    }
    return { fake, all };
  }

  /** Delivers messages until the answer is there. */
  async function delivered<T>(fake: FakeWorkers, answer: Promise<T>): Promise<T> {
    const state = { isThere: false };
    void answer.finally(() => {
      state.isThere = true;
    });
    while (!state.isThere) {
      fake.deliver();
      await turns(1);
    }
    return await answer;
  }

  const states = ({ under }: Worker): string[] => under.balancer.upstreams.map(({ state }) => state);

  test('obey together, whichever is asked, and so do later ones', async (t) => {
    const { fake, all } = await workers(t, 2);
    const [first, second] = all;
    assert.ok(first !== undefined && second !== undefined);
    const { text } = await delivered(fake, second.ask(at(A, 'drain'), post));
    assert.deepEqual(JSON.parse(text), { pool: 'default', origin: A, drained: true, workers: 2, confirmed: 2 });
    await delivered(fake, first.ask(at(B, 'weight'), post, '4'));
    const later = await started(t, { channel: fake.channel(3, 'admin') });
    fake.deliver();
    for (const worker of [first, second, later]) {
      assert.deepEqual(states(worker), ['drained', 'active']);
      assert.equal(worker.under.balancer.upstreams[1]?.weight, 4);
    }
    await delivered(fake, later.ask(at(A, 'activate'), post));
    for (const worker of [first, second, later]) assert.deepEqual(states(worker), ['active', 'active']);
    const listed = await delivered(fake, first.ask('/upstreams'));
    assert.equal((JSON.parse(listed.text) as unknown[]).length, 2);
  });

  test('one that does not answer is counted as not confirmed', async (t) => {
    const { fake, all } = await workers(t, 2);
    fake.stop(2);
    const { status, text } = await delivered(fake, all[0]?.ask(at(A, 'drain'), post) ?? Promise.reject(new Error()));
    assert.deepEqual([status, (JSON.parse(text) as { confirmed: number }).confirmed], [202, 1]);
  });

  test('what was ordered can be kept over a restart; what is wrong in it is ignored', async (t) => {
    let kept: readonly Order[] = [];
    const one = await started(t, {
      onOrders: (orders) => {
        kept = orders;
      },
    });
    await one.ask(at(A, 'drain'), post);
    const orders = JSON.parse(JSON.stringify([...kept, { pool: 1 }, null, 'x'])) as readonly Order[];
    const other = await started(t, { orders });
    assert.deepEqual(other.under.balancer.upstreams.map(({ state }) => state), ['drained', 'active']);
  });
});
