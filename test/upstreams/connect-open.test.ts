/**
 * When a stream of the option `connect` is used: at once if it is open, otherwise when it emits that it is.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net, { type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { BalancerOptions } from '../../src/options/options.ts';
import { startBalancer } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { atEnd } from '../support/scope.ts';
import { response } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

type Connect = NonNullable<BalancerOptions['connect']>;
const certificate = makeCertificate();

/** Answers each read with one response: requests here are small and arrive whole. */
function answering(stream: Duplex): void {
  stream.on('data', () => stream.write(response('served'))).on('error', () => undefined);
}

/** Makes a server listen. Returns its port. */
async function listening(t: TestContext, server: net.Server): Promise<number> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
  });
  atEnd(t, () => new Promise((resolve) => {
    server.close(resolve);
    for (const socket of open) socket.destroy();
  }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Two connected streams that emit no event of a connection. */
function pair(): [Duplex, Duplex] {
  const ends: Duplex[] = [0, 1].map((at) => new Duplex({
    read: () => undefined,
    write: (chunk, _, done) => {
      ends[1 - at]?.push(chunk);
      done();
    },
    final: (done) => {
      ends[1 - at]?.push(null);
      done();
    },
  }));
  return ends as [Duplex, Duplex];
}

const tlsTo = (port: number): tls.TLSSocket => {
  return tls.connect({ host: '127.0.0.1', port, ...(certificate && { ca: certificate.cert }) });
};

/** Ways to make the stream that connect returns. */
const STREAMS: readonly [name: string, make: (t: TestContext) => Promise<Duplex>, needs?: 'openssl'][] = [
  ['a pair of streams', () => {
    const [ours, theirs] = pair();
    answering(theirs);
    return Promise.resolve(ours);
  }],
  ['a paused stream', () => {
    const [ours, theirs] = pair();
    answering(theirs);
    return Promise.resolve(ours.pause());
  }],
  ['a socket that is open', async (t) => {
    const socket = net.connect(await listening(t, net.createServer(answering)), '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  }],
  ['a socket that is connecting', async (t) => {
    return net.connect(await listening(t, net.createServer(answering)), '127.0.0.1');
  }],
  ['a socket that has yet to be told where to connect', async (t) => {
    const port = await listening(t, net.createServer(answering));
    const socket = new net.Socket();
    void turns(3).then(() => socket.connect(port, '127.0.0.1'));
    return socket;
  }],
  ['a TLS socket that is open', async (t) => {
    const socket = tlsTo(await listening(t, tls.createServer({ ...certificate }, answering)));
    await once(socket, 'secureConnect');
    return socket;
  }, 'openssl'],
  ['a TLS socket that is connecting', async (t) => {
    return tlsTo(await listening(t, tls.createServer({ ...certificate }, answering)));
  }, 'openssl'],
  ['a TLS socket over a socket that is open', async (t) => {
    const port = await listening(t, tls.createServer({ ...certificate }, answering));
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return tls.connect({ socket, host: '127.0.0.1', ...(certificate && { ca: certificate.cert }) });
  }, 'openssl'],
  ['a TLS socket of its own making, in its handshake', async (t) => {
    const port = await listening(t, tls.createServer({ ...certificate }, answering));
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const secure = new tls.TLSSocket(socket, { isServer: false });
    // Its handshake begins with the first write.
    secure.write('');
    return secure;
  }, 'openssl'],
  ['a TLS socket of its own making, with its handshake done', async (t) => {
    const port = await listening(t, tls.createServer({ ...certificate }, answering));
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const secure = new tls.TLSSocket(socket, { isServer: false });
    secure.write('');
    await once(secure, 'secure');
    return secure;
  }, 'openssl'],
  ['a stream of HTTP/2 whose session is connecting', (t) => tunnelled(t, false)],
  ['a stream of HTTP/2 that is open', (t) => tunnelled(t, true)],
];

/** A tunnel through an HTTP/2 server that answers in it. */
async function tunnelled(t: TestContext, open: boolean): Promise<Duplex> {
  const server = http2.createServer().on('stream', (stream) => {
    stream.respond({ ':status': 200 });
    answering(stream);
  });
  const session = http2.connect(`http://127.0.0.1:${await listening(t, server)}`);
  session.on('error', () => undefined);
  atEnd(t, () => {
    session.destroy();
  });
  if (open) await once(session, 'connect');
  const stream = session.request({ ':method': 'CONNECT', ':authority': 'a.test:80' });
  if (open) await once(stream, 'response');
  return stream;
}

for (const front of FRONTS) {
  describe(`connect may return, through ${front.name},`, () => {
    for (const [name, make, needs] of STREAMS) {
      test(name, { skip: needs !== undefined && certificate === undefined && NO_OPENSSL }, async (t) => {
        const stream = await make(t);
        atEnd(t, () => {
          stream.destroy();
        });
        const under = await startBalancer(t, {
          upstreams: ['http://a.test'], front, connect: () => stream, ejectAfter: 1, maxAttempts: 1,
        });
        const client = await under.connect();
        assert.equal((await client.exchange(get('/1'))).text, 'served');
        assert.equal((await client.exchange(get('/2'))).text, 'served', 'and it is kept');
        assert.deepEqual(under.reports, []);
      });
    }
  });
}

describe('a stream that is not open yet', () => {
  const connect: Connect = () => Object.assign(pair()[0], { connecting: true });
  for (const event of ['connect', 'ready'] as const) {
    test(`is used when it emits '${event}', and once`, async (t) => {
      const [ours, theirs] = pair();
      let got = '';
      theirs.on('data', (bytes: Buffer) => {
        got += bytes.toString();
        theirs.write(response('served'));
      });
      const under = await startBalancer(t, {
        upstreams: ['http://a.test'], connect: () => Object.assign(ours, { connecting: true }),
      });
      const client = await under.connect();
      client.send(get('/1'));
      await under.picked(1);
      await turns(3);
      assert.equal(got, '');
      ours.emit(event);
      ours.emit('connect');
      ours.emit('ready');
      assert.equal((await client.response()).text, 'served');
      assert.equal(got.match(/GET \/1/g)?.length, 1);
    });
  }

  test('is given up when that takes too long', async (t) => {
    const under = await startBalancer(t, { upstreams: ['http://a.test'], connect });
    const client = await under.connect();
    client.send(get());
    await under.picked(1);
    await under.advance(5_000);
    assert.equal((await client.response()).status, 504);
  });
});

test('no-delay is set on any stream that has it: small pieces would wait for the delayed ACK', async (t) => {
  const set: unknown[] = [];
  const [ours, theirs] = pair();
  answering(theirs);
  Object.assign(ours, { setNoDelay: (...given: unknown[]) => set.push(given) });
  const under = await startBalancer(t, { upstreams: ['http://a.test'], connect: () => ours });
  assert.equal((await (await under.connect()).exchange(get())).status, 200);
  assert.deepEqual(set, [[true]]);
});
