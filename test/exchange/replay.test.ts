import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BalancerUnderTest, first, startBalancer } from '../support/balancer.ts';
import { type Client, get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { chunked, pattern } from '../support/message.ts';
import { BUSY } from '../support/replies.ts';
import { neverConnects } from '../support/streams.ts';
import {
  bytes, close, head, refusingOrigin, request, response, serve, startUpstream, when,
} from '../support/upstream.ts';

import { gate } from '../support/wait.ts';

const BODY = pattern(5_000);
const RULES = { retryOn: [502, 503], maxReplayBytes: 10_000 } as const;
const echoing = serve(({ body }) => Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.bytes.length}\r\n\r\n`), body.bytes,
]));

/** The head of an upload of this length. */
function putting(length: number | string): string {
  return get('/', `Content-Length: ${length}\r\n`, 'PUT');
}

/** Sends a body so that its pieces are read one by one: each was passed on before the next one comes. */
async function sendInPieces(client: Client, under: BalancerUnderTest, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    await new Promise<void>((resolve) => {
      client.socket.write(piece, () => {
        resolve();
      });
    });
    await under.advance(0);
  }
}

for (const front of FRONTS) {
  describe(`the body of a request that is tried again, through ${front.name}`, () => {
    const uploads: [name: string, request: Buffer, trailers: string][] = [
      ['of known length', post('/', BODY, '', 'PUT'), ''],
      ['in chunks', Buffer.concat([
        Buffer.from(get('/', 'Transfer-Encoding: chunked\r\n', 'PUT')), chunked(BODY, 700),
      ]), ''],
      ['in chunks, with trailers', Buffer.concat([
        Buffer.from(get('/', 'Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n', 'PUT')),
        chunked(BODY, 700, 'X-Sum: 42\r\n'),
      ]), 'X-Sum: 42\r\n'],
    ];
    for (const [name, whole, trailers] of uploads) {
      test(`${name} is sent again, byte for byte`, async (t) => {
        const busy = await startUpstream(t, serve(() => BUSY));
        const closing = await startUpstream(t, async (peer) => {
          await peer.request();
          close(peer);
        });
        const upstream = await startUpstream(t, echoing);
        const under = await startBalancer(t, { upstreams: [busy, closing, upstream], front, ...RULES });
        const client = await under.connect();
        const answer = await client.exchange(whole);
        assert.equal(answer.status, 200);
        assert.ok(answer.bytes.equals(BODY));
        for (const { requests } of [busy, closing, upstream]) {
          const received = requests[0]?.body;
          assert.ok(received !== undefined);
          assert.ok(received.bytes.equals(BODY));
          assert.equal(received.trailers, trailers);
        }
        assert.equal((await client.exchange(post('/', 'next', '', 'PUT'))).text, 'next');
      });
    }

    for (const at of [0, 1, 2_500, 4_999, 5_000]) {
      test(`is sent again from any point: after ${at} bytes`, async (t) => {
        const upstream = await startUpstream(t, [[head, bytes(at), BUSY]]);
        const other = await startUpstream(t, echoing);
        const under = await startBalancer(t, { upstreams: [upstream, other], front, ...RULES });
        const client = await under.connect();
        client.send(putting(BODY.length)).send(BODY.subarray(0, at));
        await other.saw('1 PUT /');
        client.send(BODY.subarray(at));
        assert.ok((await client.response()).bytes.equals(BODY));
        await upstream.gone(1);
      });
    }

    for (const [name, sent] of [['connects', 0], ['connects, and is more than may be sent again', 9_000]] as const) {
      test(`is held while the next attempt ${name}`, async (t) => {
        const body = pattern(BODY.length + sent);
        const upstream = await startUpstream(t, [[head, bytes(1_000), BUSY]]);
        const other = await startUpstream(t, echoing);
        const socket = neverConnects();
        const under = await startBalancer(t, {
          upstreams: [upstream, 'http://a.test', other],
          front,
          connect: ({ origin }) => origin === 'http://a.test' ? socket : undefined,
          ...RULES,
        });
        const client = await under.connect();
        client.send(putting(body.length)).send(body.subarray(0, 1_000));
        await under.picked(2);
        const pieces = [body.subarray(1_000, 1_001), body.subarray(1_001, 2_000), body.subarray(2_000)];
        await sendInPieces(client, under, pieces);
        await under.advance(5_000);
        assert.ok((await client.response()).bytes.equals(body));
        assert.deepEqual(under.outcomes.map(({ error }) => error), [undefined, 'CONNECT_TIMEOUT', undefined]);
      });
    }

    test('does not extend a connect timeout as it comes in', async (t) => {
      const upstream = await startUpstream(t, [[head, bytes(1_000), BUSY]]);
      const under = await startBalancer(t, {
        upstreams: [upstream, 'http://a.test'],
        front,
        connect: ({ origin }) => origin === 'http://a.test' ? neverConnects() : undefined,
        ...RULES,
      });
      const client = await under.connect();
      client.send(putting(BODY.length)).send(BODY.subarray(0, 1_000));
      await under.picked(2);
      await under.advance(4_000);
      await sendInPieces(client, under, [BODY.subarray(1_000, 1_001)]);
      await under.advance(1_000);
      assert.equal((await client.response()).status, 504);
    });

    test('is held while the next attempt waits for room, and does not extend the wait', async (t) => {
      const late = gate();
      const upstream = await startUpstream(t, [[head, bytes(1_000), BUSY], [head, bytes(1_000), BUSY]]);
      const other = await startUpstream(t, [[request, when(late.opened), response('late'), echoing]]);
      const under = await startBalancer(t, {
        upstreams: [upstream, refusingOrigin(), { origin: other.origin, maxInFlight: 1 }],
        strategy: {
          ...first,
          pick: (candidates, { request: asked }) => candidates.at(asked.method === 'PUT' ? 0 : -1),
        },
        front,
        maxQueued: 2,
        ...RULES,
      });
      const [holding, client, second] = [await under.connect(), await under.connect(), await under.connect()];
      holding.send(get());
      await other.read(1);
      for (const [i, uploading] of [client, second].entries()) {
        if (i > 0) await under.advance(500);
        uploading.send(putting(BODY.length)).send(BODY.subarray(0, 1_000));
        await under.settled(2 * i + 2);
        await sendInPieces(uploading, under, [BODY.subarray(1_000, 1_001), BODY.subarray(1_001, 2_000)]);
      }
      await under.advance(500);
      const answer = await client.response();
      assert.deepEqual([answer.status, answer.head.get('proxy-status')], [
        503, 'equipoise; error=connection_limit_reached',
      ]);
      late.open();
      assert.equal((await holding.response()).text, 'late');
      second.send(BODY.subarray(2_000));
      assert.ok((await second.response()).bytes.equals(BODY));
    });

    test('that is too large is not sent again: the answer is passed on', async (t) => {
      const body = pattern(10_001);
      const upstream = await startUpstream(t, serve(() => BUSY));
      const other = await startUpstream(t, echoing);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, ...RULES });
      const client = await under.connect();
      const answer = await client.exchange(post('/', body, '', 'PUT'));
      assert.deepEqual([answer.status, answer.text], [503, 'busy']);
      assert.equal(other.peers.length, 0);
      // One byte less is the most that is kept.
      const kept = await client.exchange(post('/', body.subarray(1), '', 'PUT'));
      assert.ok(kept.bytes.equals(body.subarray(1)));
    });

    test('is not kept with maxReplayBytes 0, but a request that has sent none of it may be retried', async (t) => {
      const upstream = await startUpstream(t, [[head, BUSY], [head, bytes(1), BUSY]]);
      const other = await startUpstream(t, echoing);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, ...RULES, maxReplayBytes: 0 });
      const client = await under.connect();
      client.send(putting(5));
      await other.saw('1 PUT /');
      client.send('hello');
      assert.equal((await client.response()).text, 'hello');
      client.send(putting(5)).send('h');
      assert.equal((await client.response()).status, 503);
      client.send('ello');
    });

    for (const method of ['POST', 'PATCH', 'LOCK']) {
      test(`of ${method} is never sent again`, async (t) => {
        const upstream = await startUpstream(t, serve(() => BUSY));
        const other = await startUpstream(t, echoing);
        const under = await startBalancer(t, { upstreams: [upstream, other], front, ...RULES });
        assert.equal((await (await under.connect()).exchange(post('/', 'hello', '', method))).status, 503);
        assert.deepEqual(other.events, []);
      });
    }
  });
}
