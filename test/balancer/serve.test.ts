/**
 * `serve`: servers of the embedder listen, and close with the balancer.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import http2, { type ClientHttp2Session } from 'node:http2';
import https from 'node:https';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import type { Balancer } from '../../src/balancer.ts';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { adopt, type Client, connectTo, get } from '../support/client.ts';
import { NODE_HTTP } from '../support/fronts.ts';
import { atEnd } from '../support/scope.ts';
import { echo, request, response, startUpstream, when } from '../support/upstream.ts';
import { gate, turns, within } from '../support/wait.ts';

const certificate = makeCertificate();
const secure = { skip: certificate === undefined && NO_OPENSSL };
const LOCAL = { port: 0, host: '127.0.0.1' };
/** As in src/balancer.ts. */
const GRACE_MS = 200;

interface Kind {
  readonly name: string;
  readonly server: (balancer: Balancer) => Server;
  /** `http/1.1` or `h2` over TLS; undefined without TLS. */
  readonly alpn?: string;
  readonly skip?: string | false;
}

const KINDS: readonly Kind[] = [
  { name: 'net', server: ({ accept }) => net.createServer(accept) },
  { name: 'http', server: ({ handle }) => http.createServer(handle) },
  { name: 'tls', alpn: '', server: ({ accept }) => tls.createServer({ ...certificate }, accept), ...secure },
  { name: 'https', alpn: '', server: ({ handle }) => https.createServer({ ...certificate }, handle), ...secure },
  {
    name: 'http2 for HTTP/1.1', alpn: 'http/1.1', ...secure,
    server: ({ handle }) => http2.createSecureServer({ ...certificate, allowHTTP1: true }, handle),
  },
];

async function port(under: BalancerUnderTest, server: Server): Promise<number> {
  return (await under.balancer.serve(server, LOCAL) as AddressInfo).port;
}

async function connect(t: TestContext, to: number, { alpn }: Kind): Promise<Client> {
  if (alpn === undefined) return connectTo(t, to);
  const socket = tls.connect({ port: to, host: '127.0.0.1', rejectUnauthorized: false,
    ...(alpn === '' ? {} : { ALPNProtocols: [alpn] }) });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve).once('error', reject);
  });
  return adopt(t, socket);
}

/** Resolves when the server has accepted `count` connections: the kernel resets others when it stops listening. */
function accepted(server: Server, count: number): Promise<void> {
  return within(new Promise<void>((resolve) => {
    const look = (): void => {
      server.getConnections((_error, connections) => {
        if (connections === count) resolve();
        else setImmediate(look);
      });
    };
    look();
  }), () => `${count} accepted connections`);
}

function closed(under: BalancerUnderTest, timeoutMs = 10_000): Promise<{ cut: number }> {
  return within(under.balancer.close({ timeoutMs }), () => 'the balancer to close');
}

/** What serve added to a server is gone again. */
function listeners(server: Server): Record<string, number> {
  const names = ['connection', 'secureConnection', 'session', 'listening', 'error', 'close', 'request'];
  return Object.fromEntries(names.map((name) => [name, server.listenerCount(name)]));
}

for (const kind of KINDS) {
  describe(`serve with a server of ${kind.name}`, { skip: kind.skip ?? false }, () => {
    test('listens, and an idle connection does not hold up the close', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
      const server = kind.server(under.balancer);
      const before = listeners(server);
      const client = await connect(t, await port(under, server), kind);
      assert.equal((await client.exchange(get('/a'))).text, '/a');
      const silent = await connect(t, (server.address() as AddressInfo).port, kind);
      await accepted(server, 2);
      const closing = closed(under);
      await under.advance(GRACE_MS + 50);
      // In TLS 1.3 a client is done with its handshake before the server is.
      await turns(20);
      await under.advance(GRACE_MS + 50);
      assert.equal(await client.over(), 'end');
      assert.equal(await silent.over(), 'end');
      client.end();
      silent.end();
      assert.deepEqual(await closing, { cut: 0 });
      assert.equal(server.listening, false);
      assert.deepEqual(listeners(server), before);
    });

    test('finishes what is in flight, and serves what is on its way', async (t) => {
      const late = gate();
      const scripts = [[request, when(late.opened), response('late')], [request, response('b')]];
      const upstream = await startUpstream(t, scripts);
      const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
      const to = await port(under, kind.server(under.balancer));
      const [client, other] = [await connect(t, to, kind), await connect(t, to, kind)];
      client.send(get());
      await upstream.read(1);
      const closing = closed(under);
      assert.equal((await other.exchange(get('/b'))).text, 'b');
      other.end();
      await under.advance(5_000);
      late.open();
      const answer = await client.response();
      assert.equal(answer.text, 'late');
      assert.equal(answer.head.get('connection'), 'close');
      client.end();
      assert.deepEqual(await closing, { cut: 0 });
      await assert.rejects(connectTo(t, to), { code: 'ECONNREFUSED' });
    });

    test('cuts what is left at the deadline', async (t) => {
      const upstream = await startUpstream(t, [[request]]);
      const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
      const client = await connect(t, await port(under, kind.server(under.balancer)), kind);
      client.send(get());
      await upstream.read(1);
      const closing = closed(under, 1_000);
      await under.advance(1_050);
      assert.deepEqual(await closing, { cut: 1 });
      await client.over();
    });
  });
}

