/** `sticky` for real: Socket.IO over long polling, HTTP/2, and balancers that share nothing but their options. */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { random } from '../../strategies/random.ts';
import { roundRobin } from '../../strategies/round-robin.ts';
import { sticky } from '../../strategies/sticky.ts';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { ask, H2C, startHttp2 } from '../support/http2.ts';
import { atEnd } from '../support/scope.ts';
import { response, serve, startUpstream } from '../support/upstream.ts';
import { within } from '../support/wait.ts';

/** Answers each request with a name. */
const named = (name: string) => serve(() => response(name, 'Set-Cookie: app=1\r\n'));

/** A Socket.IO server that says its name. */
async function startServer(t: TestContext, name: string): Promise<{ readonly origin: string; kill(): void }> {
  const server = http.createServer();
  const sockets = new Server(server);
  sockets.on('connection', (socket) => {
    socket.on('whoami', (reply: (name: string) => void) => {
      reply(name);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => sockets.close());
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    kill: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A client that keeps cookies, by polling alone. */
async function startClient(t: TestContext, { port }: BalancerUnderTest): Promise<Socket> {
  const socket = io(`http://127.0.0.1:${port}`, {
    transports: ['polling'], forceNew: true, withCredentials: true, reconnectionDelay: 20, reconnectionDelayMax: 100,
  });
  atEnd(t, () => {
    socket.disconnect();
  });
  if (!socket.connected) await within(new Promise<void>((resolve) => socket.once('connect', resolve)), () => 'connect');
  return socket;
}

function whoami(socket: Socket): Promise<string> {
  return within(new Promise<string>((resolve) => {
    socket.emit('whoami', resolve);
  }), () => 'an answer');
}

const all = (sockets: readonly Socket[]): Promise<string[]> => Promise.all(sockets.map(whoami));

test('Socket.IO over polling: sessions outlast a drain, and all go on when an upstream is killed', async (t) => {
  const [a, b] = [await startServer(t, 'a'), await startServer(t, 'b')];
  const under = await startBalancer(t, { upstreams: [a.origin, b.origin], strategy: sticky(roundRobin()) });
  const sockets: Socket[] = [];
  for (let at = 0; at < 6; at++) sockets.push(await startClient(t, under));
  const before = await all(sockets);
  assert.deepEqual([...new Set(before)].sort(), ['a', 'b']);
  for (let at = 0; at < 3; at++) assert.deepEqual(await all(sockets), before);

  const drained = under.balancer.drain(a.origin);
  for (let at = 0; at < 3; at++) assert.deepEqual(await all(sockets), before, 'sessions stay while it drains');
  assert.equal(await whoami(await startClient(t, under)), 'b');
  under.balancer.activate(a.origin);
  await drained;
  assert.deepEqual(await all(sockets), before);

  a.kill();
  const lost = sockets.filter((_, at) => before[at] === 'a');
  await within(Promise.all(lost.map((socket) => new Promise<void>((resolve) => socket.once('connect', resolve)))),
    () => 'new sessions');
  assert.deepEqual(new Set(await all(sockets)), new Set(['b']));
  for (const socket of sockets) socket.disconnect();
});

for (const front of FRONTS) {
  describe(`sticky, through ${front.name}`, () => {
    test('sets the cookie beside those of the upstream, once; a removal moves the session', async (t) => {
      const [a, b] = [await startUpstream(t, named('a')), await startUpstream(t, named('b'))];
      const under = await startBalancer(t, { front, upstreams: [a, b], strategy: sticky(random()) });
      const client = await under.connect();
      const first = await client.exchange(get());
      const [cookie = '', app] = first.head.all('set-cookie').sort().reverse();
      assert.match(cookie, /^equipoise=[0-9a-f]{16}; Path=\/; HttpOnly$/);
      assert.equal(app, 'app=1');
      const sent = `Cookie: x=y; ${cookie.split(';')[0]}\r\n`;
      for (let at = 0; at < 8; at++) {
        const { text, head } = await client.exchange(get('/', sent));
        assert.deepEqual([text, head.all('set-cookie')], [first.text, ['app=1']]);
      }
      const own = first.text === 'a' ? a : b;
      await under.balancer.drain(own.origin);
      assert.equal((await client.exchange(get('/', sent))).text, first.text);
      await under.balancer.remove(own.origin);
      const moved = await client.exchange(get('/', sent));
      assert.notEqual(moved.text, first.text);
      assert.equal(moved.head.all('set-cookie').length, 2);
    });
  });
}

test('over HTTP/2, where cookies may be split, and understood by another balancer of the same list', async (t) => {
  const [a, b] = [await startUpstream(t, named('a')), await startUpstream(t, named('b'))];
  const { session } = await startHttp2(t, H2C, [a, b], { strategy: sticky(random(), { secret: 's' }) });
  const other = await startBalancer(t, { upstreams: [b, a], strategy: sticky(random(), { secret: 's' }) });
  const client = await other.connect();
  for (let at = 0; at < 6; at++) {
    const { fields, body } = await ask(session, { ':path': '/' });
    const cookie = fields['set-cookie']?.find((each) => each.startsWith('equipoise='))?.split(';')[0] ?? '';
    const again = await ask(session, { ':path': '/', cookie: ['x=y', cookie, 'z=1'] });
    assert.deepEqual([String(again.body), again.fields['set-cookie']], [String(body), ['app=1']]);
    assert.equal((await client.exchange(get('/', `Cookie: ${cookie}\r\n`))).text, String(body));
  }
});
