/**
 * libuv reports a reset that it notices together with earlier data as an end. For a body that only the end of
 * the connection ends, and for a tunnel, the balancer still tells the two apart.
 */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { endOrReset } from '../../src/streams/end-or-reset.ts';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { type Client, get } from '../support/client.ts';
import { UPGRADE } from '../support/fault-row.ts';
import { FRONTS } from '../support/fronts.ts';
import { Broken } from '../support/message.ts';
import { atEnd } from '../support/scope.ts';
import { type Peer, type ScriptedUpstream, startUpstream } from '../support/upstream.ts';

const ROUNDS = 60;
const UNTIL_CLOSE = 'HTTP/1.1 200 OK\r\n\r\n';
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';

/** How the upstream ends its connection, all in one go, so that the balancer notices it together with the data. */
const WAYS: Readonly<Record<string, (socket: Socket, data: string) => void>> = {
  'resets': (socket, data) => {
    socket.write(data, 'latin1');
    socket.resetAndDestroy();
  },
  'closes': (socket, data) => {
    socket.end(data, 'latin1');
    socket.destroySoon();
  },
  'half-closes, and reads on': (socket, data) => {
    socket.end(data, 'latin1');
  },
};

/** Reads the body that ends with the connection. */
async function body(client: Client): Promise<string> {
  try {
    const { text } = await client.response();
    return `whole ${text}`;
  } catch (cause) {
    if (!(cause instanceof Broken)) throw cause;
    return 'cut';
  }
}

/** Starts an upstream that reads requests, and does on its next turn what the target says. */
function start(t: TestContext): Promise<ScriptedUpstream> {
  return startUpstream(t, async (peer: Peer) => {
    const { head } = await peer.request();
    const way = WAYS[decodeURIComponent(head.line.split(' ')[1] ?? '').slice(1)];
    if (head.get('upgrade') === undefined) way?.(peer.socket, `${UNTIL_CLOSE}hello`);
    else {
      peer.send(SWITCHED);
      await peer.bytes(4);
      way?.(peer.socket, 'hello');
    }
  });
}

async function asks(under: BalancerUnderTest, way: string): Promise<string> {
  const client = await under.connect();
  client.send(get(`/${encodeURIComponent(way)}`));
  const got = await body(client);
  client.destroy();
  await under.settled(under.picks.length);
  return got;
}