/** A session over HTTP/2; it ends with the test. */
function session(t: TestContext, url: string): ClientHttp2Session {
  const made = http2.connect(url, { rejectUnauthorized: false });
  made.on('error', () => undefined);
  atEnd(t, () => {
    made.destroy();
  });
  return made;
}

function ask(from: ClientHttp2Session, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const stream = from.request({ ':path': path });
    stream.setEncoding('utf8').on('data', (part: string) => (text += part)).on('end', () => {
      resolve(text);
    });
    stream.on('error', reject);
  });
}

for (const [scheme, skip, make] of [
  ['http', false, ({ handle }: Balancer) => http2.createServer(handle)],
  ['https', secure.skip, ({ handle }: Balancer) => http2.createSecureServer({ ...certificate }, handle)],
] as const) {
  describe(`serve with a server of http2 over ${scheme}`, { skip }, () => {
    test('sends GOAWAY, finishes the streams, and closes the session behind them', async (t) => {
      const late = gate();
      const scripts = [[request, when(late.opened), response('late')], [request, response('b')]];
      const upstream = await startUpstream(t, scripts);
      const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
      const to = await port(under, make(under.balancer));
      const busy = session(t, `${scheme}://127.0.0.1:${to}`);
      const idle = session(t, `${scheme}://127.0.0.1:${to}`);
      const goaways = new Set<string>();
      busy.on('goaway', (code: number, last: number) => goaways.add(`${code} ${last}`));
      const answer = ask(busy, '/a');
      await upstream.read(1);
      assert.equal(await ask(idle, '/b'), 'b');
      const told = new Promise((resolve) => busy.once('goaway', resolve));
      const gone = new Promise((resolve) => idle.once('close', resolve));
      const left = new Promise((resolve) => busy.once('close', resolve));
      const closing = closed(under);
      await within(told, () => 'the first GOAWAY');
      await within(gone, () => 'the end of the idle session');
      late.open();
      assert.equal(await answer, 'late');
      assert.deepEqual(await closing, { cut: 0 });
      await within(left, () => 'the end of the busy session');
      // node:http2 says it again as it closes the connection.
      assert.deepEqual([...goaways], ['0 1']);
    });

    test('cuts streams at the deadline', async (t) => {
      const upstream = await startUpstream(t, [[request]]);
      const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
      const from = session(t, `${scheme}://127.0.0.1:${await port(under, make(under.balancer))}`);
      const answer = ask(from, '/a').catch(() => 'cut');
      await upstream.read(1);
      const closing = closed(under, 1_000);
      await under.advance(1_050);
      assert.deepEqual(await closing, { cut: 1 });
      await answer;
    });
  });
}

