import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { createBalancer } from '../../src/balancer.ts';
import { proxyHeaderOf, type ProxyRefusal, readProxy, type ReadProxyOptions } from '../../src/proxy-protocol/index.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { v2 } from '../support/proxy-headers.ts';

const LINE = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n';
const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const SSL = Buffer.from([0x01, 0, 0, 0, 1]);

/** A server that reads PROXY headers, then answers by `serve`. */
async function proxied(
  t: TestContext, serve: (socket: Socket) => unknown, options: Partial<ReadProxyOptions> = {}, paused = false,
): Promise<{ readonly port: number; readonly refusals: ProxyRefusal[]; readonly server: net.Server }> {
  const refusals: ProxyRefusal[] = [];
  const read = readProxy({ trusted: ['127.0.0.1'], onRefused: (refusal) => refusals.push(refusal), ...options });
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: paused }, (socket) => {
    read(socket, serve);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, refusals, server };
}

/** Sends `pieces`, each in a segment of its own, and resolves with everything that comes back. */
async function talk(port: number, pieces: readonly (string | Buffer)[], end = false): Promise<string> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  socket.on('error', () => undefined);
  const over = new Promise((done) => socket.once('end', done).once('close', done));
  for (const piece of pieces) await new Promise<void>((sent) => socket.write(piece, () => setImmediate(sent)));
  if (end) socket.end();
  await over;
  socket.destroy();
  return text;
}

function echoAddress(socket: Socket): void {
  const { remoteAddress, remotePort, remoteFamily } = socket;
  socket.on('error', () => undefined);
  socket.once('data', (bytes) => socket.end(`${remoteAddress} ${remotePort} ${remoteFamily} ${bytes.toString()}`));
}

describe('a header from a trusted peer', () => {
  for (const [name, header] of [['1', Buffer.from(LINE)], ['2', v2({ tlvs: [[0x02, Buffer.from('a')]] })]] as const) {
    for (const paused of [false, true]) {
      test(`version ${name}${paused ? ', of a paused socket' : ''}, in one piece and split at any octet`, async (t) => {
        const { port, refusals } = await proxied(t, echoAddress, {}, paused);
        assert.equal(await talk(port, [Buffer.concat([header, Buffer.from('hello')])]), '192.0.2.1 56324 IPv4 hello');
        assert.equal(await talk(port, [header, 'hello']), '192.0.2.1 56324 IPv4 hello');
        const splits = await Promise.all(Array.from({ length: header.length - 1 }, (_, i) => (
          talk(port, [header.subarray(0, i + 1), Buffer.concat([header.subarray(i + 1), Buffer.from('hello')])]))));
        assert.deepEqual(new Set(splits), new Set(['192.0.2.1 56324 IPv4 hello']));
        const single = Array.from(header, (octet) => Buffer.from([octet]));
        assert.equal(await talk(port, [...single, 'hello']), '192.0.2.1 56324 IPv4 hello');
        assert.deepEqual(refusals, []);
      });
    }
  }

  test('leaves no listener behind, and shows the whole header', async (t) => {
    const sockets: Socket[] = [];
    const { port } = await proxied(t, (socket) => {
      sockets.push(socket);
      for (const event of ['readable', 'end', 'error', 'close']) {
        const ours = socket.listeners(event).filter(({ name }) => name !== 'onReadableStreamEnd');
        assert.deepEqual(ours, [], event);
      }
      socket.on('data', () => undefined);
      socket.end('bye');
    });
    const ssl = Buffer.concat([SSL, Buffer.from([0x21, 0, 7]), Buffer.from('TLSv1.3')]);
    assert.equal(await talk(port, [v2({ tlvs: [[0x02, Buffer.from('a.example')], [0x20, ssl]] })]), 'bye');
    const [socket] = sockets;
    assert.ok(socket !== undefined);
    const header = proxyHeaderOf(socket);
    assert.equal(header?.authority, 'a.example');
    assert.equal(header.tls?.version, 'TLSv1.3');
    assert.deepEqual(header.destination, { family: 'IPv4', address: '198.51.100.7', port: 443 });
    assert.equal((socket as Socket & { encrypted?: boolean }).encrypted, true);
  });

  test('LOCAL, UNKNOWN and UNSPEC keep the real address', async (t) => {
    const { port, refusals } = await proxied(t, (socket) => {
      const { remoteAddress, remoteFamily } = socket;
      socket.end(`${remoteAddress} ${remoteFamily} ${proxyHeaderOf(socket) !== undefined}`);
    });
    for (const header of ['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN ::1 ::1 1 2\r\n', v2({ family: 0 })]) {
      assert.equal(await talk(port, [header]), '127.0.0.1 IPv4 true');
    }
    assert.equal(await talk(port, [v2({ command: 0x20 })]), '127.0.0.1 IPv4 false');
    assert.deepEqual(refusals, []);
  });

  test('of a client on a Unix socket: it has no address, as such a socket has none', async (t) => {
    const { port } = await proxied(t, (socket) => socket.end(`${socket.remoteAddress} ${socket.remotePort}`));
    assert.equal(await talk(port, [v2({ family: 0x31, addresses: new Array<number>(216).fill(0) })]),
      'undefined undefined');
  });
});

