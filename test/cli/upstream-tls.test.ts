/**
 * The binary's TLS to upstreams: `--ca`, `upstreamTls` and `--insecure-upstreams`. Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { TLSSocket } from 'node:tls';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { run, start } from '../support/process-binary.ts';
import { get, listening } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const [server, client, other] = [makeCertificate(), makeCertificate('DNS:client'), makeCertificate()];
const skip = server === undefined && NO_OPENSSL;

/** A directory with all files of PEM. */
function pemFiles(t: TestContext, more: Readonly<Record<string, string>> = {}): string {
  return directory(t, {
    'ca.pem': String(server?.cert), 'client.pem': String(client?.cert), 'client-key.pem': String(client?.key),
    'other.pem': String(other?.cert), 'other-key.pem': String(other?.key), ...more,
  });
}

/** An upstream that answers with the name in the client's certificate, and with whether the session was resumed. */
async function startTls(t: TestContext, options: https.ServerOptions = {}): Promise<string> {
  const port = await listening(t, https.createServer({ ...server, ...options }, (request, response) => {
    assert.ok(request.socket instanceof TLSSocket);
    const { subject } = request.socket.getPeerCertificate() as { readonly subject?: { readonly CN?: string } };
    response.setHeader('Connection', 'close');
    response.end(`client ${subject?.CN ?? 'unknown'}, ${request.socket.isSessionReused() ? 'resumed' : 'new'}`);
  }));
  return `https://localhost:${port}`;
}

const LOCAL = ['-l', '127.0.0.1:0'];

