import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import middie from '@fastify/middie';
import fastify from 'fastify';
import inject, { type DispatchFunc } from 'light-my-request';
import serverless from 'serverless-http';
import type { Balancer } from '../../src/balancer.ts';
import { startBalancer, type TestOptions } from '../support/balancer.ts';
import { pattern } from '../support/message.ts';
import { echo, request, reset, response, type ScriptedUpstream, startUpstream } from '../support/upstream.ts';
import { gate, within } from '../support/wait.ts';

/** A balancer without a server: a library makes up its requests. */
async function start(
  t: TestContext, options: Partial<TestOptions> = {},
): Promise<{ upstream: ScriptedUpstream; balancer: Balancer; reports: readonly string[] }> {
  const upstream = await startUpstream(t, echo);
  const { balancer, reports } = await startBalancer(t, { upstreams: [upstream], ...options });
  return { upstream, balancer, reports };
}

describe('light-my-request', () => {
  const ask = (balancer: Balancer, options: object): Promise<{ statusCode: number; payload: string }> => within(
    inject(balancer.handle as unknown as DispatchFunc, options), () => 'an answer',
  );

  test('without a body', async (t) => {
    const { upstream, balancer } = await start(t);
    const answer = await ask(balancer, {
      method: 'GET', url: '/a?b', headers: { 'x-one': ['1', '2'] }, cookies: { a: 'b' },
    });
    assert.equal(answer.statusCode, 200);
    assert.equal(answer.payload, '/a?b');
    const head = upstream.requests[0]?.head;
    assert.equal(head?.get('cookie'), 'a=b');
    assert.equal(head.get('x-one'), '1, 2');
    assert.equal(head.get('x-forwarded-for'), '127.0.0.1');
    assert.equal(head.get('transfer-encoding'), undefined);
  });

  test('with a body of known length', async (t) => {
    const { upstream, balancer } = await start(t);
    const body = pattern(200_000);
    assert.equal((await ask(balancer, { method: 'POST', url: '/', payload: body })).statusCode, 200);
    assert.ok(upstream.requests[0]?.body.bytes.equals(body));
  });

  test('with a body of unknown length', async (t) => {
    const { upstream, balancer } = await start(t);
    const payload = Readable.from([Buffer.from('hel'), Buffer.from('lo')]);
    assert.equal((await ask(balancer, { method: 'POST', url: '/', payload })).statusCode, 200);
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
    assert.equal(upstream.requests[0].head.get('transfer-encoding'), 'chunked');
  });

  test('with a header that has no value', async (t) => {
    const { upstream, balancer } = await start(t);
    await ask(balancer, { method: 'GET', url: '/', headers: { 'user-agent': undefined } });
    assert.equal(upstream.requests[0]?.head.get('user-agent'), undefined);
  });

  test('where the upstream fails', async (t) => {
    const upstream = await startUpstream(t, [[request, reset]]);
    const { balancer } = await startBalancer(t, { upstreams: [upstream] });
    assert.equal((await ask(balancer, { method: 'POST', url: '/', payload: 'x' })).statusCode, 502);
  });

  test('Fastify\'s inject, by middie', async (t) => {
    const { upstream, balancer } = await start(t);
    const application = fastify();
    await application.register(middie);
    application.use((asked, _, next) => {
      asked.headers['x-user'] = 'alice';
      delete asked.headers['x-internal'];
      next();
    });
    application.use(balancer.handle);
    const answer = await within(application.inject({
      method: 'POST', url: '/a', payload: { a: 1 }, headers: { 'x-internal': '1' },
    }), () => 'an answer');
    assert.equal(answer.payload, '/a');
    assert.equal(upstream.requests[0]?.body.bytes.toString(), '{"a":1}');
    assert.equal(upstream.requests[0].head.get('x-user'), 'alice');
    assert.equal(upstream.requests[0].head.get('x-internal'), undefined);
    await application.close();
  });
});

