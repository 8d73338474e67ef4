/**
 * Requests on their routes, through every front: which pool serves them, as what they are sent, what is answered here.
 */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { describe, test } from 'node:test';
import type { RouteOptions } from '../../src/options/route-options.ts';
import { get, post } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { ask, H2C } from '../support/http2.ts';
import { startPools } from '../support/pools.ts';
import { atEnd } from '../support/scope.ts';
import { bytes, request, response, serve, startUpstream } from '../support/upstream.ts';

const ASK = 'Connection: Upgrade\r\nUpgrade: raw\r\n';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\nServer: x\r\n\r\n';

/** Answers with a name and the request line and fields that came. */
const named = (name: string) => serve(({ head }) => response(`${name} ${head.line}`, 'Server: secret\r\nX-Up: 1\r\n'));

const ROUTES: readonly RouteOptions[] = [
  { host: 'api.example.com', pool: 'api' },
  { host: '*.wild.test', pool: 'api' },
  { path: '/api/', stripPrefix: '/api', methods: ['GET'], pool: 'api' },
  { path: '/v1/', rewrite: '/v2/', pool: 'api' },
  { path: '/old/', redirect: 'https://example.com/new/' },
  { path: '/moved', redirect: '/here', status: 302 },
  { path: '/health', answer: { body: 'ok\n', headers: { 'x-health': 'fine' } } },
  { path: '/none', answer: { status: 204 } },
  { path: '/teapot', answer: { status: 418, headers: { date: 'Thu, 01 Jan 1970 00:00:00 GMT' } } },
  { path: '/web', pool: 'web' },
];

