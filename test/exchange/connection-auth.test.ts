/**
 * NTLM and Negotiate authenticate a connection. An upstream connection that was authenticated serves only the
 * downstream connection that did so, and is closed with it.
 */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import type { Strategy } from '../../src/strategy.ts';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { adopt, type Client, get, post, type Response } from '../support/client.ts';
import { type FrontKind, FRONTS, NODE_HTTP, serve, SOCKET, UNTIMED } from '../support/fronts.ts';
import { Holding, Waits } from '../support/holding.ts';
import { challenged, hello, ntlm, proof, startNtlm } from '../support/ntlm-upstream.ts';
import { atEnd } from '../support/scope.ts';
import { close, echo, head, response, type ScriptedUpstream, startUpstream } from '../support/upstream.ts';
import { gate, within } from '../support/wait.ts';

const certificate = makeCertificate();

interface Door extends FrontKind {
  readonly secure?: true;
}

const ACCEPT: Door = {
  name: 'accept',
  open: (balancer) => serve(net.createServer({ allowHalfOpen: true }, balancer.accept)),
};
const ACCEPT_TLS: Door = {
  name: 'accept with TLS',
  secure: true,
  open: (balancer) => serve(tls.createServer({ ...certificate, ALPNProtocols: ['http/1.1'] }, balancer.accept)),
};
const HTTPS: Door = {
  name: 'node:https',
  secure: true,
  open: (balancer) => serve(https.createServer({ ...UNTIMED, ...certificate }, balancer.handle)),
};
const H1_BESIDE_H2: Door = {
  name: 'HTTP/1.1 to a server of node:http2',
  secure: true,
  open: (balancer) => serve(http2.createSecureServer({ ...certificate, allowHTTP1: true }, balancer.handle)),
};

async function connect(t: TestContext, under: BalancerUnderTest, door: Door): Promise<Client> {
  if (door.secure !== true) return under.connect();
  const ca = certificate && { ca: certificate.cert };
  const socket = tls.connect({ host: '127.0.0.1', port: under.port, ALPNProtocols: ['http/1.1'], ...ca });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve).once('error', reject);
  });
  return adopt(t, socket);
}

/** Does a handshake over a connection. Returns the answer to its last request. */
async function authenticate(client: Client, user: string, scheme = 'NTLM'): Promise<Response> {
  const challenge = await client.exchange(get('/', hello(scheme)));
  assert.equal(challenge.status, 401);
  return client.exchange(get('/', proof(user, challenged(challenge.head.get('www-authenticate')), scheme)));
}

/** Picks the candidates in turn: each request would go elsewhere than the one before. */
const inTurn = (): Strategy => {
  let next = 0;
  return { name: 'in-turn', pick: (candidates) => candidates[next++ % candidates.length] };
};

async function start(
  t: TestContext, upstream: ScriptedUpstream, options: Partial<TestOptions> = {},
): Promise<BalancerUnderTest> {
  return startBalancer(t, { upstreams: [upstream], ...options });
}

