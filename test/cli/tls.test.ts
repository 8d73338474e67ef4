/**
 * `tls:` and `redirect:` listeners of the binary.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { readArguments } from '../../src/cli/arguments.ts';
import { configure } from '../../src/cli/config.ts';
import { NO_OPENSSL } from '../support/certificate.ts';
import { connectTo } from '../support/client.ts';
import { run, start } from '../support/process-binary.ts';
import { get, startNamed, startUpstream } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { cnFor, getHttp2, getSecure, handshake, httpsPort } from '../support/tls-client.ts';
import { clientPair, encrypted, hasOpenssl, type Pem, selfSigned } from '../support/tls-files.ts';
import { within } from '../support/wait.ts';

const hasCurl = spawnSync('curl', ['--version']).error === undefined;
const secure = { skip: hasOpenssl ? false : NO_OPENSSL };
const make = (cn: string, names: readonly string[], key: 'ec' | 'rsa' = 'ec'): Pem => (
  hasOpenssl ? selfSigned(cn, names, key) : { cert: '', key: '' });
const pairs: Readonly<Record<string, Pem>> = {
  a: make('a', ['a.example', 'localhost']),
  rsa: make('a-rsa', ['a.example'], 'rsa'),
  wild: make('wild', ['*.b.example'], 'rsa'),
  exact: make('exact', ['x.b.example']),
};
const FILES = Object.fromEntries(Object.entries(pairs).flatMap(([name, { cert, key }]) => (
  [[`${name}.pem`, cert], [`${name}.key`, key]])));
const named = (...names: string[]): string[] => (
  names.flatMap((name) => ['--tls-cert', `${name}.pem`, '--tls-key', `${name}.key`]));
const LISTEN = ['-l', 'tls:127.0.0.1:0'];

/** What an upstream was asked. */
interface Asked {
  readonly url: string;
  readonly proto: string;
  readonly via: string;
}

test('HTTP/1.1 and HTTP/2 arrive at the upstream as https', secure, async (t) => {
  const cwd = directory(t, FILES);
  const origin = await startUpstream(t, ({ url, headers }, response) => {
    response.end(JSON.stringify({ url, proto: headers['x-forwarded-proto'], via: headers.via }));
  });
  const binary = start(t, [...LISTEN, ...named('a'), '--access-log', '-', origin], { cwd });
  const port = await httpsPort(binary);
  assert.match(await binary.ready(), /^Load balancer with random strategy listening on https:\/\/127\.0\.0\.1:\d+$/);
  const one = JSON.parse((await getSecure(port, '/1?x')).body) as Asked;
  const two = JSON.parse(await getHttp2(port, '/2?x')) as Asked;
  assert.deepEqual(one, { url: '/1?x', proto: 'https', via: '1.1 equipoise' });
  assert.deepEqual(two, { url: '/2?x', proto: 'https', via: '2.0 equipoise' });
  await binary.printed(/"scheme":"https"[^\n]*\n[^\n]*"scheme":"https"/);
  if (!hasCurl) {
    t.diagnostic('the request by curl is skipped: curl is not installed');
    return;
  }
  const args = ['-sk', '--max-time', '60', '--http2', '-w', ' %{http_version}', `https://127.0.0.1:${port}/c`];
  // Not in step: the upstream is in this process.
  assert.match((await promisify(execFile)('curl', args)).stdout, /"url":"\/c".* 2$/);
});