describe('TLS to upstreams', { skip }, () => {
  for (const workers of ['1', '2']) {
    test(`--ca adds an authority, and sessions are resumed, with ${workers} to serve`, async (t) => {
      const cwd = pemFiles(t);
      const binary = start(t, [...LOCAL, '-w', workers, '--ca', 'ca.pem', await startTls(t)], { cwd });
      const bodies = new Set<string>();
      for (let i = 0; i < 4; i++) bodies.add((await get(await binary.port())).body);
      assert.deepEqual([...bodies].sort(), ['client unknown, new', 'client unknown, resumed']);
      assert.doesNotMatch(binary.stderr, /TLS/);
    });
  }

  test('a file names authorities and a client certificate, relative to itself; a pool has its own', async (t) => {
    const mutual = await startTls(t, { requestCert: true, rejectUnauthorized: true, ca: client?.cert });
    const cwd = pemFiles(t, {
      'c.json': JSON.stringify({
        listen: '127.0.0.1:0',
        upstreamTls: { ca: 'ca.pem' },
        pools: {
          plain: { upstreams: [await startTls(t)] },
          mutual: { upstreams: [mutual], upstreamTls: { cert: 'client.pem', key: 'client-key.pem' } },
          strict: { upstreams: [await startTls(t)], upstreamTls: { ca: ['other.pem'] } },
          named: { upstreams: [await startTls(t)], upstreamTls: { servername: 'other.example' } },
        },
        routes: ['plain', 'mutual', 'strict', 'named'].map((pool) => ({ path: `/${pool}/`, pool })),
      }),
    });
    const binary = start(t, ['-c', join(cwd, 'c.json')]);
    const answers = [];
    for (const pool of ['plain', 'mutual', 'strict', 'named']) {
      const { status, body } = await get(await binary.port(), `/${pool}/`);
      answers.push(status === 200 ? body : status);
    }
    assert.deepEqual(answers, ['client unknown, new', 'client localhost, new', 502, 502]);
    await binary.logged(/TLS_CERTIFICATE_INVALID .*self-signed certificate/);
    await binary.logged(/TLS_CERTIFICATE_INVALID .*other\.example/);
  });

  test('the environment does not turn verification off, a flag does, and the log says for which pools', async (t) => {
    const origin = await startTls(t);
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
    const verified = start(t, [...LOCAL, origin], { env });
    assert.equal((await get(await verified.port())).status, 502);
    const cwd = directory(t, {
      'c.json': JSON.stringify({
        listen: '127.0.0.1:0', upstreams: [origin],
        pools: {
          a: { upstreams: [origin] }, strict: { upstreams: [origin], upstreamTls: { insecure: false } },
          plain: { upstreams: ['http://127.0.0.1:9'] },
        },
        routes: [{ path: '/strict/', pool: 'strict' }, { pool: 'a' }],
      }),
    });
    for (const workers of ['1', '2']) {
      const binary = start(t, ['-c', 'c.json', '-w', workers, '--insecure-upstreams'], { cwd });
      assert.equal((await get(await binary.port())).status, 200);
      assert.equal((await get(await binary.port(), '/strict/')).status, 502);
      assert.match(binary.stderr, /^equipoise: upstreamTls: .* are NOT VERIFIED in the pools default, a: anybody/);
    }
  });

  for (const workers of ['1', '2']) {
    test(`SIGHUP reads the files again, with ${workers} to serve; files with mistakes change nothing`, async (t) => {
      const cwd = pemFiles(t);
      copyFileSync(join(cwd, 'other.pem'), join(cwd, 'trusted.pem'));
      const binary = start(t, [...LOCAL, '-w', workers, '--ca', 'trusted.pem', await startTls(t)], { cwd });
      assert.equal((await get(await binary.port())).status, 502);
      writeFileSync(join(cwd, 'trusted.pem'), 'nothing');
      binary.signal('SIGHUP');
      await binary.logged(/ca: trusted\.pem must hold a certificate in PEM/);
      assert.equal((await get(await binary.port())).status, 502);
      copyFileSync(join(cwd, 'ca.pem'), join(cwd, 'trusted.pem'));
      binary.signal('SIGHUP');
      await binary.logged(/: reloaded: |reload: complete/);
      // Upstreams of the command line are the same, and may still be ejected for their failures: not after so few.
      assert.match((await get(await binary.port())).body, /^client unknown/);
    });
  }

  test('a worker that is respawned has the files of the last good configuration', async (t) => {
    const cwd = pemFiles(t, {
      'crash.mjs': 'process.on("SIGUSR2", () => process.exit(7));\n',
    });
    const binary = start(t, [...LOCAL, '-w', '2', '--ca', 'ca.pem', await startTls(t)], {
      cwd, execArgv: ['--import', join(cwd, 'crash.mjs')],
    });
    await binary.ready();
    writeFileSync(join(cwd, 'ca.pem'), 'nothing');
    const children = readFileSync(`/proc/${binary.pid}/task/${binary.pid}/children`, 'utf8').trim().split(' ');
    assert.equal(children.length, 2);
    process.kill(Number(children[0]), 'SIGUSR2');
    await binary.logged(/worker 3 \(process \d+\) is ready/);
    assert.match((await get(await binary.port())).body, /^client unknown/);
  });

  test('--check names the files, and never what is in them', async (t) => {
    const cwd = pemFiles(t, {
      'c.json': JSON.stringify({
        upstreams: ['https://a.example'],
        upstreamTls: {
          ca: 'ca.pem', cert: 'client.pem', key: 'client-key.pem', servername: 'b.example', insecure: true,
        },
      }),
    });
    const { code, stdout } = await run(['--check', '-c', 'c.json'], { cwd });
    assert.equal(code, 0);
    assert.match(stdout, new RegExp('\n  TLS: certificates are NOT VERIFIED; ' +
      'authorities of .*ca.pem besides the usual; ' +
      'client certificate .*client.pem with the key .*client-key.pem; server name b.example\n'));
    assert.doesNotMatch(stdout, /BEGIN|connect: /);
  });

  test('mistakes are listed with path and cure, all at once', async (t) => {
    const cwd = pemFiles(t, {
      'encrypted.pem': '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n',
      'torn.pem': `${String(server?.cert).slice(0, 200)}\n-----END CERTIFICATE-----\n`,
      'der.pem': '0\x82\x01',
      'c.json': JSON.stringify({
        upstreams: ['https://a.example'],
        upstreamTls: { ca: ['missing.pem', 'der.pem', 'torn.pem'], cert: 'client.pem', key: 'other-key.pem' },
        pools: {
          a: { upstreams: [], upstreamTls: { cert: 'client.pem', servername: '10.0.0.1', insecure: 'yes', cart: 1 } },
          b: { upstreams: [], upstreamTls: { cert: 'client-key.pem', key: 'client.pem', ca: 5 } },
          c: { upstreams: [], upstreamTls: { cert: 'client.pem', key: 'encrypted.pem' } },
          d: { upstreams: [], upstreamTls: 'ca.pem' },
        },
        routes: [{ pool: 'a' }],
      }),
    });
    const { code, stderr } = await run(['-c', 'c.json', '--ca', '/nowhere.pem'], { cwd });
    assert.equal(code, 2);
    const at = (path: string): string => join(cwd, path).replaceAll(/[.\\]/g, '\\$&');
    for (const line of [
      'ca: cannot read /nowhere\\.pem: the file does not exist',
      `upstreamTls\\.ca: cannot read ${at('missing.pem')}: the file does not exist`,
      `upstreamTls\\.ca: ${at('der.pem')} must hold a certificate in PEM .*; if it is DER, run openssl x509 .*`,
      `upstreamTls\\.ca: ${at('torn.pem')}: its certificate cannot be read: .*`,
      `upstreamTls\\.key: ${at('other-key.pem')} is not the key of the certificate in ${at('client.pem')}`,
      'pools\\.a\\.upstreamTls\\.cart: unknown option;.*',
      'pools\\.a\\.upstreamTls\\.servername: must be a host name, .*',
      'pools\\.a\\.upstreamTls\\.insecure: must be true or false \\(got "yes"\\)',
      'pools\\.a\\.upstreamTls\\.key: is missing: .*',
      `pools\\.b\\.upstreamTls\\.cert: ${at('client-key.pem')} must hold a certificate in PEM.*`,
      `pools\\.b\\.upstreamTls\\.key: ${at('client.pem')} must hold a private key in PEM.*`,
      'pools\\.b\\.upstreamTls\\.ca: must be the path of a PEM file, or a list of such paths \\(got 5\\)',
      `pools\\.c\\.upstreamTls\\.key: ${at('encrypted.pem')} is encrypted; decrypt it by openssl pkey -in .*`,
      'pools\\.d\\.upstreamTls: must be an object \\(got "ca\\.pem"\\)',
    ]) assert.match(stderr, new RegExp(`^(?:equipoise: )?${line}`, 'm'));
    assert.equal(stderr.trimEnd().split('\n').length, 15, stderr);
  });
});
