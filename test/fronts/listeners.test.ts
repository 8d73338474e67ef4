import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { connectTo, get, post } from '../support/client.ts';
import { type FrontKind, serve } from '../support/fronts.ts';
import { pattern } from '../support/message.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const EVENTS = ['data', 'end', 'error', 'close', 'drain', 'finish'] as const;

describe('the listeners on a downstream socket', () => {
  const sockets: Socket[] = [];
  const front: FrontKind = {
    name: 'accept',
    open: (balancer) => serve(net.createServer({ allowHalfOpen: true }, (socket) => {
      balancer.accept(socket);
      sockets.push(socket);
    })),
  };

  test('are shared with all others, and no request adds to them', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front });
    sockets.length = 0;
    const [one, other] = [await connectTo(t, under.port), await connectTo(t, under.port)];
    await one.exchange(get('/1'));
    await other.exchange(get('/2'));
    const [first, second] = sockets;
    assert.ok(first !== undefined && second !== undefined);
    const heard = (): (readonly unknown[])[] => EVENTS.map((event) => first.listeners(event));
    const before = heard();
    for (const event of ['data', 'error'] as const) {
      assert.equal(first.listenerCount(event), 1);
      assert.deepEqual(first.listeners(event), second.listeners(event));
    }
    for (let i = 0; i < 5; i++) {
      const large = pattern(1 << 20);
      await one.exchange(post('/3', large.toString('latin1')));
      await one.exchange(get('/4'));
    }
    assert.deepEqual(heard(), before);
  });
});
