/**
 * What Proxy-Status (RFC 9209 §2.3) says when TLS to an upstream fails, with real certificates and handshakes.
 */
import assert from 'node:assert/strict';
import net, { type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { startBalancer } from '../support/balancer.ts';
import { type Certificate, makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { atEnd } from '../support/scope.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const good = makeCertificate();
const other = makeCertificate();
const expired = makeCertificate(undefined, -1);
const elsewhere = makeCertificate('DNS:other.example');

interface Case {
  readonly name: string;
  readonly code: string;
  readonly type: string;
  readonly certificate?: Certificate | undefined;
  readonly server?: tls.TlsOptions;
  readonly client?: tls.ConnectionOptions;
  /** Instead of TLS. */
  readonly plain?: (socket: Socket) => void;
}

const UNTRUSTED = { code: 'TLS_CERTIFICATE_INVALID', type: 'tls_certificate_error' } as const;
const ALERT = { code: 'TLS_ALERT_RECEIVED', type: 'tls_alert_received' } as const;
const CLOSED = { code: 'CONNECT_CLOSED', type: 'connection_terminated' } as const;

const CASES: readonly Case[] = [
  { name: 'a certificate signed by itself', ...UNTRUSTED, client: { ca: undefined } },
  { name: 'a certificate of an unknown authority', ...UNTRUSTED, client: { ca: other?.cert } },
  { name: 'an expired certificate', ...UNTRUSTED, certificate: expired, client: { ca: expired?.cert } },
  { name: 'the certificate of another host', ...UNTRUSTED, certificate: elsewhere, client: { ca: elsewhere?.cert } },
  {
    name: 'a certificate that the embedder does not accept', ...UNTRUSTED,
    client: { checkServerIdentity: () => new Error('not one of ours') },
  },
  {
    name: 'an answer in plain text', code: 'TLS_HANDSHAKE_FAILED', type: 'tls_protocol_error',
    plain: (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
  },
  { name: 'no version in common', ...ALERT, server: { minVersion: 'TLSv1.3' }, client: { maxVersion: 'TLSv1.2' } },
  {
    name: 'no cipher in common', ...ALERT,
    server: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
    client: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' },
  },
  {
    name: 'no protocol in common', ...ALERT, server: { ALPNProtocols: ['h2'] }, client: { ALPNProtocols: ['http/1.1'] },
  },
  {
    name: 'no client certificate where one is required, by TLS 1.2', ...ALERT,
    server: { requestCert: true, rejectUnauthorized: true, maxVersion: 'TLSv1.2' },
  },
  { name: 'a reset in the handshake', ...CLOSED, plain: (socket) => socket.resetAndDestroy() },
  { name: 'an end in the handshake', ...CLOSED, plain: (socket) => socket.end() },
];

/** An upstream with this certificate, which fails as the case says. */
async function start(t: TestContext, { certificate = good, server: options, plain }: Case): Promise<string> {
  const server = plain === undefined
    ? tls.createServer({ ...certificate, ...options }, (socket) => {
      socket.on('error', () => undefined).resume();
    }).on('tlsClientError', () => undefined)
    : net.createServer((socket) => {
      socket.on('error', () => undefined).once('data', () => {
        plain(socket);
      });
    });
  atEnd(t, () => new Promise((resolve) => server.close(resolve)));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const skip = good === undefined && NO_OPENSSL;

for (const front of FRONTS) {
  describe(`an upstream over TLS with, through ${front.name},`, { skip }, () => {
    for (const one of CASES) {
      const { name, code, type, client } = one;
      test(`${name}: ${type}, and another one serves`, async (t) => {
        const origin = await start(t, one);
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, {
          upstreams: [origin, upstream], front, ejectAfter: 0,
          connect: (to) => to.origin !== origin ? undefined
            : tls.connect({ host: to.host, port: to.port, ca: good?.cert, ...client }),
        });
        assert.equal((await (await under.connect()).exchange(post('/b', 'body'))).text, '/b');
        assert.deepEqual(under.reports, [`${code} at ${origin}`]);
        await under.balancer.remove(upstream.origin);
        const answer = await (await under.connect()).exchange(get());
        assert.equal(answer.status, 502);
        assert.equal(answer.head.get('proxy-status'), `equipoise; error=${type}`);
        assert.deepEqual(under.reports.slice(1), [`${code} at ${origin}`]);
      });
    }

    test('no client certificate where one is required, by TLS 1.3: known only after the handshake', async (t) => {
      const origin = await start(t, {
        name: '', code: '', type: '', server: { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
      });
      const under = await startBalancer(t, {
        upstreams: [origin], front, ejectAfter: 0,
        connect: ({ host, port }) => tls.connect({ host, port, ca: good?.cert }),
      });
      const answer = await (await under.connect()).exchange(post('/', 'body'));
      assert.equal(answer.head.get('proxy-status'), 'equipoise; error=tls_alert_received');
      assert.deepEqual(under.reports, [`TLS_SESSION_ENDED at ${origin}`]);
    });
  });
}
