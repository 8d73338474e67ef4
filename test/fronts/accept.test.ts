import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { startBalancer } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { adopt, type Client, get, post } from '../support/client.ts';
import { type FrontKind, serve } from '../support/fronts.ts';
import { pattern } from '../support/message.ts';
import { bytes, close, echo, halfClose, head, request, reset, startUpstream, when } from '../support/upstream.ts';
import { gate, within } from '../support/wait.ts';

const certificate = makeCertificate();
const skip = certificate === undefined && NO_OPENSSL;

/** The test's own TLS server, whose connections the balancer serves. */
const TLS: FrontKind = {
  name: 'accept with TLS',
  open: (balancer) => serve(tls.createServer({ ...certificate, ALPNProtocols: ['http/1.1'] }, balancer.accept)),
};

const PLAIN: FrontKind = {
  name: 'accept',
  open: (balancer) => serve(net.createServer({ allowHalfOpen: true }, balancer.accept)),
};

async function connectTls(t: TestContext, port: number): Promise<Client> {
  const socket = tls.connect({ host: '127.0.0.1', port, ...(certificate && { ca: certificate.cert }) });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve).once('error', reject);
  });
  return adopt(t, socket);
}

describe('connections that a TLS server has accepted', { skip }, () => {
  test('are served, and forwarded as https', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: TLS, forwarded: true });
    const client = await connectTls(t, under.port);
    assert.equal((await client.exchange(get('/1'))).text, '/1');
    assert.equal((await client.exchange(post('/2', 'hello'))).text, '/2');
    const [first] = upstream.requests;
    assert.equal(first?.head.get('x-forwarded-proto'), 'https');
    assert.equal(first.head.get('x-forwarded-for'), '127.0.0.1');
    assert.equal(first.head.get('forwarded'), 'for=127.0.0.1;host="example.test";proto=https');
  });

  test('carry large bodies both ways', async (t) => {
    const large = pattern(8 << 20);
    const upstream = await startUpstream(t, [async (peer) => {
      const { body } = await peer.request();
      peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.bytes.length}\r\n\r\n`);
      peer.send(body.bytes);
    }]);
    const under = await startBalancer(t, { upstreams: [upstream], front: TLS });
    const client = await connectTls(t, under.port);
    assert.deepEqual((await client.exchange(post('/', large))).bytes, large);
  });

  test('carry tunnels', async (t) => {
    const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';
    const upstream = await startUpstream(t, [[head, switched, bytes(2), 'ho', halfClose]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: TLS });
    const client = await connectTls(t, under.port);
    client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
    await client.head();
    client.send('hi');
    assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
    client.end();
    await under.settled(1);
  });

  test('are closed on request, after an answer that arrives whole', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: TLS });
    const client = await connectTls(t, under.port);
    assert.equal((await client.exchange(get('/1', 'Connection: close\r\n'))).text, '/1');
    assert.equal(await client.over(), 'end');
  });

  test('that break are cut, and cancel what they asked for', async (t) => {
    const upstream = await startUpstream(t, [[request], echo]);
    const under = await startBalancer(t, { upstreams: [upstream], front: TLS });
    const client = await connectTls(t, under.port);
    client.send(get());
    await upstream.read(1);
    client.destroy();
    await under.settled(1);
    assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_GONE');
    await upstream.gone(1);
  });

  test('end without close_notify where a body until close was cut: that is the only sign', async (t) => {
    for (const [way, finished] of [[reset, false], [close, true]] as const) {
      const read = gate();
      const upstream = await startUpstream(t, [[request, 'HTTP/1.1 200 OK\r\n\r\nhello', when(read.opened), way]]);
      const sockets: TLSSocket[] = [];
      const raw: Socket[] = [];
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front: {
          name: 'accept with TLS',
          open: (balancer) => serve(tls.createServer({ ...certificate }, (socket) => {
            sockets.push(socket);
            balancer.accept(socket);
          })),
        },
      });
      // The client's TLS speaks through a stream that counts the alerts that come.
      const wire = net.connect(under.port, '127.0.0.1');
      raw.push(wire);
      let records = Buffer.alloc(0);
      wire.on('data', (part) => {
        records = Buffer.concat([records, part]);
      });
      const socket = tls.connect({
        socket: tap(wire), ...(certificate && { ca: certificate.cert }), servername: 'localhost', maxVersion: 'TLSv1.2',
      });
      const client = adopt(t, socket);
      client.send('GET / HTTP/1.0\r\n\r\n');
      await client.inbox.until('hello');
      read.open();
      await client.over();
      wire.destroy();
      assert.equal(alerts(records) > 0, finished);
    }
  });
});

/** A stream over a socket that other code may listen to as well. */
function tap(socket: Socket): Duplex {
  const stream = new Duplex({
    read: () => undefined,
    write: (part: Buffer, _, done) => {
      socket.write(part, () => {
        done();
      });
    },
    final: (done) => {
      socket.end();
      done();
    },
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (part) => stream.push(part));
  socket.on('end', () => stream.push(null));
  socket.on('error', () => stream.destroy());
  return stream;
}

/** How many records of type alert (21, RFC 5246 §6.2.1) there are. */
function alerts(records: Buffer): number {
  let count = 0;
  for (let at = 0; at + 5 <= records.length; at += 5 + records.readUInt16BE(at + 3)) {
    if (records[at] === 21) count++;
  }
  return count;
}

describe('connections accepted elsewhere', () => {
  test('are served like our own', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: PLAIN });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/1'))).text, '/1');
    assert.equal(upstream.requests[0]?.head.get('x-forwarded-proto'), 'http');
  });

  test('are forgotten when they are closed already', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: PLAIN });
    const socket = new net.Socket();
    socket.destroy();
    await new Promise((resolve) => socket.once('close', resolve));
    under.balancer.accept(socket);
    const closed = under.balancer.close();
    await under.advance(250);
    assert.deepEqual(await within(closed, () => 'the balancer to close'), { cut: 0 });
  });
});
