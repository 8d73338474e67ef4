/**
 * `tlsConnect` as the option `connect`, with real handshakes.
 */
import assert from 'node:assert/strict';
import net, { type AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { type TlsConnectOptions, tlsConnect } from '../../src/tls/index.ts';
import { connectWith } from '../../src/tls/tls-connect.ts';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { get } from '../support/client.ts';
import { atEnd } from '../support/scope.ts';
import { Signal } from '../support/wait.ts';

const good = makeCertificate();
const own = makeCertificate('DNS:client');
const elsewhere = makeCertificate('DNS:other.example');
const expired = makeCertificate(undefined, -1);
const skip = good === undefined && NO_OPENSSL;

/** What an upstream saw of each connection. */
interface Seen {
  readonly resumed: boolean;
  readonly name: string | false;
  readonly alpn: string | false | null;
  readonly client: string | undefined;
}

class TlsUpstream {
  readonly seen: Seen[] = [];
  readonly sockets: TLSSocket[] = [];
  readonly #server: tls.Server;

  constructor(t: TestContext, options: tls.TlsOptions = {}) {
    const signal = new Signal();
    let open = 0;
    this.#server = tls.createServer({ ...good, ...options }, (socket) => {
      open++;
      const { servername, alpnProtocol } = socket as TLSSocket & { readonly servername: string | false };
      const client = socket.getPeerCertificate().subject as { readonly CN?: string } | undefined;
      this.sockets.push(socket);
      this.seen.push({ resumed: socket.isSessionReused(), name: servername, alpn: alpnProtocol, client: client?.CN });
      socket.on('error', () => undefined).on('close', () => {
        open--;
        signal.raise();
      });
      // Each answer ends its connection, so that the next one needs another.
      socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'));
    }).on('tlsClientError', () => undefined);
    atEnd(t, async () => {
      this.#server.close();
      for (const socket of this.sockets) socket.destroy();
      await signal.until(() => open === 0, () => 'the connections to close');
    });
  }

  async origin(host = 'localhost'): Promise<string> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    return `https://${host}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Makes tickets unreadable that were issued before. */
  changeKeys(): void {
    this.#server.setTicketKeys(Buffer.from(Array.from({ length: 48 }, (_, i) => i)));
  }
}

/** The status and `Proxy-Status` of one request. */
async function ask(under: BalancerUnderTest): Promise<string> {
  const { status, head } = await (await under.connect()).exchange(get());
  return `${status} ${head.get('proxy-status') ?? ''}`.trim();
}

async function balance(
  t: TestContext, origin: string, options: TlsConnectOptions = {},
): Promise<BalancerUnderTest> {
  return startBalancer(t, {
    upstreams: [origin], ejectAfter: 0, connect: tlsConnect({ ca: good?.cert, ...options }),
  });
}

describe('a connection by tlsConnect', { skip }, () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`resumes the session of the one before, by ${version}`, async (t) => {
      const upstream = new TlsUpstream(t, { minVersion: version, maxVersion: version });
      const under = await balance(t, await upstream.origin());
      for (let i = 0; i < 4; i++) assert.equal(await ask(under), '200');
      // Servers of Node issue two tickets of TLS 1.3, and no new ones on resumption; each is used once.
      const fourth = version === 'TLSv1.2';
      assert.deepEqual(upstream.seen.map(({ resumed }) => resumed), [false, true, true, fourth]);
    });

    test(`makes a whole handshake where the upstream no longer knows the session, by ${version}`, async (t) => {
      const upstream = new TlsUpstream(t, { minVersion: version, maxVersion: version });
      const under = await balance(t, await upstream.origin());
      assert.equal(await ask(under), '200');
      upstream.changeKeys();
      for (let i = 0; i < 2; i++) assert.equal(await ask(under), '200');
      assert.deepEqual(upstream.seen.map(({ resumed }) => resumed), [false, false, true]);
    });

    test(`verifies the certificate anew after an hour of resumptions, by ${version}`, async (t) => {
      const upstream = new TlsUpstream(t, { minVersion: version, maxVersion: version });
      let now = 0;
      const connect = connectWith({ ca: good?.cert }, () => now);
      const under = await startBalancer(t, { upstreams: [await upstream.origin()], connect });
      for (const minutes of [0, 40, 59, 61, 62]) {
        now = minutes * 60_000;
        assert.equal(await ask(under), '200');
      }
      assert.deepEqual(upstream.seen.map(({ resumed }) => resumed), [false, true, true, false, true]);
    });

    test(`is refused each time if the name does not match: its sessions are not kept, by ${version}`, async (t) => {
      const upstream = new TlsUpstream(t, { ...elsewhere, minVersion: version, maxVersion: version });
      const origin = await upstream.origin();
      const under = await balance(t, origin, { ca: elsewhere?.cert });
      for (let i = 0; i < 3; i++) assert.equal(await ask(under), '502 equipoise; error=tls_certificate_error');
      assert.deepEqual(under.reports, Array<string>(3).fill(`TLS_CERTIFICATE_INVALID at ${origin}`));
      assert.ok(under.errors.every(({ cause }) => (
        (cause as NodeJS.ErrnoException).code === 'ERR_TLS_CERT_ALTNAME_INVALID')));
    });
  }

  test('does not depend on sessions after a handshake that failed', async (t) => {
    const upstream = new TlsUpstream(t);
    const to = Number(new URL(await upstream.origin()).port);
    let connections = 0;
    const sockets: net.Socket[] = [];
    const between = net.createServer((near) => {
      sockets.push(near.on('error', () => undefined));
      // The second connection is cut after its ClientHello.
      if (++connections === 2) near.once('data', () => near.resetAndDestroy());
      else sockets.push(near.pipe(net.connect(to, '127.0.0.1').on('error', () => undefined)).pipe(near));
    });
    await new Promise<void>((resolve) => {
      between.listen(0, '127.0.0.1', resolve);
    });
    atEnd(t, () => {
      between.close();
      for (const socket of sockets) socket.destroy();
    });
    const under = await balance(t, `https://localhost:${(between.address() as AddressInfo).port}`);
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await ask(under));
    assert.deepEqual(answers, ['200', '502 equipoise; error=connection_terminated', '200', '200']);
    assert.deepEqual(upstream.seen.map(({ resumed }) => resumed), [false, false, true]);
  });

  test('sends the host as the server name, and http/1.1 as the protocol', async (t) => {
    const upstream = new TlsUpstream(t, { ALPNProtocols: ['h2', 'http/1.1'] });
    assert.equal(await ask(await balance(t, await upstream.origin())), '200');
    const [{ name, alpn } = {}] = upstream.seen;
    assert.deepEqual([name, alpn], ['localhost', 'http/1.1']);
  });

  test('sends no name for an IP address, which the certificate must have', async (t) => {
    const upstream = new TlsUpstream(t);
    assert.equal(await ask(await balance(t, await upstream.origin('127.0.0.1'))), '200');
    assert.equal(upstream.seen[0]?.name, false);
    const other = await new TlsUpstream(t, elsewhere).origin('127.0.0.1');
    const under = await balance(t, other, { ca: elsewhere?.cert });
    assert.equal(await ask(under), '502 equipoise; error=tls_certificate_error');
  });

  test('sends and expects servername instead of the host', async (t) => {
    const upstream = new TlsUpstream(t, elsewhere);
    const under = await balance(t, await upstream.origin('127.0.0.1'), {
      ca: elsewhere?.cert, servername: 'other.example',
    });
    assert.equal(await ask(under), '200');
    assert.equal(upstream.seen[0]?.name, 'other.example');
  });

  test('shows its client certificate, also where it resumes', async (t) => {
    const upstream = new TlsUpstream(t, { requestCert: true, rejectUnauthorized: true, ca: own?.cert });
    const under = await balance(t, await upstream.origin(), { ...own });
    for (let i = 0; i < 2; i++) assert.equal(await ask(under), '200');
    assert.deepEqual(upstream.seen.map(({ resumed, client }) => [resumed, client]),
      [[false, 'localhost'], [true, 'localhost']]);
  });

  test('is refused for an expired or unknown certificate, unless verification is off', async (t) => {
    const origin = await new TlsUpstream(t, expired).origin();
    for (const options of [{ ca: expired?.cert }, { ca: undefined }]) {
      assert.equal(await ask(await balance(t, origin, options)), '502 equipoise; error=tls_certificate_error');
    }
    assert.equal(await ask(await balance(t, origin, { rejectUnauthorized: false })), '200');
  });

  test('is verified whatever NODE_TLS_REJECT_UNAUTHORIZED says', async (t) => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    atEnd(t, () => delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']);
    const under = await balance(t, await new TlsUpstream(t, elsewhere).origin(), { ca: elsewhere?.cert });
    assert.equal(await ask(under), '502 equipoise; error=tls_certificate_error');
  });

  test('fails with a handshake that does not end within connectTimeoutMs', async (t) => {
    const accepted = new Signal();
    let sockets = 0;
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined).once('data', () => {
        sockets++;
        accepted.raise();
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    atEnd(t, () => new Promise((resolve) => server.close(resolve)));
    const under = await balance(t, `https://localhost:${(server.address() as AddressInfo).port}`);
    const answer = ask(under);
    await accepted.until(() => sockets > 0, () => 'a ClientHello');
    await under.advance(6_000);
    assert.equal(await answer, '504 equipoise; error=connection_timeout');
  });
});

