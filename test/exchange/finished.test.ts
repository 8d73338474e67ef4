/**
 * The event `finished`: one for each exchange, whatever its end and its front, with exact numbers.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, test } from 'node:test';
import type { FinishedExchange } from '../../src/events.ts';
import { startBalancer, type TestOptions } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { Finished } from '../support/finished.ts';
import { FRONTS, serve as serveHttp, UNTIMED } from '../support/fronts.ts';
import {
  bytes, close, echo, halfClose, head, refusingOrigin, request, response, type Script, type ScriptedUpstream,
  serve, startUpstream, untilEnd,
} from '../support/upstream.ts';
import { gate, turns, within } from '../support/wait.ts';
import { type Asked, ended, WAYS } from '../support/ways.ts';

/** The parts that a row states; the others are checked by `whole`. */
type Expected = Partial<Omit<FinishedExchange, 'upstream' | 'requestHeaders'>>;

const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;
const NAMES = [
  'id', 'method', 'target', 'host', 'protocol', 'scheme', 'remoteAddress', 'status', 'code', 'pool', 'upstream',
  'attempts', 'bytesIn', 'bytesOut', 'startedAt', 'queuedMs', 'firstByteMs', 'durationMs', 'state',
];

function same(event: FinishedExchange, expected: Expected): void {
  assert.deepEqual(Object.keys(event), NAMES);
  const got = Object.fromEntries(Object.keys(expected).map((name) => [name, event[name as keyof Expected]]));
  assert.deepEqual(got, expected);
}

/** The start of a response of nine octets. */
const partly = (text: string): string => `HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n${text}`;
const answering = (text: string, status = '200 OK'): Script => [request, response(text, '', status)];

interface Row {
  readonly name: string;
  readonly asked?: Asked;
  readonly scripts?: readonly Script[];
  readonly options?: Omit<TestOptions, 'upstreams'>;
  /** Whether the downstream gets no whole response. */
  readonly fails?: true;
  readonly expected: Expected;
}

