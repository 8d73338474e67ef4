import assert from 'node:assert/strict';
import https from 'node:https';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { startBalancer } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { adopt, type Client, get, post } from '../support/client.ts';
import { type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { pattern } from '../support/message.ts';
import { bytes, echo, halfClose, head, startUpstream } from '../support/upstream.ts';

const certificate = makeCertificate();

const HTTPS: FrontKind = {
  name: 'node:https',
  open: (balancer) => {
    const server = https.createServer({ ...certificate, ...UNTIMED }, balancer.handle);
    return serve(server.on('upgrade', balancer.upgrade));
  },
};

async function connect(t: TestContext, port: number): Promise<Client> {
  const socket = tls.connect({ host: '127.0.0.1', port, ...(certificate && { ca: certificate.cert }) });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve).once('error', reject);
  });
  return adopt(t, socket);
}

describe('balancer.handle under node:https', { skip: certificate === undefined && NO_OPENSSL }, () => {
  test('serves requests, and forwards them as https', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: HTTPS });
    const client = await connect(t, under.port);
    assert.equal((await client.exchange(get('/1'))).text, '/1');
    assert.equal((await client.exchange(post('/2', pattern(500_000)))).text, '/2');
    assert.equal(upstream.requests[0]?.head.get('x-forwarded-proto'), 'https');
    assert.deepEqual(upstream.requests[1]?.body.bytes, pattern(500_000));
  });

  test('serves upgrades', async (t) => {
    const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';
    const upstream = await startUpstream(t, [[head, switched, bytes(2), 'ho', halfClose]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: HTTPS });
    const client = await connect(t, under.port);
    client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
    assert.match((await client.head()).line, /101/);
    client.send('hi');
    assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
    client.end();
    await under.settled(1);
  });
});
