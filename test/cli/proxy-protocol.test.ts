import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { run, start } from '../support/process-binary.ts';
import { freePort } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { httpsPort } from '../support/tls-client.ts';

const LINE = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n';
const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const LISTEN = ['-l', '127.0.0.1:0'] as const;

function needs(...tools: readonly string[]): string | false {
  const missing = tools.filter((tool) => spawnSync(tool, ['-v']).error !== undefined);
  return missing.length === 0 ? false : `needs ${missing.join(' and ')}, which is not installed`;
}

/** An upstream whose answer is the forwarding headers that it got. */
async function upstream(t: TestContext): Promise<string> {
  const server = http.createServer(({ headers }, response) => {
    response.end(`for ${String(headers['x-forwarded-for'])} by ${String(headers['x-forwarded-proto'])}`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Sends `text`; resolves with everything that comes back. */
async function talk(where: net.NetConnectOpts, text: string): Promise<string> {
  const socket = net.connect(where);
  let answer = '';
  socket.on('data', (bytes: Buffer) => {
    answer += bytes.toString('latin1');
  });
  socket.on('error', () => undefined);
  socket.write(text);
  await new Promise((closed) => socket.once('close', closed));
  return answer;
}

/** Runs a program until the test ends; resolves when something listens on `port`. */
async function running(t: TestContext, command: string, args: readonly string[], port: number): Promise<void> {
  const child: ChildProcess = spawn(command, args, { stdio: 'ignore' });
  t.after(async () => {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  });
  for (;;) {
    assert.equal(child.exitCode, null, `${command} has ended`);
    const socket = net.connect(port, '127.0.0.1');
    const connected = await new Promise<boolean>((done) => {
      socket.once('connect', () => {
        done(true);
      }).once('error', () => {
        done(false);
      });
    });
    socket.destroy();
    if (connected) return;
  }
}

async function haproxy(t: TestContext, port: number, config: string): Promise<void> {
  const cwd = directory(t, {
    'haproxy.cfg': `defaults\n  mode http\n  timeout client 1m\n  timeout server 1m\n  timeout connect 1m\n${config}\n`,
  });
  await running(t, 'haproxy', ['-db', '-f', join(cwd, 'haproxy.cfg')], port);
}

async function curl(...args: readonly string[]): Promise<string> {
  const child = spawn('curl', ['-sk', '--max-time', '60', ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  await once(child, 'close');
  return text;
}

describe('--proxy-protocol', () => {
  test('the client of a trusted peer is in the forwarding headers and the access log', async (t) => {
    const binary = start(t, [...LISTEN, '--proxy-protocol', '127.0.0.1', '--access-log', '-', await upstream(t)]);
    const port = await binary.port();
    assert.match(await talk({ port }, LINE + GET), /for 192\.0\.2\.1 by http$/);
    await binary.printed(/"remoteAddress":"192\.0\.2\.1"/);
    assert.equal(await talk({ port }, GET), '');
    await binary.logged(/PROXY protocol: closed a connection from 127\.0\.0\.1: it sent no PROXY header\n/);
  });

  test('a forged header changes nothing, and is logged once a second', async (t) => {
    const binary = start(t, [...LISTEN, '--proxy-protocol', '10.0.0.0/8, ::1', await upstream(t)]);
    const port = await binary.port();
    const begun = performance.now();
    for (let i = 0; i < 5; i++) assert.equal(await talk({ port }, LINE + GET), '');
    const seconds = Math.floor((performance.now() - begun) / 1000);
    assert.match(await talk({ port }, GET), /for 127\.0\.0\.1 by http$/);
    await binary.logged(/not trusted, and sent a PROXY header \(see --proxy-protocol\)\n/);
    const lines = binary.stderr.match(/not trusted/g)?.length ?? 0;
    assert.ok(lines <= 1 + seconds, `${lines} lines in ${seconds} s`);
  });

  test('on a Unix socket, with workers, and from a file', async (t) => {
    const cwd = directory(t, {
      'a.json': JSON.stringify({
        listen: ['127.0.0.1:0', 'unix:a.sock'], workers: 2, upstreams: [await upstream(t)],
        proxyProtocol: { trusted: ['unix', '127.0.0.1'] },
      }),
    });
    const binary = start(t, ['-c', 'a.json'], { cwd });
    const port = await binary.port();
    assert.match(await talk({ path: join(cwd, 'a.sock') }, LINE + GET), /for 192\.0\.2\.1 by http$/);
    assert.match(await talk({ port }, LINE + GET), /for 192\.0\.2\.1 by http$/);
  });

  test('within timeoutMs of a file', async (t) => {
    const cwd = directory(t, {
      'a.json': JSON.stringify({
        listen: '127.0.0.1:0', upstreams: ['http://127.0.0.1:1'],
        proxyProtocol: { trusted: ['127.0.0.1'], timeoutMs: 300 },
      }),
    });
    const binary = start(t, ['-c', 'a.json'], { cwd });
    assert.equal(await talk({ port: await binary.port() }, 'PROXY '), '');
    await binary.logged(/no whole PROXY header came within 300 ms\n/);
  });

  test('behind TLS and redirects', { skip: needs('curl') || (makeCertificate() ? false : NO_OPENSSL) }, async (t) => {
    const certificate = makeCertificate();
    const cwd = directory(t, {
      'cert.pem': String(certificate?.cert), 'key.pem': String(certificate?.key),
    });
    const binary = start(t, [
      '-l', 'tls:127.0.0.1:0', '-l', 'redirect:127.0.0.1:0', '--tls-cert', 'cert.pem',
      '--tls-key', 'key.pem', '--proxy-protocol', '127.0.0.1', await upstream(t),
    ], { cwd });
    const [secure, plain] = [await httpsPort(binary), await binary.port()];
    for (const version of ['--http1.1', '--http2']) {
      const text = await curl(version, '--haproxy-protocol', `https://127.0.0.1:${secure}/`);
      assert.equal(text, 'for 127.0.0.1 by https');
    }
    assert.equal(await curl('--http1.1', `https://127.0.0.1:${secure}/`), '');
    assert.match(await talk({ port: plain }, LINE + GET), /^HTTP\/1\.1 308 /);
    assert.equal(await talk({ port: plain }, GET), '');
  });

  test('wrong values are refused with all others, and --check shows what holds', async (t) => {
    const { code, stderr } = await run([...LISTEN, '--proxy-protocol', '10.0.0.0/33,edge', 'http://127.0.0.1:1']);
    assert.equal(code, 2);
    assert.match(stderr, /: proxy-protocol\[0\]: must be an address.*\(got "10\.0\.0\.0\/33"\)\n/);
    assert.match(stderr, /: proxy-protocol\[1\]: must be an address/);
    const cwd = directory(t, {
      'wrong.json': JSON.stringify({ upstreams: ['http://127.0.0.1:1'], proxyProtocol: { trusted: 'all', sent: 3 } }),
      'right.json': JSON.stringify({
        upstreams: ['http://127.0.0.1:1'], proxyProtocol: { trusted: ['10.0.0.0/8'], send: 2 },
      }),
    });
    const wrong = await run(['-c', 'wrong.json'], { cwd });
    assert.match(wrong.stderr, /: proxyProtocol\.sent: unknown option; did you mean send\?/);
    assert.match(wrong.stderr, /: proxyProtocol\.trusted: must be a list of addresses/);
    const { stdout } = await run(['-c', 'right.json', '--check'], { cwd });
    assert.match(stdout, /PROXY headers are read from 10\.0\.0\.0\/8, and due within 5000 ms/);
    assert.match(stdout, /proxyProtocol: 2/);
  });
});

describe('HAProxy', { skip: needs('haproxy', 'curl') }, () => {
  test('in front: send-proxy and send-proxy-v2 with all that it has to say', async (t) => {
    const binary = start(t, [...LISTEN, '--proxy-protocol', '127.0.0.1/32', await upstream(t)]);
    const port = await binary.port();
    const certificate = makeCertificate();
    const pem = directory(t, { 'both.pem': `${String(certificate?.cert)}${String(certificate?.key)}` });
    for (const [sends, secure] of [
      ['send-proxy', false], ['send-proxy-v2', false], ['send-proxy-v2-ssl', true], ['send-proxy-v2-ssl-cn', true],
      ['send-proxy-v2 proxy-v2-options crc32c,authority,unique-id', false],
      ['send-proxy-v2-ssl proxy-v2-options ssl,cert-cn,ssl-cipher,crc32c,authority,unique-id', true],
    ] as const) {
      if (secure && certificate === undefined) continue;
      const front = await freePort();
      await haproxy(t, front, `frontend f
  bind 127.0.0.1:${front} ${secure ? `ssl crt ${join(pem, 'both.pem')}` : ''}
  unique-id-format %{+X}o%ci:%cp
  default_backend b
backend b
  source 127.0.0.1
  server s 127.0.0.1:${port} ${sends}`);
      // Another address than that of HAProxy, all of 127/8 being this machine.
      const text = await curl('--interface', '127.0.0.5', `${secure ? 'https' : 'http'}://127.0.0.1:${front}/`);
      assert.equal(text, `for 127.0.0.5 by ${secure ? 'https' : 'http'}`, sends);
    }
    assert.equal(binary.stderr, '');
  });

  test('behind: accept-proxy takes both versions, also before TLS, probes included', async (t) => {
    const certificate = makeCertificate();
    const cwd = directory(t, { 'cert.pem': String(certificate?.cert), 'cert.pem.key': String(certificate?.key) });
    const secure = certificate === undefined ? [] : [await freePort()];
    const front = await freePort();
    await haproxy(t, front, `frontend f
  bind 127.0.0.1:${front} accept-proxy
  ${secure.map((to) => `bind 127.0.0.1:${to} accept-proxy ssl crt ${join(cwd, 'cert.pem')}`).join('')}
  http-request return status 200 content-type text/plain lf-string "%[src] %[ssl_fc]"`);
    if (certificate === undefined) t.diagnostic(`without TLS: ${NO_OPENSSL}`);
    const pools = Object.fromEntries([1, 2].flatMap((version) => (
      [`http://127.0.0.1:${front}`, ...secure.map((to) => `https://localhost:${to}`)].map((origin) => (
        [`${version}${new URL(origin).protocol.slice(0, -1)}`, {
          upstreams: [origin], proxyProtocol: version,
          healthCheck: { path: '/', intervalMs: 20, timeoutMs: 20_000, fall: 1 },
        }])))));
    writeFileSync(join(cwd, 'a.json'), JSON.stringify({
      listen: '127.0.0.1:0', pools, upstreamTls: certificate && { ca: 'cert.pem' },
      routes: Object.keys(pools).map((pool) => ({ path: `/${pool}`, pool })),
    }));
    const binary = start(t, ['-c', 'a.json'], { cwd });
    const origin = `http://127.0.0.1:${await binary.port()}`;
    for (const pool of Object.keys(pools)) {
      const url = `${origin}/${pool}`;
      const answer = `127.0.0.5 ${pool.endsWith('https') ? 1 : 0}`;
      assert.equal(await curl('--interface', '127.0.0.5', url, url), answer.repeat(2), pool);
    }
    assert.equal(binary.stderr, '');
  });
});

test('nginx behind: listen ... proxy_protocol, also with ssl', { skip: needs('nginx', 'curl') }, async (t) => {
  const [front, secure] = [await freePort(), await freePort()];
  const certificate = makeCertificate();
  if (certificate === undefined) t.diagnostic(`without TLS: ${NO_OPENSSL}`);
  const cwd = directory(t, { 'cert.pem': String(certificate?.cert), 'key.pem': String(certificate?.key) });
  writeFileSync(join(cwd, 'nginx.conf'), `daemon off; pid ${cwd}/pid; error_log ${cwd}/error; events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${cwd}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:${front} proxy_protocol;
    ${certificate === undefined ? '' : `listen 127.0.0.1:${secure} ssl proxy_protocol;
    ssl_certificate cert.pem; ssl_certificate_key key.pem;`}
    location / { return 200 "$proxy_protocol_addr $ssl_session_reused"; }
  }
}`);
  await running(t, 'nginx', ['-p', cwd, '-c', join(cwd, 'nginx.conf'), '-e', join(cwd, 'error')], front);
  const pools = {
    1: { upstreams: [`http://127.0.0.1:${front}`], proxyProtocol: 1 },
    2: { upstreams: [`http://127.0.0.1:${front}`], proxyProtocol: 2 },
    ...(certificate === undefined ? {} : {
      '1s': { upstreams: [`https://127.0.0.1:${secure}`], proxyProtocol: 1 },
      '2s': { upstreams: [`https://127.0.0.1:${secure}`], proxyProtocol: 2 },
    }),
  };
  writeFileSync(join(cwd, 'a.json'), JSON.stringify({
    listen: '127.0.0.1:0', pools, upstreamTls: certificate && { ca: 'cert.pem' },
    routes: Object.keys(pools).map((pool) => ({ path: `/${pool}`, pool })),
  }));
  const binary = start(t, ['-c', 'a.json'], { cwd });
  const origin = `http://127.0.0.1:${await binary.port()}`;
  for (const pool of Object.keys(pools)) {
    // Each client has a connection of its own: the second one resumes the session of the first.
    for (const session of pool.endsWith('s') ? ['.', 'r'] : ['', '']) {
      assert.equal(await curl('--interface', '127.0.0.5', `${origin}/${pool}`), `127.0.0.5 ${session}`, pool);
    }
  }
  assert.equal(binary.stderr, '');
});
