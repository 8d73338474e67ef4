import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { echo, rawUpstream, REFUSING, startTcp } from '../support/tcp.ts';
import { atRest, turns } from '../support/wait.ts';

describe('a raw connection', () => {
  test('is relayed both ways, and told of when it is over', async (t) => {
    const upstream = await rawUpstream(t);
    const under = await startTcp(t, { upstreams: [upstream] });
    const client = await under.connect();
    const peer = await upstream.accepted();
    client.send('ping');
    assert.equal((await peer.inbox.exactly(4)).toString(), 'ping');
    peer.send('pong!');
    assert.equal((await client.inbox.exactly(5)).toString(), 'pong!');
    assert.equal(under.balancer.upstreams[0]?.inFlight, 1);
    client.end();
    assert.equal((await peer.inbox.rest()).length, 0);
    peer.end();
    assert.equal(await client.over(), 'end');
    await under.done(1);
    const [event] = under.finished;
    assert.ok(event !== undefined);
    const { id, upstream: at, startedAt, requestHeaders, ...rest } = event;
    assert.match(id, /^[\da-f-]{36}$/);
    assert.equal(at?.origin, upstream.origin);
    assert.ok(startedAt > 0);
    assert.deepEqual([...requestHeaders], []);
    assert.deepEqual(rest, {
      method: '', target: '', host: '', protocol: 'tcp', scheme: 'tcp', serverName: undefined,
      remoteAddress: '127.0.0.1', status: 200, code: undefined, pool: 'default', attempts: 1, bytesIn: 4, bytesOut: 5,
      queuedMs: 0, firstByteMs: 0, durationMs: 0, state: undefined,
    });
    assert.deepEqual(under.events, [`settled ${upstream.origin} ok`]);
    assert.deepEqual(under.reports, []);
  });

  test('may have a server that speaks first', async (t) => {
    const upstream = await rawUpstream(t, echo('220 ready\r\n'));
    const under = await startTcp(t, { upstreams: [upstream] });
    const client = await under.connect();
    assert.equal(await client.inbox.until('\r\n'), '220 ready\r\n');
  });

  for (const side of ['client', 'server'] as const) {
    test(`ends one way when the ${side} ends, and goes on the other way`, async (t) => {
      const upstream = await rawUpstream(t);
      const under = await startTcp(t, { upstreams: [upstream] });
      const ends = { client: await under.connect(), server: await upstream.accepted() };
      const [first, second] = side === 'client' ? [ends.client, ends.server] : [ends.server, ends.client];
      first.send('last words').end();
      assert.equal((await second.inbox.rest()).toString(), 'last words');
      for (let i = 0; i < 3; i++) {
        second.send(`more ${i}`);
        assert.equal((await first.inbox.exactly(6)).toString(), `more ${i}`);
      }
      assert.equal(under.finished.length, 0);
      second.end();
      assert.equal(await first.over(), 'end');
      await under.done(1);
      assert.equal(under.finished[0]?.code, undefined);
    });

    test(`is reset when the ${side} resets it`, async (t) => {
      const upstream = await rawUpstream(t);
      const under = await startTcp(t, { upstreams: [upstream], ejectAfter: 1 });
      const ends = { client: await under.connect(), server: await upstream.accepted() };
      const [first, second] = side === 'client' ? [ends.client, ends.server] : [ends.server, ends.client];
      first.send('x');
      await second.inbox.exactly(1);
      first.reset();
      assert.equal(await second.over(), 'reset');
      await under.done(1);
      const code = side === 'client' ? 'DOWNSTREAM_GONE' : 'RESPONSE_INCOMPLETE';
      assert.equal(under.finished[0]?.code, code);
      assert.equal(under.finished[0].status, 200);
      // A reset is the way in which many protocols end: it ejects nobody.
      assert.deepEqual(under.events, [`settled ${upstream.origin} ok ${code}`]);
    });
  }

  test('keeps what a client sends, and that it ends, until the upstream is connected', async (t) => {
    const upstream = await rawUpstream(t);
    const under = await startTcp(t, { upstreams: [REFUSING, upstream] });
    const client = await under.connect();
    client.send('early').end();
    const peer = await upstream.accepted();
    assert.equal((await peer.inbox.rest()).toString(), 'early');
    peer.send('late').end();
    assert.equal((await client.inbox.rest()).toString(), 'late');
    await under.done(1);
    assert.equal(under.finished[0]?.attempts, 2);
    assert.equal(under.finished[0].bytesIn, 5);
  });

  test('keeps what comes octet by octet in few buffers', async (t) => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const upstream = await rawUpstream(t);
    const under = await startTcp(t, { upstreams: [{ origin: upstream.origin, maxInFlight: 1 }], maxQueued: 1 });
    await under.connect();
    const before = await upstream.accepted();
    const client = new Duplex({ read: () => undefined, write: () => undefined });
    under.balancer.accept(client as unknown as Socket);
    const kept = Array.from({ length: 1_000 }, () => {
      const octet = Buffer.of(120);
      client.push(octet);
      return new WeakRef(octet);
    });
    await turns(5);
    collect();
    const left = kept.filter((octet) => octet.deref() !== undefined).length;
    assert.ok(left < 50, `${left} buffers are left`);
    before.reset();
    const peer = await upstream.accepted();
    assert.equal((await peer.inbox.exactly(1_000)).toString(), 'x'.repeat(1_000));
    client.destroy();
  });

  test('holds a sender back whose reader is slow, both ways', async (t) => {
    const upstream = await rawUpstream(t);
    const under = await startTcp(t, { upstreams: [upstream] });
    const [client, peer] = [await under.connect(), await upstream.accepted()];
    for (const [from, to] of [[client, peer], [peer, client]] as const) {
      to.socket.pause();
      let taken = 0;
      const piece = Buffer.alloc(65_536, 'x');
      const send = (): void => {
        from.socket.write(piece, () => {
          taken += piece.length;
          if (taken < 64 * 1_048_576) send();
        });
      };
      send();
      await atRest(() => taken);
      // What the kernel buffers on both connections, and one read of ours.
      assert.ok(taken < 32 * 1_048_576, `${taken} octets were taken that nobody reads`);
      await to.inbox.skip(64 * 1_048_576);
    }
    client.end();
    peer.end();
    await under.done(1);
    assert.equal(under.finished[0]?.bytesIn, 64 * 1_048_576);
    assert.equal(under.finished[0].bytesOut, 64 * 1_048_576);
  });

  test('is relayed octet by octet, whatever the sizes of its pieces', async (t) => {
    const upstream = await rawUpstream(t, echo());
    const under = await startTcp(t, { upstreams: [upstream] });
    const client = await under.connect();
    const [sent, back] = [createHash('sha256'), createHash('sha256')];
    const sizes = [1, 2, 100, 1_000, 8_191, 8_192, 8_193, 16_384, 65_535, 65_536, 65_537, 300_000, 3];
    const piece = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 255));
    for (const size of sizes) {
      sent.update(piece.subarray(0, size));
      client.send(piece.subarray(0, size));
    }
    client.end();
    back.update(await client.inbox.rest());
    assert.equal(back.digest('hex'), sent.digest('hex'));
  });

  test('is reset when it was silent both ways for idleTimeoutMs', async (t) => {
    const upstream = await rawUpstream(t);
    const under = await startTcp(t, { upstreams: [upstream], idleTimeoutMs: 1_000 });
    const [client, peer] = [await under.connect(), await upstream.accepted()];
    for (const [from, to] of [[client, peer], [peer, client]] as const) {
      await under.advance(900);
      from.send('x');
      await to.inbox.exactly(1);
    }
    await under.advance(900);
    assert.equal(under.finished.length, 0);
    await under.advance(200);
    assert.equal(await client.over(), 'reset');
    assert.equal(await peer.over(), 'reset');
    await under.done(1);
    assert.equal(under.finished[0]?.code, 'DOWNSTREAM_STALLED');
  });

  test('that a client gives up while it is dialled settles once', async (t) => {
    const under = await startTcp(t, { upstreams: ['tcp://127.0.0.1:1'], connect: () => undefined });
    const upstream = await rawUpstream(t);
    await under.balancer.update([upstream.origin]);
    const client = await under.connect();
    client.reset();
    await under.done(1);
    await turns(5);
    assert.equal(under.events.length, 1);
    assert.equal(under.finished[0]?.code, 'DOWNSTREAM_GONE');
  });
});