for (const door of [SOCKET, ACCEPT, ACCEPT_TLS, NODE_HTTP, HTTPS, H1_BESIDE_H2] as readonly Door[]) {
  const skip = door.secure === true && certificate === undefined && NO_OPENSSL;
  describe(`an upstream connection that was authenticated, through ${door.name}`, { skip }, () => {
    for (const scheme of ['NTLM', 'Negotiate', 'nTLM', 'NEGOTIATE']) {
      test(`by ${scheme} serves only its own downstream`, async (t) => {
        const upstream = await startNtlm(t);
        const under = await start(t, upstream, { front: door });
        const alice = await connect(t, under, door);
        assert.equal((await authenticate(alice, 'alice', scheme)).text, 'alice@1 /');
        assert.equal((await alice.exchange(get('/2'))).text, 'alice@1 /2');
        // The attack: no credentials at all, right after her.
        const mallory = await connect(t, under, door);
        assert.equal((await mallory.exchange(get('/secret'))).status, 401);
        assert.equal((await alice.exchange(post('/3', 'body'))).text, 'alice@1 /3');
        assert.equal((await authenticate(mallory, 'mallory', scheme)).text, 'mallory@2 /');
        assert.equal((await alice.exchange(get('/4'))).text, 'alice@1 /4');
      });
    }

    test('is closed with its downstream', async (t) => {
      const upstream = await startNtlm(t);
      const under = await start(t, upstream, { front: door });
      const alice = await connect(t, under, door);
      await authenticate(alice, 'alice');
      alice.destroy();
      await upstream.gone(1);
      const mallory = await connect(t, under, door);
      assert.equal((await mallory.exchange(get('/secret'))).status, 401);
      assert.deepEqual(upstream.peers.map(({ number }) => number), [1, 2]);
    });

    test('completes a handshake, whatever the strategy would pick', async (t) => {
      const upstreams = [await startNtlm(t), await startNtlm(t)] as const;
      const under = await startBalancer(t, { upstreams, front: door, strategy: inTurn() });
      const client = await connect(t, under, door);
      assert.equal((await client.exchange(get('/1'))).status, 401);
      assert.equal((await authenticate(client, 'alice')).text, 'alice@1 /');
      assert.equal((await client.exchange(get('/2'))).text, 'alice@1 /2');
      assert.equal(under.picks.length, 1, 'the strategy has picked once');
      assert.equal(under.outcomes.length, 1, 'and heard of the end of that');
      const [first, second] = under.balancer.upstreams;
      assert.deepEqual([first?.picks, first?.responses, first?.inFlight], [4, 4, 0]);
      assert.equal(second?.picks, 0);
      // The strategy picks for another downstream.
      assert.equal((await (await connect(t, under, door)).exchange(get('/3'))).status, 401);
      assert.equal(upstreams[1].requests.length, 1);
    });
  });
}

const H2C: FrontKind = { name: 'h2c', open: (balancer) => serve(http2.createServer(balancer.handle)) };

describe('through HTTP/2, where all requests share one connection', () => {
  test('an upstream connection that may be authenticated is closed after its response', async (t) => {
    const upstream = await startNtlm(t);
    const under = await start(t, upstream, { front: H2C });
    const session = http2.connect(`http://127.0.0.1:${under.port}`);
    const done = new Promise((resolve) => session.once('close', resolve));
    atEnd(t, async () => {
      session.destroy();
      await done;
    });
    const ask = async (fields: http2.OutgoingHttpHeaders): Promise<number | undefined> => {
      const stream = session.request({ ':path': '/', ...fields });
      const answered = new Promise<number | undefined>((resolve) => {
        stream.once('response', (head) => {
          resolve(head[':status']);
        });
      });
      stream.resume();
      const closed = new Promise((resolve) => stream.once('close', resolve));
      const status = await within(answered, () => 'a response');
      await closed;
      return status;
    };
    for (const [number, credentials] of [
      undefined, hello(), proof('alice', '2'), 'Authorization: Negotiate YIIabc\r\n', undefined,
    ].entries()) {
      const authorization = credentials?.slice('Authorization: '.length, -2);
      assert.equal(await ask(authorization === undefined ? {} : { authorization }), 401);
      await upstream.gone(number + 1);
    }
  });
});

