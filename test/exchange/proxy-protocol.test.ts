import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import type { BalancerOptions } from '../../src/options/options.ts';
import { type ProxyHeader, proxyHeaderOf, readProxy } from '../../src/proxy-protocol/index.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { tlsConnect } from '../../src/tls/index.ts';
import { startBalancer } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { response, startUpstream } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

/** A request as an upstream saw it. */
interface Seen {
  readonly path: string;
  readonly resumed: boolean;
  /** The number of the connection. */
  readonly connection: number;
  readonly client: string;
  readonly header: ProxyHeader | undefined;
}

interface Upstream {
  readonly origin: string;
  readonly seen: Seen[];
  /** The connections that were made for health checks. */
  readonly local: () => number;
  readonly open: Set<Socket>;
}

/** An upstream that wants a PROXY header on each connection; over TLS with a certificate. */
async function upstream(
  t: TestContext, answer?: (request: IncomingMessage) => number, certificate?: tls.TlsOptions,
): Promise<Upstream> {
  const seen: Seen[] = [];
  const open = new Set<Socket>();
  const numbers = new Map<Socket, number>();
  let local = 0;
  const onRequest: http.RequestListener = (request, reply) => {
    const raw = (request.socket as Socket & { _parent?: Socket })._parent ?? request.socket;
    const header = proxyHeaderOf(raw);
    if (header === undefined) local++;
    else {
      const client = `${raw.remoteAddress}:${raw.remotePort}`;
      const resumed = request.socket instanceof tls.TLSSocket && request.socket.isSessionReused();
      seen.push({ path: request.url ?? '', connection: numbers.get(raw) ?? 0, client, header, resumed });
    }
    request.resume();
    reply.statusCode = answer?.(request) ?? 200;
    reply.end('ok');
  };
  const server = http.createServer(onRequest);
  const secure = certificate && tls.createServer(certificate, (socket) => server.emit('connection', socket));
  const read = readProxy({ trusted: ['127.0.0.1', '::1'] });
  const listener = net.createServer((socket) => {
    numbers.set(socket, numbers.size + 1);
    open.add(socket.once('close', () => open.delete(socket)));
    socket.on('error', () => undefined);
    read(socket, () => (secure ?? server).emit('connection', socket));
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    listener.close();
    for (const socket of open) socket.destroy();
  });
  const { port } = listener.address() as AddressInfo;
  return { origin: `${secure === undefined ? 'http' : 'https'}://127.0.0.1:${port}`, seen, open, local: () => local };
}

async function serve(t: TestContext, options: BalancerOptions): Promise<{ balancer: Balancer; port: number }> {
  const balancer = createBalancer({ onReport: () => undefined, ...options });
  t.after(() => balancer.close({ timeoutMs: 0 }));
  const { port } = await balancer.listen({ port: 0, host: '127.0.0.1' }) as AddressInfo;
  return { balancer, port };
}

/** Asks for `path`; resolves with the status and our port. */
async function ask(
  port: number, path: string, agent: http.Agent | false = false, method = 'GET',
): Promise<{ readonly status: number; readonly client: string }> {
  const request = http.request({ port, host: '127.0.0.1', path, agent, method }).end();
  const [reply] = await once(request, 'response') as [IncomingMessage];
  const client = `127.0.0.1:${reply.socket.localPort}`;
  reply.resume();
  await once(reply, 'end');
  return { status: reply.statusCode ?? 0, client };
}

