import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import net from 'node:net';
import { test } from 'node:test';
import { createTcpBalancer } from '../../src/tcp/index.ts';
import { echo, rawUpstream } from '../support/tcp.ts';

test('1 GiB each way arrives as it was sent, in flat memory', async (t) => {
  const upstream = await rawUpstream(t, echo());
  const balancer = createTcpBalancer({ upstreams: [upstream.origin] });
  const address = await balancer.listen({ port: 0, host: '127.0.0.1' });
  assert.ok(typeof address === 'object');
  const socket = net.connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true });
  const [sent, back] = [createHash('sha256'), createHash('sha256')];
  const piece = Buffer.from(Array.from({ length: 1_048_576 }, (_, i) => (i * 7 + (i >> 9)) & 255));
  let most = 0;
  let received = 0;
  const ended = new Promise((resolve) => socket.on('data', (bytes) => {
    received += bytes.length;
    back.update(bytes);
  }).on('end', resolve));
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 1_024; i++) {
    piece.writeUInt32BE(i);
    const own = Buffer.from(piece);
    sent.update(own);
    if (!socket.write(own)) await once(socket, 'drain');
    most = Math.max(most, process.memoryUsage().rss);
  }
  socket.end();
  await ended;
  assert.equal(received, 1_073_741_824);
  assert.equal(back.digest('hex'), sent.digest('hex'));
  // Both ends are in this process, too.
  assert.ok(most - before < 200 * 1_048_576, `${(most - before) / 1_048_576} MiB more`);
  await balancer.close();
});
