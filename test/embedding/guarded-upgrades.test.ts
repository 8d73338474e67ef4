import assert from 'node:assert/strict';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { describe, test } from 'node:test';
import tls from 'node:tls';
import express from 'express';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { adopt, type Client, get, post } from '../support/client.ts';
import { type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { chunked, pattern } from '../support/message.ts';
import { bytes, echo, head as readHead, request, response, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

const certificate = makeCertificate();

/** The README's application: middleware requires a token, with `upgrade` beside it. */
function guarded(options: { secure?: boolean; check?: (request: IncomingMessage) => boolean } = {}): FrontKind {
  return {
    name: 'Express',
    open: (balancer) => {
      const application = express();
      application.set('env', 'test');
      application.use((asked, answer, next) => {
        if (asked.get('authorization') === undefined) answer.status(401).send('who are you?');
        else next();
      });
      application.use(balancer.handle);
      const { check = () => true, secure = false } = options;
      const server = secure
        ? https.createServer({ ...certificate, ...UNTIMED }, application)
        : http.createServer(UNTIMED, application);
      return serve(server.on('upgrade', (asked, socket, head) => {
        if (check(asked)) balancer.upgrade(asked, socket, head);
        else socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      }));
    },
  };
}

const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
const WEBSOCKET = `Connection: Upgrade\r\nUpgrade: websocket\r\n${KEY}`;
const AUTHORISED = 'Authorization: Basic YTpi\r\n';
const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n';

async function start(
  t: Parameters<typeof startBalancer>[0], front: FrontKind, options: Partial<TestOptions> = {},
): Promise<{ upstream: Awaited<ReturnType<typeof startUpstream>>; under: BalancerUnderTest; client: Client }> {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream], front, ...options });
  return { upstream, under, client: await under.connect() };
}

