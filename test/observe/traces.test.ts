/**
 * `traceWith`: spans by the real SDK of OpenTelemetry, whatever becomes of an exchange and whichever way it came.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, test, type TestContext } from 'node:test';
import * as api from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { traceWith } from '../../src/observe/traces.ts';
import type { OpenTelemetryApi } from '../../src/observe/trace-options.ts';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS, type FrontKind, serve as serveHttp, UNTIMED } from '../support/fronts.ts';
import { Spans } from '../support/spans.ts';
import {
  bytes, close, echo, refusingOrigin, request, response, type Script, startUpstream, untilEnd,
} from '../support/upstream.ts';
import { gate, turns } from '../support/wait.ts';
import { type Asked, ended, type Served, type Way, WAYS } from '../support/ways.ts';

const spans = new Spans();
const { SERVER, CLIENT } = api.SpanKind;
const { UNSET, ERROR } = api.SpanStatusCode;
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const incoming = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'vendor=1' };

async function traced(t: TestContext, way: Way, options: TestOptions): Promise<Served> {
  spans.clear();
  const served = await way.start(t, options);
  traceWith(served.under.balancer, { api });
  return served;
}

function of(all: readonly ReadableSpan[], kind: api.SpanKind): ReadableSpan[] {
  return all.filter((span) => span.kind === kind);
}

function one(all: readonly ReadableSpan[], kind: api.SpanKind): ReadableSpan {
  const [span, ...others] = of(all, kind);
  assert.ok(span !== undefined && others.length === 0, `one span of kind ${kind}`);
  return span;
}

/** The traceparent of a span. */
function parentOf(span: ReadableSpan): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-0${traceFlags}`;
}

for (const way of WAYS) {
  describe(`traces through ${way.name}`, () => {
    test('an exchange is a server span, its attempt a client span below it, and the upstream goes on', async (t) => {
      const upstream = await startUpstream(t, [[request, response('hello')]]);
      const { ask, under } = await traced(t, way, { upstreams: [upstream] });
      await ask({
        target: '/a/b?c=d&sig=secret', headers: { ...incoming, 'user-agent': 'test/1', 'baggage': 'k=v' },
      });
      const all = await spans.all(2);
      const server = one(all, SERVER);
      const client = one(all, CLIENT);
      assert.equal(server.name, 'GET');
      assert.equal(client.name, 'GET');
      assert.equal(server.parentSpanContext?.spanId, PARENT);
      assert.equal(server.spanContext().traceId, TRACE);
      assert.equal(client.parentSpanContext?.spanId, server.spanContext().spanId);
      const h2 = way.name === 'HTTP/2';
      const { 'equipoise.queued_ms': queued, 'server.address': address, ...rest } = server.attributes;
      assert.equal(queued, 0);
      assert.equal(typeof address, 'string');
      assert.deepEqual(rest, {
        'http.request.method': 'GET', 'url.scheme': 'http', 'url.path': '/a/b', 'url.query': 'c=d&sig=REDACTED',
        'server.port': 80, 'network.protocol.version': h2 ? '2' : '1.1', 'client.address': '127.0.0.1',
        'network.peer.address': '127.0.0.1', 'user_agent.original': 'test/1',
        'http.response.status_code': 200, 'equipoise.pool': 'default',
      });
      assert.deepEqual(client.attributes, {
        'http.request.method': 'GET', 'server.address': '127.0.0.1', 'server.port': upstream.port,
        'url.full': `${upstream.origin}/a/b?c=d&sig=REDACTED`, 'network.protocol.version': '1.1',
        'equipoise.pool': 'default', 'http.response.status_code': 200,
      });
      assert.equal(server.status.code, UNSET);
      assert.equal(client.status.code, UNSET);
      const { head } = upstream.peers[0]?.requests[0] ?? assert.fail('no request');
      assert.equal(head.get('traceparent'), parentOf(client));
      assert.equal(head.text.match(/^traceparent:/gim)?.length, 1);
      assert.equal(head.get('tracestate'), 'vendor=1');
      assert.equal(head.get('baggage'), 'k=v');
      assert.match(head.line, /sig=secret/);
      assert.deepEqual(under.reports, []);
    });

    test('each attempt is a span of its own, whose context its upstream gets', async (t) => {
      const first = await startUpstream(t, [[request, close]]);
      const second = await startUpstream(t, [[request, response('', '', '503 Service Unavailable')]]);
      const third = await startUpstream(t, [[request, response('hello')]]);
      const { ask } = await traced(t, way, {
        upstreams: [refusingOrigin(), first, second, third], retryOn: [503], maxAttempts: 4, retryBudgetPercent: 100,
      });
      assert.equal((await ask()).status, 200);
      const all = await spans.all(5);
      const clients = of(all, CLIENT);
      const seen = clients.map(({ attributes, status }) => [
        attributes['http.request.resend_count'], attributes['http.response.status_code'], attributes['error.type'],
        status.code,
      ]);
      assert.deepEqual(seen, [
        [undefined, undefined, 'CONNECT_REFUSED', ERROR], [1, undefined, 'UPSTREAM_CLOSED', ERROR],
        [2, 503, '503', ERROR], [3, 200, undefined, UNSET],
      ]);
      const server = one(all, SERVER);
      for (const { parentSpanContext } of clients) {
        assert.equal(parentSpanContext?.spanId, server.spanContext().spanId);
      }
      for (const [i, upstream] of [first, second, third].entries()) {
        const span = clients[i + 1] ?? assert.fail('no span');
        assert.equal(upstream.peers[0]?.requests[0]?.head.get('traceparent'), parentOf(span));
      }
      assert.equal(server.status.code, UNSET);
    });

    interface Row {
      readonly name: string;
      readonly asked?: Asked;
      readonly script?: Script;
      readonly options?: Partial<TestOptions>;
      readonly fails?: true;
      /** The status, the error and the state of the server span, then of the client span, if there is one. */
      readonly server: readonly [number | undefined, string | undefined, api.SpanStatusCode];
      readonly client?: readonly [number | undefined, string | undefined, api.SpanStatusCode];
    }
    const rows: readonly Row[] = [
      {
        name: 'no route is no error of the server', options: { routes: [{ path: '/x', pool: 'default' }] },
        server: [404, undefined, UNSET],
      },
      {
        name: "an upstream's 404", script: [request, response('', '', '404 Not Found')],
        server: [404, undefined, UNSET], client: [404, '404', ERROR],
      },
      {
        name: "an upstream's 500", script: [request, response('', '', '500 Oops')],
        server: [500, '500', ERROR], client: [500, '500', ERROR],
      },
      {
        name: 'an upstream that closes', script: [request, close],
        server: [502, 'UPSTREAM_CLOSED', ERROR], client: [undefined, 'UPSTREAM_CLOSED', ERROR],
      },
      {
        name: 'a response that breaks off', fails: true,
        script: [request, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', () => turns(9), close],
        server: [200, 'RESPONSE_INCOMPLETE', ERROR], client: [200, 'RESPONSE_INCOMPLETE', ERROR],
      },
      {
        name: 'a strategy that declines', options: { strategy: { name: 'none', pick: () => undefined } },
        server: [503, 'NO_CANDIDATE', ERROR],
      },
      {
        name: 'a hook that answers', options: { onRequest: () => new Response('no', { status: 403 }) },
        server: [403, undefined, UNSET],
      },
      {
        name: 'a hook that fails', options: { onRequest: () => Promise.reject(new Error('no')) },
        server: [500, 'HOOK_FAILED', ERROR],
      },
      {
        name: 'a hook that makes a page of an error', script: [request, close],
        options: { onError: () => new Response('sorry', { status: 200 }) },
        server: [200, undefined, UNSET], client: [undefined, 'UPSTREAM_CLOSED', ERROR],
      },
      {
        name: 'a hook that answers for an upstream', script: [request, response('no')],
        options: { onResponse: () => new Response('yes', { status: 201 }) },
        server: [201, undefined, UNSET], client: [200, undefined, UNSET],
      },
    ];
    for (const { name, asked, script, options, fails, server, client } of rows) {
      test(name, async (t) => {
        const upstream = await startUpstream(t, script === undefined ? [] : [script]);
        const { begin } = await traced(t, way, { upstreams: [upstream], maxAttempts: 1, ...options });
        const { answer } = await begin(asked);
        if (fails === true) await ended(answer);
        else await answer;
        const all = await spans.all(client === undefined ? 1 : 2);
        const told = (span: ReadableSpan): unknown => [
          span.attributes['http.response.status_code'], span.attributes['error.type'], span.status.code,
        ];
        assert.deepEqual(told(one(all, SERVER)), server);
        if (client !== undefined) assert.deepEqual(told(one(all, CLIENT)), client);
      });
    }

    test('a client that leaves before a response', async (t) => {
      const upstream = await startUpstream(t, [[request, untilEnd]]);
      const { begin } = await traced(t, way, { upstreams: [upstream] });
      const { leave, answer } = await begin({ target: '/gone' });
      await upstream.saw('1 GET /gone');
      leave();
      await ended(answer);
      const all = await spans.all(2);
      for (const { attributes, status } of all) {
        assert.equal(attributes['http.response.status_code'], undefined);
        assert.equal(attributes['error.type'], 'DOWNSTREAM_GONE');
        assert.equal(status.code, ERROR);
      }
    });

    test('hooks run within the server span, whether they wait or not', async (t) => {
      const upstream = await startUpstream(t, [[request, close], echo]);
      const tracer = api.trace.getTracer('test');
      const note = (name: string): void => {
        tracer.startSpan(name).end();
      };
      const { ask } = await traced(t, way, {
        upstreams: [upstream],
        maxAttempts: 1,
        ejectAfter: 0,
        onRequest: async () => {
          note('request');
          await turns(2);
          note('request later');
        },
        onResponse: () => {
          note('response');
        },
        onError: async () => {
          await turns(1);
          note('error');
        },
      });
      assert.equal((await ask()).status, 502);
      assert.equal((await ask()).status, 200);
      const all = await spans.all(10);
      const servers = of(all, SERVER).map((span) => span.spanContext().spanId);
      const below = (i: number): string[] => all.filter(({ kind, parentSpanContext }) => (
        kind === api.SpanKind.INTERNAL && parentSpanContext?.spanId === servers[i])).map(({ name }) => name);
      assert.deepEqual(below(0), ['request', 'request later', 'error']);
      assert.deepEqual(below(1), ['request', 'request later', 'response']);
    });

    test('what is not sampled makes no span, and is passed on as not sampled', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { ask } = await traced(t, way, { upstreams: [upstream] });
      await ask({ headers: { traceparent: `00-${TRACE}-${PARENT}-00` } });
      spans.samples = false;
      await ask({ headers: { tracestate: 'stale=1' } });
      await spans.all(0);
      const heads = upstream.peers.flatMap(({ requests }) => requests).map(({ head }) => head);
      assert.match(heads[0]?.get('traceparent') ?? '', new RegExp(`^00-${TRACE}-(?!${PARENT})[\\da-f]{16}-00$`));
      assert.match(heads[1]?.get('traceparent') ?? '', /^00-[\da-f]{32}-[\da-f]{16}-00$/);
      assert.equal(heads[1]?.get('tracestate'), undefined, 'a state without its trace');
    });

    test('an API that throws in every call harms nothing', async (t) => {
      const throws = (): never => {
        throw new Error('broken');
      };
      const span = {
        spanContext: throws, isRecording: throws, setAttributes: throws, setStatus: throws, end: throws,
      };
      const whole = {
        trace: { getTracer: () => ({ startSpan: () => span }), getSpan: throws, setSpan: throws, deleteSpan: throws },
        context: { active: throws, with: throws },
        propagation: { extract: throws, inject: throws, fields: throws },
        ROOT_CONTEXT: api.ROOT_CONTEXT,
      } as unknown as OpenTelemetryApi;
      const late = {
        ...whole,
        trace: { ...whole.trace, getSpan: () => undefined, setSpan: () => api.ROOT_CONTEXT },
        context: { ...whole.context, active: () => api.ROOT_CONTEXT },
        propagation: { ...whole.propagation, extract: () => api.ROOT_CONTEXT },
      } as unknown as OpenTelemetryApi;
      const upstream = await startUpstream(t, echo);
      const { under, ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest: ({ request: { headers } }) => {
          headers.set('x-hook', 'ran');
        },
      });
      for (const broken of [whole, late]) traceWith(under.balancer, { api: broken });
      const answer = await ask({ target: '/served', headers: incoming });
      assert.equal(answer.text, '/served');
      const head = upstream.peers[0]?.requests[0]?.head;
      assert.equal(head?.get('traceparent'), incoming.traceparent);
      assert.equal(head.get('x-hook'), 'ran');
      await turns(3);
      assert.equal(under.reports.length, 5, String(under.errors));
      assert.ok(under.errors.every(({ message }) => /^a tracer threw.*broken/.test(message)), String(under.errors));
    });

    test('where nobody traces, and where no SDK is registered, the context is passed on unchanged', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { under, ask } = await way.start(t, { upstreams: [upstream] });
      const without = { ...api, trace: noApi, propagation: noPropagation } as unknown as OpenTelemetryApi;
      await ask({ target: '/1', headers: incoming });
      traceWith(under.balancer, { api: without });
      await ask({ target: '/2', headers: incoming });
      const heads = upstream.peers.flatMap(({ requests }) => requests).map(({ head }) => head);
      assert.equal(heads.length, 2);
      for (const head of heads) {
        assert.equal(head.get('traceparent'), incoming.traceparent);
        assert.equal(head.get('tracestate'), incoming.tracestate);
      }
    });
  });
}

/** The API as it is without an SDK. */
const NONE = { traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 };
const noApi = {
  getTracer: () => ({ startSpan: () => api.trace.wrapSpanContext(NONE) }),
  getSpan: () => undefined,
  setSpan: (context: unknown) => context,
  deleteSpan: (context: unknown) => context,
};
const noPropagation = { extract: (context: unknown) => context, inject: () => undefined, fields: () => [] };

for (const front of FRONTS) {
  describe(`traces of tunnels and the like through ${front.name}`, () => {
    const start = async (t: TestContext, options: Omit<TestOptions, 'front'>): Promise<BalancerUnderTest> => {
      spans.clear();
      const under = await startBalancer(t, { ...options, front });
      traceWith(under.balancer, { api });
      return under;
    };

    test('the spans of an upgrade end with its tunnel', async (t) => {
      const upstream = await startUpstream(t, [[
        request, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n', bytes(4), 'pong',
        untilEnd, close,
      ]]);
      const under = await start(t, { upstreams: [upstream] });
      const client = await under.connect();
      const answer = await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      assert.equal(answer.status, 101);
      client.send('ping');
      await client.inbox.exactly(4);
      assert.equal(spans.ended, 0);
      client.end();
      const all = await spans.all(2);
      for (const { attributes, status } of all) {
        assert.equal(attributes['http.response.status_code'], 101);
        assert.equal(status.code, UNSET);
      }
    });

    test('a route names the span, and the wait for room is told', async (t) => {
      const open = gate();
      const upstream = await startUpstream(t, [[
        request, () => open.opened, response('1'), request, response('2'),
      ]]);
      const under = await start(t, {
        upstreams: [upstream],
        maxInFlight: 1,
        maxQueued: 1,
        routes: [{ path: '/api/', stripPrefix: '/api', pool: 'default' }],
      });
      const first = await under.connect();
      const second = await under.connect();
      first.send(get('/api/1'));
      await upstream.saw('1 GET /1');
      second.send(get('/api/2'));
      await turns(5);
      await under.advance(250);
      open.open();
      await first.response();
      await second.response();
      const all = await spans.all(4);
      const [one, two] = of(all, SERVER);
      assert.deepEqual([one?.name, two?.name], ['GET /api/*', 'GET /api/*']);
      assert.equal(two?.attributes['http.route'], '/api/*');
      assert.equal(two.attributes['url.path'], '/api/2');
      assert.equal(two.attributes['equipoise.queued_ms'], 250);
      assert.equal(of(all, CLIENT)[1]?.attributes['url.full'], `${upstream.origin}/2`);
    });

    test('odd requests stay within bounds, and what a trusted downstream says counts', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await start(t, { upstreams: [upstream], trustForwarded: true });
      const client = await under.connect();
      const fields = `User-Agent: ${'u'.repeat(3_000)}\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n`
        + 'X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n';
      await client.exchange(get(`/${'p'.repeat(3_000)}?${'q'.repeat(3_000)}`, fields, 'PROPFIND'));
      const all = await spans.all(2);
      const { name, attributes } = one(all, SERVER);
      assert.equal(name, 'HTTP');
      assert.equal(attributes['http.request.method'], '_OTHER');
      assert.equal(attributes['http.request.method_original'], 'PROPFIND');
      assert.equal(attributes['client.address'], '192.0.2.1');
      assert.equal(attributes['network.peer.address'], '127.0.0.1');
      assert.equal(attributes['url.scheme'], 'https');
      assert.equal(attributes['server.address'], 'shop.example');
      assert.equal(attributes['server.port'], 443);
      for (const [key, value] of all.flatMap((span) => Object.entries(span.attributes))) {
        assert.ok(String(value).length <= 1_024, key);
      }
    });

    test('a copy of a request has a client span as well', async (t) => {
      const upstream = await startUpstream(t, echo);
      const shadow = await startUpstream(t, echo);
      const under = await start(t, {
        upstreams: [upstream], pools: { shadow: { upstreams: [shadow.origin] } },
        onRequest: (exchange) => {
          exchange.mirror('shadow');
        },
      });
      await (await under.connect()).exchange(get('/'));
      const all = await spans.all(3);
      const server = one(all, SERVER);
      const copy = of(all, CLIENT).find(({ attributes }) => attributes['equipoise.mirror'] === true);
      assert.equal(copy?.parentSpanContext?.spanId, server.spanContext().spanId);
      assert.equal(copy.attributes['equipoise.pool'], 'shadow');
      assert.equal(shadow.peers[0]?.requests[0]?.head.get('traceparent'), parentOf(copy));
    });
  });
}

test('where the embedder traces the request, there is no second server span', async (t) => {
  spans.clear();
  const upstream = await startUpstream(t, echo);
  const tracer = api.trace.getTracer('embedder');
  const embedded: FrontKind = {
    name: 'instrumented',
    open: (balancer) => serveHttp(http.createServer(UNTIMED, (asked, answer) => {
      const parent = api.propagation.extract(api.ROOT_CONTEXT, asked.headers);
      const span = tracer.startSpan('embedder', { kind: SERVER }, parent);
      answer.on('close', () => {
        span.end();
      });
      api.context.with(api.trace.setSpan(parent, span), () => {
        balancer.handle(asked, answer);
      });
    })),
  };
  const under = await startBalancer(t, { upstreams: [upstream], front: embedded });
  traceWith(under.balancer, { api });
  const client = await under.connect();
  await client.exchange(get('/', `traceparent: ${incoming.traceparent}\r\n`));
  const all = await spans.all(2);
  assert.equal(one(all, CLIENT).parentSpanContext?.spanId, one(all, SERVER).spanContext().spanId);
  assert.equal(one(all, SERVER).name, 'embedder');
  // What the embedder does not sample is not traced by us either.
  spans.clear();
  await client.exchange(get('/', `traceparent: 00-${TRACE}-${PARENT}-00\r\n`));
  await spans.all(0);
});

for (const front of FRONTS) {
  test(`a span that was active when ${front.name} began to listen is no parent`, async (t) => {
    spans.clear();
    const upstream = await startUpstream(t, echo);
    const start = api.trace.getTracer('embedder').startSpan('start');
    const under = await api.context.with(api.trace.setSpan(api.ROOT_CONTEXT, start), async () => {
      const made = await startBalancer(t, { upstreams: [upstream], front });
      start.end();
      return made;
    });
    traceWith(under.balancer, { api });
    await (await under.connect()).exchange(get('/'));
    const server = one(await spans.all(3), SERVER);
    assert.equal(server.parentSpanContext, undefined);
    assert.notEqual(server.spanContext().traceId, start.spanContext().traceId);
  });
}

test('close: exchanges under way keep their spans, later ones get none', async (t) => {
  spans.clear();
  const open = gate();
  const upstream = await startUpstream(t, [[request, () => open.opened, response('1'), request, response('2')]]);
  const under = await startBalancer(t, { upstreams: [upstream] });
  const traces = traceWith(under.balancer, { api });
  const client = await under.connect();
  client.send(get('/1'));
  await upstream.saw('1 GET /1');
  traces.close();
  traces.close();
  open.open();
  await client.response();
  await spans.all(2);
  await client.exchange(get('/2', `traceparent: ${incoming.traceparent}\r\n`));
  await spans.all(2);
  assert.equal(upstream.peers[0]?.requests[1]?.head.get('traceparent'), incoming.traceparent);
});

test('of two balancers in a process the one is traced that was asked for', async (t) => {
  spans.clear();
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream] });
  const other = await startBalancer(t, { upstreams: [upstream] });
  const traces = traceWith(under.balancer, { api, query: false });
  await (await other.connect()).exchange(get('/other'));
  await (await under.connect()).exchange(get('/this?q=1'));
  const all = await spans.all(2);
  assert.equal(one(all, SERVER).attributes['url.path'], '/this');
  assert.equal(one(all, SERVER).attributes['url.query'], undefined);
  assert.equal(one(all, CLIENT).attributes['url.full'], `${upstream.origin}/this`);
  traces.close();
  spans.clear();
  const both = traceWith('all', { api });
  for (const each of [under, other]) await (await each.connect()).exchange(get('/'));
  await spans.all(4);
  both.close();
});

test('what is not a balancer, an API or an option is refused, all at once', () => {
  assert.throws(() => traceWith({}, { api: {}, querry: true } as never), {
    code: 'OPTIONS_INVALID',
    message: /first argument must be a balancer[^]*querry[^]*api: must be the module @opentelemetry\/api/,
  });
});