describe('a PROXY header to upstreams', () => {
  for (const version of [1, 2] as const) {
    test(`version ${version}: the client is named, and its connection is its own`, async (t) => {
      const { origin, seen, open } = await upstream(t);
      const { port } = await serve(t, { upstreams: [origin], proxyProtocol: version });
      const agents = [0, 1].map(() => new http.Agent({ keepAlive: true, maxSockets: 1 }));
      const clients: string[] = [];
      for (const path of ['/1', '/2']) for (const agent of agents) clients.push((await ask(port, path, agent)).client);
      assert.deepEqual(seen.map(({ client }) => client), clients);
      assert.deepEqual(seen.map(({ connection }) => connection), [1, 2, 1, 2]);
      assert.equal(seen[0]?.header?.version, version);
      assert.deepEqual(seen[0].header.destination, { family: 'IPv4', address: '127.0.0.1', port });
      // With the client, its upstream connection goes.
      const closed = [...open].map((socket) => once(socket, 'close'));
      for (const agent of agents) agent.destroy();
      await Promise.all(closed);
    });
  }

  test('requests of one client are spread, and each upstream keeps a connection for it', async (t) => {
    const upstreams = [await upstream(t), await upstream(t)];
    let turn = 0;
    const strategy = { name: 'turns', pick: (candidates: readonly never[]) => candidates[turn++ % candidates.length] };
    const { port } = await serve(t, { upstreams: upstreams.map(({ origin }) => origin), strategy, proxyProtocol: 2 });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 6; i++) await ask(port, `/${i}`, agent);
    agent.destroy();
    assert.deepEqual(upstreams.map(({ seen }) => seen.map(({ connection }) => connection)), [[1, 1, 1], [1, 1, 1]]);
  });

  test('a retry has a header of its own', async (t) => {
    const refuses = net.createServer((socket) => {
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(refuses, 'listening');
    t.after(() => refuses.close());
    const failing = await upstream(t, () => 503);
    const { origin, seen } = await upstream(t);
    const order = [`http://127.0.0.1:${(refuses.address() as AddressInfo).port}`, failing.origin, origin];
    const { port } = await serve(t, {
      upstreams: order, proxyProtocol: 1, retryOn: [503],
      strategy: { name: 'first', pick: (candidates) => order.flatMap((one) => (
        candidates.filter((each) => each.origin === one)))[0] },
    });
    const { status, client } = await ask(port, '/');
    assert.equal(status, 200);
    assert.deepEqual([...failing.seen, ...seen].map((each) => each.client), [client, client]);
  });

  test('a body and pipelined requests come behind it', async (t) => {
    const one = await startUpstream(t, [[
      async (peer) => {
        assert.match(await peer.inbox.until('\r\n'), /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n$/);
        await peer.request();
      },
      response('one'),
      async (peer) => {
        await peer.request();
      },
      response('two'),
    ]]);
    const balancer = await startBalancer(t, { upstreams: [one], proxyProtocol: 1 });
    const client = await balancer.connect();
    client.send('POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await client.response()).text, 'one');
    assert.equal((await client.response()).text, 'two');
  });

  test('probes are the proxy\'s own: LOCAL, or UNKNOWN', async (t) => {
    for (const [version, expected] of [[1, 'PROXY UNKNOWN\r\n'], [2, '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0']] as const) {
      for (const path of [undefined, '/health']) {
        const got = new Promise<string>((resolve) => {
          const server = net.createServer((socket) => {
            let text = '';
            socket.on('data', (bytes) => {
              text += bytes.toString('latin1');
              if (path !== undefined && text.endsWith('\r\n\r\n')) socket.end('HTTP/1.1 200 OK\r\n\r\n');
            });
            socket.on('error', () => undefined);
            socket.on('close', () => {
              resolve(text);
            });
          }).listen(0, '127.0.0.1', () => {
            const { port } = server.address() as AddressInfo;
            const balancer = createBalancer({
              upstreams: [`http://127.0.0.1:${port}`], proxyProtocol: version,
              healthCheck: { intervalMs: 10, ...(path === undefined ? {} : { path }) },
            });
            t.after(async () => {
              await balancer.close({ timeoutMs: 0 });
              server.close();
            });
          });
        });
        const text = await got;
        assert.equal(text.slice(0, expected.length), expected);
        assert.equal(text.slice(expected.length, expected.length + 11), path === undefined ? '' : 'GET /health');
      }
    }
  });

  test('of a client of HTTP/2, whose requests share a connection, each has an upstream connection', async (t) => {
    const { origin, seen } = await upstream(t);
    const { balancer } = await serve(t, { upstreams: [origin], proxyProtocol: 2 });
    const server = http2.createServer(balancer.handle as never);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await Promise.all(['/1', '/2', '/3'].map(async (path) => {
      const stream = session.request({ ':path': path }).resume();
      await once(stream, 'end');
    }));
    const client = `127.0.0.1:${session.socket.localPort}`;
    assert.deepEqual(seen.map((each) => each.client), [client, client, client]);
    assert.equal(new Set(seen.map(({ connection }) => connection)).size, 3);
    session.close();
    server.close();
  });

  test('what a proxy in front says is passed on, with the destination, the host name and TLS', async (t) => {
    const { origin, seen } = await upstream(t);
    const { balancer } = await serve(t, { upstreams: [origin], proxyProtocol: 2 });
    const read = readProxy({ trusted: ['127.0.0.1'] });
    const server = net.createServer((socket) => {
      read(socket, balancer.accept);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.write('PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(client, 'data');
    client.destroy();
    assert.equal(seen[0]?.client, '2001:db8::1:1234');
    assert.deepEqual(seen[0].header?.destination, { family: 'IPv6', address: '2001:db8::2', port: 443 });
  });

  test('a copy of a request has it, too', async (t) => {
    const [one, two] = [await upstream(t), await upstream(t)];
    const { port } = await serve(t, {
      pools: { one: { upstreams: [one.origin], proxyProtocol: 1 }, two: { upstreams: [two.origin], proxyProtocol: 2 } },
      routes: [{ pool: 'one' }],
      onRequest: (exchange) => {
        exchange.mirror('two');
      },
    });
    const { client } = await ask(port, '/');
    while (two.seen.length === 0) await new Promise(setImmediate);
    assert.deepEqual([one.seen[0]?.client, two.seen[0]?.client], [client, client]);
  });

  test('a change of the option takes effect with the next request', async (t) => {
    const { origin, seen } = await upstream(t);
    const { balancer, port } = await serve(t, { upstreams: [origin] });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    assert.equal((await ask(port, '/', agent)).status, 502, 'the upstream wants a header');
    await balancer.configure({ proxyProtocol: 1 });
    assert.equal((await ask(port, '/', agent)).status, 200);
    await balancer.configure({ proxyProtocol: 2 });
    assert.equal((await ask(port, '/', agent)).status, 200);
    agent.destroy();
    assert.deepEqual(seen.map(({ header }) => header?.version), [1, 2]);
  });
});

describe('with the option connect', () => {
  const certificate = makeCertificate();
  const skip = certificate === undefined ? NO_OPENSSL : false;

  test('over TLS, one that writes the header before the handshake', { skip }, async (t) => {
    const { origin, seen } = await upstream(t, undefined, { ...certificate });
    const { port } = await serve(t, {
      upstreams: [origin], proxyProtocol: 2,
      connect: (to, { lookup, proxyHeader }) => {
        const raw = net.connect({ host: to.host, port: to.port, lookup });
        if (proxyHeader !== undefined) raw.write(proxyHeader);
        return tls.connect({ socket: raw, rejectUnauthorized: false });
      },
    });
    const { status, client } = await ask(port, '/');
    assert.equal(status, 200);
    assert.equal(seen[0]?.client, client);
  });

  test('over TLS, one that does not is refused', { skip }, async (t) => {
    const { origin } = await upstream(t, undefined, { ...certificate });
    const errors: string[] = [];
    const { port } = await serve(t, {
      upstreams: [origin], proxyProtocol: 1,
      connect: (to) => tls.connect({ host: to.host, port: to.port, rejectUnauthorized: false }),
      onReport: ({ error }) => errors.push(`${error.code} ${error.message}`),
    });
    assert.equal((await ask(port, '/')).status, 502);
    assert.match(errors[0] ?? '', /^CONNECT_UNUSABLE connect has not read means\.proxyHeader for https:/);
  });

  for (const version of [1, 2] as const) {
    test(`tlsConnect writes version ${version} before the handshake, which resumes a session`, { skip }, async (t) => {
      const { origin, seen } = await upstream(t, undefined, { ...certificate });
      const { port } = await serve(t, {
        // A name may have several addresses, of which the first refuses.
        upstreams: [origin.replace('127.0.0.1', 'localhost')], proxyProtocol: version,
        connect: tlsConnect({ ca: certificate?.cert }),
      });
      const clients: string[] = [];
      for (const path of ['/1', '/2']) clients.push((await ask(port, path)).client);
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      for (const path of ['/3', '/4']) clients.push((await ask(port, path, agent)).client);
      agent.destroy();
      assert.deepEqual(seen.map(({ client }) => client), clients);
      assert.deepEqual(seen.map(({ header }) => header?.version), Array<number>(4).fill(version));
      assert.deepEqual(seen.map(({ connection }) => connection), [1, 2, 3, 3]);
      assert.deepEqual(seen.map(({ resumed }) => resumed), [false, true, true, true]);
    });
  }

  test('tlsConnect passes on that an upstream refuses, resets or stalls, and leaves no socket', { skip }, async (t) => {
    const sockets = new Set<Socket>();
    let answer: (socket: Socket) => void = (socket) => socket.resetAndDestroy();
    const server = net.createServer((socket) => {
      sockets.add(socket.on('error', () => undefined).once('close', () => sockets.delete(socket)));
      socket.once('data', () => {
        answer(socket);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const errors: string[] = [];
    const time = new VirtualTime();
    const { balancer, port } = await serve(t, {
      upstreams: [`https://127.0.0.1:${(server.address() as AddressInfo).port}`], proxyProtocol: 2, ejectAfter: 0,
      connect: tlsConnect(), connectTimeoutMs: 50, time, onReport: ({ error }) => errors.push(error.code),
    });
    assert.equal((await ask(port, '/')).status, 502);
    const stalled = gate();
    answer = stalled.open;
    const late = ask(port, '/');
    await stalled.opened;
    time.advance(100);
    assert.equal((await late).status, 504);
    while (sockets.size > 0) await new Promise(setImmediate);
    await new Promise((closed) => server.close(closed));
    assert.equal((await ask(port, '/')).status, 502);
    assert.deepEqual(errors, ['CONNECT_CLOSED', 'CONNECT_TIMEOUT', 'CONNECT_REFUSED']);
    const closed = balancer.close({ timeoutMs: 0 });
    time.advance(1);
    await closed;
  });

  test('where it has read the header and returns undefined, the balancer writes it', async (t) => {
    const { origin, seen } = await upstream(t);
    const { port } = await serve(t, {
      upstreams: [origin], proxyProtocol: 2,
      connect: (_to, { proxyHeader }) => {
        assert.ok(proxyHeader !== undefined);
        return undefined;
      },
    });
    const { status, client } = await ask(port, '/');
    assert.equal(status, 200);
    assert.equal(seen[0]?.client, client);
  });

  test('of a plain stream, the balancer writes it', async (t) => {
    const { origin, seen } = await upstream(t);
    const { port } = await serve(t, {
      upstreams: [origin], proxyProtocol: 1, connect: ({ host, port: to }) => net.connect(to, host),
    });
    const { status, client } = await ask(port, '/');
    assert.equal(status, 200);
    assert.equal(seen[0]?.client, client);
  });
});

test('trustForwarded takes a list', async (t) => {
  const got: string[] = [];
  const server = http.createServer((request, reply) => {
    got.push(String(request.headers['x-forwarded-for']));
    reply.end();
  }).listen(0);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const upstreams = [`http://127.0.0.1:${(server.address() as AddressInfo).port}`];
  for (const [trustForwarded, expected] of [
    [['10.0.0.0/8'], '127.0.0.1'], [['127.0.0.0/8'], '6.6.6.6, 127.0.0.1'], [['::/0'], '127.0.0.1'], [[], '127.0.0.1'],
  ] as const) {
    const balancer = createBalancer({ upstreams, trustForwarded });
    // Clients of IPv4 have addresses in their IPv6 form there.
    const { port } = await balancer.listen({ port: 0 }) as AddressInfo;
    const request = http.get({ port, host: '127.0.0.1', headers: { 'x-forwarded-for': '6.6.6.6' } });
    const [reply] = await once(request, 'response') as [IncomingMessage];
    reply.resume();
    await balancer.close({ timeoutMs: 0 });
    assert.equal(got.pop(), expected, JSON.stringify(trustForwarded));
  }
});