describe('a trusted peer without a sound header', () => {
  for (const [reason, message, pieces, options] of [
    ['missing', /sent no PROXY header$/, [GET], {}],
    ['missing', /sent no PROXY header$/, ['PROXX'], {}],
    ['malformed', /malformed: an address or a port in it is wrong$/, ['PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n'], {}],
    ['malformed', /malformed: it is for datagrams \(UDP\)$/, [v2({ family: 0x12 })], {}],
    ['late', /no whole PROXY header came within 20 ms$/, ['PROXY TCP4'], { timeoutMs: 20 }],
    ['late', /no whole PROXY header came within 20 ms$/, [], { timeoutMs: 20 }],
  ] as const) {
    test(`is closed: ${reason}, ${message.source}`, async (t) => {
      const { port, refusals } = await proxied(t, () => {
        throw new Error('must not be served');
      }, options);
      assert.equal(await talk(port, pieces), '');
      assert.deepEqual(refusals.map(({ reason: why, remoteAddress }) => [why, remoteAddress]), [[reason, '127.0.0.1']]);
      assert.match(refusals[0]?.message ?? '', /^closed a connection from 127\.0\.0\.1: /);
      assert.match(refusals[0]?.message ?? '', message);
    });
  }

  test('is closed when it ends within its header, and without a word when it has sent nothing', async (t) => {
    const { port, refusals, server } = await proxied(t, () => {
      throw new Error('must not be served');
    });
    assert.equal(await talk(port, ['PROXY TCP4'], true), '');
    assert.deepEqual(refusals.map(({ reason }) => reason), ['incomplete']);
    assert.equal(await talk(port, [], true), '');
    const reset = net.connect(port, '127.0.0.1');
    const [arrived] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(reset, 'connect')]);
    reset.resetAndDestroy();
    await new Promise((closed) => arrived[0].once('close', closed));
    assert.equal(refusals.length, 1);
  });

  test('is closed beyond maxWaiting, until one of those that wait is done', async (t) => {
    const { port, refusals, server } = await proxied(t, echoAddress, { maxWaiting: 2 });
    const waiting = [net.connect(port, '127.0.0.1'), net.connect(port, '127.0.0.1')];
    for (const socket of waiting) {
      await Promise.all([once(server, 'connection'), once(socket, 'connect')]);
      socket.on('error', () => undefined);
      socket.resume();
    }
    assert.equal(await talk(port, [LINE]), '');
    assert.deepEqual(refusals.map(({ reason }) => reason), ['exhausted']);
    waiting[0]?.end();
    await once(waiting[0] ?? net.connect(port), 'close');
    assert.equal(await talk(port, [LINE, 'hello']), '192.0.2.1 56324 IPv4 hello');
    waiting[1]?.destroy();
  });
});

