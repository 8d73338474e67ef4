import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { type FrontKind, FRONTS, serve, SOCKET, UNTIMED } from '../support/fronts.ts';
import { pattern } from '../support/message.ts';
import {
  bytes, close, halfClose, head, request, reset, response, type Script, startUpstream, untilEnd, when,
} from '../support/upstream.ts';
import { gate, turns } from '../support/wait.ts';

const ASK = 'Connection: Upgrade\r\nUpgrade: raw\r\n';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\nX-Token: 1\r\n\r\n';
const LARGE = pattern(8 << 20);

/** The same front, with the sockets of its tunnels visible to the test. */
function seen(front: FrontKind, sockets: Duplex[]): FrontKind {
  return {
    name: front.name,
    open: (balancer) => front === SOCKET
      ? serve(net.createServer({ allowHalfOpen: true }, (socket) => {
        sockets.push(socket);
        balancer.accept(socket);
      }))
      : serve(http.createServer(UNTIMED, balancer.handle).on('upgrade', (asked, socket, first) => {
        sockets.push(socket);
        balancer.upgrade(asked, socket, first);
      })),
  };
}

for (const front of FRONTS) {
  describe(`a tunnel through ${front.name}`, () => {
    test('carries bytes both ways, as they come', async (t) => {
      const upstream = await startUpstream(t, [[head, SWITCH, bytes(1), 'A', bytes(1), 'B', bytes(1), 'C']]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/chat', ASK));
      const switched = await client.head();
      assert.equal(switched.line, 'HTTP/1.1 101 Switching Protocols');
      assert.equal(switched.get('connection')?.toLowerCase(), 'upgrade');
      assert.equal(switched.get('upgrade'), 'raw');
      assert.equal(switched.get('x-token'), '1');
      for (const [sent, received] of [['a', 'A'], ['b', 'B'], ['c', 'C']] as const) {
        client.send(sent);
        assert.equal((await client.inbox.exactly(1)).toString(), received);
      }
      assert.equal(under.balancer.upstreams[0]?.inFlight, 1);
      client.end();
      await under.settled(1);
      assert.deepEqual(under.outcomes.map(({ ok, status, error }) => [ok, status, error]), [[true, 101, undefined]]);
    });

    test('passes the request on unchanged', async (t) => {
      const upstream = await startUpstream(t, [[request, SWITCH]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/chat?a', `${ASK}Sec-WebSocket-Key: abc\r\nSec-WebSocket-Protocol: x, y\r\n`));
      await client.head();
      const { head: asked } = upstream.requests[0] ?? {};
      assert.equal(asked?.line, 'GET /chat?a HTTP/1.1');
      assert.equal(asked.get('connection'), 'Upgrade');
      assert.equal(asked.get('upgrade'), 'raw');
      assert.equal(asked.get('sec-websocket-key'), 'abc');
      assert.equal(asked.get('sec-websocket-protocol'), 'x, y');
      assert.equal(asked.get('x-forwarded-for'), '127.0.0.1');
    });

    test('carries the data that comes with its heads', async (t) => {
      const upstream = await startUpstream(t, [[head, `${SWITCH}hello`, bytes(5)]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(`${get('/', ASK)}early`);
      await client.head();
      assert.equal((await client.inbox.exactly(5)).toString(), 'hello');
      await upstream.saw('1 read early');
    });

    test('carries large data both ways at once', async (t) => {
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.head();
        peer.send(SWITCH);
        const received = peer.inbox.rest();
        peer.send(LARGE);
        assert.deepEqual(await received, LARGE);
        peer.socket.end();
      }]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      const received = client.inbox.rest();
      client.send(LARGE);
      client.end();
      assert.deepEqual(await received, LARGE);
      await under.settled(1);
    });

    test('may end one direction first: the downstream sends no more', async (t) => {
      const upstream = await startUpstream(t, [[head, SWITCH, bytes(4), untilEnd, 'still here', halfClose]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      client.send('done');
      client.end();
      assert.equal((await client.inbox.rest()).toString(), 'still here');
      await under.settled(1);
    });

    test('may end one direction first: the upstream sends no more', async (t) => {
      const upstream = await startUpstream(t, [[head, SWITCH, 'done', halfClose, bytes(10), untilEnd]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      assert.equal((await client.inbox.rest()).toString(), 'done');
      assert.equal(under.outcomes.length, 0);
      client.send('still here');
      client.end();
      await upstream.saw('1 read still here');
      await upstream.saw('1 end');
      await under.settled(1);
    });

    test('loses nothing at its end: what a slow upstream has yet to read', async (t) => {
      const reading = gate();
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.head();
        peer.send(`${SWITCH}done`);
        peer.socket.end();
        await reading.opened;
        assert.deepEqual(await peer.inbox.rest(), LARGE);
      }]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      assert.equal((await client.inbox.rest()).toString(), 'done');
      client.send(LARGE);
      client.end();
      // The balancer takes what its buffers hold, and the rest waits.
      for (let i = 0; i < 50; i++) await under.advance(0);
      reading.open();
      await upstream.saw('1 end');
      await under.settled(1);
    });

    test('loses nothing at its end: the last small pieces to a slow upstream', async (t) => {
      const reading = gate();
      let count: (bytes: number) => void = () => undefined;
      const received = new Promise<number>((resolve) => {
        count = resolve;
      });
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.head();
        peer.send(`${SWITCH}done`);
        peer.socket.end();
        await reading.opened;
        count((await peer.inbox.rest()).length);
      }]);
      const sockets: net.Socket[] = [];
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        connect: ({ host, port }) => {
          const socket = net.connect({ host, port, allowHalfOpen: true });
          sockets.push(socket);
          return socket;
        },
      });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      assert.equal((await client.inbox.rest()).toString(), 'done');
      // Small pieces gather below the limit at which a stream holds its writer back.
      const piece = Buffer.alloc(8_000);
      let sent = 0;
      while (sockets[0]?.writableLength === 0) {
        client.send(piece);
        sent += piece.length;
        await under.advance(0);
      }
      client.end();
      for (let i = 0; i < 20; i++) await under.advance(0);
      reading.open();
      assert.equal(await received, sent);
      await under.settled(1);
    });

    test('loses nothing at its end: the last small pieces to a slow downstream', async (t) => {
      const sockets: Duplex[] = [];
      const piece = Buffer.alloc(8_000);
      let sent = 0;
      const upstream = await startUpstream(t, [[head, SWITCH, untilEnd, async (peer) => {
        // Small pieces gather below the limit at which a stream holds its writer back.
        while (sockets[0]?.writableLength === 0) {
          await peer.push(piece);
          sent += piece.length;
          await turns(4);
        }
      }, halfClose]]);
      const under = await startBalancer(t, { upstreams: [upstream], front: seen(front, sockets) });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      client.end();
      await upstream.saw('1 end');
      // The rest of the tunnel's data is on its way to the downstream.
      while (sent === 0 || sockets[0]?.writableLength === 0) await turns(1);
      for (let i = 0; i < 20; i++) await under.advance(0);
      assert.equal((await client.inbox.rest()).length, sent);
      await under.settled(1);
    });

    test('loses nothing at its end: what a slow downstream has yet to read', async (t) => {
      const upstream = await startUpstream(t, [[head, SWITCH, untilEnd, LARGE, halfClose]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      client.end();
      await upstream.saw('1 end');
      for (let i = 0; i < 50; i++) await under.advance(0);
      assert.deepEqual(await client.inbox.rest(), LARGE);
      await under.settled(1);
    });

    test('breaks for the downstream when it breaks at the upstream', async (t) => {
      const read = gate();
      const upstream = await startUpstream(t, [[head, `${SWITCH}hello`, when(read.opened), reset]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      await client.inbox.exactly(5);
      read.open();
      assert.equal(await client.over(), 'reset');
      await under.settled(1);
      assert.equal(under.outcomes[0]?.ok, false);
      assert.deepEqual(under.reports, [`RESPONSE_INCOMPLETE at ${upstream.origin}`]);
    });

    test('is over when the upstream has closed altogether', async (t) => {
      const upstream = await startUpstream(t, [[head, `${SWITCH}bye`, close]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', ASK));
      await client.head();
      assert.equal((await client.inbox.rest()).toString(), 'bye');
      client.end();
      await under.settled(1);
    });
  });
}

describe('an upgrade on a socket of our own', () => {
  test('with a body: the upstream has it before it may switch', async (t) => {
    const script: Script = [request, SWITCH, bytes(3)];
    const upstream = await startUpstream(t, [script]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(`${get('/', `${ASK}Content-Length: 5\r\n`, 'POST')}hello`);
    await client.head();
    client.send('raw');
    await upstream.saw('1 read raw');
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
  });

  test('with a body: a switch in the middle of it is refused', async (t) => {
    const upstream = await startUpstream(t, [[head, SWITCH]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(`${get('/', `${ASK}Content-Length: 5\r\n`, 'POST')}hel`);
    assert.equal((await client.response()).status, 502);
    assert.deepEqual(under.reports, [`UPGRADE_INVALID at ${upstream.origin}`]);
  });

  test('after other requests on the same connection', async (t) => {
    const upstream = await startUpstream(t, [[request, response('one'), request, SWITCH, bytes(2), 'ho']]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    assert.equal((await client.exchange(get())).text, 'one');
    client.send(`${get('/', ASK)}hi`);
    await client.head();
    assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
  });
});
