/**
 * `--tcp` with the other ways in and out of the binary: TLS, the PROXY protocol, Unix sockets, the admin listener and
 * the logs.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net, { type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { NO_OPENSSL } from '../support/certificate.ts';
import { adopt, type Client, connectTo } from '../support/client.ts';
import { type Binary, type BinaryOptions, start } from '../support/process-binary.ts';
import { get, order } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { v2 } from '../support/proxy-headers.ts';
import { runsInOneProcess } from '../support/runs.ts';
import { atEnd } from '../support/scope.ts';
import { echo, type RawUpstream, rawUpstream } from '../support/tcp.ts';
import { handshake } from '../support/tls-client.ts';
import { clientPair, hasOpenssl, selfSigned } from '../support/tls-files.ts';
import { gate, within } from '../support/wait.ts';

const LISTEN = ['--tcp', '-l', '127.0.0.1:0'] as const;
const secure = { skip: hasOpenssl ? false : NO_OPENSSL };

/** Starts the binary; it ends before what was opened earlier. */
function begin(t: TestContext, args: readonly string[], options?: BinaryOptions): Binary {
  const binary = start(t, args, options);
  atEnd(t, () => binary.stop());
  return binary;
}

/** The first port that it listens on. */
async function portOf(binary: Binary): Promise<number> {
  return Number(/(?:tcp|tls):\/\/127\.0\.0\.1:(\d+)/.exec(await binary.ready())?.[1]);
}

