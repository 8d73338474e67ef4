/**
 * `handle(request, response, { body, state })`: a body that a parser has read before the balancer.
 */
import assert from 'node:assert/strict';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { describe, test } from 'node:test';
import middie from '@fastify/middie';
import express from 'express';
import fastify from 'fastify';
import inject, { type DispatchFunc } from 'light-my-request';
import type { Balancer } from '../../src/balancer.ts';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { ask, H2C } from '../support/http2.ts';
import { pattern } from '../support/message.ts';
import { atEnd } from '../support/scope.ts';
import { echo, request, reset, response, startUpstream, when } from '../support/upstream.ts';
import { gate, turns, within } from '../support/wait.ts';

type Given = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A server that reads the whole request, as a parser does, and then hands over what `given` returns. */
function parsing(given: Given): FrontKind {
  return {
    name: 'node:http behind a parser',
    open: (balancer) => serve(http.createServer(UNTIMED, (request, response) => {
      request.resume().once('end', () => {
        balancer.handle(request, response, given(request, response) as Parameters<Balancer['handle']>[2]);
      });
    })),
  };
}

/** A web stream of these pieces. */
function webStream(...pieces: readonly unknown[]): ReadableStream<unknown> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
}

const LENGTH_8 = { 'content-length': '8', 'transfer-encoding': undefined };
const CHUNKS = { 'content-length': undefined, 'transfer-encoding': 'chunked' };
const BODIES: readonly (readonly [name: string, make: () => unknown, body: string, framing: object])[] = [
  ['a Buffer', () => Buffer.from('given 8!'), 'given 8!', LENGTH_8],
  ['a Uint8Array that is part of a larger one',
    () => new Uint8Array(Buffer.from('..given 8!..')).subarray(2, 10), 'given 8!', LENGTH_8],
  ['a string', () => 'given ä', 'given ä', LENGTH_8],
  ['an empty string', () => '', '', { 'content-length': '0', 'transfer-encoding': undefined }],
  ['a Readable', () => Readable.from([Buffer.from('giv'), Buffer.from('en')]), 'given', CHUNKS],
  ['a Readable of text', () => Readable.from(['giv', 'en ä']), 'given ä', CHUNKS],
  ['a Readable that is empty', () => Readable.from([]), '', CHUNKS],
  ['a ReadableStream', () => webStream(new TextEncoder().encode('giv'), Buffer.from('en')), 'given', CHUNKS],
];

