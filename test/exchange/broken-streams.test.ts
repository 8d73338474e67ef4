/**
 * Streams of the embedder's that throw: what is under way ends, nothing stays in flight, and the process lives.
 */
import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { chunked } from '../support/message.ts';
import { echo, response, serve, startUpstream } from '../support/upstream.ts';

/** A downstream that reads what the test pushes, and whose writes throw. */
class ThrowingStream extends Duplex {
  thrown = 0;

  override _read(): void {
    // The test pushes.
  }

  override write(): boolean {
    this.thrown++;
    throw new Error('write threw');
  }
}

const CHUNKS = chunked('a'.repeat(20_000)).toString('latin1');

describe('a downstream whose write throws', () => {
  for (const [name, answer] of [
    ['a short response', response('short')],
    ['a long one', response('x'.repeat(100_000))],
    ['one in chunks', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`],
  ] as const) {
    test(`is gone: ${name} settles`, async (t) => {
      const upstream = await startUpstream(t, serve(() => answer));
      const under = await startBalancer(t, { upstreams: [upstream] });
      for (let i = 1; i <= 5; i++) {
        const stream = new ThrowingStream();
        stream.on('error', () => undefined);
        under.balancer.accept(Object.assign(stream, { setNoDelay: () => stream }) as unknown as Socket);
        const closed = new Promise((resolve) => stream.once('close', resolve));
        stream.push(get(`/${i}`));
        await under.settled(i);
        await closed;
        assert.ok(stream.thrown > 0);
        assert.equal(under.balancer.upstreams[0]?.inFlight, 0);
        assert.equal(under.balancer.upstreams[0].failures, 0, 'it is not the upstream that failed');
      }
    });
  }

  test('is gone, too, when it is refused, and the others are served', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const stream = new ThrowingStream();
    stream.on('error', () => undefined);
    under.balancer.accept(Object.assign(stream, { setNoDelay: () => stream }) as unknown as Socket);
    const closed = new Promise((resolve) => stream.once('close', resolve));
    stream.push('hello\r\n\r\n');
    await closed;
    assert.equal((await (await under.connect()).exchange(get('/other'))).text, '/other');
  });
});

describe('an upstream whose stream throws', () => {
  test('in write is answered for, and nothing stays in flight', async (t) => {
    const upstream = await startUpstream(t, echo);
    let throws = true;
    const under = await startBalancer(t, {
      upstreams: [upstream],
      ejectAfter: 0,
      connect: () => {
        if (!throws) return undefined;
        const socket = net.connect(upstream.port, '127.0.0.1');
        socket.write = () => {
          throw new Error('write threw');
        };
        return socket;
      },
    });
    const client = await under.connect();
    for (let i = 1; i <= 40; i++) {
      // Some writes go at once, some at the end of the turn.
      const { status } = await client.exchange(get());
      assert.ok(status === 500 || status === 502, `${status}`);
      assert.equal(under.balancer.upstreams[0]?.inFlight, 0);
    }
    throws = false;
    assert.equal((await client.exchange(get('/well'))).text, '/well');
  });
});