describe('the certificate is chosen by the server name', secure, () => {
  test('an exact one before a wildcard, which is for one label; the first without a match', async (t) => {
    const cwd = directory(t, FILES);
    const args = [...LISTEN, ...named('a', 'wild', 'exact', 'rsa'), await startNamed(t, 'A')];
    const binary = start(t, args, { cwd });
    const port = await httpsPort(binary);
    for (const [servername, cn] of [
      ['a.example', 'a'], ['A.Example', 'a'], ['q.b.example', 'wild'], ['x.b.example', 'exact'], ['b.example', 'a'],
      ['y.x.b.example', 'a'], ['none.test', 'a'], ['*.b.example', 'a'], ['', 'a'], ['a'.repeat(255), 'a'],
      ['__proto__', 'a'], ['constructor', 'a'], ['x.b.example.', 'exact'], ['\u00fc.b.example', 'a'],
    ] as const) assert.equal(await cnFor(port, { servername }), cn, servername);
    // One name may have a certificate for each kind of key.
    const old = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' } as const;
    assert.equal(await cnFor(port, { servername: 'a.example', ...old }), 'a-rsa');
    assert.equal(await cnFor(port, { servername: 'q.b.example', ...old }), 'wild');

    await t.test('also if the ClientHello comes octet by octet', async () => {
      assert.equal(await cnFor(await relay(t, port, (bytes) => [...bytes].map((octet) => Buffer.from([octet]))),
        { servername: 'x.b.example' }), 'exact');
    });

    await t.test('an address, NUL or other octets in the name do no harm', async () => {
      for (const name of ['127.0.0.1', 'x\0b.example', '\xff\xfe\x80\x81xxx', '           ', '../../etc/x']) {
        // A name of the same length is replaced on the way, so the handshake cannot end well; but it must end.
        const placeholder = `${'p'.repeat(name.length - 2)}.q`;
        const way = await relay(t, port, (bytes) => [
          Buffer.from(bytes.toString('latin1').replace(placeholder, name), 'latin1')]);
        await within(assert.rejects(cnFor(way, { servername: placeholder })), () => `the end: ${name}`);
      }
      assert.equal(await cnFor(port, { servername: 'x.b.example' }), 'exact');
    });

    await t.test('garbage and a ClientHello without end are counted and logged, and disturb nobody', async () => {
      const kept = await handshake(port);
      const begun = performance.now();
      const hello = (length: number): Buffer => {
        const record = Buffer.alloc(5 + length);
        record.set([0x16, 3, 1, length >> 8, length & 0xff, 1, 0xff, 0xff, 0xff]);
        return record;
      };
      for (const bytes of [
        Buffer.from('\0'.repeat(100)), Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), Buffer.alloc(100, 0xff),
        Buffer.concat(Array<Buffer>(20).fill(hello(16_384))), hello(20_000), Buffer.from([0x16, 3, 1, 0, 0]),
      ]) {
        for (let i = 0; i < 3; i++) {
          const socket = net.connect({ port, host: '127.0.0.1' }).on('error', () => undefined);
          socket.resume().write(bytes);
          // What is no whole record is waited for, within handshakeTimeout.
          if (bytes.length < 10) socket.end();
          const closed = new Promise((resolve) => socket.once('close', resolve));
          await within(closed, () => `the end of ${bytes.length} octets`);
        }
      }
      await binary.logged(/TLS handshake with 127\.0\.0\.1 failed: the client speaks HTTP without TLS/);
      await binary.logged(/TLS handshake with 127\.0\.0\.1 failed: (?!the client)/);
      // Once per second and reason.
      const seconds = Math.floor((performance.now() - begun) / 1000);
      assert.ok((binary.stderr.match(/speaks HTTP without TLS/g)?.length ?? 0) <= 1 + seconds, binary.stderr);
      const answer = new Promise((resolve) => kept.once('data', resolve));
      kept.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
      assert.match(String(await within(answer, () => 'an answer')), /^HTTP\/1\.1 200 /);
      kept.destroy();
      assert.equal((await getSecure(port)).body, 'A');
    });
  });
});

/** A listener on the way to `port` that passes on what `change` makes of the client's bytes. Returns its port. */
async function relay(t: TestContext, port: number, change: (bytes: Buffer) => readonly Buffer[]): Promise<number> {
  const between = net.createServer((client) => {
    const server = net.connect({ port, host: '127.0.0.1', noDelay: true });
    client.on('data', (bytes) => {
      for (const part of change(bytes)) server.write(part);
    }).on('close', () => server.destroy()).on('error', () => undefined);
    server.on('error', () => undefined).pipe(client);
  });
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
  t.after(() => between.close());
  return (between.address() as AddressInfo).port;
}