function jsonLines(path: string): readonly Readonly<Record<string, unknown>>[] {
  return readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('tls: with --tcp', secure, () => {
  /** A balancer that ends TLS, with a pool for each of two names. */
  async function startSecure(t: TestContext, ...args: readonly string[]): Promise<{
    readonly binary: Binary; readonly port: number; readonly log: string;
  }> {
    const [one, two] = [await rawUpstream(t, echo('1')), await rawUpstream(t, echo('2'))];
    const cwd = directory(t, {
      ...pemFiles('a', ['a.example']), ...pemFiles('b', ['b.example']),
      'tcp.json': JSON.stringify({
        tcp: true,
        pools: { one: { upstreams: [one.origin] }, two: { upstreams: [two.origin] } },
        routes: [{ serverName: 'b.example', pool: 'two' }, { pool: 'one' }],
      }),
    });
    const certificates = ['a', 'b'].flatMap((name) => ['--tls-cert', `${name}.pem`, '--tls-key', `${name}.key`]);
    const log = join(cwd, 'log');
    const binary = begin(t, [
      '-l', 'tls:127.0.0.1:0', ...certificates, '-c', 'tcp.json', '--access-log', log, ...args,
    ], { cwd });
    return { binary, port: await portOf(binary), log };
  }

  function pemFiles(name: string, names: readonly string[]): Readonly<Record<string, string>> {
    const { cert, key } = selfSigned(name, names);
    return { [`${name}.pem`]: cert, [`${name}.key`]: key };
  }

  test('ends TLS, negotiates no protocol, and goes by the name of the handshake', async (t) => {
    const { binary, port, log } = await startSecure(t);
    assert.match(await binary.ready(), /^TCP load balancer with .* listening on tls:\/\/127\.0\.0\.1:\d+$/);
    for (const [servername, cn, said] of [['a.example', 'a', '1'], ['B.example', 'b', '2'], ['', 'a', '1']] as const) {
      // A client that offers h2 must not begin to speak it.
      const socket = await handshake(port, { servername, ALPNProtocols: ['h2', 'http/1.1'] });
      assert.equal(socket.alpnProtocol, false);
      assert.equal(socket.getPeerCertificate().subject.CN, cn);
      const client = adopt(t, socket);
      assert.equal(await client.inbox.until(said), said);
      // Octets of HTTP/2 are like any others.
      client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      assert.equal(await client.inbox.until('SM\r\n\r\n'), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      client.end();
      assert.equal(await client.over(), 'end');
    }
    await binary.stop();
    assert.deepEqual(jsonLines(log).map(({ serverName, pool, bytesIn }) => [serverName, pool, bytesIn]), [
      ['a.example', 'one', 24], ['b.example', 'two', 24], [null, 'one', 24],
    ]);
  });

  test('drains: a connection ends by itself after SIGTERM', async (t) => {
    const { binary, port } = await startSecure(t);
    const client = adopt(t, await handshake(port, { servername: 'b.example' }));
    assert.equal(await client.inbox.until('2'), '2');
    binary.signal('SIGTERM');
    await binary.logged(/SIGTERM/);
    client.send('still');
    assert.equal(await client.inbox.until('still'), 'still');
    client.end();
    assert.equal((await binary.exit()).code, 0);
  });

  test('asks for a client certificate', async (t) => {
    const { ca, cert, key } = clientPair('c');
    const file = join(directory(t, { 'ca.pem': ca }), 'ca.pem');
    const { port } = await startSecure(t, '--tls-client-ca', file);
    const client = adopt(t, await handshake(port, { cert, key }));
    assert.equal(await client.inbox.until('1'), '1');
    client.end();
    // In TLS 1.3 the client is done before the server has refused it: what counts is that nothing comes.
    let got = '';
    await new Promise((closed) => {
      tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
        .on('data', (bytes: Buffer) => (got += String(bytes))).on('error', () => undefined).on('close', closed);
    });
    assert.equal(got, '');
  });
});

describe('what layer 4 cannot do is refused', () => {
  const runHere = runsInOneProcess();
  test('redirect: is refused with --tcp, with nothing that follows from it', async () => {
    const { code, stderr } = await runHere([...LISTEN, '-l', 'redirect:127.0.0.1:0', 'tcp://127.0.0.1:1']);
    assert.equal(code, 2);
    assert.match(stderr, /listen: redirect: answers HTTP requests, which --tcp does not read/);
    assert.doesNotMatch(stderr, /leads to the first tls:/);
  });

  test('tls.http2 is refused with --tcp, as a flag or in the file; false is accepted', async (t) => {
    const message = 'equipoise: tls.http2: cannot be used with --tcp, which does not read what TLS carries; leave ';
    const config = (content: object): string => (
      join(directory(t, { 'c.json': JSON.stringify({ upstreams: ['tcp://127.0.0.1:1'], ...content }) }), 'c.json'));
    for (const args of [
      [...LISTEN, '-c', config({ tls: { http2: true } })],
      ['-l', '127.0.0.1:0', '-c', config({ tcp: true, tls: { http2: true } })],
      ['--check', '-c', config({ tcp: true, tls: { http2: true } })],
    ]) {
      const { code, stderr } = await runHere(args);
      assert.equal(code, 2, stderr);
      assert.ok(stderr.startsWith(message), stderr);
    }
    const { code, stderr } = await runHere(['--check', '-c', config({ tcp: true, tls: { http2: false } })]);
    assert.equal(code, 0, stderr);
  });
});

describe('the PROXY protocol with --tcp', () => {
  /** Connects, and resolves with the connection and what the upstream gets first. */
  async function through(
    t: TestContext, port: number, upstream: RawUpstream, bytes: readonly (string | Buffer)[],
  ): Promise<{ readonly client: Client; readonly server: Client }> {
    const client = await connectTo(t, port);
    for (const part of bytes) client.send(part);
    return { client, server: await upstream.accepted() };
  }

  const V1 = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n';
  for (const [version, header] of [[1, V1], [2, v2()]] as const) {
    test(`a header of version ${version} names the client, to the upstream and in the log`, async (t) => {
      const upstream = await rawUpstream(t);
      const cwd = directory(t, {
        'tcp.json': JSON.stringify({
          tcp: true, listen: '127.0.0.1:0', pools: { a: { upstreams: [upstream.origin], proxyProtocol: version } },
        }),
      });
      const binary = begin(t, ['-c', 'tcp.json', '--proxy-protocol', '127.0.0.0/8', '--access-log', 'log'], { cwd });
      const bytes = Buffer.from(header as string, 'latin1');
      const parts = [Buffer.concat([bytes, Buffer.from('hello\n')]), 'more\n'];
      const { client, server } = await through(t, await portOf(binary), upstream, parts);
      if (version === 1) assert.equal(await server.inbox.until('\n'), header);
      else {
        const fixed = await server.inbox.exactly(16);
        assert.deepEqual(fixed.subarray(0, 14), bytes.subarray(0, 14));
        // The addresses; then the checksum.
        const rest = await server.inbox.exactly(fixed.readUInt16BE(14));
        assert.deepEqual(rest.subarray(0, 12), bytes.subarray(16));
      }
      assert.equal(await server.inbox.until('more\n'), 'hello\nmore\n');
      server.send('answer\n').end();
      assert.equal(await client.inbox.until('\n'), 'answer\n');
      client.end();
      assert.equal(await client.over(), 'end');
      await binary.stop();
      const [line] = jsonLines(join(cwd, 'log'));
      assert.equal(line?.['remoteAddress'], '192.0.2.1');
      assert.equal(line['bytesIn'], 11);
    });
  }

  test('a connection without the header that is due is closed, and logged', async (t) => {
    const upstream = await rawUpstream(t);
    const binary = begin(t, [...LISTEN, '--proxy-protocol', '127.0.0.1', upstream.origin]);
    const client = await connectTo(t, await portOf(binary));
    client.send('*1\r\n$4\r\nPING\r\n');
    await client.over();
    await binary.logged(/PROXY protocol: /);
    assert.equal(upstream.count, 0);
  });

  test('from elsewhere, a header is not believed, and goes no further', async (t) => {
    let got = '';
    const closed = gate();
    const upstream = await rawUpstream(t, (socket) => {
      socket.on('data', (bytes) => (got += String(bytes))).on('close', () => {
        closed.open();
      });
    });
    const binary = begin(t, [...LISTEN, '--proxy-protocol', '192.0.2.0/24', upstream.origin]);
    const client = await connectTo(t, await portOf(binary));
    client.send(V1);
    await client.over();
    await binary.logged(/PROXY protocol: .*see --proxy-protocol/);
    await closed.opened;
    assert.equal(got, '');
  });

  test('before TLS that ends here', secure, async (t) => {
    const upstream = await rawUpstream(t);
    const { cert, key } = selfSigned('a', ['a.example']);
    const cwd = directory(t, { 'a.pem': cert, 'a.key': key });
    const binary = begin(t, [
      '--tcp', '-l', 'tls:127.0.0.1:0', '--tls-cert', 'a.pem', '--tls-key', 'a.key', '--proxy-protocol', '127.0.0.1',
      '--access-log', 'log', upstream.origin,
    ], { cwd });
    const raw = net.connect(await portOf(binary), '127.0.0.1');
    raw.write(V1);
    const client = adopt(t, tls.connect({ socket: raw, servername: 'a.example', rejectUnauthorized: false }));
    client.send('hello\n');
    const server = await upstream.accepted();
    assert.equal(await server.inbox.until('\n'), 'hello\n');
    server.end();
    client.end();
    assert.equal(await client.over(), 'end');
    await binary.stop();
    const [line] = jsonLines(join(cwd, 'log'));
    assert.equal(line?.['remoteAddress'], '192.0.2.1');
    assert.equal(line['serverName'], 'a.example');
  });
});

test('an upstream on a Unix socket', async (t) => {
  const path = join(directory(t), 's');
  const server = net.createServer({ allowHalfOpen: true }, echo('hello\n'));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  atEnd(t, () => server.close());
  const binary = begin(t, [...LISTEN, `unix:${path}`]);
  const client = await connectTo(t, await portOf(binary));
  client.send('x\n');
  assert.equal(await client.inbox.until('x\n'), 'hello\nx\n');
  client.end();
  assert.equal(await client.over(), 'end');
});

for (const workers of ['1', '2']) {
  test(`--admin with --tcp, with ${workers} to serve: drains, activates, counts, shows its page`, async (t) => {
    const [one, two] = [await rawUpstream(t, echo('1')), await rawUpstream(t, echo('2'))];
    const binary = begin(t, [...LISTEN, '-w', workers, '--admin', '127.0.0.1:0', one.origin, two.origin]);
    const port = await portOf(binary);
    await binary.logged(/admin listener: /);
    const admin = Number(/admin listener: http:\/\/127\.0\.0\.1:(\d+)/.exec(binary.stderr)?.[1]);
    assert.equal((await get(admin, '/readyz')).status, 200);
    assert.match((await get(admin, '/')).body, /<html/i);
    await order(admin, one.origin, 'drain', Number(workers));
    for (let i = 0; i < 6; i++) {
      const client = await connectTo(t, port);
      assert.equal((await client.inbox.exactly(1)).toString(), '2');
      client.end();
      assert.equal(await client.over(), 'end');
    }
    await order(admin, one.origin, 'activate', Number(workers));
    const listed = JSON.parse((await get(admin, '/upstreams')).body) as readonly Readonly<Record<string, unknown>>[];
    assert.deepEqual(listed.map(({ pool, origin, state }) => [pool, origin, state]), [
      ['default', one.origin, 'active'], ['default', two.origin, 'active'],
    ]);
    let body = '';
    // A client knows the end of its connection before the balancer has counted it, and another worker may be late.
    const counted = async (): Promise<void> => {
      while (!/^equipoise_sent_bytes_total(?:\{[^}]*\})? 6$/m.test(body)) ({ body } = await get(admin, '/metrics'));
    };
    await within(counted(), () => `6 octets sent in ${body}`);
    assert.match(body, /^equipoise_connections_total(?:\{[^}]*\})? 6$/m);
    assert.match(body, /^equipoise_received_bytes_total(?:\{[^}]*\})? 0$/m);
    assert.match(body, new RegExp(`^equipoise_upstream_up\\{pool="default",upstream="${one.origin}"[^}]*\\} 1$`, 'm'));
    assert.equal((await get(admin, '/why')).status, 200);
  });
}

test('the logs say what becomes of a connection that no upstream takes', async (t) => {
  const upstream = await rawUpstream(t, echo('1'));
  const cwd = directory(t, {
    'tcp.json': JSON.stringify({
      tcp: true, listen: '127.0.0.1:0', accessLog: 'log', accessLogFormat: 'common',
      upstreams: [upstream.origin], maxInFlight: 1, maxQueued: 0,
    }),
  });
  const binary = begin(t, ['-c', 'tcp.json'], { cwd });
  const port = await portOf(binary);
  const client = await connectTo(t, port);
  assert.equal(await client.inbox.until('1'), '1');
  await reset(port);
  await binary.logged(/OVERLOADED: reset a connection: all limits are reached/);
  assert.doesNotMatch(binary.stderr, /answered/);
  client.end();
  await binary.stop();
  const [refused, served] = readFileSync(join(cwd, 'log'), 'utf8').split('\n');
  assert.match(refused ?? '', /^127\.0\.0\.1 - - \[.*\] "-" 503 /);
  assert.match(served ?? '', /^127\.0\.0\.1 - - \[.*\] "-" 200 1$/);
});

/** Connects, and resolves once that is over. */
function reset(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket: Socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => undefined).on('close', () => {
      resolve();
    });
  });
}