for (const front of FRONTS) {
  describe(`private upstream connections, through ${front.name}`, () => {
    for (const [name, offer, status = '401 Unauthorized'] of [
      ['among others in one line', 'WWW-Authenticate: Basic realm="a, b", Negotiate, NTLM\r\n'],
      ['in a line of its own', 'WWW-Authenticate: Basic realm="a"\r\nWWW-Authenticate: ntlm\r\n'],
      ['with a token', 'WWW-Authenticate: Negotiate oYGbMIGY==\r\n'],
      ['by a proxy', 'Proxy-Authenticate: NTLM\r\n', '407 Proxy Authentication Required'],
    ] as const) {
      test(`a response that offers NTLM or Negotiate ${name} makes one private`, async (t) => {
        const upstream = await startUpstream(t, async (peer) => {
          for (;;) {
            await peer.request();
            peer.send(response(String(peer.number), offer, status));
          }
        });
        const under = await start(t, upstream, { front });
        const clients = [await under.connect(), await under.connect()];
        for (let round = 0; round < 2; round++) {
          for (const [i, client] of clients.entries()) assert.equal((await client.exchange(get())).text, String(i + 1));
        }
      });
    }

    for (const [name, request, answer] of [
      ['other credentials', get('/', 'Authorization: Bearer ntlm negotiate\r\n'), response('x')],
      ['a 401 with other challenges', get(), response('x', 'WWW-Authenticate: Basic realm="ntlmish"\r\n', '401 No')],
      ['a 200 that offers NTLM all the same', get(), response('x', 'WWW-Authenticate: NTLM\r\n')],
      ['fields of names alike', get('/', 'X-Authorizing: NTLM\r\nAuthorizatioN-: NTLM x\r\n'), response('x')],
    ] as const) {
      test(`${name} leave one shared`, async (t) => {
        const upstream = await startUpstream(t, async (peer) => {
          for (;;) {
            await peer.request();
            peer.send(answer);
          }
        });
        const under = await start(t, upstream, { front });
        for (let i = 0; i < 3; i++) await (await under.connect()).exchange(request);
        assert.equal(upstream.peers.length, 1);
      });
    }

    test('a request to a proxy may carry them too', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await start(t, upstream, { front });
      const alice = await under.connect();
      await alice.exchange(get('/1', 'Proxy-Authorization: Negotiate YIIabc\r\n'));
      await (await under.connect()).exchange(get('/2'));
      await alice.exchange(get('/3'));
      assert.deepEqual(upstream.events.filter((event) => event.includes('GET')), ['1 GET /1', '2 GET /2', '1 GET /3']);
    });

    test('an upgrade uses the connection on which its downstream is authenticated', async (t) => {
      const upstream = await startUpstream(t, async (peer) => {
        for (;;) {
          const { head: { line } } = await peer.request();
          if (line.includes('/ws')) break;
          peer.send(response('', 'WWW-Authenticate: NTLM\r\n', '401 Unauthorized'));
        }
        peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
        peer.send(await peer.bytes(5));
      });
      const under = await start(t, upstream, { front });
      const client = await under.connect();
      await client.exchange(get());
      const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
        + 'Sec-WebSocket-Version: 13\r\n';
      assert.equal((await client.exchange(get('/ws', upgrade))).status, 101);
      assert.equal((await client.send('hello').inbox.exactly(5)).toString(), 'hello');
      assert.equal(upstream.peers.length, 1);
      const over = new Promise<void>((resolve) => {
        under.balancer.on('settled', () => {
          resolve();
        });
      });
      client.destroy();
      await within(over, () => 'the tunnel to settle');
    });

    test('pipelined requests share one in order', async (t) => {
      const upstream = await startNtlm(t);
      const under = await start(t, upstream, { front });
      const client = await under.connect();
      await authenticate(client, 'alice');
      client.send(['/a', '/b', '/c', '/d'].map((target) => get(target)).join(''));
      for (const target of ['/a', '/b', '/c', '/d']) assert.equal((await client.response()).text, `alice@1 ${target}`);
    });

    test('pipelined requests go elsewhere when the one before them has closed it', async (t) => {
      const held = gate();
      const upstream = await startUpstream(t, async (peer) => {
        await ntlmThen(peer.number === 1 ? held.opened : Promise.resolve());
        async function ntlmThen(opened: Promise<void>): Promise<void> {
          await peer.request();
          peer.send(response('', 'WWW-Authenticate: NTLM\r\n', '401 Unauthorized'));
          await peer.request();
          await opened;
          peer.send(response('bye', 'Connection: close\r\n'));
          close(peer);
        }
      });
      const under = await start(t, upstream, { front });
      const client = await under.connect();
      await client.exchange(get());
      client.send(['/a', '/b', '/c'].map((target) => get(target)).join(''));
      await upstream.saw('1 GET /a');
      held.open();
      const answers = [];
      for (let i = 0; i < 3; i++) answers.push((await client.response()).status);
      // The first of those behind it binds another connection, over which the last one goes. A server of node:http
      // has received both by then, and they run side by side.
      assert.deepEqual(answers, [200, 401, front === SOCKET ? 200 : 401]);
    });

    test('one that closes in the middle of a handshake: 502, and the proof is not sent elsewhere', async (t) => {
      const upstream = await startUpstream(t, [[
        (peer) => peer.request(), response('', 'WWW-Authenticate: NTLM TlRMTVNTUAACAAAA1\r\n', '401 Unauthorized'),
        head, close,
      ]]);
      const under = await start(t, upstream, { front });
      const client = await under.connect();
      await client.exchange(get('/', hello()));
      const answer = await client.exchange(get('/', proof('alice', '1')));
      assert.deepEqual([answer.status, answer.head.get('proxy-status')], [
        502, 'equipoise; error=connection_terminated',
      ]);
      assert.deepEqual(under.reports, [`UPSTREAM_CLOSED at ${upstream.origin}`]);
    });

    for (const [name, fields] of [
      ['without credentials', ''], ['that begins a handshake', hello()],
      ['that begins one with SPNEGO', 'Authorization: Negotiate YIIabc==\r\n'],
    ] as const) {
      test(`a request ${name} is sent again over a new one that the strategy picks`, async (t) => {
        const closing = await startUpstream(t, [[
          (peer) => peer.request(), response('', 'WWW-Authenticate: NTLM\r\n', '401 Unauthorized'), head, close,
        ]]);
        const other = await startNtlm(t);
        const under = await startBalancer(t, { upstreams: [closing, other], front, strategy: inTurn() });
        const client = await under.connect();
        await client.exchange(get());
        const answer = await client.exchange(get('/', fields));
        assert.equal(answer.status, 401);
        assert.equal(other.requests.length, 1);
        assert.deepEqual(under.picks.map(({ attempt }) => attempt), [1, 2]);
        assert.equal(under.balancer.upstreams[0]?.retries, 1);
      });
    }

    test('a response that would be retried elsewhere is passed on where the connection is authenticated', async (t) => {
      const upstream = await startUpstream(t, async (peer) => {
        await peer.request();
        peer.send(response('', 'WWW-Authenticate: NTLM\r\n', '401 Unauthorized'));
        await peer.request();
        peer.send(response('mine', '', '503 Busy'));
        await peer.request();
        peer.send(response('better'));
      });
      const other = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, retryOn: [503] });
      const client = await under.connect();
      await client.exchange(get());
      assert.equal((await client.exchange(get())).text, 'mine');
      assert.equal((await client.exchange(get())).text, 'better');
    });

    test('one that was idle for long is kept for its downstream as long as its upstream keeps it', async (t) => {
      const upstream = await startNtlm(t);
      const under = await start(t, upstream, {
        front, upstreamIdleTimeoutMs: 1_000, keepAliveTimeoutMs: 60_000_000, tunnelIdleTimeoutMs: 100_000,
      });
      const client = await under.connect();
      await authenticate(client, 'alice');
      await under.advance(99_999);
      assert.equal((await client.exchange(get('/2'))).text, 'alice@1 /2');
      await under.advance(99_999);
      assert.equal((await client.exchange(get('/3'))).text, 'alice@1 /3');
      await under.advance(100_000);
      await upstream.gone(1);
      assert.equal((await client.exchange(get('/4'))).status, 401);
      assert.equal(upstream.peers.length, 2);
    });

    test('one whose upstream says how long it keeps it is closed a second before', async (t) => {
      const upstream = await startNtlm(t, undefined, 'Keep-Alive: timeout=9\r\n');
      const under = await start(t, upstream, { front, keepAliveTimeoutMs: 60_000 });
      const client = await under.connect();
      await authenticate(client, 'alice');
      await under.advance(7_999);
      assert.equal(upstream.peers[0]?.inbox.ended, undefined);
      await under.advance(1);
      await upstream.gone(1);
    });

    test('one of an upstream at its limit is waited for: the limit holds', async (t) => {
      const held = gate();
      const upstream = await startUpstream(t, async (peer) => {
        if (peer.number === 1) {
          await ntlm(peer);
          return;
        }
        await peer.request();
        await held.opened;
        peer.send(response('held'));
      });
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [{ origin: upstream.origin, maxInFlight: 1 }, other], front, maxQueued: 1, queueTimeoutMs: 2_000,
      });
      const waits = new Waits(under);
      const client = await under.connect();
      await authenticate(client, 'alice');
      const holder = await under.connect();
      holder.send(get());
      await upstream.saw('2 GET /');
      client.send(get('/waits'));
      await waits.waited(1);
      assert.equal((await (await under.connect()).exchange(get('/other'))).text, '/other', 'nobody is held up');
      held.open();
      assert.equal((await holder.response()).text, 'held');
      assert.equal((await client.response()).text, 'alice@1 /waits');
      assert.deepEqual(under.balancer.upstreams.map(({ inFlight }) => inFlight), [0, 0]);
    });

    test('one of an ejected upstream stays in use, and does not readmit it', async (t) => {
      const upstream = await startUpstream(t, async (peer) => {
        if (peer.number === 1) await ntlm(peer);
        else {
          await peer.request();
          peer.socket.destroy();
        }
      });
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream, other], front, ejectAfter: 1, maxAttempts: 1, ejectMs: 60_000, keepAliveTimeoutMs: 1e6,
      });
      const client = await under.connect();
      await authenticate(client, 'alice');
      assert.equal((await (await under.connect()).exchange(get())).status, 502);
      assert.equal(under.balancer.upstreams[0]?.state, 'ejected');
      assert.equal((await client.exchange(get('/2'))).text, 'alice@1 /2');
      assert.equal(under.balancer.upstreams[0].state, 'ejected');
      assert.equal((await (await under.connect()).exchange(get('/other'))).text, '/other');
    });

    test('one of a removed upstream is closed; its downstream goes elsewhere', async (t) => {
      const [upstream, other] = [await startNtlm(t), await startUpstream(t, echo)];
      const under = await startBalancer(t, { upstreams: [upstream, other], front });
      const client = await under.connect();
      await authenticate(client, 'alice');
      await under.balancer.remove(upstream.origin);
      await upstream.gone(1);
      assert.equal((await client.exchange(get('/elsewhere'))).text, '/elsewhere');
    });

    test('one in use when its upstream is removed is closed after the response, or cut', async (t) => {
      for (const cut of [false, true]) {
        const held = gate();
        const upstream = await startUpstream(t, async (peer) => {
          await peer.request();
          peer.send(response('', 'WWW-Authenticate: NTLM\r\n', '401 Unauthorized'));
          await peer.request();
          await held.opened;
          peer.send(response('late'));
        });
        const other = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream, other], front });
        const client = await under.connect();
        await client.exchange(get());
        client.send(get('/held'));
        await upstream.read(2);
        const removed = under.balancer.remove(upstream.origin, { timeoutMs: 5_000 });
        if (cut) await under.advance(5_000);
        held.open();
        const answer = await client.response();
        assert.deepEqual([answer.status, cut ? '' : answer.text], cut ? [503, ''] : [200, 'late']);
        await within(removed, () => 'the removal');
        await upstream.gone(1);
        assert.equal((await client.exchange(get('/elsewhere'))).text, '/elsewhere');
      }
    });

    test('an idle one is closed when the balancer closes, although its downstream stays', async (t) => {
      const upstream = await startNtlm(t);
      const under = await start(t, upstream, { front });
      const client = await under.connect();
      await authenticate(client, 'alice');
      const closed = under.balancer.close({ timeoutMs: 1_000 });
      await under.advance(1_000);
      client.end();
      await within(closed, () => 'the close');
      await upstream.gone(1);
    });

    test('a downstream that binds several in turn leaves no listeners behind', async (t) => {
      const upstream = await startUpstream(t, async (peer) => {
        await peer.request();
        peer.send(response('', 'WWW-Authenticate: NTLM\r\nConnection: close\r\n', '401 Unauthorized'));
        close(peer);
      });
      const under = await start(t, upstream, { front });
      const warnings: string[] = [];
      const warned = (warning: Error): void => {
        warnings.push(warning.message);
      };
      process.on('warning', warned);
      atEnd(t, () => process.off('warning', warned));
      const client = await under.connect();
      for (let i = 0; i < 20; i++) assert.equal((await client.exchange(get())).status, 401);
      assert.deepEqual(warnings, []);
      assert.equal(upstream.peers.length, 20);
    });
  });
}

test('one request makes the connection private while others are in flight beside it', async (t) => {
  // Pipelined requests of a node:http server are handled at once: there the second may be before the first.
  const holding = await Holding.start(t);
  const upstream = await startNtlm(t);
  const under = await startBalancer(t, { upstreams: [holding.origin, upstream], front: NODE_HTTP, strategy: {
    name: 'by-target', pick: (candidates, { request }) => candidates[request.target === '/held' ? 0 : 1],
  } });
  const client = await under.connect();
  client.send(get('/held') + get('/b') + get('/c'));
  await holding.came(1);
  await under.settled(2);
  holding.release();
  assert.equal((await client.response()).text, '/held');
  for (let i = 0; i < 2; i++) assert.equal((await client.response()).status, 401);
  assert.equal((await (await under.connect()).exchange(get())).status, 401);
});
