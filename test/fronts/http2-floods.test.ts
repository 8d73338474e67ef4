/**
 * Clients that abuse HTTP/2: frames and streams that cost them little. After each attack nothing is in flight, and
 * others are served as before.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { createHttp2Server } from '../../src/cli/http2.ts';
import type { TestOptions } from '../support/balancer.ts';
import { serve } from '../support/fronts.ts';
import { ask, H2C, type Http2Kind, startHttp2 } from '../support/http2.ts';
import {
  block, CANCEL, connectFrames, CONTINUATION, DATA, END_STREAM, ENHANCE_YOUR_CALM, frame, get, HEADERS, PING, post,
  pseudo, RST_STREAM, SETTINGS, settings, uint32, WINDOW_UPDATE,
} from '../support/http2-frames.ts';
import { pattern } from '../support/message.ts';
import { type Peer, request, response, type Script, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

/** The server of the binary, but for TLS. */
const BINARY: Http2Kind = {
  ...H2C,
  name: 'the server of the binary',
  open: (balancer) => serve(createHttp2Server(balancer)),
};

/** Answers `/next`, and nothing else. */
const silent = async (peer: Peer): Promise<void> => {
  for (;;) if ((await peer.request()).head.line.includes('/next')) peer.send(response('fine'));
};

async function start(
  t: TestContext, kind: Http2Kind, script: readonly Script[] | ((peer: Peer) => unknown) = silent,
  options: Partial<TestOptions> = {},
) {
  const upstream = await startUpstream(t, script);
  const { under, session } = await startHttp2(t, kind, [upstream], options);
  return { upstream, under, session, client: await connectFrames(t, under.port) };
}

/** Others are served, and nothing of the attack is left. */
async function calm({ under, session }: Awaited<ReturnType<typeof start>>): Promise<void> {
  assert.equal((await ask(session, { ':path': '/next' })).body.toString(), 'fine');
  const inFlight = (): number => under.balancer.upstreams.reduce((sum, one) => sum + one.inFlight, 0);
  for (let i = 0; i < 1_000 && inFlight() > 0; i++) await turns(1);
  assert.equal(inFlight(), 0);
}

const reset = (stream: number): Buffer => frame(RST_STREAM, 0, stream, uint32(CANCEL));

