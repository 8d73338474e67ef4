import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import type { Strategy } from '../../src/strategy.ts';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { atEnd } from '../support/scope.ts';
import { echo, rawUpstream, startTcp } from '../support/tcp.ts';
import { turns } from '../support/wait.ts';

const certificate = makeCertificate('DNS:localhost');
const needs = { skip: certificate === undefined ? NO_OPENSSL : false };

describe('the server name', () => {
  test('leads to a pool by a route, with TLS going through', needs, async (t) => {
    const [a, b, rest] = [await tlsUpstream(t, 'a'), await tlsUpstream(t, 'b'), await tlsUpstream(t, 'rest')];
    const under = await startTcp(t, {
      pools: { a: { upstreams: [a] }, b: { upstreams: [b] }, rest: { upstreams: [rest] } },
      routes: [{ serverName: 'A.example', pool: 'a' }, { serverName: '*.b.example', pool: 'b' }, { pool: 'rest' }],
    });
    for (const [name, pool] of [
      ['a.example', 'a'], ['x.b.example', 'b'], ['y.x.b.example', 'b'], ['b.example', 'rest'], ['c.example', 'rest'],
      ['', 'rest'],
    ] as const) {
      assert.equal(await greeting(t, under.port, name), pool, name);
      await under.done(1);
      const event = under.finished.pop();
      assert.equal(event?.serverName, name === '' ? undefined : name);
      assert.equal(event?.pool, pool);
    }
  });

  test('that no route has leads nowhere', async (t) => {
    const upstream = await rawUpstream(t, echo());
    const under = await startTcp(t, {
      pools: { a: { upstreams: [upstream.origin] } }, routes: [{ serverName: 'a.example', pool: 'a' }],
    });
    const client = await under.connect();
    client.send('not TLS');
    assert.equal(await client.over(), 'reset');
    await under.done(1);
    assert.equal(under.finished[0]?.code, 'NO_ROUTE');
    assert.equal(under.finished[0].pool, undefined);
    assert.deepEqual(under.events, ['refused NO_ROUTE 404']);
  });

  test('may come in any pieces', needs, async (t) => {
    const a = await tlsUpstream(t, 'a');
    const under = await startTcp(t, {
      pools: { a: { upstreams: [a] } }, routes: [{ serverName: 'a.example', pool: 'a' }], maxHeldBytes: 1,
    });
    // A relay that sends octet by octet at first.
    const relay = net.createServer((socket) => {
      const onward = net.connect({ port: under.port, host: '127.0.0.1', noDelay: true });
      socket.once('data', (bytes) => {
        socket.pause();
        void (async () => {
          for (const octet of bytes) {
            onward.write(Buffer.of(octet));
            await turns(1);
          }
          socket.pipe(onward);
        })();
      });
      onward.pipe(socket);
      for (const [one, other] of [[socket, onward], [onward, socket]] as const) {
        one.on('error', () => undefined).on('close', () => other.destroy());
      }
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    atEnd(t, () => relay.close());
    assert.equal(await greeting(t, (relay.address() as net.AddressInfo).port, 'a.example'), 'a');
  });

  test('is not waited for after helloTimeoutMs, so that a server can speak first', async (t) => {
    const [named, other] = [await rawUpstream(t), await rawUpstream(t, echo('220 ready\r\n'))];
    const under = await startTcp(t, {
      pools: { named: { upstreams: [named.origin] }, other: { upstreams: [other.origin] } },
      routes: [{ serverName: 'a.example', pool: 'named' }, { pool: 'other' }], helloTimeoutMs: 200,
    });
    const silent = await under.connect();
    await under.soon(() => under.connections.open === 1, 'the connection');
    await turns(10);
    assert.equal(other.count, 0);
    await under.advance(201);
    assert.equal(await silent.inbox.until('\r\n'), '220 ready\r\n');
    // What is not TLS is known by its first octet, and so is one that ends at once.
    const plain = await under.connect();
    plain.send('EHLO x\r\n');
    assert.equal(await plain.inbox.until('x\r\n'), '220 ready\r\nEHLO x\r\n');
    const ends = await under.connect();
    ends.end();
    assert.equal((await ends.inbox.rest()).toString(), '220 ready\r\n');
    // Half of a hello.
    const half = await under.connect();
    half.send(Buffer.from('160301', 'hex')).end();
    assert.equal((await half.inbox.rest()).toString('hex'), Buffer.from('220 ready\r\n').toString('hex') + '160301');
  });

  test('is looked for where the strategy asks for it, and nowhere else', needs, async (t) => {
    const [a, b] = [await tlsUpstream(t, 'a'), await tlsUpstream(t, 'b')];
    const asked: (string | undefined)[] = [];
    const byName: Strategy = {
      name: 'by name',
      pick: (candidates, { serverName }) => {
        asked.push(serverName);
        if (serverName === undefined) throw new Error('no name');
        return candidates.find(({ tags }) => tags['name'] === serverName);
      },
    };
    const under = await startTcp(t, {
      upstreams: [{ origin: a, tags: { name: 'a.example' } }, { origin: b, tags: { name: 'b.example' } }],
      strategy: byName,
    });
    assert.equal(await greeting(t, under.port, 'b.example'), 'b');
    assert.equal(await greeting(t, under.port, 'a.example'), 'a');
    // The first pick was asked for again; no fault of it is reported, and later ones have the name.
    assert.deepEqual(asked, [undefined, 'b.example', 'a.example']);
    assert.deepEqual(under.reports, []);
    // No name is there to be found: now the fault counts.
    const plain = await under.connect();
    plain.send('plain');
    assert.equal(await plain.over(), 'reset');
    assert.deepEqual(under.reports, ['STRATEGY_FAILED']);
    // Another one does not ask: a server that speaks first is connected at once.
    const other = await startTcp(t, { upstreams: [await rawUpstream(t, echo('220\n'))] });
    assert.equal(await (await other.connect()).inbox.until('\n'), '220\n');
  });

  test('is that of a TLS server of the embedder, which ends TLS', needs, async (t) => {
    const [a, rest] = [await rawUpstream(t, echo('a\n')), await rawUpstream(t, echo('rest\n'))];
    const under = await startTcp(t, {
      pools: { a: { upstreams: [a.origin] }, rest: { upstreams: [rest.origin] } },
      routes: [{ serverName: 'a.example', pool: 'a' }, { pool: 'rest' }],
    });
    const server = tls.createServer({ ...certificate }).on('secureConnection', under.balancer.accept);
    const address = await under.balancer.serve(server, { port: 0, host: '127.0.0.1' });
    assert.ok(typeof address === 'object');
    const socket = tls.connect({ port: address.port, host: '127.0.0.1', servername: 'a.example', ...insecure });
    atEnd(t, () => socket.destroy());
    socket.end('hello\n');
    let text = '';
    for await (const piece of socket.setEncoding('utf8')) text += String(piece);
    assert.equal(text, 'a\nhello\n');
    await under.done(1);
    assert.equal(under.finished[0]?.code, undefined);
    assert.equal(under.finished[0]?.serverName, 'a.example');
  });
});

const insecure = { rejectUnauthorized: false };

/** A TLS server that says its name. Returns its origin. */
async function tlsUpstream(t: TestContext, name: string): Promise<string> {
  const server = tls.createServer({ ...certificate }, (socket) => {
    socket.on('error', () => undefined).end(name);
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => new Promise((resolve) => server.close(resolve)));
  return `tcp://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

/** What a server says to a client that asks for it by this name. */
async function greeting(t: TestContext, port: number, servername: string): Promise<string> {
  const name = servername === '' ? {} : { servername };
  const socket = tls.connect({ port, host: '127.0.0.1', ...name, ...insecure });
  atEnd(t, () => socket.destroy());
  let text = '';
  for await (const piece of socket.setEncoding('utf8')) text += String(piece);
  return text;
}