describe('a peer that is not trusted', () => {
  const nobody = { trusted: ['10.0.0.0/8'] };

  test('is served at once, and keeps its address', async (t) => {
    const { port, refusals } = await proxied(t, (socket) => socket.end(`hello ${socket.remoteAddress}`), nobody);
    assert.equal(await talk(port, []), 'hello 127.0.0.1');
    const other = await proxied(t, echoAddress, nobody);
    for (const text of ['PROPFIND', 'PROXY / HTTP/1.1', '\r\nGET', 'P', '\r\n\r\n\0\r\nQUIX']) {
      assert.match(await talk(other.port, [text]), /^127\.0\.0\.1 \d+ IPv4 /);
    }
    assert.deepEqual([...refusals, ...other.refusals], []);
  });

  for (const [name, header] of [['1', Buffer.from(LINE)], ['2', v2()]] as const) {
    test(`is closed if it sends a header of version ${name}, split at any octet`, async (t) => {
      const { port, refusals } = await proxied(t, (socket) => {
        socket.on('data', () => undefined);
        socket.on('error', () => undefined);
      }, nobody);
      const pieces = [[header], ...[1, 5, 9].map((at) => [header.subarray(0, at), header.subarray(at)])];
      for (const each of pieces) assert.equal(await talk(port, each), '');
      assert.equal(await talk(port, Array.from(header, (octet) => Buffer.from([octet]))), '');
      assert.deepEqual(refusals.map(({ reason }) => reason), new Array(5).fill('untrusted'));
      assert.match(refusals[0]?.message ?? '', /127\.0\.0\.1: it is not trusted, and sent a PROXY header$/);
    });
  }
});

describe('behind it', () => {
  test('balancer.accept: the address is that of the client, and pipelined requests in the same packet are served',
    async (t) => {
      const seen: string[] = [];
      const upstream = http.createServer((request, response) => {
        const { 'x-forwarded-for': client, 'x-forwarded-proto': scheme } = request.headers;
        seen.push(`${String(client)} ${String(scheme)} ${request.url}`);
        response.end('ok');
      }).listen(0);
      t.after(() => {
        upstream.close();
        upstream.closeAllConnections();
      });
      const balancer = createBalancer({ upstreams: [`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`] });
      t.after(() => balancer.close({ timeoutMs: 0 }));
      const finished: string[] = [];
      balancer.on('finished', ({ remoteAddress, scheme }) => finished.push(`${remoteAddress} ${scheme}`));
      const { port } = await proxied(t, balancer.accept);
      const first = 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n';
      await talk(port, [`${LINE}${first}${GET}`]);
      assert.deepEqual(seen, ['192.0.2.1 http /1', '192.0.2.1 http /']);
      await talk(port, [Buffer.concat([v2({ tlvs: [[0x20, SSL]] }), Buffer.from(GET)])]);
      assert.deepEqual(seen[2], '192.0.2.1 https /');
      assert.deepEqual(finished, ['192.0.2.1 http', '192.0.2.1 http', '192.0.2.1 https']);
      // A second header is what the client sent: a malformed request.
      assert.match(await talk(port, [`${LINE}PROXY TCP4 6.6.6.6 6.6.6.6 1 2\r\n${GET}`]), /^HTTP\/1\.1 400 /);
      assert.match(await talk(port, [Buffer.concat([Buffer.from(LINE), v2(), Buffer.from(GET)])]), /^HTTP\/1\.1 400 /);
      assert.equal(seen.length, 3);
    });

  test('a server of node:http, keep-alive and pipelined', async (t) => {
    const server = http.createServer((request, response) => {
      response.end(`${request.socket.remoteAddress} ${request.url}\n`);
    });
    const { port } = await proxied(t, (socket) => server.emit('connection', socket));
    const first = 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n';
    const text = await talk(port, [LINE + first + first, first, GET]);
    assert.equal(text.match(/192\.0\.2\.1 \/1?\n/g)?.length, 4);
  });

  const certificate = makeCertificate();
  const skip = certificate === undefined ? NO_OPENSSL : false;
  test('a TLS server, with the ClientHello in the same packet', { skip }, async (t) => {
    const server = tls.createServer({ ...certificate }, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes: Buffer) => socket.end(`got ${bytes.toString()}`));
    });
    const { port } = await proxied(t, (socket) => server.emit('connection', socket));
    for (const together of [true, false]) {
      const raw = net.connect(port, '127.0.0.1');
      await once(raw, 'connect');
      if (together) raw.cork();
      raw.write(LINE);
      const client = tls.connect({ socket: raw, rejectUnauthorized: false });
      process.nextTick(() => {
        raw.uncork();
      });
      client.write('hello');
      const [answer] = await once(client, 'data') as [Buffer];
      assert.equal(answer.toString(), 'got hello');
      client.destroy();
    }
    // A line inside of TLS is data of the client.
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    client.on('error', () => undefined);
    await new Promise((closed) => client.once('close', closed));
  });

  test('what throws closes its own connection only, and is a warning', async (t) => {
    const { port } = await proxied(t, (socket) => {
      if (socket.remoteAddress === '192.0.2.1') throw new Error('oops');
      socket.end('fine');
    });
    const warned = once(process, 'warning');
    assert.equal(await talk(port, [LINE]), '');
    assert.match(String((await warned)[0]), /could not be served: next threw: oops/);
    assert.equal(await talk(port, ['PROXY UNKNOWN\r\n']), 'fine');
  });
});