describe('a request for an upgrade that is not tunnelled passes the middleware', () => {
  const cases: [name: string, bytes: string | Buffer][] = [
    ['GET, to anything', get('/admin', 'Connection: Upgrade\r\nUpgrade: anything\r\n')],
    ['POST, to anything', post('/admin', 'hello', 'Connection: Upgrade\r\nUpgrade: anything\r\n')],
    ['POST, to WebSocket', post('/admin', 'hello', WEBSOCKET)],
    ['PUT in chunks, to WebSocket', Buffer.concat([
      Buffer.from(get('/admin', `${WEBSOCKET}Transfer-Encoding: chunked\r\n`, 'PUT')), chunked('hello', 2),
    ])],
    ['an empty POST in chunks, to WebSocket',
      `${get('/admin', `${WEBSOCKET}Transfer-Encoding: chunked\r\n`, 'POST')}0\r\n\r\n`],
    ['WebSocket without a key', get('/admin', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')],
    ['WebSocket with an empty key',
      get('/admin', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key:\r\n')],
    ['WebSocket with two keys', get('/admin', `${WEBSOCKET}${KEY}`)],
    ['WebSocket and something else', get('/admin', `Connection: Upgrade\r\nUpgrade: websocket, x\r\n${KEY}`)],
    ['something else in a line of its own',
      get('/admin', `Connection: Upgrade\r\nUpgrade: x\r\nUpgrade: websocket\r\n${KEY}`)],
    ['WebSocket in HTTP/1.0', get('/admin', `${WEBSOCKET}Connection: keep-alive\r\n`).replace('HTTP/1.1', 'HTTP/1.0')],
    ['h2c', get('/admin', H2C)],
  ];
  for (const [name, asked] of cases) {
    test(`${name}: 401, and no upstream is involved`, async (t) => {
      const { upstream, under, client } = await start(t, guarded());
      const answer = await client.exchange(asked);
      assert.equal(answer.status, 401);
      assert.equal(answer.text, 'who are you?');
      assert.equal(under.picks.length, 0);
      // The connection still serves.
      if (!String(asked).includes('HTTP/1.0')) {
        assert.equal((await client.exchange(get('/next', AUTHORISED))).text, '/next');
        assert.equal(upstream.requests.length, 1);
      }
    });

    test(`${name}: served when authorized`, async (t) => {
      const { upstream, client } = await start(t, guarded());
      const whole = String(asked).replace('\r\n', `\r\n${AUTHORISED}`);
      const answer = await client.exchange(whole);
      assert.equal(answer.text, '/admin');
      const [got] = upstream.requests;
      assert.ok(got !== undefined);
      assert.equal(got.head.get('upgrade'), undefined);
      assert.equal(got.head.get('connection'), undefined);
      assert.equal(got.body.bytes.toString(), /hello|2\r\nhe/.test(whole) ? 'hello' : '');
      assert.equal(got.head.get('x-forwarded-for'), '127.0.0.1');
    });
  }

  test('what is pipelined after it is answered after it', async (t) => {
    const { upstream, client } = await start(t, guarded());
    client.send(get('/1', AUTHORISED + H2C) + get('/2', AUTHORISED) + String(post('/3', 'x', AUTHORISED + H2C))
      + get('/4', AUTHORISED + H2C));
    for (const target of ['/1', '/2', '/3', '/4']) assert.equal((await client.response()).text, target);
    assert.equal(upstream.requests.length, 4);
  });

  test('a large body that comes piece by piece', async (t) => {
    const { upstream, client } = await start(t, guarded());
    const body = pattern(300_000);
    const whole = post('/upload', body, AUTHORISED + H2C);
    for (let at = 0; at < whole.length; at += 40_000) {
      client.send(whole.subarray(at, at + 40_000));
      await turns(5);
    }
    const answer = await client.response();
    assert.equal(answer.text, '/upload');
    assert.ok(upstream.requests[0]?.body.bytes.equals(body));
    // Node 26 reads such a body itself, but nothing after it: it may close the connection, if it announces that.
    if (answer.head.get('connection') === 'close') assert.equal(await client.over(), 'end');
    else assert.equal((await client.exchange(get('/next', AUTHORISED))).text, '/next');
  });

  test('one with Expect: 100-continue', async (t) => {
    const { upstream, client } = await start(t, guarded());
    const [head, body] = String(post('/', 'hello', `${AUTHORISED}${H2C}Expect: 100-continue\r\n`)).split('\r\n\r\n');
    client.send(`${head ?? ''}\r\n\r\n`);
    assert.match((await client.head()).line, / 100 /);
    client.send(body ?? '');
    assert.equal((await client.response()).text, '/');
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
  });

  test('where nothing else can serve it: refused, as there would be no answer', async (t) => {
    const { under, client } = await start(t, {
      name: 'upgrades alone', open: (balancer) => serve(http.createServer(UNTIMED).on('upgrade', balancer.upgrade)),
    });
    assert.equal((await client.exchange(get('/', H2C))).status, 400);
    assert.equal(await client.over(), 'end');
    assert.equal(under.picks.length, 0);
  });

  test('over TLS', { skip: certificate === undefined && NO_OPENSSL }, async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: guarded({ secure: true }) });
    const socket = tls.connect({ host: '127.0.0.1', port: under.port, ...(certificate && { ca: certificate.cert }) });
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve).once('error', reject);
    });
    const client = adopt(t, socket);
    assert.equal((await client.exchange(post('/a', 'hello', H2C))).status, 401);
    assert.equal((await client.exchange(post('/b', 'hello', AUTHORISED + H2C))).text, '/b');
    assert.equal((await client.exchange(get('/c', AUTHORISED))).text, '/c');
    assert.equal(upstream.requests[0]?.head.get('x-forwarded-proto'), 'https');
    assert.equal(upstream.requests[0].body.bytes.toString(), 'hello');
  });
});

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ';