describe('client certificates', secure, () => {
  const alice = hasOpenssl ? clientPair('alice') : undefined;
  const mallory = hasOpenssl ? clientPair('mallory') : undefined;
  const HOOK = `
    onRequest({ socket }) {
      const cn = socket.getPeerCertificate?.().subject?.CN;
      return new Response([cn ?? 'nobody', socket.authorized].join(' '));
    },`;
  const config = (optional: boolean): string => `export default {
    listen: 'tls:127.0.0.1:0', upstreams: ['http://127.0.0.1:1'], ${HOOK}
    tls: { certificates: [{ cert: 'a.pem', key: 'a.key' }], clientCa: 'ca.pem', clientOptional: ${optional} },
  };`;

  for (const optional of [false, true]) {
    test(optional ? 'may be left out, but not be of another authority' : 'are required', async (t) => {
      const cwd = directory(t, { ...FILES, 'ca.pem': alice?.ca ?? '', 'c.mjs': config(optional) });
      const binary = start(t, ['-c', 'c.mjs'], { cwd });
      const port = await httpsPort(binary);
      assert.equal((await getSecure(port, '/', { cert: alice?.cert, key: alice?.key })).body, 'alice true');
      if (optional) assert.equal((await getSecure(port)).body, 'nobody false');
      else {
        await assert.rejects(getSecure(port));
        await binary.logged(/TLS handshake with 127\.0\.0\.1 failed: peer did not return a certificate/);
      }
      await assert.rejects(getSecure(port, '/', { cert: mallory?.cert, key: mallory?.key }));
      await binary.logged(/TLS handshake .* failed: its certificate is not trusted \(\w+, see tls\.clientCa\)/);
    });
  }
});