for (const front of FRONTS) {
  describe(`a request on its route, through ${front.name}`, () => {
    const table: readonly [name: string, request: string | Buffer, status: number, text: string][] = [
      ['a host', get('/x').replace('example.test', 'API.example.com:80'), 200, 'api GET /x HTTP/1.1'],
      ['a wildcard', get('/x').replace('example.test', 'a.b.wild.test'), 200, 'api GET /x HTTP/1.1'],
      ['a path, stripped', get('/api/users?a=1'), 200, 'api GET /users?a=1 HTTP/1.1'],
      ['a path without its slash', get('/api?a=1'), 200, 'api GET /?a=1 HTTP/1.1'],
      ['another method', post('/api/users', 'x'), 404, 'There is nothing at this host and path.\n'],
      ['a rewrite', get('/v1/users'), 200, 'api GET /v2/users HTTP/1.1'],
      ['a rewrite of a POST', post('/v1/users', 'body'), 200, 'api POST /v2/users HTTP/1.1'],
      ['another pool', get('/web/x'), 200, 'web GET /web/x HTTP/1.1'],
      ['no border of a segment', get('/webx'), 404, 'There is nothing at this host and path.\n'],
      ['nothing', get('/'), 404, 'There is nothing at this host and path.\n'],
      ['nothing but *', get('*', '', 'OPTIONS'), 404, 'There is nothing at this host and path.\n'],
      ['dot segments', get('/web/../api'), 400, 'The path of the request has dot segments.\n'],
      ['encoded dot segments', get('/web/%2e%2E/api'), 400, 'The path of the request has dot segments.\n'],
      ['a redirect', get('/old/a?b=c'), 308, ''],
      ['an answer', get('/health'), 200, 'ok\n'],
      ['an answer to HEAD', get('/health', '', 'HEAD'), 200, ''],
      ['an answer to POST', post('/health', 'x'), 200, 'ok\n'],
      ['an answer without a body', get('/none'), 204, ''],
    ];
    for (const [name, bytesToSend, status, text] of table) {
      test(`${name}: ${status}`, async (t) => {
        const [web, api] = [await startUpstream(t, named('web')), await startUpstream(t, named('api'))];
        const pools = { web: { upstreams: [web.origin] }, api: { upstreams: [api.origin] } };
        const under = await startPools(t, { pools, routes: ROUTES }, front);
        const answer = await (await under.connect()).exchange(bytesToSend);
        assert.deepEqual([answer.status, answer.text], [status, text]);
      });
    }

    test('redirects and answers have the heads that they should', async (t) => {
      const under = await startPools(t, { pools: { web: { upstreams: [] } }, routes: ROUTES.filter(({ pool }) => (
        pool !== 'api')) }, front);
      const client = await under.connect();
      assert.equal((await client.exchange(get('/old/a?b=c'))).head.get('location'), 'https://example.com/new/a?b=c');
      const moved = await client.exchange(get('/moved//evil.example'));
      assert.deepEqual([moved.status, moved.head.get('location')], [302, '/here/evil.example']);
      const health = await client.exchange(get('/health'));
      assert.equal(health.head.get('x-health'), 'fine');
      assert.equal(health.head.get('content-type'), 'text/plain; charset=utf-8');
      assert.notEqual(health.head.get('date'), undefined);
      const toHead = await client.exchange(get('/health', '', 'HEAD'));
      assert.equal(toHead.head.get('content-length'), '3');
      const none = await client.exchange(get('/none'));
      assert.equal(none.head.get('content-length'), undefined);
      const teapot = await client.exchange(get('/teapot'));
      assert.deepEqual([teapot.status, teapot.head.get('date')], [418, 'Thu, 01 Jan 1970 00:00:00 GMT']);
      const missing = await client.exchange(get('/'));
      assert.equal(missing.head.get('proxy-status'), 'equipoise; error=destination_not_found');
      assert.deepEqual(under.reports, []);
    });

    test('headers are edited on both sides', async (t) => {
      const upstream = await startUpstream(t, named('web'));
      const under = await startPools(t, {
        upstreams: [upstream.origin],
        routes: [
          {
            path: '/edited',
            requestHeaders: { 'x-edge': 'eu', 'x-user': null, host: 'inner.test', 'x-forwarded-proto': 'https' },
            responseHeaders: { server: null, 'x-up': '2', 'x-new': 'a' },
          },
          {},
        ],
      }, front);
      const client = await under.connect();
      const edited = await client.exchange(get('/edited', 'X-User: root\r\nx_user: root\r\nX-Edge: us\r\nA: 1\r\n'));
      assert.deepEqual(['server', 'x-up', 'x-new'].map((name) => edited.head.get(name)), [undefined, '2', 'a']);
      const plain = await client.exchange(get('/', 'X-User: root\r\n'));
      assert.deepEqual(['server', 'x-up', 'x-new'].map((name) => plain.head.get(name)), ['secret', '1', undefined]);
      const [first, second] = upstream.peers.flatMap(({ requests }) => requests).map(({ head }) => head);
      assert.ok(first !== undefined && second !== undefined);
      assert.deepEqual(['x-user', 'x_user', 'x-edge', 'host', 'x-forwarded-proto', 'a'].map((name) => first.get(name)),
        [undefined, undefined, 'eu', 'inner.test', 'https', '1']);
      assert.deepEqual(['x-user', 'x-edge', 'host', 'x-forwarded-proto'].map((name) => second.get(name)),
        ['root', undefined, 'example.test', 'http']);
    });

    test('upgrades go by routes: to a pool, to an answer, to nothing', async (t) => {
      const [web, api] = [await startUpstream(t, []), await startUpstream(t, [[request, SWITCH, bytes(2), 'ok']])];
      const under = await startPools(t, {
        pools: { web: { upstreams: [web.origin] }, api: { upstreams: [api.origin] } },
        routes: [
          { path: '/ws/', stripPrefix: '/ws', pool: 'api', responseHeaders: { server: null } },
          { path: '/closed', answer: { status: 503, body: 'later\n' } },
          { path: '/web', pool: 'web' },
        ],
      }, front);
      const client = await under.connect();
      client.send(get('/ws/chat', ASK));
      const head = await client.head();
      assert.match(head.line, /^HTTP\/1\.1 101 /);
      assert.equal(head.get('server'), undefined);
      client.send('hi');
      assert.equal((await client.inbox.exactly(2)).toString(), 'ok');
      assert.deepEqual(api.events.filter((event) => event.includes('GET')), ['1 GET /chat']);
      client.destroy();
      const closed = await (await under.connect()).exchange(get('/closed', ASK));
      assert.deepEqual([closed.status, closed.text], [503, 'later\n']);
      assert.equal((await (await under.connect()).exchange(get('/', ASK))).status, 404);
    });

    test('hooks see requests and responses as the route leaves them, and have the last word', async (t) => {
      const [web, api] = [await startUpstream(t, named('web')), await startUpstream(t, named('api'))];
      const seen: unknown[] = [];
      const under = await startPools(t, {
        pools: { web: { upstreams: [web.origin] }, api: { upstreams: [api.origin] } },
        routes: [
          {
            path: '/api', stripPrefix: '/api', pool: 'api',
            requestHeaders: { 'x-edge': 'eu', 'x-cut': null }, responseHeaders: { 'x-up': 'route', server: null },
          },
          { path: '/web', pool: 'web' },
          { path: '/fixed', answer: {} },
        ],
        onRequest(exchange) {
          const { headers, target } = exchange.request;
          seen.push([exchange.pool, target, headers.get('x-edge'), headers.get('x-cut')]);
          headers.set('x-cut', 'hook');
          if (target === '/to-web') exchange.pool = 'web';
        },
        onResponse({ response: { headers } }) {
          seen.push([headers.get('x-up'), headers.get('server')]);
          headers.set('server', 'hook');
        },
      }, front);
      const client = await under.connect();
      const answer = await client.exchange(get('/api/x', 'X-Cut: 1\r\n'));
      assert.equal(answer.text, 'api GET /x HTTP/1.1');
      assert.deepEqual(seen.splice(0), [['api', '/x', 'eu', null], ['route', null]]);
      assert.deepEqual([answer.head.get('x-up'), answer.head.get('server')], ['route', 'hook']);
      const sent = api.peers[0]?.requests[0]?.head;
      assert.deepEqual([sent?.get('x-edge'), sent?.get('x-cut')], ['eu', 'hook']);
      assert.equal((await client.exchange(get('/api/to-web'))).text, 'web GET /to-web HTTP/1.1');
      seen.splice(0);
      assert.equal((await client.exchange(get('/fixed'))).status, 200);
      assert.deepEqual(seen, [], 'a fixed answer asks no hook');
    });

    test('onError sees that there is no route, and why', async (t) => {
      const seen: unknown[] = [];
      const under = await startPools(t, {
        pools: { web: { upstreams: [] } },
        routes: [{ path: '/web', pool: 'web' }],
        onError({ request: { target } }, { code, status, source }) {
          seen.push([target, code, status, source]);
          return new Response('mine', { status: 410 });
        },
      }, front);
      const client = await under.connect();
      assert.deepEqual([(await client.exchange(get('/x'))).text, (await client.exchange(get('/web/..'))).text],
        ['mine', 'mine']);
      assert.deepEqual(seen, [
        ['/x', 'NO_ROUTE', 404, 'downstream'], ['/web/..', 'DOT_SEGMENTS', 400, 'downstream'],
      ]);
    });

    test('a request that no route takes is refused, and one that is answered is not', async (t) => {
      const refused: unknown[] = [];
      const pools = { web: { upstreams: [] } };
      const under = await startPools(t, { pools, routes: [{ path: '/a', answer: {} }] }, front);
      under.balancer.on('refused', (event) => refused.push(event));
      const client = await under.connect();
      await client.exchange(get('/a'));
      await client.exchange(get('/b'));
      assert.deepEqual(refused, [{ status: 404, code: 'NO_ROUTE' }]);
    });
  });
}