test('peers on a Unix socket are trusted if the list says so', async (t) => {
  const path = `\0equipoise-${process.pid}`;
  for (const [trusted, expected] of [[['unix'], '192.0.2.1 hello'], [['127.0.0.1'], '']] as const) {
    const read = readProxy({ trusted, onRefused: () => undefined });
    const server = net.createServer((socket) => {
      read(socket, () => {
        socket.once('data', (bytes) => socket.end(`${socket.remoteAddress} ${bytes.toString()}`));
      });
    }).listen(path);
    await once(server, 'listening');
    const client = net.connect(path);
    client.write(`${LINE}hello`);
    let text = '';
    client.on('data', (bytes) => {
      text += bytes.toString();
    });
    client.on('error', () => undefined);
    await new Promise((closed) => client.once('close', closed));
    assert.equal(text, expected);
    await new Promise((closed) => server.close(closed));
    t.diagnostic(trusted.join());
  }
});

test('without onRefused, it warns once a second for each reason', async (t) => {
  const read = readProxy({ trusted: ['127.0.0.1'] });
  const server = net.createServer((socket) => {
    read(socket, () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const warnings: (Error & { code?: string })[] = [];
  const listener = (warning: Error): void => {
    warnings.push(warning);
  };
  process.on('warning', listener);
  t.after(() => process.off('warning', listener));
  const { port } = server.address() as AddressInfo;
  for (let i = 0; i < 3; i++) await talk(port, [GET]);
  assert.deepEqual(warnings.map(({ code }) => code), ['PROXY_REFUSED']);
});

test('wrong options are refused, all at once', () => {
  assert.throws(() => readProxy({ trusted: ['localhost', 3], timeoutMs: 0, time: 1 } as unknown as ReadProxyOptions), {
    code: 'OPTIONS_INVALID',
    message: [
      'invalid options:',
      '  time: unknown option; known here: maxWaiting, onRefused, timeoutMs, trusted',
      '  timeoutMs: must be an integer ≥ 1 (got 0); the default is 5000',
      '  trusted[0]: must be an address, a subnet such as 10.0.0.0/8, or unix (got "localhost")',
      '  trusted[1]: must be an address, a subnet such as 10.0.0.0/8, or unix (got 3)',
    ].join('\n'),
  });
  assert.throws(() => readProxy(undefined as unknown as ReadProxyOptions), /options: must be an object, e\.g\./);
});
