/**
 * Upstreams within the process, through the same wire as others and without a port of theirs.
 */
import assert from 'node:assert/strict';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { describe, test, type TestContext } from 'node:test';
import express from 'express';
import { type WebSocket, WebSocketServer } from 'ws';
import { inProcess, type InProcessApp } from '../../src/in-process/in-process.ts';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { pattern } from '../support/message.ts';
import { atEnd } from '../support/scope.ts';
import { neverConnects } from '../support/streams.ts';
import { echo, refusingOrigin, startUpstream } from '../support/upstream.ts';
import { turns, within } from '../support/wait.ts';

const APP = 'http://app.local';

/** A balancer before one application within the process. */
function start(t: TestContext, app: InProcessApp, options: Partial<TestOptions> = {}): Promise<BalancerUnderTest> {
  return startBalancer(t, { upstreams: [APP], connect: inProcess({ [APP]: app }), ...options });
}

/** Waits until a count no longer grows. */
async function still(count: () => number): Promise<number> {
  for (let before = -1; before !== count();) {
    before = count();
    await turns(300);
  }
  return count();
}

describe('an upstream within the process', () => {
  test('an Express app: bodies both ways', async (t) => {
    const app = express().use(express.text({ limit: '2mb' })).post('/size', ({ body, ip }, response) => {
      response.set('X-Ip', ip).send(String(body));
    });
    const client = await (await start(t, app)).connect();
    for (const size of [1, 100_000, 1_000_000]) {
      const answer = await client.exchange(post('/size', 'a'.repeat(size), 'Content-Type: text/plain\r\n'));
      assert.equal(answer.text.length, size);
      assert.equal(answer.head.get('x-ip'), '127.0.0.1');
    }
    assert.equal((await client.exchange(get('/none'))).status, 404);
  });

  test('a request listener: HEAD, 204, trailers and Expect', async (t) => {
    const client = await (await start(t, (request, response) => {
      if (request.url === '/none') {
        response.writeHead(204).end();
        return;
      }
      request.resume().on('end', () => {
        response.writeHead(200, { 'X-Sent': request.trailers['x-sent'] ?? '' });
        response.write('hello');
        if (request.method !== 'HEAD') response.addTrailers({ 'X-Late': 'yes' });
        response.end();
      });
    })).connect();
    assert.equal((await client.exchange(get('/none'))).status, 204);
    assert.equal((await client.exchange(get('/', '', 'HEAD'))).status, 200);
    const answer = await client.exchange('POST / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n' +
      'Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n1\r\na\r\n0\r\nX-Sent: it\r\n\r\n');
    assert.equal(answer.text, 'hello');
    assert.equal(answer.interims.length, 1);
    assert.equal(answer.head.get('x-sent'), 'it');
    assert.match(answer.trailers, /X-Late: yes/i);
  });

  test('a fetch handler: the request as it came, the Response as it was made', async (t) => {
    const seen: string[] = [];
    const client = await (await start(t, {
      async fetch(request) {
        seen.push(`${request.method} ${request.url} ${request.headers.get('x-a') ?? '-'} ${await request.text()}`);
        if (request.url.endsWith('/none')) return new Response(null, { status: 204 });
        const headers: [string, string][] = [['Set-Cookie', 'a=1'], ['Set-Cookie', 'b=2'], ['Content-Length', '4']];
        return new Response('made', { status: 201, statusText: 'Made', headers });
      },
    })).connect();
    const answer = await client.exchange(post('/a//b?c=d', 'hello', 'X-A: 1\r\nX-A: 2\r\n'));
    assert.equal(answer.head.line, 'HTTP/1.1 201 Made');
    assert.equal(answer.text, 'made');
    assert.equal(answer.head.get('content-length'), '4');
    assert.equal(answer.head.get('set-cookie'), 'a=1, b=2');
    assert.equal((await client.exchange(get('//evil/x', '', 'HEAD'))).head.get('content-length'), '4');
    assert.equal((await client.exchange(get('/none'))).status, 204);
    assert.equal((await client.exchange(get('*', '', 'OPTIONS'))).status, 201);
    assert.deepEqual(seen, [
      'POST http://example.test/a//b?c=d 1, 2 hello', 'HEAD http://example.test//evil/x - ',
      'GET http://example.test/none - ', 'OPTIONS http://example.test/* - ',
    ]);
  });

  test('a fetch handler streams: a piece leaves when it comes, and none is made that nobody reads', async (t) => {
    let pieces = 0;
    let isCancelled = false;
    const under = await start(t, {
      fetch: () => new Response(new ReadableStream({
        pull(controller) {
          pieces++;
          controller.enqueue(pattern(65_536));
        },
        cancel() {
          isCancelled = true;
        },
      })),
    });
    const client = await under.connect();
    client.socket.pause();
    client.send(get('/'));
    await under.picked(1);
    assert.ok(await still(() => pieces) < 400, `${pieces} pieces of 64 KiB`);
    assert.ok(pieces > 0);
    client.reset();
    await under.settled(1);
    await turns(5);
    assert.ok(isCancelled);
  });

  test('a fetch handler that does not read: the upload waits', async (t) => {
    let signal: AbortSignal | undefined;
    const under = await start(t, {
      fetch: (request) => {
        ({ signal } = request);
        return new Promise(() => undefined);
      },
    }, { idleTimeoutMs: 1_000, responseTimeoutMs: 1_000 });
    const client = await under.connect();
    let sent = 0;
    client.send(get('/', 'Transfer-Encoding: chunked\r\n', 'PUT'));
    const piece = Buffer.concat([Buffer.from('10000\r\n'), pattern(65_536), Buffer.from('\r\n')]);
    const more = (): void => {
      if (sent++ < 1_000) client.socket.write(piece, more);
    };
    client.socket.on('error', () => undefined);
    more();
    await under.picked(1);
    assert.ok(await still(() => sent) < 500, `${sent} pieces of 64 KiB`);
    await under.advance(1_500);
    await under.settled(1);
    await turns(5);
    assert.equal(signal?.aborted, true);
  });

  for (const [name, app] of [
    ['a request listener', (_, response) => response.end('early')],
    ['a fetch handler', { fetch: () => new Response('early') }],
  ] as readonly [string, InProcessApp][]) {
    test(`${name} that answers without reading the upload: it is dropped, and the connection serves on`, async (t) => {
      const client = await (await start(t, app)).connect();
      for (let i = 0; i < 3; i++) assert.equal((await client.exchange(post('/', pattern(1_000_000)))).text, 'early');
    });
  }

  test('a listener that rejects after its response: a process warning, and no harm', async (t) => {
    // Others, of Node say, may come in between.
    const warned = new Promise<void>((resolve) => {
      const listener = ({ message }: Error): void => {
        if (message.includes('app.local rejected: too late')) resolve();
      };
      process.on('warning', listener);
      atEnd(t, () => process.off('warning', listener));
    });
    const listener = async (_: IncomingMessage, response: ServerResponse): Promise<void> => {
      await new Promise<void>((resolve) => response.end('well', resolve));
      await turns(10);
      throw new Error('too late');
    };
    const under = await start(t, (request, response): unknown => listener(request, response));
    const client = await under.connect();
    assert.equal((await client.exchange(get('/'))).text, 'well');
    await within(warned, () => 'the warning');
    assert.deepEqual(under.reports, []);
  });

  test('close cuts what is in flight, and the application is told', async (t) => {
    const closed: unknown[] = [];
    const under = await start(t, (_, response) => {
      response.on('close', () => closed.push('closed'));
    });
    const client = await under.connect();
    client.send(get('/'));
    await under.picked(1);
    await turns(10);
    const closing = under.balancer.close({ timeoutMs: 0 });
    await under.advance(1_000);
    assert.deepEqual(await within(closing, () => 'the balancer to close'), { cut: 1 });
    await turns(5);
    assert.deepEqual(closed, ['closed']);
  });

  const BROKEN: readonly (readonly [name: string, app: InProcessApp, cause: RegExp])[] = [
    ['a listener that throws', () => {
      throw new Error('boom');
    }, /http:\/\/app\.local threw: boom/],
    ['a listener that rejects', async () => {
      await turns(1);
      throw new Error('boom');
    }, /rejected: boom/],
    ['a server whose listener throws', http.createServer(() => {
      throw new Error('boom');
    }), /threw: boom/],
    ['a fetch handler that throws', { fetch: () => {
      throw new Error('boom');
    } }, /rejected: boom/],
    ['a fetch handler that returns nothing', { fetch: (() => undefined) as unknown as () => Response },
      /must be a Response/],
    ['a fetch handler that returns Response.error()', { fetch: () => Response.error() }, /status from 200/],
    ['a fetch handler that is given as a function', () => new Response('a'), /\{ fetch \}/],
    ['a fetch handler whose Response was read', { fetch: async () => {
      const response = new Response('a');
      await response.text();
      return response;
    } }, /was read already/],
    ['a fetch handler whose body is longer than it says',
      { fetch: () => new Response('hello', { headers: { 'content-length': '1' } }) }, /Response body|content-length/i],
  ];
  for (const [name, app, cause] of BROKEN) {
    test(`${name}: 502, reported with its cause`, async (t) => {
      const under = await start(t, app);
      const client = await under.connect();
      assert.equal((await client.exchange(post('/', 'hello'))).status, 502);
      assert.deepEqual(under.reports, [`UPSTREAM_CLOSED at ${APP}`]);
      const error = under.errors[0]?.cause;
      assert.ok(error instanceof Error);
      assert.match(error.message, cause);
    });
  }

  test('a body that fails midway is cut', async (t) => {
    const under = await start(t, {
      fetch: () => new Response(new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.from('half'));
        },
        async pull() {
          await turns(5);
          throw new Error('boom');
        },
      })),
    });
    const client = await under.connect();
    client.send(get('/'));
    await client.head();
    await client.over();
    assert.deepEqual(under.reports, [`RESPONSE_INCOMPLETE at ${APP}`]);
  });

  test('one that never answers: responseTimeoutMs, and the handler is told', async (t) => {
    let signal: AbortSignal | undefined;
    const under = await start(t, {
      fetch: (request) => {
        ({ signal } = request);
        return new Promise(() => undefined);
      },
    }, { responseTimeoutMs: 1_000 });
    const client = await under.connect();
    client.send(get('/'));
    await under.picked(1);
    await turns(10);
    await under.advance(1_500);
    assert.equal((await client.response()).status, 504);
    await turns(5);
    assert.equal(signal?.aborted, true);
  });

  test('a server that does not listen: its upgrades are tunnelled, and end with the balancer', async (t) => {
    const server = http.createServer((_, response) => response.end('plain'));
    const sockets = new WebSocketServer({ server });
    const opened = new Promise<WebSocket>((resolve) => sockets.once('connection', resolve));
    const under = await start(t, server);
    const client = await under.connect();
    assert.equal((await client.exchange(get('/'))).text, 'plain');
    const handshake = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    assert.equal((await client.exchange(get('/', handshake))).status, 101);
    const socket = await within(opened, () => 'the WebSocket');
    const message = new Promise((resolve) => socket.once('message', (data: Buffer) => {
      resolve(data.toString());
    }));
    client.send(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
    assert.equal(await within(message, () => 'the message'), 'hi');
    socket.send('ho');
    assert.deepEqual([...await client.inbox.exactly(4)], [0x81, 2, 0x68, 0x6f]);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    client.reset();
    await within(closed, () => 'the end of the WebSocket');
  });

  test('an upgrade listener that throws does not end the process', async (t) => {
    const server = http.createServer().on('upgrade', () => {
      throw new Error('boom');
    });
    const under = await start(t, server);
    const client = await under.connect();
    const answer = await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
    assert.equal(answer.status, 502);
  });

  test('without upgrade listeners an upgrade is a request', async (t) => {
    const under = await start(t, (_, response) => response.end('plain'));
    const client = await under.connect();
    assert.equal((await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'))).text, 'plain');
  });

  test('other origins are connected to by TCP, or as `otherwise` says', async (t) => {
    const upstream = await startUpstream(t, echo);
    const asked: string[] = [];
    const under = await startBalancer(t, {
      upstreams: [upstream, 'http://other.local'],
      maxAttempts: 1,
      strategy: { name: 'by turns', pick: (candidates, { request }) => candidates[request.target === '/tcp' ? 0 : 1] },
      connect: inProcess({ [APP]: (_, response) => response.end() }, ({ origin }) => {
        asked.push(origin);
        return origin === 'http://other.local' ? neverConnects() : undefined;
      }),
      connectTimeoutMs: 100,
    });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/tcp'))).text, '/tcp');
    client.send(get('/other'));
    await under.picked(2);
    await under.advance(1_000);
    assert.equal((await client.response()).status, 504);
    assert.deepEqual(asked, [upstream.origin, 'http://other.local']);
  });

  test('what cannot be served is refused at once, all of it', () => {
    assert.throws(() => inProcess({
      'app.local': () => undefined, 'http://a': 5, 'http://b': {}, 'http://c': () => undefined,
      'HTTP://C/': () => undefined,
    } as unknown as Record<string, InProcessApp>), (error: Error) => {
      assert.match(error.message, /^inProcess: "app\.local": must start with http:\/\/.*did you mean/);
      assert.match(error.message, /"http:\/\/a": must be a request listener.*\(got 5\)/);
      assert.match(error.message, /"http:\/\/b": must be a request listener/);
      assert.match(error.message, /http:\/\/c is there twice/);
      return true;
    });
    assert.throws(() => inProcess(undefined as unknown as Record<string, never>), /got undefined/);
    assert.throws(() => inProcess({}, 5 as unknown as undefined), /otherwise: must be a function/);
  });
});

describe('a whole topology in one process', () => {
  test('a balancer before two balancers before four applications', async (t) => {
    const name = (text: string) => (_: IncomingMessage, response: ServerResponse): void => {
      response.end(text);
    };
    const apps = inProcess({
      'http://a1': name('a1'), 'http://a2': name('a2'), 'http://b1': name('b1'), 'http://b2': name('b2'),
    });
    const a = await startBalancer(t, { upstreams: ['http://a1', 'http://a2'], connect: apps, via: 'a' });
    const b = await startBalancer(t, { upstreams: ['http://b1', 'http://b2'], connect: apps, via: 'b' });
    const edge = await startBalancer(t, {
      upstreams: ['http://a', 'http://b'],
      strategy: { name: 'by path', pick: (all, { request }) => all[request.target === '/b' ? 1 : 0] },
      connect: inProcess({ 'http://a': a.balancer.handle, 'http://b': b.balancer.handle }),
    });
    const client = await edge.connect();
    assert.equal((await client.exchange(get('/a'))).text, 'a1');
    assert.equal((await client.exchange(get('/b'))).text, 'b1');
    assert.deepEqual([a.picks.length, b.picks.length], [1, 1]);
  });

  test('a fallback within the process answers when all others are down', async (t) => {
    const under = await startBalancer(t, {
      upstreams: [refusingOrigin(1), refusingOrigin(2), { origin: APP, tags: { role: 'fallback' } }],
      strategy: {
        name: 'fallback last',
        pick: (candidates) => candidates.find(({ tags }) => tags['role'] !== 'fallback') ?? candidates[0],
      },
      connect: inProcess({ [APP]: { fetch: () => new Response('back soon\n', { status: 503 }) } }),
    });
    const answer = await (await under.connect()).exchange(post('/', 'hello'));
    assert.equal(answer.status, 503);
    assert.equal(answer.text, 'back soon\n');
    assert.equal(under.picks.length, 3);
  });
});
