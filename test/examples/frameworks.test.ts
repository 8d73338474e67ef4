/**
 * The examples with frameworks, run as programs with real sockets and real clients. Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import http, { type IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import { io, type Socket } from 'socket.io-client';
import { get } from '../support/process-client.ts';
import { within } from '../support/wait.ts';
import { asked, echoed, startEcho, startExample } from './example.ts';

/** Posts a body, and resolves with the status and what the upstream was asked. */
async function post(
  port: number, path: string, body: string, headers: http.OutgoingHttpHeaders = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    http.request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent: false }, resolve)
      .on('error', reject).end(body);
  });
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += String(piece);
  return { status: response.statusCode ?? 0, text };
}

const JSON_BODY = { 'content-type': 'application/json' };

test('express.mjs: the session counts for requests and upgrades, and a parsed body arrives', async (t) => {
  const upstream = await startEcho(t);
  const { port } = await startExample(t, 'express.mjs', { UPSTREAMS: upstream.origin });
  const cookie = { cookie: 'a=b; session=alice' };
  assert.equal((await get(port, '/health')).body, 'ok\n');
  assert.equal((await get(port, '/api/users')).status, 401);
  assert.equal((await get(port, '/api/users', { headers: { cookie: 'xsession=alice' } })).status, 401);
  assert.equal(await echoed(port, '/api/chat', 'hello'), 401);
  assert.equal(await echoed(port, '/chat', 'hello', cookie), 401);
  assert.equal(upstream.requests.length, 0);

  const users = await get(port, '/api/users?id=1', { headers: { ...cookie, 'x-user': 'root' } });
  const { url, headers } = asked(users.body);
  assert.deepEqual([url, headers['x-user']], ['/users?id=1', 'alice']);
  assert.equal((await get(port, '/other', { headers: cookie })).status, 404);
  assert.equal(await echoed(port, '/api/chat?x', 'hello', { ...cookie, 'x-user': 'root' }), 'hello');
  assert.equal(upstream.requests.at(-1)?.url, '/chat?x');
  assert.equal(upstream.requests.at(-1)?.headers['x-user'], undefined);

  const order = await post(port, '/orders', '{ "name": "x" }', { ...cookie, ...JSON_BODY });
  const sent = asked(order.text);
  assert.deepEqual([sent.method, sent.url, sent.body], ['POST', '/orders', '{"name":"x"}']);
  assert.equal(sent.headers['x-user'], 'alice');
  assert.equal((await post(port, '/orders', '{}', { ...cookie, ...JSON_BODY })).status, 422);
});

test('fastify.mjs: hijacked replies behind hooks, and middie before them', async (t) => {
  const [api, files] = [await startEcho(t, 'api'), await startEcho(t, 'files')];
  const { port } = await startExample(t, 'fastify.mjs', { API: api.origin, FILES: files.origin });
  const key = { 'x-key': 'sesame' };
  assert.equal((await get(port, '/health')).body, '{"ready":true}');
  assert.equal((await post(port, '/api/users', '{"a":1}', JSON_BODY)).status, 401);
  assert.equal(api.requests.length, 0);

  const body = `{"a":"${'x'.repeat(2 ** 21)}"}`;
  const { text } = await post(port, '/api/users?id=1', body, { ...key, ...JSON_BODY });
  const sent = asked(text);
  assert.deepEqual([sent.name, sent.method, sent.url], ['api', 'POST', '/api/users?id=1']);
  assert.ok(sent.body === body, 'a body above the limit of Fastify is streamed');
  const file = asked((await get(port, '/assets/logo.png')).body);
  assert.deepEqual([file.name, file.url], ['files', '/logo.png']);
  assert.equal((await get(port, '/other')).status, 404);
});

test('koa.mjs: behind middleware, upgrades included', async (t) => {
  const upstream = await startEcho(t);
  const { port } = await startExample(t, 'koa.mjs', { UPSTREAMS: upstream.origin });
  const key = { 'x-key': 'sesame' };
  assert.equal((await get(port, '/health')).body, '{"ready":true}');
  assert.deepEqual([(await get(port, '/users')).status, await echoed(port, '/chat', 'hello')], [401, 401]);
  assert.equal(upstream.requests.length, 0);
  const { method, url, body } = asked((await post(port, '/users?id=1', 'hello', key)).text);
  assert.deepEqual([method, url, body], ['POST', '/users?id=1', 'hello']);
  assert.equal(await echoed(port, '/chat', 'hello', key), 'hello');
});

test('hono.mjs: behind middleware, beside an app of this process', async (t) => {
  const upstream = await startEcho(t);
  const { port } = await startExample(t, 'hono.mjs', { UPSTREAMS: upstream.origin });
  const token = { authorization: 'Bearer sesame' };
  assert.equal((await get(port, '/health')).body, '{"ready":true}');
  for (const path of ['/users', '/hello', '/%68ello']) assert.equal((await get(port, path)).status, 401);
  assert.equal(upstream.requests.length, 0);
  assert.equal((await get(port, '/hello', { headers: token })).body, `hello from 127.0.0.1:${port}\n`);
  const { method, url, body } = asked((await post(port, '/users?id=1', 'hello', token)).text);
  assert.deepEqual([method, url, body], ['POST', '/users?id=1', 'hello']);
  const { status, body: nothing } = await get(port, '/users', { method: 'HEAD', headers: token });
  assert.deepEqual([status, nothing], [200, '']);
});

describe('socket-io.mjs', () => {
  // Clients do not wait for the answer to their last request, and the servers end with the balancer.
  const AT_END = /^$|UPSTREAM_CLOSED|CONNECT_REFUSED/;
  const connect = async (port: number, transports: string[]): Promise<Socket> => {
    const socket = io(`http://127.0.0.1:${port}`, { transports, forceNew: true, reconnection: false });
    await within(new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('connect_error', reject);
    }), () => 'a connection of Socket.IO');
    return socket;
  };
  const whoami = (socket: Socket): Promise<[name: string, transport: string]> => (
    within(new Promise((resolve) => {
      socket.emit('whoami', (name: string, transport: string) => {
        resolve([name, transport]);
      });
    }), () => 'an answer'));

  for (const [title, transports, final] of [
    ['polling alone', ['polling'], 'polling'],
    ['polling, then upgraded', ['polling', 'websocket'], 'websocket'],
    ['WebSocket alone', ['websocket'], 'websocket'],
  ] as const) {
    test(`${title}: sessions stay on their upstream, and both have some`, async (t) => {
      const { port } = await startExample(t, 'socket-io.mjs', {}, { logged: AT_END });
      const sockets: Socket[] = [];
      try {
        for (let i = 0; i < 8; i++) {
          const socket = await connect(port, [...transports]);
          sockets.push(socket);
          const { engine } = socket.io;
          if (engine.transport.name !== final) {
            await within(new Promise((resolve) => engine.once('upgrade', resolve)), () => 'the upgrade');
          }
        }
        const names = new Set<string>();
        for (const socket of sockets) {
          const [name] = await whoami(socket);
          names.add(name);
          for (let i = 0; i < 5; i++) assert.deepEqual(await whoami(socket), [name, final]);
        }
        assert.deepEqual([...names].sort(), ['a', 'b']);
        const said = sockets.map((socket) => new Promise((resolve) => socket.once('said', resolve)));
        for (const socket of sockets) socket.emit('say', 'hello');
        assert.deepEqual(new Set(await within(Promise.all(said), () => 'what was said')), new Set(['hello']));
      } finally {
        for (const socket of sockets) socket.disconnect();
      }
    });
  }
});