describe('a body that is given to handle', () => {
  for (const [name, make, body, framing] of BODIES) {
    test(`${name}: sent, framed by what it is`, async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front: parsing(() => ({ body: make() })) });
      const client = await under.connect();
      for (const sent of [
        post('/a', 'what came', 'X-Kept: 1\r\n'),
        'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\nX-Kept: 1\r\n\r\n' +
          '4\r\ncame\r\n0\r\nX-Late: 1\r\n\r\n',
      ]) {
        assert.equal((await client.exchange(sent)).text, '/a');
        const got = upstream.requests.at(-1);
        assert.equal(got?.body.bytes.toString(), body);
        const { head } = got;
        assert.deepEqual({
          'content-length': head.get('content-length'), 'transfer-encoding': head.get('transfer-encoding'),
        }, framing);
        assert.equal(head.get('trailer'), undefined);
        assert.equal(head.get('x-kept'), '1');
      }
    });
  }

  test('GET with a body, and without: a length only where there is one', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream], front: parsing(({ url }) => ({ body: url?.slice(1) })),
    });
    const client = await under.connect();
    await client.exchange(get('/five5'));
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'five5');
    assert.equal(upstream.requests[0].head.get('content-length'), '5');
    await client.exchange(get('/'));
    assert.equal(upstream.requests[1]?.head.get('content-length'), undefined);
  });

  test('HTTP/1.0 with a stream: chunked for the upstream', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream], front: parsing(() => ({ body: Readable.from(['given']) })),
    });
    const client = await under.connect();
    assert.equal((await client.exchange('POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab')).status, 200);
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'given');
  });

  test('Expect was answered by node:http and goes no further', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: parsing(() => ({ body: 'given' })) });
    const client = await under.connect();
    const answer = await client.exchange(post('/', 'hello', 'Expect: 100-continue\r\n'));
    assert.equal(answer.status, 200);
    assert.equal(answer.interims.length, 1);
    assert.equal(upstream.requests[0]?.head.get('expect'), undefined);
  });

  for (const options of [undefined, null, {}, { body: undefined }, { body: null }, (): void => undefined]) {
    test(`without one (${typeof options} ${JSON.stringify(options)}): as ever`, async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front: parsing(() => options) });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/a'))).text, '/a');
      assert.equal((await client.exchange(post('/a', 'hello'))).status, 500);
      assert.deepEqual(under.reports, ['BODY_CONSUMED']);
      assert.match(under.errors[0]?.message ?? '', /handle\(request, response, \{ body \}\)$/);
    });
  }

  test('a request that nobody has read, given as its own body: as without', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: {
        name: 'itself',
        open: (balancer) => serve(http.createServer(UNTIMED, (request, response) => {
          balancer.handle(request, response, { body: request });
        })),
      },
    });
    assert.equal((await (await under.connect()).exchange(post('/a', 'hello'))).text, '/a');
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
    assert.equal(upstream.requests[0].head.get('content-length'), '5');
  });

  const spent = Readable.from(['a']);
  spent.destroy();
  const locked = webStream('a');
  locked.getReader();
  const WRONG: readonly (readonly [name: string, options: unknown, code: string, message: RegExp])[] = [
    ['an object', { body: { a: 1 } }, 'OPTIONS_INVALID', /body must be a Buffer, .* \(got .*JSON\.stringify/],
    ['a number', { body: 5 }, 'OPTIONS_INVALID', /\(got 5\)/],
    ['true', { body: true }, 'OPTIONS_INVALID', /\(got true\)/],
    ['a function', { body: () => 'a' }, 'OPTIONS_INVALID', /body must be/],
    ['an ArrayBuffer', { body: new ArrayBuffer(1) }, 'OPTIONS_INVALID', /body must be/],
    ['options that are none', 'hello', 'OPTIONS_INVALID', /handle.*got "hello"/],
    ['an option that does not exist', { boby: 'a' }, 'OPTIONS_INVALID', /handle\.boby.*body/],
    ['a getter that throws', { get body(): string { throw new Error('not now'); } }, 'OPTIONS_INVALID', /not now/],
    ['a getReader that throws', { body: { getReader() { throw new Error('no'); } } }, 'OPTIONS_INVALID',
      /cannot be read: no/],
    ['a destroyed stream', { body: spent }, 'BODY_CONSUMED', /read, closed or given before/],
    ['a locked stream', { body: locked }, 'BODY_CONSUMED', /read, closed or given before/],
  ];
  for (const [name, options, code, message] of WRONG) {
    test(`${name}: 500, reported, and nothing goes upstream`, async (t) => {
      const upstream = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream], front: parsing(() => options) });
      const answer = await (await under.connect()).exchange(post('/', 'hello'));
      assert.equal(answer.status, 500);
      assert.deepEqual(under.reports, [code]);
      assert.match(under.errors[0]?.message ?? '', message);
      assert.equal(under.picks.length, 0);
    });
  }

  for (const stream of [Readable.from(['a']), webStream(Buffer.from('a'))]) {
    test(`a ${stream.constructor.name} that was given before: 500 BODY_CONSUMED`, async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front: parsing(() => ({ body: stream })) });
      const client = await under.connect();
      assert.equal((await client.exchange(post('/', 'hello'))).status, 200);
      assert.equal((await client.exchange(post('/', 'hello'))).status, 500);
      assert.deepEqual(under.reports, ['BODY_CONSUMED']);
    });
  }

  test('a stream that fails: 500, reported, and the upstream gets no ending', async (t) => {
    const upstream = await startUpstream(t, echo);
    const body = new PassThrough();
    const under = await startBalancer(t, { upstreams: [upstream], front: parsing(() => ({ body })) });
    const client = await under.connect();
    client.send(post('/', 'hello'));
    await under.picked(1);
    body.write('half');
    await turns(3);
    body.destroy(new Error('the disk is gone'));
    assert.equal((await client.response()).status, 500);
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
    assert.match(under.errors[0]?.message ?? '', /given as body failed: the disk is gone/);
    assert.equal(upstream.requests.length, 0);
  });

  test('a stream that failed before anybody read it ends nothing but its request', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: parsing(() => {
        const body = new PassThrough();
        queueMicrotask(() => {
          body.destroy(new Error('too late'));
        });
        return { body };
      }),
    });
    assert.equal((await (await under.connect()).exchange(post('/', 'hello'))).status, 500);
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
  });

  test('a web stream of text: the error says what to do', async (t) => {
    const upstream = await startUpstream(t, echo);
    const body = webStream('text');
    const under = await startBalancer(t, { upstreams: [upstream], front: parsing(() => ({ body })) });
    assert.equal((await (await under.connect()).exchange(post('/', 'hello'))).status, 500);
    assert.match(under.errors[0]?.message ?? '', /TextEncoderStream/);
  });

  test('a stream that never ends: 408 after idleTimeoutMs, and it is destroyed', async (t) => {
    const upstream = await startUpstream(t, echo);
    const body = new PassThrough();
    const under = await startBalancer(t, {
      upstreams: [upstream], idleTimeoutMs: 1_000, front: parsing(() => ({ body })),
    });
    const client = await under.connect();
    client.send(post('/', 'hello'));
    await under.picked(1);
    body.write('half');
    await turns(3);
    await under.advance(1_500);
    assert.equal((await client.response()).status, 408);
    assert.ok(body.destroyed);
  });

  test('the client leaves: the stream is destroyed', async (t) => {
    const upstream = await startUpstream(t, echo);
    const body = new PassThrough();
    const closed = new Promise((resolve) => body.once('close', resolve));
    const under = await startBalancer(t, { upstreams: [upstream], front: parsing(() => ({ body })) });
    const client = await under.connect();
    client.send(post('/', 'hello'));
    await under.picked(1);
    client.reset();
    await within(closed, () => 'the stream to be destroyed');
    await under.settled(1);
    assert.deepEqual(under.reports, []);
  });

  test('a stream waits while the upstream does not read', async (t) => {
    const { opened, open } = gate();
    const upstream = await startUpstream(t, [[when(opened), request, response('done')]]);
    const piece = pattern(65_536);
    let given = 0;
    const body = new Readable({
      read() {
        given++;
        this.push(given > 600 ? null : piece);
      },
    });
    const under = await startBalancer(t, { upstreams: [upstream], front: parsing(() => ({ body })) });
    const client = await under.connect();
    client.send(post('/', 'hello'));
    await under.picked(1);
    for (let before = -1; before !== given;) {
      before = given;
      await turns(300);
    }
    assert.ok(given < 400, `${given} pieces of 64 KiB were read while nobody took them`);
    open();
    assert.equal((await client.response()).text, 'done');
    assert.equal(given, 601);
  });

  test('maxBodyBytes holds for what is given', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream], maxBodyBytes: 4,
      front: parsing(({ url }) => ({ body: url === '/stream' ? Readable.from(['given']) : 'given' })),
    });
    const client = await under.connect();
    assert.equal((await client.exchange(post('/', 'a'))).status, 413);
    assert.equal((await (await under.connect()).exchange(post('/stream', 'a'))).status, 413);
  });

  for (const [name, given, retried] of [
    ['a Buffer: sent again, whatever its size', (body) => body, true],
    ['a stream: kept for that only up to maxReplayBytes', (body) => Readable.from([body]), false],
  ] as readonly [name: string, given: (body: Buffer) => Buffer | Readable, retried: boolean][]) {
    test(`an upstream that closes without an answer to a PUT of ${name}`, async (t) => {
      const failing = await startUpstream(t, [[request, reset]]);
      const other = await startUpstream(t, [[request, reset]]);
      const upstream = await startUpstream(t, echo);
      const body = pattern(50_000);
      const under = await startBalancer(t, {
        upstreams: [failing, other, upstream], retryBudgetPercent: 100, maxAttempts: 3,
        front: parsing(() => ({ body: given(body) })),
      });
      const answer = await (await under.connect()).exchange(post('/a', 'hello', '', 'PUT'));
      assert.equal(answer.status, retried ? 200 : 502);
      assert.equal(under.picks.length, retried ? 3 : 1);
      assert.equal(upstream.requests[0]?.body.bytes.equals(body), retried || undefined);
    });
  }

  test('a hook answers: the stream is destroyed unread', async (t) => {
    const upstream = await startUpstream(t, []);
    const body = new PassThrough();
    const under = await startBalancer(t, {
      upstreams: [upstream],
      onRequest: () => new Response('no', { status: 403 }),
      front: parsing(() => ({ body })),
    });
    assert.equal((await (await under.connect()).exchange(post('/', 'hello'))).status, 403);
    assert.ok(body.destroyed);
  });

  test('hooks see and change the given body, and have the state', async (t) => {
    const upstream = await startUpstream(t, echo);
    const states: unknown[] = [];
    const under = await startBalancer(t, {
      upstreams: [upstream],
      onRequest: (exchange) => {
        states.push(exchange.state);
        exchange.request.pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
          transform(piece, controller) {
            controller.enqueue(Buffer.from(Buffer.from(piece).toString().toUpperCase()));
          },
        }));
      },
      front: parsing(({ url }) => ({ body: 'given', state: { user: url } })),
    });
    assert.equal((await (await under.connect()).exchange(post('/a', 'x'))).status, 200);
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'GIVEN');
    assert.deepEqual(states, [{ user: '/a' }]);
  });
});

