import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { start } from '../support/process-binary.ts';
import { get } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

describe('an upstream over TLS', { skip: hasOpenssl ? false : 'there is no openssl to make certificates with' }, () => {
  test('is verified with the certificates that NODE_EXTRA_CA_CERTS adds, and gets its server name', async (t) => {
    const { port, authority, names } = await startUpstream(t, 'DNS:localhost');
    const binary = start(t, ['-l', '127.0.0.1:0', `https://localhost:${port}`], { env: trusting(authority) });
    const { status, body } = await get(await binary.port(), '/x');
    assert.deepEqual([status, body], [200, 'secret GET /x']);
    assert.deepEqual(names, ['localhost']);
    assert.equal(binary.stderr, '');
  });

  test("is connected to by a config module's own connect, or by the binary's TLS if that declines",
    async (t) => {
      const { port, authority, names } = await startUpstream(t, 'DNS:localhost');
      const cwd = directory(t, {
        'balanced.mjs': `export default {
          listen: '127.0.0.1:0',
          upstreams: ['https://localhost:${port}'],
          connect: ({ origin }) => void process.stdout.write('asked for ' + origin + '\\n'),
        };`,
      });
      const binary = start(t, ['-c', 'balanced.mjs'], { env: trusting(authority), cwd });
      assert.equal((await get(await binary.port(), '/x')).body, 'secret GET /x');
      assert.ok(binary.stdout.includes(`asked for https://localhost:${port}\n`));
      assert.deepEqual(names, ['localhost']);
    });

  test('with an IP address as its host gets no server name', async (t) => {
    const { port, authority, names } = await startUpstream(t, 'IP:127.0.0.1');
    const binary = start(t, ['-l', '127.0.0.1:0', `https://127.0.0.1:${port}`], { env: trusting(authority) });
    assert.equal((await get(await binary.port())).status, 200);
    assert.deepEqual(names, [false]);
  });

  test('serves requests one after another on one connection', async (t) => {
    const { port, authority, names } = await startUpstream(t, 'DNS:localhost');
    const binary = start(t, ['-l', '127.0.0.1:0', `https://localhost:${port}`], { env: trusting(authority) });
    for (let i = 0; i < 3; i++) assert.equal((await get(await binary.port(), `/${i}`)).body, `secret GET /${i}`);
    assert.equal(names.length, 1, 'handshakes');
  });

  test('with an untrusted certificate gets no request', async (t) => {
    const { port, names } = await startUpstream(t, 'DNS:localhost');
    const binary = start(t, ['-l', '127.0.0.1:0', `https://localhost:${port}`], { env: { NODE_EXTRA_CA_CERTS: '' } });
    const { status, body } = await get(await binary.port());
    assert.equal(status, 502);
    assert.ok(!body.includes('secret'));
    await binary.logged(/^equipoise: TLS_CERTIFICATE_INVALID https:\/\/localhost:\d+: .*self[- ]signed certificate/m);
    assert.equal(names.length, 0, 'requests');
  });

  test('with a certificate for another name gets no request', async (t) => {
    const { port, authority, names } = await startUpstream(t, 'DNS:other.example');
    const binary = start(t, ['-l', '127.0.0.1:0', `https://localhost:${port}`], { env: trusting(authority) });
    assert.equal((await get(await binary.port())).status, 502);
    await binary.logged(/does not match certificate/);
    assert.equal(names.length, 0, 'requests');
  });

  test('without TLS gets no request', async (t) => {
    const server = net.createServer((socket) => {
      // A socket that nobody reads stays open after its peer has gone.
      socket.on('error', () => undefined).resume().end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const binary = start(t, ['-l', '127.0.0.1:0', `https://localhost:${port}`]);
    assert.equal((await get(await binary.port())).status, 502);
  });
});

interface TlsUpstream {
  readonly port: number;
  /** The file of its certificate, which is self-signed. */
  readonly authority: string;
  /** The server name of each connection that carried requests; false if it had none. */
  readonly names: (string | false | undefined)[];
}

/** Starts an upstream with a certificate of its own for `subject`. */
async function startUpstream(t: TestContext, subject: string): Promise<TlsUpstream> {
  const path = directory(t);
  const [key, cert] = [join(path, 'key.pem'), join(path, 'cert.pem')];
  const made = spawnSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1',
    '-subj', '/CN=upstream', '-addext', `subjectAltName=${subject}`, '-keyout', key, '-out', cert,
  ], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const names: TlsUpstream['names'] = [];
  const known = new Set<Socket>();
  const server = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    const { socket } = request;
    if (!known.has(socket)) names.push((socket as { servername?: string | false }).servername);
    known.add(socket);
    response.end(`secret ${request.method ?? ''} ${request.url ?? ''}`);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, authority: cert, names };
}

function trusting(authority: string): Record<string, string> {
  return { NODE_EXTRA_CA_CERTS: authority };
}
