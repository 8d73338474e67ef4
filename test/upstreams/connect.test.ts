import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { startBalancer } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { get, post } from '../support/client.ts';
import { UNTIMED } from '../support/fronts.ts';
import { pattern } from '../support/message.ts';
import { atEnd } from '../support/scope.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const certificate = makeCertificate();
const skip = certificate === undefined && NO_OPENSSL;

/** Echoes bodies, and counts the connections that requests come over. */
function echoing(ports: Set<number>): http.RequestListener {
  return (asked, answer) => {
    ports.add(asked.socket.remotePort ?? 0);
    answer.setHeader('x-host', asked.headers.host ?? '');
    asked.pipe(answer);
  };
}

async function startHttps(t: TestContext, ports = new Set<number>()): Promise<string> {
  const server = https.createServer({ ...certificate, ...UNTIMED }, echoing(ports));
  server.on('tlsClientError', () => {
    // Clients that reject the certificate are not a failure here.
  });
  atEnd(t, () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  }));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const trusting = ({ host, port }: { host: string; port: number }): tls.TLSSocket => {
  return tls.connect({ host, port, ...(certificate && { ca: certificate.cert }) });
};

describe('an upstream over TLS, by the option connect', { skip }, () => {
  test('is used like any other, over kept connections', async (t) => {
    const ports = new Set<number>();
    const origin = await startHttps(t, ports);
    const under = await startBalancer(t, { upstreams: [origin], connect: trusting });
    const client = await under.connect();
    const large = pattern(4 << 20);
    for (const body of [Buffer.from('hello'), large, Buffer.alloc(0)]) {
      const answer = await client.exchange(post('/', body));
      assert.equal(answer.status, 200);
      assert.ok(answer.bytes.equals(body));
      assert.equal(answer.head.get('x-host'), 'example.test');
    }
    assert.equal(ports.size, 1);
  });

  test('with changeOrigin gets its own name as the Host', async (t) => {
    const origin = await startHttps(t);
    const under = await startBalancer(t, { upstreams: [origin], connect: trusting, changeOrigin: true });
    assert.equal((await (await under.connect()).exchange(get())).head.get('x-host'), new URL(origin).host);
  });

  test('with an untrusted certificate gets no request: another one serves', async (t) => {
    const ports = new Set<number>();
    const origin = await startHttps(t, ports);
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [origin, upstream],
      connect: ({ origin: asked, host, port }) => asked === origin ? tls.connect({ host, port }) : undefined,
    });
    assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
    assert.deepEqual(under.reports, [`TLS_CERTIFICATE_INVALID at ${origin}`]);
    assert.equal(ports.size, 0);
  });

  for (const [name, code, serve] of [
    ['closes', 'CONNECT_CLOSED', (socket: net.Socket) => socket.end()],
    ['resets', 'CONNECT_CLOSED', (socket: net.Socket) => socket.resetAndDestroy()],
    ['talks plainly', 'TLS_HANDSHAKE_FAILED',
      (socket: net.Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ] as const) {
    test(`that ${name} in the handshake has processed nothing: another one gets the whole body`, async (t) => {
      const server = net.createServer((socket) => {
        socket.on('error', () => undefined).once('data', () => serve(socket));
      });
      atEnd(t, () => new Promise((resolve) => server.close(resolve)));
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve);
      });
      const upstream = await startUpstream(t, echo);
      const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const under = await startBalancer(t, {
        upstreams: [origin, upstream], connect: (asked) => asked.origin === origin ? trusting(asked) : undefined,
      });
      assert.equal((await (await under.connect()).exchange(post('/a', 'hello'))).text, '/a');
      assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
      assert.deepEqual(under.reports, [`${code} at ${origin}`]);
    });
  }
});

describe('an upstream behind a Unix socket, by the option connect', { skip: process.platform === 'win32' }, () => {
  test('is used like any other', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'equipoise-'));
    const path = join(directory, 'upstream.sock');
    const server = http.createServer(UNTIMED, echoing(new Set()));
    atEnd(t, () => new Promise<void>((resolve) => {
      server.close(() => {
        rmSync(directory, { recursive: true });
        resolve();
      });
      server.closeAllConnections();
    }));
    await new Promise<void>((resolve) => {
      server.listen(path, resolve);
    });
    const under = await startBalancer(t, { upstreams: ['http://app.test'], connect: () => net.connect(path) });
    const client = await under.connect();
    const body = pattern(300_000);
    assert.ok((await client.exchange(post('/', body))).bytes.equals(body));
    assert.equal((await client.exchange(get())).status, 200);
  });
});

test('the option connect is called with the upstream, once for each connection', async (t) => {
  const upstream = await startUpstream(t, echo);
  const told: unknown[] = [];
  const under = await startBalancer(t, {
    upstreams: [upstream],
    connect: ({ origin, host, port }) => {
      told.push({ origin, host, port });
      return undefined;
    },
  });
  const client = await under.connect();
  await client.exchange(get());
  await client.exchange(get());
  assert.deepEqual(told, [{ origin: upstream.origin, host: '127.0.0.1', port: upstream.port }]);
});