describe('serve: a TLS handshake under way at the close', secure, () => {
  /** A client whose connection stays below TLS until `go`. */
  async function slow(t: TestContext, to: number): Promise<{ raw: Socket; go: () => TLSSocket }> {
    const raw = net.connect({ port: to, host: '127.0.0.1' });
    atEnd(t, () => {
      raw.destroy();
    });
    await new Promise<void>((resolve, reject) => {
      raw.once('connect', resolve).once('error', reject);
    });
    return { raw, go: () => tls.connect({ socket: raw, rejectUnauthorized: false }) };
  }

  test('that has begun becomes a request, which is answered', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
    const server = tls.createServer({ ...certificate }, under.balancer.accept);
    const { raw, go } = await slow(t, await port(under, server));
    await accepted(server, 1);
    const closing = closed(under);
    const over = go();
    await new Promise<void>((resolve, reject) => {
      over.once('secureConnect', resolve).once('error', reject);
    });
    const answer = await adopt(t, over).exchange(get('/late'));
    assert.equal(answer.text, '/late');
    assert.equal(answer.head.get('connection'), 'close');
    over.end();
    assert.deepEqual(await closing, { cut: 0 });
    assert.ok(raw.destroyed);
  });

  test('that is silent, or does not end, is cut without being counted', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: NODE_HTTP });
    const server = tls.createServer({ ...certificate }, under.balancer.accept);
    const to = await port(under, server);
    const silent = await connectTo(t, to);
    const stuck = await connectTo(t, to);
    const spoke = new Promise((resolve) => server.once('connection', resolve));
    const began = await connectTo(t, to);
    await spoke;
    // The beginning of a record.
    began.send(Buffer.from([22, 3, 1]));
    stuck.send(Buffer.from([22, 3, 1]));
    await accepted(server, 3);
    await turns(20);
    const closing = closed(under);
    await under.advance(GRACE_MS + 50);
    await silent.over();
    await under.advance(5_000);
    await Promise.all([stuck.over(), began.over()]);
    assert.deepEqual(await closing, { cut: 0 });
  });
});

test('serve: requests that the embedder answers finish as well', async (t) => {
  const late = gate();
  const under = await startBalancer(t, { upstreams: [], front: NODE_HTTP });
  const asked = gate();
  const server = http.createServer((_request, answer) => {
    asked.open();
    void late.opened.then(() => answer.end('own'));
  });
  const client = await connectTo(t, await port(under, server));
  client.send(get());
  await asked.opened;
  const closing = closed(under);
  await under.advance(5_000);
  late.open();
  assert.equal((await client.response()).text, 'own');
  await under.advance(100);
  await client.over();
  client.end();
  assert.deepEqual(await closing, { cut: 0 });
});

describe('serve rejects', () => {
  test('what is not a server, listens already, or was passed before', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: NODE_HTTP });
    const { balancer } = under;
    const refused = (server: unknown, message: RegExp): Promise<void> => assert.rejects(
      balancer.serve(server as Server, LOCAL), { name: 'BalancerError', code: 'OPTIONS_INVALID', message });
    await refused(undefined, /serve\.server: must be a server of node:net, .* \(got undefined\)$/);
    await refused(() => undefined, /\(got a function\)$/);
    const listening = net.createServer();
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
    await refused(listening, /serve\.server: this server is listening already; .*leave out its own listen$/);
    await new Promise((resolve) => listening.close(resolve));
    const once = net.createServer(balancer.accept);
    await balancer.serve(once, LOCAL);
    await refused(once, /serve\.server: this server was passed to serve before; create one for each call$/);
  });

  test('where `listen` does, with the same errors, and leaves the server as it was', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: NODE_HTTP });
    const { balancer } = under;
    const server = net.createServer(balancer.accept);
    const before = listeners(server);
    await assert.rejects(balancer.serve(server, { port: 99_999 }),
      { code: 'OPTIONS_INVALID', message: /serve\.port: the port must be an integer from 0 to 65535 \(got 99999\)$/ });
    await assert.rejects(balancer.serve(server, { port: under.port, host: '127.0.0.1' }), { code: 'EADDRINUSE' });
    assert.deepEqual(listeners(server), before);
    // The next attempt may succeed.
    await balancer.serve(server, LOCAL);
    await closed(under);
    await assert.rejects(balancer.serve(net.createServer(), LOCAL), { code: 'CLOSING' });
  });

  test('a server that a close overtakes', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: NODE_HTTP });
    const server = net.createServer(under.balancer.accept);
    const listening = under.balancer.serve(server, { port: 0, host: 'localhost' }).catch(() => undefined);
    await closed(under);
    await within(listening, () => 'serve to settle');
    await turns(10);
    assert.equal(server.listening, false);
  });
});

test('serve: a server that its owner closes is forgotten, and its connections are served to their end', async (t) => {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
  const server = net.createServer(under.balancer.accept);
  const before = listeners(server);
  const client = await connectTo(t, await port(under, server));
  const gone = new Promise((resolve) => server.once('close', resolve));
  await client.exchange(get('/a'));
  server.close();
  assert.equal((await client.exchange(get('/b'))).text, '/b');
  client.end();
  await within(gone, () => 'the server to close');
  assert.deepEqual(listeners(server), before);
  assert.deepEqual(await closed(under), { cut: 0 });
});