describe('redirect: answers 308', secure, () => {
  test('to the port of the first tls: listener, and 400 without a sound Host', async (t) => {
    const cwd = directory(t, FILES);
    const binary = start(t, ['-l', 'redirect:127.0.0.1:0', ...LISTEN, ...LISTEN, ...named('a'), 'http://127.0.0.1:1'],
      { cwd });
    const port = await httpsPort(binary);
    const where = await binary.port();
    assert.match(await binary.ready(), / on http:\/\/127\.0\.0\.1:\d+ \(redirects to https\), https:\S+, https:\S+$/);
    const to = async (path: string, host: string, method = 'GET'): Promise<readonly [number, string | undefined]> => {
      const { status, headers } = await get(where, path, { headers: { host }, method });
      return [status, headers.location];
    };
    const at = `https://a.example:${port}`;
    assert.deepEqual(await to('/a%20b/../c?d=%0d%0Ax&e=/', 'a.example'), [308, `${at}/a%20b/../c?d=%0d%0Ax&e=/`]);
    assert.deepEqual(await to('/', 'a.example:8080', 'POST'), [308, `${at}/`]);
    assert.deepEqual(await to('//evil.example/', 'a.example'), [308, `${at}//evil.example/`]);
    assert.deepEqual(await to('/', '[::1]:80'), [308, `https://[::1]:${port}/`]);
    assert.deepEqual(await to('http://b.example/x?y', 'a.example'), [308, `https://b.example:${port}/x?y`]);
    for (const host of ['a/b', 'a b', 'user@a', 'a:b', 'a.example, b.example', '[::1']) {
      assert.deepEqual(await to('/', host), [400, undefined], host);
    }
    assert.deepEqual(await to('*', 'a.example', 'OPTIONS'), [400, undefined]);
    for (const request of [
      'GET / HTTP/1.1\r\n\r\n', 'GET / HTTP/1.1\r\nHost:\r\n\r\n',
      'GET /x\r\nx: y HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 'GET / HTTP/1.0\r\n\r\n']) {
      const client = await connectTo(t, where);
      assert.equal((await client.send(request).response()).status, 400, JSON.stringify(request));
    }
  });

  test('without the port where that is 443, by an Upgrade and with a body, too', async (t) => {
    const { createRedirect } = await import('../../src/cli/tls/redirect.ts');
    const balancer = createRedirect(() => 443, () => undefined);
    t.after(() => balancer.close({ timeoutMs: 0 }));
    const address = await balancer.listen({ port: 0, host: '127.0.0.1' });
    assert.ok(typeof address !== 'string');
    const client = await connectTo(t, address.port);
    const answer = await client.exchange('POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi');
    assert.deepEqual([answer.status, answer.head.get('location')], [308, 'https://a.example/p']);
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n';
    const other = await connectTo(t, address.port);
    const second = await other.exchange(`GET /ws HTTP/1.1\r\nHost: a.example\r\n${upgrade}\r\n`);
    assert.equal(second.head.get('location'), 'https://a.example/ws');
  });
});

describe('mistakes end the start, all at once', secure, () => {
  const upstream = 'http://127.0.0.1:1';
  /** What is wrong with these arguments, as the binary finds it. */
  const problemsOf = async (args: readonly string[]): Promise<string> => {
    const problems: string[] = [];
    await configure(readArguments(args, problems), problems);
    return problems.join('\n');
  };

  test('of the flags', async (t) => {
    const cwd = directory(t, { ...FILES, 'enc.key': hasOpenssl ? encrypted(pairs['a']?.key ?? '') : '', 'x.pem': 'x' });
    mkdirSync(join(cwd, 'dir'));
    const pair = (cert: string, key: string): string[] => ['--tls-cert', cert, '--tls-key', key];
    const { code, stderr } = await run([
      ...LISTEN, ...pair('a.pem', 'wild.key'), ...pair('gone.pem', 'dir'), ...pair('x.pem', 'enc.key'),
      ...pair('a.key', 'a.pem'), '--tls-client-ca', 'x.pem', upstream,
    ], { cwd });
    assert.equal(code, 2);
    for (const line of [
      'tls-key: wild.key is not the key of a.pem; name the key that was made with it',
      'tls-cert: cannot read gone.pem: the file does not exist',
      'tls-key: cannot read dir: it is a directory; name the file in it',
      'tls-cert: x.pem contains no certificate: it must be in PEM, with a line -----BEGIN CERTIFICATE-----',
      'tls-key: enc.key is encrypted, and nobody can type its passphrase here; decrypt it with openssl pkey',
      'tls-cert: a.key contains no certificate: it is a private key; is it swapped with its certificate?',
      'tls-key: a.pem contains no private key: it is a certificate; is it swapped with its key?',
      'tls-client-ca: x.pem contains no certificate: it must be in PEM, with a line -----BEGIN CERTIFICATE-----',
    ]) assert.ok(stderr.includes(`equipoise: ${line}`), `${line} in\n${stderr}`);
  });

  test('of what goes together', async (t) => {
    const cwd = directory(t, FILES);
    const placed = (args: readonly string[]): string[] => (
      args.map((arg) => (Object.hasOwn(FILES, arg) ? join(cwd, arg) : arg)));
    for (const [args, message] of [
      [LISTEN, /tls: needs a certificate; add --tls-cert and --tls-key, or tls\.certificates to the file/],
      [['-l', 'redirect:0'], /listen: redirect: leads to the first tls: listener, and there is none; add one/],
      [['-l', '0', ...named('a')], /tls-cert: no listener ends TLS; add one, e\.g\. --listen tls:8443/],
      [[...LISTEN, ...named('a'), '--tls-cert', 'a.pem'], /tls-cert: must be given in pairs .* \(got 2 cert/],
      [[...LISTEN, ...named('a'), '--tls-client-optional'], /tls-client-optional: needs --tls-client-ca, the auth/],
      [['-l', 'tls:x:y', ...named('a')], /listen: must be \[host:\]port, tls:\[host:\]port, redirect:\[host:\]port/],
    ] as const) assert.match(await problemsOf([...placed(args), upstream]), message);
  });

  test('of the file', async (t) => {
    const file = (own: Record<string, unknown>): string => JSON.stringify({
      listen: ['tls:0'], upstreams: [upstream], tls: { certificates: [{ cert: 'a.pem', key: 'a.key' }], ...own },
    });
    const cwd = directory(t, FILES);
    for (const [own, message] of [
      [{ certificates: [] }, /tls\.certificates: must be a list of at least one/],
      [{ certificates: [{ cert: 1, kye: 'x' }] }, /tls\.certificates\[0\]\.kye: unknown option; did you mean key\?/],
      [{ certificates: ['a.pem'] }, /tls\.certificates\[0\]: must be an object/],
      [{ minVersion: '1.2' }, /tls\.minVersion: must be TLSv1, TLSv1\.1, TLSv1\.2, TLSv1\.3 \(got "1\.2"\)/],
      [{ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }, /tls\.maxVersion: must not be below tls\.minVersion, TLSv1/],
      [{ ciphers: 'NONE-SUCH' }, /tls\.ciphers: OpenSSL knows none of "NONE-SUCH": no cipher match/],
      [{ handshakeTimeout: 0 }, /tls\.handshakeTimeout: must be an integer from 1 to 600 \(got 0\); the default is 10/],
      [{ clientOptional: true }, /tls\.clientOptional: needs tls\.clientCa, the authorities/],
      [{ clientCa: [1] }, /tls\.clientCa: must be a file with certificates in PEM, or a list of such files/],
      [{ cipher: 'x' }, /tls\.cipher: unknown option; did you mean ciphers\?/],
    ] as const) {
      writeFileSync(join(cwd, 'c.json'), file(own));
      assert.match(await problemsOf(['-c', join(cwd, 'c.json')]), message);
    }
  });
});

test('--check prints the certificates, and an expired one is only a warning', secure, async (t) => {
  const cwd = directory(t, { ...FILES, 'ca.pem': FILES['a.pem'] ?? '' });
  execFileSync('openssl', ['req', '-new', '-key', 'a.key', '-subj', '/CN=old', '-out', 'r'], { cwd, stdio: 'ignore' });
  execFileSync('openssl', ['x509', '-req', '-in', 'r', '-signkey', 'a.key', '-days', '-1', '-out', 'old.pem'],
    { cwd, stdio: 'ignore' });
  writeFileSync(join(cwd, 'c.json'), JSON.stringify({
    listen: [{ port: 8443, tls: true }, { port: 8080, redirect: true }], upstreams: ['http://127.0.0.1:1'],
    tls: {
      certificates: [{ cert: 'wild.pem', key: 'wild.key' }, { cert: 'old.pem', key: 'a.key' }],
      clientCa: 'ca.pem', minVersion: 'TLSv1.3', maxHandshakes: 7,
    },
  }));
  const { code, stdout, stderr } = await run(['--check', '-c', 'c.json'], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^equipoise: tls\.certificates\[1\]\.cert: .*old\.pem has expired, on [\d-]{10}; renew it\n$/);
  assert.match(stdout, new RegExp([
    'Listen', '  every interface, https://127\\.0\\.0\\.1:8443',
    '  every interface, http://127\\.0\\.0\\.1:8080 \\(redirects to https\\)', '', 'TLS',
    '  \\S+wild\\.pem: \\*\\.b\\.example, rsa, expires on \\d{4}-\\d\\d-\\d\\d, the default',
    '  \\S+old\\.pem: old, ec, expires on \\d{4}-\\d\\d-\\d\\d',
    '  client certificates: required, of \\S+ca\\.pem', '  minVersion: TLSv1\\.3', '  maxHandshakes: 7', '',
  ].join('\n')));
});
