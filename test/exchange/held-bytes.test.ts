import assert from 'node:assert/strict';
import http from 'node:http';
import net, { type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { connectTo, get } from '../support/client.ts';
import { type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { pattern } from '../support/message.ts';
import { startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

/** What a slow reader may make the balancer hold, for a body of any size. */
const BOUND = 256 << 10;
const PIECE = pattern(256 << 10);
const TOTAL = 2 ** 30;
/** How much of it the test reads: many times what the kernel's buffers hold. */
const ENOUGH = 64 << 20;

/** The fronts, with their connections visible to the test. */
const watched = (seen: Socket[]): readonly FrontKind[] => [
  {
    name: 'socket',
    open: (balancer) => serve(net.createServer({ allowHalfOpen: true }, (socket) => {
      seen.push(socket);
      balancer.accept(socket);
    })),
  },
  {
    name: 'node:http',
    open: (balancer) => serve(http.createServer(UNTIMED, balancer.handle).on('connection', (socket: Socket) => {
      seen.push(socket);
    })),
  },
];

const responses: readonly [name: string, head: string, piece: Buffer][] = [
  ['of known length', `HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`, PIECE],
  ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    Buffer.concat([Buffer.from(`${PIECE.length.toString(16)}\r\n`), PIECE, Buffer.from('\r\n')])],
];

for (const i of [0, 1]) {
  describe(`a slow reader of 1 GiB, through ${watched([])[i]?.name ?? ''}`, () => {
    for (const [name, head, piece] of responses) {
      test(`${name}: only a little of it is held`, async (t) => {
        const downstreams: Socket[] = [];
        const upstreams: Socket[] = [];
        const front = watched(downstreams)[i];
        assert.ok(front !== undefined);
        const upstream = await startUpstream(t, [async (peer) => {
          await peer.request();
          peer.send(head);
          for (let sent = 0; sent < TOTAL && !peer.socket.destroyed; sent += PIECE.length) await peer.push(piece);
        }]);
        const under = await startBalancer(t, {
          upstreams: [upstream], front,
          connect: ({ host, port }) => {
            const socket = net.connect({ host, port, allowHalfOpen: true });
            upstreams.push(socket);
            return socket;
          },
        });
        const client = await connectTo(t, under.port);
        client.send(get());
        await client.head();
        const [from, to] = [upstreams[0], downstreams[0]];
        assert.ok(from !== undefined && to !== undefined);
        let most = 0;
        for (let read = 0; read < ENOUGH;) {
          // It reads only when the balancer waits for it.
          while (to.writableLength === 0) await turns(1);
          // What has arrived, less what the kernel has taken.
          most = Math.max(most, from.bytesRead - (to.bytesWritten - to.writableLength));
          read += (await client.inbox.some()).length;
        }
        client.destroy();
        t.diagnostic(`${most} bytes at most`);
        assert.ok(most <= BOUND, `${most} bytes were held`);
        await under.settled(1);
      });
    }
  });
}