describe('serverless-http', () => {
  const event = (method: string, body: string, headers: Record<string, string>): object => ({
    version: '2.0', rawPath: '/a', rawQueryString: 'b=c', headers, body, isBase64Encoded: false,
    requestContext: { http: { method, sourceIp: '192.0.2.7' } },
  });
  const ask = (balancer: Balancer, asked: object): Promise<{ statusCode: number; body: string }> => within(
    serverless(balancer.handle as never)(asked, {}) as Promise<{ statusCode: number; body: string }>, () => 'an answer',
  );

  test('with and without a body', async (t) => {
    const { upstream, balancer, reports } = await start(t);
    const headers = { Host: 'example.test', 'X-Mine': '1' };
    assert.equal((await ask(balancer, event('GET', '', headers))).body, '/a?b=c');
    assert.equal((await ask(balancer, event('POST', 'hello', headers))).statusCode, 200);
    const [first, second] = upstream.requests;
    assert.equal(first?.head.get('host'), 'example.test');
    assert.equal(first.head.get('x-mine'), '1');
    assert.equal(first.head.get('x-forwarded-for'), '192.0.2.7');
    assert.equal(first.head.get('x-forwarded-proto'), 'https');
    assert.equal(second?.body.bytes.toString(), 'hello');
    assert.deepEqual(reports, []);
  });

  test('without a host: that of the upstream', async (t) => {
    const { upstream, balancer } = await start(t);
    assert.equal((await ask(balancer, event('GET', '', {}))).statusCode, 200);
    assert.equal(upstream.requests[0]?.head.get('host'), `127.0.0.1:${upstream.port}`);
  });

  test('a header with a line end is 500, reported', async (t) => {
    const { upstream, balancer, reports } = await start(t);
    const answer = await ask(balancer, event('GET', '', { host: 'a', 'x-a': 'b\r\nX-Forged: 1' }));
    assert.equal(answer.statusCode, 500);
    assert.deepEqual(reports, ['REQUEST_UNSENDABLE']);
    assert.equal(upstream.requests.length, 0);
  });
});

describe('a request of one\'s own making', () => {
  interface Made {
    status: number;
    body: string;
  }

  /** A minimal request: no raw lines, no socket. */
  function ask(balancer: Balancer, fields: object, body: readonly string[]): Promise<Made> {
    const asked = Object.assign(Readable.from(body.map((part) => Buffer.from(part))), {
      method: 'POST', url: '/', httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1, ...fields,
    });
    return within(new Promise<Made>((resolve) => {
      const parts: Buffer[] = [];
      const made: Made = { status: 0, body: '' };
      const answer = Object.assign(new EventEmitter(), {
        headersSent: false, writableEnded: false, req: asked,
        getHeaderNames: () => [], getHeader: () => undefined, removeHeader: () => undefined,
        setHeader: () => undefined,
        writeHead: (status: number) => {
          made.status = status;
        },
        flushHeaders: () => undefined,
        write: (part: Buffer | string) => {
          parts.push(Buffer.from(part as string, 'latin1'));
          return true;
        },
        end: (part?: Buffer) => {
          if (part !== undefined) parts.push(part);
          answer.writableEnded = true;
          resolve({ ...made, body: Buffer.concat(parts).toString() });
        },
        destroy: () => undefined,
      });
      balancer.handle(asked as unknown as IncomingMessage, answer as unknown as ServerResponse);
    }), () => 'an answer');
  }

  test('without raw lines and without a socket, trailers included', async (t) => {
    const { upstream, balancer } = await start(t);
    const made = await ask(balancer, {
      headers: { host: 'example.test', 'x-a': ['1', '2'], trailer: 'x-sum' }, trailers: { 'x-sum': '5' },
    }, ['hel', 'lo']);
    assert.deepEqual(made, { status: 200, body: '/' });
    const [got] = upstream.requests;
    assert.equal(got?.head.get('x-a'), '1, 2');
    assert.equal(got.head.get('x-forwarded-for'), undefined);
    assert.equal(got.body.bytes.toString(), 'hello');
    assert.equal(got.body.trailers, 'x-sum: 5\r\n');
  });

  test('a trailer with a line end is 500, reported', async (t) => {
    const upstream = await startUpstream(t, [[request, response('late')]]);
    const { balancer, reports } = await startBalancer(t, { upstreams: [upstream] });
    const made = await ask(balancer, { headers: { host: 'a' }, trailers: { 'x-sum': '5\r\nX-Forged: 1' } }, ['hello']);
    assert.equal(made.status, 500);
    assert.deepEqual(reports, ['REQUEST_UNSENDABLE']);
  });

  test('without a socket, as time passes', async (t) => {
    const late = gate();
    const upstream = await startUpstream(t, [[request, () => late.opened, response('late')]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const made = ask(under.balancer, { headers: { host: 'a', 'content-length': 5 } }, ['hello']);
    await upstream.read(1);
    await under.advance(1_000);
    late.open();
    assert.deepEqual(await made, { status: 200, body: 'late' });
    assert.deepEqual(under.reports, []);
  });
});