describe('what is tunnelled', () => {
  test('a WebSocket handshake that the upgrade listener lets through', async (t) => {
    const upstream = await startUpstream(t, [[request, `${SWITCH}websocket\r\n\r\n`, bytes(2), 'ho']]);
    const check = ({ headers }: IncomingMessage): boolean => headers.authorization !== undefined;
    const under = await startBalancer(t, { upstreams: [upstream], front: guarded({ check }) });
    const stranger = await under.connect();
    assert.equal((await stranger.exchange(get('/', WEBSOCKET))).status, 401);
    assert.equal(under.picks.length, 0, 'an unauthorised one reaches no upstream');
    const client = await under.connect();
    client.send(`${get('/', AUTHORISED + WEBSOCKET)}hi`);
    assert.match((await client.head()).line, / 101 /);
    assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
  });

  for (const asked of ['tcp', 'TCP', 'tcp, TCP']) {
    test(`a protocol that the embedder named, as ${asked}`, async (t) => {
      const upstream = await startUpstream(t, [[request, `${SWITCH}tcp\r\n\r\n`, bytes(2), 'ho']]);
      const options = { upstreams: [upstream], front: guarded(), upgradeProtocols: ['Tcp'] };
      const under = await startBalancer(t, options);
      const client = await under.connect();
      client.send(`${get('/', `Connection: Upgrade\r\nUpgrade: ${asked}\r\n`)}hi`);
      assert.match((await client.head()).line, / 101 /);
      assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
      assert.equal(upstream.requests[0]?.head.get('upgrade'), asked);
    });
  }

  const ask = 'Connection: Upgrade\r\nUpgrade: tcp\r\n';
  const withBodies: [name: string, bytes: Buffer][] = [
    ['of known length', post('/exec', '{"a":1}', ask)],
    ['in chunks', Buffer.concat([
      Buffer.from(get('/exec', `${ask}Transfer-Encoding: chunked\r\n`, 'POST')), chunked('{"a":1}', 3),
    ])],
  ];
  for (const [name, asked] of withBodies) {
    for (const pieces of [1, asked.length]) {
      test(`a named protocol with a body ${name}, in ${pieces === 1 ? 'one piece' : 'single octets'}`, async (t) => {
        const upstream = await startUpstream(t, [[request, `${SWITCH}tcp\r\n\r\n`, bytes(2), 'ho']]);
        const options = { upstreams: [upstream], front: guarded(), upgradeProtocols: ['tcp'] };
        const under = await startBalancer(t, options);
        const client = await under.connect();
        for (let i = 0; i < pieces; i++) {
          client.send(pieces === 1 ? asked : asked.subarray(i, i + 1));
          if (pieces > 1) await turns(2);
        }
        assert.match((await client.head()).line, / 101 /);
        client.send('hi');
        assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
        assert.equal(upstream.requests[0]?.body.bytes.toString(), '{"a":1}');
        assert.equal(upstream.requests[0].head.get('x-forwarded-for'), '127.0.0.1');
      });
    }
  }

  test('a named protocol does not allow others', async (t) => {
    const { under, client } = await start(t, guarded(), { upgradeProtocols: ['tcp'] });
    assert.equal((await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: tcp/2\r\n'))).status, 401);
    assert.equal((await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: tcp, x\r\n'))).status, 401);
    assert.equal(under.picks.length, 0);
  });
});

describe('upgradeTarget', () => {
  async function mounted(
    t: Parameters<typeof startBalancer>[0], upgradeTarget: unknown,
  ): Promise<{ under: BalancerUnderTest; client: Client; target: () => string | undefined }> {
    const upstream = await startUpstream(t, [[readHead, response('no')]]);
    const options = { upgradeTarget: upgradeTarget as NonNullable<TestOptions['upgradeTarget']> };
    const under = await startBalancer(t, { upstreams: [upstream], front: guarded(), ...options });
    return { under, client: await under.connect(), target: () => upstream.requests.at(-1)?.head.line };
  }

  test('gives upgrades the view that requests have below a mount point', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream], front: guarded(), upgradeTarget: ({ url = '' }) => url.replace('/api/', '/'),
    });
    const client = await under.connect();
    await client.exchange(get('/api/chat?room=1', WEBSOCKET));
    assert.equal(upstream.requests[0]?.head.line, 'GET /chat?room=1 HTTP/1.1');
  });

  const faults: [name: string, upgradeTarget: unknown, message: RegExp][] = [
    ['throws', () => {
      throw new Error('no');
    }, /upgradeTarget threw/],
    ['returns a promise', () => Promise.resolve('/a'), /upgradeTarget returned a promise/],
    ['returns a promise that rejects', () => Promise.reject(new Error('no')), /upgradeTarget returned a promise/],
    ['returns nothing', () => undefined, /must return a path/],
    ['returns a number', () => 1, /must return a path/],
    ['returns no path', () => 'chat', /must return a path/],
    ['returns a line end', () => '/a HTTP/1.1\r\nX-Forged: 1', /must return a path/],
    ['returns a fragment', () => '/a#b', /must return a path/],
  ];
  for (const [name, upgradeTarget, message] of faults) {
    test(`that ${name}: 500, reported`, async (t) => {
      const { under, client } = await mounted(t, upgradeTarget);
      assert.equal((await client.exchange(get('/api/chat', WEBSOCKET))).status, 500);
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
      assert.match(under.errors[0]?.message ?? '', message);
      assert.equal(under.picks.length, 0);
      assert.equal(await client.over(), 'end');
    });
  }
});

test('maxConnections does not count what handle\'s server counts', async (t) => {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream], front: guarded(), maxConnections: 1 });
  for (let i = 0; i < 3; i++) {
    const client = await under.connect();
    assert.equal((await client.exchange(get(`/${i}`, WEBSOCKET))).text, `/${i}`);
  }
  assert.deepEqual(under.reports, []);
});