describe('a body that a parser has read, in the frameworks', () => {
  const JSON_BODY = '{ "a": [1, 2],  "b": "ä" }';

  test('Express 5 with express.json()', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: {
        name: 'Express',
        open: (balancer) => serve(http.createServer(UNTIMED, express().use(express.json(), (request, response) => {
          balancer.handle(request, response, { body: JSON.stringify(request.body), state: request });
        }))),
      },
    });
    const client = await under.connect();
    const type = 'Content-Type: application/json\r\n';
    assert.equal((await client.exchange(post('/a', Buffer.from(JSON_BODY), type))).text, '/a');
    assert.equal(upstream.requests[0]?.body.bytes.toString(), '{"a":[1,2],"b":"ä"}');
    // request.body is undefined where there was none, and so is what JSON.stringify makes of it.
    assert.equal((await client.exchange(get('/b'))).text, '/b');
    assert.equal(upstream.requests[1]?.head.get('content-length'), undefined);
  });

  test('Fastify 5, by middie and by reply.hijack', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: {
        name: 'Fastify',
        open: async (balancer) => {
          const application = fastify();
          await application.register(middie);
          application.use('/middie', balancer.handle);
          application.post('/hijack', (request, reply) => {
            reply.hijack();
            balancer.handle(request.raw, reply.raw, { body: JSON.stringify(request.body) });
          });
          await application.listen({ port: 0, host: '127.0.0.1' });
          return { port: (application.server.address() as AddressInfo).port, close: () => application.close() };
        },
      },
    });
    const client = await under.connect();
    const type = 'Content-Type: application/json\r\n';
    assert.equal((await client.exchange(post('/middie', Buffer.from(JSON_BODY), type))).status, 200);
    assert.equal(upstream.requests[0]?.body.bytes.toString(), JSON_BODY);
    assert.equal((await client.exchange(post('/hijack', Buffer.from(JSON_BODY), type))).status, 200);
    assert.equal(upstream.requests[1]?.body.bytes.toString(), '{"a":[1,2],"b":"ä"}');
  });

  test('the compat API of node:http2', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: {
        name: 'h2c',
        open: (balancer) => serve(http2.createServer((request, response) => {
          request.resume().once('end', () => {
            balancer.handle(request, response, { body: request.url === '/text' ? 'given' : Readable.from(['given']) });
          });
        })),
      },
    });
    const session = http2.connect(H2C.url(under.port));
    atEnd(t, () => {
      session.destroy();
    });
    for (const path of ['/text', '/stream']) {
      const fields = { ':method': 'POST', ':path': path, 'content-length': 3 };
      assert.equal((await ask(session, fields, Buffer.from('abc'))).status, 200);
      assert.equal(upstream.requests.at(-1)?.body.bytes.toString(), 'given');
    }
    assert.equal(upstream.requests[0]?.head.get('content-length'), '5');
    assert.equal(upstream.requests[1]?.head.get('transfer-encoding'), 'chunked');
  });

  test('light-my-request', async (t) => {
    const upstream = await startUpstream(t, echo);
    const { balancer } = await startBalancer(t, { upstreams: [upstream] });
    const dispatch: DispatchFunc = (request, response) => {
      balancer.handle(request, response, { body: 'given' });
    };
    const asked = inject(dispatch, { method: 'POST', url: '/a', payload: 'what came' });
    const answer = await within(asked, () => 'an answer');
    assert.equal(answer.payload, '/a');
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'given');
    assert.equal(upstream.requests[0].head.get('content-length'), '5');
  });
});