for (const kind of [H2C, BINARY]) {
  describe(`an attack on ${kind.name}`, () => {
    test('streams that are opened and reset at once (CVE-2023-44487): GOAWAY, ENHANCE_YOUR_CALM', async (t) => {
      const under = await start(t, kind);
      const { client, upstream } = under;
      for (let i = 0; i < 20 && !client.closed; i++) {
        const first = 100 * i + 1;
        client.send(...Array.from({ length: 50 }, (_, j) => [get(first + 2 * j), reset(first + 2 * j)]).flat());
        await client.ping();
      }
      assert.deepEqual(await client.over(), [ENHANCE_YOUR_CALM]);
      // Those that are reset in the read that brings them cost no attempt.
      assert.ok(upstream.requests.length < 250, `${upstream.requests.length} requests got through`);
      assert.ok(under.under.reports.includes('DOWNSTREAM_GONE'));
      await calm(under);
    });

    test('streams that are reset once their attempt is under way', async (t) => {
      const under = await start(t, kind);
      const { client } = under;
      for (let i = 0; i < 60 && !client.closed; i++) {
        const streams = Array.from({ length: 5 }, (_, j) => 10 * i + 2 * j + 1);
        client.send(...streams.map((stream) => get(stream)));
        await client.ping();
        client.send(...streams.map(reset));
        await client.ping();
      }
      assert.deepEqual(await client.over(), [ENHANCE_YOUR_CALM]);
      await calm(under);
    });

    test('as many resets as answers are no attack', async (t) => {
      const under = await start(t, kind);
      const { client } = under;
      for (let i = 0; i < 300; i++) {
        client.send(get(4 * i + 1), get(4 * i + 3, '/next'));
        await client.frame(HEADERS, 4 * i + 3);
        client.send(reset(4 * i + 1));
        client.frames.length = 0;
      }
      await client.ping();
      assert.equal(client.closed, false);
      await calm(under);
    });

    test('uploads that are reset: each ends its attempt', async (t) => {
      const under = await start(t, kind);
      const { client, upstream } = under;
      const streams = Array.from({ length: 50 }, (_, i) => 2 * i + 1);
      client.send(...streams.map((stream) => post(stream)), ...streams.map((stream) => frame(DATA, 0, stream, 'half')));
      await under.under.picked(50);
      client.send(...streams.map(reset));
      await under.under.settled(50);
      assert.ok(under.under.outcomes.every(({ error }) => error === 'DOWNSTREAM_GONE'));
      assert.equal(upstream.requests.length, 0);
      await calm(under);
    });

    test('SETTINGS and PING without end, and no answer is read', async (t) => {
      for (const flood of [settings([3, 100]), frame(PING, 0, 0, 'pingpong')]) {
        const under = await start(t, kind);
        const { client } = under;
        client.socket.pause();
        for (let i = 0; i < 200 && !client.closed; i++) {
          client.send(...Array.from({ length: 500 }, () => flood));
          await turns(1);
        }
        client.socket.resume();
        // Either it is ended, or it is answered as fast as it reads.
        await client.ping();
        await calm(under);
      }
    });

    test('CONTINUATION without end (CVE-2024-27983): ended, and nothing is picked', async (t) => {
      const under = await start(t, kind);
      const { client } = under;
      client.send(frame(HEADERS, END_STREAM, 1, block(pseudo('GET', '/'))));
      const more = frame(CONTINUATION, 0, 1, block([['x-more', 'v'.repeat(1_000)]]));
      for (let i = 0; i < 2_000 && !client.closed; i++) {
        client.send(more);
        // It would not see the GOAWAY if it wrote to the closed connection first.
        await turns(1);
      }
      assert.notEqual(await client.failure(), 0);
      assert.equal(under.under.picks.length, 0);
      await calm(under);
    });

    test('empty DATA without end (CVE-2019-9518): ended', async (t) => {
      const under = await start(t, kind);
      const { client } = under;
      client.send(post(1));
      const empty = Buffer.concat(Array.from({ length: 200 }, () => frame(DATA, 0, 1)));
      for (let i = 0; i < 100 && !client.closed; i++) {
        client.send(empty);
        await turns(1);
      }
      assert.notEqual(await client.failure(), 0);
      await calm(under);
    });

    test('no window: 64 large responses wait in little memory, and are ended in time', async (t) => {
      const body = pattern(1 << 20);
      let sent = 0;
      const under = await start(t, kind, async (peer) => {
        const { head: { line } } = await peer.request();
        if (line.includes('/next')) {
          peer.send(response('fine'));
          return;
        }
        peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${1 << 30}\r\n\r\n`);
        for (let i = 0; i < 1_024; i++, sent++) await peer.push(body);
      }, { idleTimeoutMs: 5_000 });
      const { client } = under;
      // SETTINGS_INITIAL_WINDOW_SIZE
      client.send(settings([4, 0]));
      const streams = Array.from({ length: 64 }, (_, i) => 2 * i + 1);
      client.send(...streams.map((stream) => get(stream)));
      await client.frame(HEADERS, 127);
      await turns(200);
      // What the kernel holds for each connection, and no more.
      assert.ok(sent < 64 * 16, `${sent} MiB were taken from the upstream`);
      await under.under.advance(4_000);
      assert.equal(under.under.balancer.upstreams[0]?.inFlight, 64);
      for (let i = 0; i < 8; i++) await under.under.advance(1_000);
      await under.under.settled(64);
      assert.ok(under.under.outcomes.every(({ error }) => error === 'DOWNSTREAM_STALLED'));
      await client.frame(RST_STREAM, 1);
      await calm(under);
    });

    test('a window that grows by an octet is too slow', async (t) => {
      const under = await start(t, kind, [[request, response('x'.repeat(500_000))], silent], {
        idleTimeoutMs: 5_000, minBodyBytesPerSecond: 1_000,
      });
      const { client } = under;
      client.send(settings([4, 0]), get(1));
      await client.frame(HEADERS, 1);
      for (let i = 0; i < 30 && under.under.outcomes.length === 0; i++) {
        client.send(frame(WINDOW_UPDATE, 0, 1, uint32(1)));
        await client.ping();
        await under.under.advance(1_000);
      }
      assert.equal(under.under.outcomes[0]?.error, 'DOWNSTREAM_STALLED');
      await calm(under);
    });
  });
}

test('streams beyond maxConcurrentStreams go no further', async (t) => {
  const under = await start(t, BINARY);
  const { client } = under;
  const { payload } = await client.frame(SETTINGS);
  assert.equal(payload.readUInt32BE(payload.indexOf(Buffer.from([0, 3])) + 2), 128);
  // The limit counts once the client has acknowledged it: to exceed it is an error of the connection (RFC 9113 §5.1.2).
  await client.ping();
  client.send(...Array.from({ length: 200 }, (_, i) => get(2 * i + 1)));
  await client.failure();
  assert.ok(under.under.picks.length <= 128);
  await calm(under);
});

test('a client that keeps to it has all of its requests served', async (t) => {
  const { session } = await start(t, BINARY, async (peer) => {
    for (;;) peer.send(response((await peer.request()).head.line));
  });
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => ask(session, { ':path': `/${i}` })));
  assert.ok(answers.every(({ body }, i) => body.toString() === `GET /${i} HTTP/1.1`));
});