test('the last hop of OPTIONS and TRACE is answered before routes are asked', async (t) => {
  const under = await startPools(t, { pools: { web: { upstreams: [] } }, routes: [{ path: '/a', pool: 'web' }] });
  const client = await under.connect();
  assert.equal((await client.exchange(get('*', 'Max-Forwards: 0\r\n', 'OPTIONS'))).status, 200);
  assert.match((await client.exchange(get('/x', 'Max-Forwards: 0\r\n', 'TRACE'))).text, /^TRACE \/x HTTP\/1\.1\r\n/);
});

test('a retry goes by the route once', async (t) => {
  const [one, two] = [
    await startUpstream(t, serve(() => response('busy', '', '503 Busy'))), await startUpstream(t, named('two')),
  ];
  const under = await startPools(t, {
    pools: { api: { upstreams: [one.origin, two.origin], retryOn: [503], strategy: {
      name: 'in order', pick: (candidates) => candidates[0],
    } } },
    routes: [{ path: '/api', stripPrefix: '/api', pool: 'api', requestHeaders: { 'x-edge': 'eu' } }],
  });
  const answer = await (await under.connect()).exchange(get('/api/api/x'));
  assert.equal(answer.text, 'two GET /api/x HTTP/1.1');
  assert.equal(one.peers[0]?.requests[0]?.head.get('x-edge'), 'eu');
  assert.equal(two.peers[0]?.requests[0]?.head.get('x-edge'), 'eu');
});

test('routes by :authority and path serve HTTP/2', async (t) => {
  const api = await startUpstream(t, named('api'));
  const under = await startPools(t, {
    pools: { api: { upstreams: [api.origin] } },
    routes: [
      { host: 'api.example.com', path: '/v1', stripPrefix: '/v1', pool: 'api', responseHeaders: { server: null } },
      { path: '/old', redirect: '/new' },
      { path: '/health', answer: { body: 'ok\n' } },
    ],
  }, H2C);
  const session = http2.connect(`http://127.0.0.1:${under.port}`);
  const done = new Promise((resolve) => session.once('close', resolve));
  atEnd(t, async () => {
    session.destroy();
    await done;
  });
  const served = await ask(session, { ':path': '/v1/x', ':authority': 'api.example.com' });
  assert.deepEqual([served.body.toString(), served.fields['server']], ['api GET /x HTTP/1.1', undefined]);
  const moved = await ask(session, { ':path': '/old/x' });
  assert.deepEqual([moved.status, moved.fields.location], [308, '/new/x']);
  assert.equal((await ask(session, { ':path': '/health' })).body.toString(), 'ok\n');
  assert.equal((await ask(session, { ':path': '/health', ':method': 'HEAD' })).fields['content-length'], '3');
  assert.equal((await ask(session, { ':path': '/x' })).status, 404);
});

test('a trusted downstream keeps its forwarding headers but for those of the route', async (t) => {
  const upstream = await startUpstream(t, named('web'));
  const under = await startPools(t, {
    upstreams: [upstream.origin],
    trustForwarded: true,
    routes: [{ requestHeaders: { 'x-forwarded-host': null, 'x-forwarded-proto': 'https' } }],
  }, SOCKET);
  await (await under.connect()).exchange(get('/', 'X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: a\r\n'
    + 'X-Forwarded-Proto: http\r\n'));
  const head = upstream.peers[0]?.requests[0]?.head;
  assert.deepEqual(['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'].map((name) => head?.get(name)),
    ['192.0.2.1, 127.0.0.1', undefined, 'https']);
});