test('an upstream that is not https: is left to the balancer', () => {
  const lookup: net.LookupFunction = () => undefined;
  assert.equal(tlsConnect()({ origin: 'http://a', host: 'a', port: 80 }, { lookup }), undefined);
});

describe('tlsConnect refuses', () => {
  const cases: readonly (readonly [options: unknown, problem: RegExp])[] = [
    ['x', /tlsConnect: must get an object of options \(got "x"\)/],
    [{ CA: 'x' }, /tlsConnect: CA: unknown option;/],
    [{ servername: '127.0.0.1' }, /servername: must be a host name, e\.g\. "app\.internal", not an address/],
    [{ servername: 'a b' }, /servername: must be a host name/],
    [{ rejectUnauthorized: 0 }, /rejectUnauthorized: must be true or false \(got 0\)/],
    [{ checkServerIdentity: true }, /checkServerIdentity: must be a function \(got true\)/],
    [{ cert: 'x', key: 'y' }, /tlsConnect: cert, key: cannot be used: /],
    [{ minVersion: 'TLSv9' }, /tlsConnect: minVersion: cannot be used: /],
  ];
  for (const [options, problem] of cases) {
    test(JSON.stringify(options), () => {
      assert.throws(() => tlsConnect(options as TlsConnectOptions), { code: 'OPTIONS_INVALID', message: problem });
    });
  }
});