for (const front of FRONTS) {
  describe(`the end of a body until close, through ${front.name}`, () => {
    for (const way of Object.keys(WAYS)) {
      const expected = way === 'resets' ? 'cut' : 'whole hello';
      test(`where the upstream ${way}: ${expected}`, async (t) => {
        const upstream = await start(t);
        const under = await startBalancer(t, { upstreams: [upstream], front, ejectAfter: 0 });
        for (let i = 0; i < ROUNDS; i++) assert.equal(await asks(under, way), expected, `round ${i}`);
        const outcomes = new Set(under.outcomes.map(({ ok, error }) => `${ok} ${error}`));
        assert.deepEqual([...outcomes], [way === 'resets' ? 'false RESPONSE_INCOMPLETE' : 'true undefined']);
      });
    }

    test('where the upstream ends cleanly, then resets the rest of the request: whole', async (t) => {
      const upstream = await startUpstream(t, async (peer) => {
        await peer.head();
        // All of the upload but its start is unread, and more comes, when the socket is closed.
        peer.socket.pause();
        peer.socket.end(`${UNTIL_CLOSE}hello`);
      });
      const under = await startBalancer(t, { upstreams: [upstream], front, ejectAfter: 0 });
      for (let i = 0; i < 10; i++) {
        const client = await under.connect();
        client.send(`${get('/', 'Content-Length: 8000000\r\n', 'POST')}some`).send(Buffer.alloc(2_000_000));
        const head = await client.head();
        assert.match(head.line, / 200 /);
        await client.inbox.until('hello');
        client.destroy();
        upstream.peers.at(-1)?.socket.destroy();
        await under.settled(i + 1);
      }
    });
  });

  describe(`the end of a tunnel, through ${front.name}`, () => {
    const ways = [['resets', 'RESPONSE_INCOMPLETE'], ['half-closes, and reads on', undefined]] as const;
    for (const [way, expected] of ways) {
      test(`where the upstream ${way}: ${expected ?? 'no error'}`, async (t) => {
        const upstream = await start(t);
        const under = await startBalancer(t, { upstreams: [upstream], front, ejectAfter: 0 });
        for (let i = 0; i < ROUNDS; i++) {
          const client = await under.connect();
          client.send(get(`/${encodeURIComponent(way)}`, UPGRADE));
          await client.head();
          client.send('ping');
          // A reset that the client notices together with the data looks like an end to it as well.
          const how = await client.over();
          client.end();
          await under.settled(i + 1);
          client.destroy();
          assert.equal(under.outcomes[i]?.error, expected, `round ${i}`);
          if (expected === undefined) assert.equal(how, 'end');
        }
      });
    }

    for (const [way, error, heard] of [
      ['resets', 'DOWNSTREAM_GONE', 'reset'], ['half-closes, and reads on', undefined, 'end'],
    ] as const) {
      test(`where the downstream ${way}: the upstream sees ${heard}`, async (t) => {
        const ends: Promise<string>[] = [];
        const upstream = await startUpstream(t, async (peer) => {
          await peer.head();
          ends.push(endOf(peer.socket));
          peer.send(SWITCHED);
        });
        const under = await startBalancer(t, { upstreams: [upstream], front, ejectAfter: 0 });
        for (let i = 0; i < ROUNDS; i++) {
          const client = await under.connect();
          client.send(get('/', UPGRADE));
          await client.head();
          breaks(client, way);
          assert.equal(await ends[i], heard, `round ${i}`);
          upstream.peers.at(-1)?.socket.end();
          await under.settled(i + 1);
          client.destroy();
          assert.equal(under.outcomes[i]?.error, error, `round ${i}`);
        }
      });
    }
  });
}

function breaks({ socket }: Client, way: string): void {
  assert.ok(socket instanceof Socket);
  WAYS[way]?.(socket, 'hello');
}

/** How the other side of a socket ended. */
function endOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on('error', () => {
      resolve('reset');
    });
    socket.on('end', () => {
      // It may be noticed together with data here as well.
      endOrReset(socket, (error) => {
        resolve(error?.code === 'ECONNRESET' ? 'reset' : 'end');
      });
    });
  });
}

const certificate = makeCertificate();

describe('the end of a body until close, over TLS', { skip: certificate === undefined && NO_OPENSSL }, () => {
  for (const way of ['resets', 'ends'] as const) {
    test(`where the upstream ${way}`, async (t) => {
      const under = await tlsUpstream(t, way);
      for (let i = 0; i < 20; i++) {
        const got = await asks(under, way);
        assert.equal(got, way === 'ends' ? 'whole hello' : 'cut', `round ${i}`);
      }
    });
  }
});

async function tlsUpstream(t: TestContext, way: 'resets' | 'ends'): Promise<BalancerUnderTest> {
  const server = tls.createServer({ ...certificate });
  server.on('connection', (raw: Socket) => {
    server.once('secureConnection', (socket: tls.TLSSocket) => {
      socket.on('error', () => undefined).once('data', () => {
        if (way === 'ends') socket.end(`${UNTIL_CLOSE}hello`);
        else {
          socket.write(`${UNTIL_CLOSE}hello`, () => {
            raw.resetAndDestroy();
          });
        }
      });
    });
  });
  atEnd(t, () => new Promise((resolve) => server.close(resolve)));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { readonly port: number };
  return startBalancer(t, {
    upstreams: [`https://127.0.0.1:${port}`], ejectAfter: 0,
    connect: ({ host, port: at }) => tls.connect({ host, port: at, ...(certificate && { ca: certificate.cert }) }),
  });
}