const ROWS: readonly Row[] = [
  {
    name: 'served',
    asked: { method: 'POST', target: '/a?b=1', body: 'x'.repeat(1_234) },
    scripts: [answering('y'.repeat(567))],
    expected: {
      method: 'POST', target: '/a?b=1', status: 200, code: undefined, pool: 'default', attempts: 1,
      bytesIn: 1_234, bytesOut: 567,
    },
  },
  {
    name: 'chunked, of which the framing is not counted',
    scripts: [[
      request, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      '3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nA: b\r\n\r\n',
    ]],
    expected: { status: 200, bytesIn: 0, bytesOut: 8 },
  },
  {
    name: 'large, both ways',
    asked: { method: 'POST', body: Buffer.alloc(300_001) },
    scripts: [answering('y'.repeat(400_003))],
    expected: { status: 200, bytesIn: 300_001, bytesOut: 400_003 },
  },
  {
    name: 'the answer to HEAD',
    asked: { method: 'HEAD' },
    scripts: [[request, 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n']],
    expected: { method: 'HEAD', status: 200, bytesOut: 0 },
  },
  {
    name: '204',
    scripts: [[request, 'HTTP/1.1 204 No Content\r\n\r\n']],
    expected: { status: 204, bytesOut: 0 },
  },
  {
    name: '304',
    scripts: [[request, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n']],
    expected: { status: 304, bytesOut: 0 },
  },
  {
    name: "the upstream's own error, which is no code of ours",
    scripts: [answering('no', '404 Not Found')],
    expected: { status: 404, code: undefined, bytesOut: 2 },
  },
  {
    name: 'refused: the upstream breaks off before a response',
    asked: { body: 'abc' },
    scripts: [[request, close]],
    expected: {
      status: 502, code: 'UPSTREAM_CLOSED', attempts: 1, bytesIn: 3,
      bytesOut: 'The upstream closed without a response.\n'.length,
    },
  },
  {
    name: 'refused, to HEAD',
    asked: { method: 'HEAD' },
    scripts: [],
    options: { maxInFlight: 1, strategy: { name: 'none', pick: () => undefined } },
    expected: { status: 503, code: 'NO_CANDIDATE', pool: 'default', attempts: 0, bytesOut: 0 },
  },
  {
    name: 'refused: the body is too large',
    asked: { body: 'abcdef' },
    // By HTTP/2 without a length it connects.
    scripts: [[untilEnd]],
    options: { maxBodyBytes: 5 },
    expected: {
      status: 413, code: 'REQUEST_BODY_TOO_LARGE', bytesOut: 'The request body is too large.\n'.length,
    },
  },
  {
    name: 'refused: it loops',
    asked: { headers: { via: '1.1 equipoise' } },
    scripts: [],
    expected: { status: 508, code: 'LOOP_DETECTED', pool: 'default', attempts: 0 },
  },
  {
    name: 'cut: the upstream breaks off its response',
    scripts: [[request, 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabcdefg', close]],
    fails: true,
    expected: { status: 200, code: 'RESPONSE_INCOMPLETE', attempts: 1, bytesOut: 7 },
  },
  {
    name: 'the answer of a hook',
    asked: { body: 'abc' },
    scripts: [],
    options: { onRequest: () => new Response('no\n', { status: 401 }) },
    expected: { status: 401, code: undefined, pool: 'default', attempts: 0, bytesOut: 3 },
  },
  {
    name: 'the answer of a hook to HEAD',
    asked: { method: 'HEAD' },
    scripts: [],
    options: { onRequest: () => new Response('no\n', { status: 401 }) },
    expected: { status: 401, bytesOut: 0 },
  },
  {
    name: 'the answer of onError, with the code of what failed',
    scripts: [[request, close]],
    options: { onError: () => new Response('sorry', { status: 500 }), retryOn: [] },
    asked: { method: 'POST', body: '' },
    expected: { status: 500, code: 'UPSTREAM_CLOSED', bytesOut: 5 },
  },
  {
    name: 'a hook that fails',
    scripts: [],
    options: {
      onRequest: () => {
        throw new Error('mine');
      },
    },
    expected: { status: 500, code: 'HOOK_FAILED', attempts: 0 },
  },
  {
    name: 'a response that a hook transforms: its octets are those that left',
    asked: { body: 'abc' },
    scripts: [answering('12345')],
    options: {
      onRequest: ({ request: asked }) => {
        asked.pipeThrough(doubled());
        asked.target = '/changed';
      },
      onResponse: ({ response: answer }) => {
        answer.pipeThrough(doubled());
        answer.status = 201;
      },
    },
    expected: { target: '/', status: 201, bytesIn: 3, bytesOut: 10 },
  },
  {
    name: 'a response that a hook reads after a while',
    scripts: [answering('12345')],
    options: {
      onResponse: async ({ response: answer }) => {
        await turns(1);
        return new Response(`${await new Response(answer.body).text()}!`);
      },
    },
    expected: { status: 200, bytesOut: 6 },
  },
];

/** Sends each piece twice. */
function doubled(): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(piece, controller) {
      controller.enqueue(piece);
      controller.enqueue(piece);
    },
  });
}

for (const way of WAYS) {
  describe(`finished, through ${way.name}`, () => {
    for (const { name, asked, scripts = [], options, fails, expected } of ROWS) {
      test(name, async (t) => {
        const upstream = await startUpstream(t, scripts);
        const { under, begin } = await way.start(t, { maxAttempts: 1, ...options, upstreams: [upstream] });
        const finished = new Finished(under);
        const { answer } = await begin(asked);
        if (fails) await ended(answer);
        else assert.equal((await answer).status, expected.status);
        const event = await finished.one();
        same(event, expected);
        assert.match(event.id, UUID);
        assert.deepEqual(
          [event.host, event.protocol, event.scheme, event.remoteAddress, event.queuedMs],
          ['example.test', way.name === 'HTTP/2' ? '2.0' : '1.1', 'http', '127.0.0.1', 0]);
        assert.equal(event.upstream, event.attempts === 0 ? undefined : under.balancer.upstreams[0]);
        await turns(3);
        assert.deepEqual([finished.all.length, finished.unread], [1, []]);
      });
    }

    test('left before a response: 499', async (t) => {
      const upstream = await startUpstream(t, [[request, untilEnd]]);
      const { under, begin } = await way.start(t, { upstreams: [upstream] });
      const finished = new Finished(under);
      const { answer, leave } = await begin({ body: 'abc' });
      await upstream.read(1);
      leave();
      same(await finished.one(), {
        status: 499, code: 'DOWNSTREAM_GONE', attempts: 1, bytesIn: 3, bytesOut: 0, firstByteMs: undefined,
      });
      await ended(answer);
    });

    test('cut by a close before a response: 503, and not the fault of the downstream', async (t) => {
      const upstream = await startUpstream(t, [[request, untilEnd]]);
      const { under, begin } = await way.start(t, { upstreams: [upstream] });
      const finished = new Finished(under);
      const { answer } = await begin({ body: 'abc' });
      await upstream.read(1);
      const closed = under.balancer.close({ timeoutMs: 0 });
      await under.advance(1);
      same(await finished.one(), {
        status: 503, code: 'CLOSING', attempts: 1, bytesIn: 3, bytesOut: 0, firstByteMs: undefined,
      });
      assert.deepEqual(await closed, { cut: 1 });
      await ended(answer);
    });

    test('cut by a close in the middle of the response: its status, and whose doing it was', async (t) => {
      const upstream = await startUpstream(t, [[request, partly('abcd'), untilEnd]]);
      const { under, begin } = await way.start(t, { upstreams: [upstream] });
      const finished = new Finished(under);
      const { answer } = await begin();
      await upstream.read(1);
      await under.picked(1);
      await turns(10);
      const closed = under.balancer.close({ timeoutMs: 0 });
      await under.advance(1);
      same(await finished.one(), { status: 200, code: 'CLOSING', bytesOut: 4 });
      assert.deepEqual(await closed, { cut: 1 });
      await ended(answer);
    });

    test('left in the middle of the response: its status, and what was sent of it', async (t) => {
      const upstream = await startUpstream(t, [[request, partly('abcd'), untilEnd]]);
      const { under, begin } = await way.start(t, { upstreams: [upstream] });
      const finished = new Finished(under);
      const { answer, leave } = await begin();
      await upstream.read(1);
      await under.picked(1);
      await turns(10);
      leave();
      same(await finished.one(), { status: 200, code: 'DOWNSTREAM_GONE', bytesOut: 4 });
      await ended(answer);
    });

    test('the times, and the state that was left', async (t) => {
      const [came, ends] = [gate(), gate()];
      const upstream = await startUpstream(t, [[
        request, () => came.opened, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na', () => ends.opened, 'b',
      ]]);
      const { under, begin } = await way.start(t, {
        upstreams: [upstream],
        onRequest(exchange) {
          exchange.state = { id: exchange.request.id };
        },
      });
      const finished = new Finished(under);
      const startedAt = under.time.epoch();
      const { answer } = await begin({ headers: { 'X-One': 'a', Cookie: 'b=c' } });
      await upstream.read(1);
      await under.advance(100);
      came.open();
      await turns(10);
      await under.advance(20);
      ends.open();
      await answer;
      const event = await finished.one();
      same(event, { startedAt, firstByteMs: 100, durationMs: 120, queuedMs: 0, state: { id: event.id } });
      assert.deepEqual([event.requestHeaders.get('X-ONE'), event.requestHeaders.get('x-two')], ['a', null]);
      const names = [...event.requestHeaders].map(([name]) => name.toLowerCase());
      assert.ok(names.includes('cookie'));
      assert.doesNotMatch(JSON.stringify(event, (key, value: unknown) => key === 'upstream' ? '' : value), /b=c/);
    });

    test('the time in the queue', async (t) => {
      const held = gate();
      const upstream = await startUpstream(t, serve(() => response('')));
      const { under, begin, ask } = await way.start(t, {
        upstreams: [{ origin: upstream.origin, maxInFlight: 1 }],
        maxQueued: 9,
        onResponse: async ({ request: { target } }) => {
          if (target === '/first') await held.opened;
        },
      });
      const finished = new Finished(under);
      const first = await begin({ target: '/first' });
      await under.picked(1);
      const queued = new Promise((resolve) => under.balancer.on('queued', resolve));
      const second = await begin({ target: '/second' });
      await within(queued, () => 'the second to be queued');
      await under.advance(700);
      held.open();
      await Promise.all([first.answer, second.answer]);
      await finished.one(2);
      const waits = Object.fromEntries(finished.all.map(({ target, queuedMs }) => [target, queuedMs]));
      assert.deepEqual(waits, { '/first': 0, '/second': 700 });
      assert.equal((await ask()).status, 200);
    });

    test('retries: the last upstream, and all attempts', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { under, ask } = await way.start(t, { upstreams: [refusingOrigin(), upstream] });
      const finished = new Finished(under);
      await ask({ target: '/a' });
      const event = await finished.one();
      same(event, { status: 200, code: undefined, attempts: 2, bytesOut: 2 });
      assert.equal(event.upstream?.origin, upstream.origin);
    });

    test('a body that is sent again is counted once', async (t) => {
      const [one, two] = [
        await startUpstream(t, [answering('busy', '503 Busy')]), await startUpstream(t, [answering('ok')]),
      ];
      const { under, ask } = await way.start(t, { upstreams: [one, two], retryOn: [503], maxReplayBytes: 1_024 });
      const finished = new Finished(under);
      assert.equal((await ask({ method: 'PUT', body: 'abcde' })).text, 'ok');
      same(await finished.one(), { status: 200, code: undefined, attempts: 2, bytesIn: 5, bytesOut: 2 });
    });
  });
}

for (const front of FRONTS) {
  describe(`finished, on one connection, through ${front.name}`, () => {
    test('pipelined requests: one event each, in order', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const finished = new Finished(under);
      const client = await under.connect();
      client.send(Buffer.concat([Buffer.from(get('/1')), post('/22', 'abc'), Buffer.from(get('/333'))]));
      for (let i = 0; i < 3; i++) await client.response();
      await finished.one(3);
      assert.deepEqual(
        finished.all.map(({ target, bytesIn, bytesOut }) => [target, bytesIn, bytesOut]),
        [['/1', 0, 2], ['/22', 3, 3], ['/333', 0, 4]]);
    });

    test('an upload that breaks off: what came of it', async (t) => {
      const upstream = await startUpstream(t, [[head, bytes(4), untilEnd]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const finished = new Finished(under);
      const client = await under.connect();
      client.send(`${get('/', 'Content-Length: 10\r\n', 'POST')}abcd`);
      await upstream.saw('1 read abcd');
      client.reset();
      same(await finished.one(), { status: 499, code: 'DOWNSTREAM_GONE', bytesIn: 4, bytesOut: 0 });
    });

    test('a malformed body', async (t) => {
      const upstream = await startUpstream(t, [[head, untilEnd]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const finished = new Finished(under);
      const client = await under.connect();
      client.send(`${get('/', 'Transfer-Encoding: chunked\r\n', 'POST')}3\r\nabc\r\n`);
      await upstream.saw('1 POST /');
      client.send('zz\r\n');
      if (front.name === 'socket') {
        assert.equal((await client.response()).status, 400);
        same(await finished.one(), { status: 400, code: 'REQUEST_BODY_MALFORMED', bytesIn: 3 });
      } else same(await finished.one(), { bytesIn: 3 });
    });

    test('an upgrade: at the end of the tunnel, with what was relayed', async (t) => {
      const upstream = await startUpstream(t, [[
        request, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nhello', bytes(3),
        halfClose, untilEnd,
      ]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const finished = new Finished(under);
      const client = await under.connect();
      client.send(get('/chat', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      await client.head();
      assert.deepEqual(finished.all, []);
      await under.advance(1_000);
      client.send('abc');
      await upstream.saw('1 read abc');
      client.end();
      same(await finished.one(), {
        target: '/chat', status: 101, code: undefined, attempts: 1, bytesIn: 3, bytesOut: 5, durationMs: 1_000,
      });
    });

    test('an upgrade whose downstream is reset', async (t) => {
      const upstream = await startUpstream(t, [[
        request, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n', bytes(3), untilEnd,
      ]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const finished = new Finished(under);
      const client = await under.connect();
      client.send(get('/chat', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      await client.head();
      client.send('abc');
      await upstream.saw('1 read abc');
      client.reset();
      same(await finished.one(), { status: 101, code: 'DOWNSTREAM_GONE', bytesIn: 3, bytesOut: 0 });
    });

    test('a request too malformed to become an exchange has none', async (t) => {
      const under = await startBalancer(t, { upstreams: [], front });
      const finished = new Finished(under);
      const startedAt = under.time.epoch();
      const client = await under.connect();
      assert.equal((await client.exchange(get('/', 'X-A: b\r\n'.repeat(101)))).status, 431);
      await finished.refused(1);
      const expected = { status: 431, code: 'REQUEST_HEAD_TOO_LARGE', remoteAddress: '127.0.0.1', startedAt };
      assert.deepEqual([finished.all, finished.unread], [[], [expected]]);
    });

    test('with routes: no pool where none matched or the route answers', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        routes: [
          { path: '/api/', stripPrefix: '/api', pool: 'default' },
          { path: '/health', answer: { status: 200, body: 'ok\n' } },
        ],
        front,
      });
      const finished = new Finished(under);
      const client = await under.connect();
      for (const target of ['/api/x', '/health', '/none']) await client.exchange(get(target));
      await finished.one(3);
      const got = finished.all.map((event) => {
        return [event.target, event.pool, event.status, event.code, event.bytesOut];
      });
      assert.deepEqual(got, [
        ['/api/x', 'default', 200, undefined, 2],
        ['/health', undefined, 200, undefined, 3],
        ['/none', undefined, 404, 'NO_ROUTE', 'There is nothing at this host and path.\n'.length],
      ]);
    });

    test('the id of a trusted downstream, with and without hooks', async (t) => {
      const upstream = await startUpstream(t, echo);
      for (const hooks of [{}, { onRequest: () => undefined }]) {
        const under = await startBalancer(t, { upstreams: [upstream], front, trustForwarded: true, ...hooks });
        const finished = new Finished(under);
        const client = await under.connect();
        await client.exchange(get('/', 'X-Request-ID: abc-1\r\n'));
        await client.exchange(get('/', 'X-Request-ID: no spaces\r\n'));
        await finished.one(2);
        assert.equal(finished.all[0]?.id, 'abc-1');
        assert.match(finished.all[1]?.id ?? '', UUID);
      }
    });

    test('a listener that is added in between gets what ends from then on', async (t) => {
      const came = gate();
      const upstream: ScriptedUpstream = await startUpstream(t, [[request, () => came.opened, response('abc')]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/late'));
      await upstream.read(1);
      const finished = new Finished(under);
      came.open();
      await client.response();
      same(await finished.one(), { target: '/late', status: 200, bytesOut: 3 });
    });

    test('a listener that closes the balancer, or throws, does no harm', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      let heard = 0;
      under.balancer.on('finished', () => {
        heard++;
        void under.balancer.close({ timeoutMs: 0 });
        throw new Error('mine');
      });
      const client = await under.connect();
      client.send(get('/a'));
      await under.reported(1);
      await turns(3);
      assert.deepEqual([heard, under.reports], [1, ['HOOK_FAILED']]);
    });
  });
}

test('an upstream that stops in the middle of a response: cut, with what came', async (t) => {
  const upstream = await startUpstream(t, [[request, partly('abc'), untilEnd]]);
  const under = await startBalancer(t, { upstreams: [upstream], responseTimeoutMs: 500, idleTimeoutMs: 500 });
  const finished = new Finished(under);
  const client = await under.connect();
  client.send(get());
  await client.inbox.until('abc');
  await under.advance(600);
  same(await finished.one(), { status: 200, code: 'RESPONSE_TIMEOUT', bytesOut: 3, durationMs: 600 });
});

test('middleware that breaks the response: the status of the answer in its place', async (t) => {
  // Its response is not complete, so that the head is sent at once.
  const upstream = await startUpstream(t, [[request, partly('abc'), untilEnd]]);
  const under = await startBalancer(t, {
    upstreams: [upstream],
    front: {
      name: 'node:http with a broken response',
      open: (balancer) => serveHttp(http.createServer(UNTIMED, (asked, answer) => {
        const writeHead = answer.writeHead.bind(answer);
        answer.writeHead = () => {
          answer.writeHead = writeHead;
          throw new Error('mine');
        };
        balancer.handle(asked, answer);
      })),
    },
  });
  const finished = new Finished(under);
  const answer = await (await under.connect()).exchange(post('/', 'abc'));
  assert.equal(answer.status, 500);
  const bytesOut = answer.text.length;
  same(await finished.one(), { status: 500, code: 'HOOK_FAILED', bytesIn: 3, bytesOut, attempts: 1 });
});
