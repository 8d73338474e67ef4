/** A server of idle.mjs, reports its memory when asked: `node --expose-gc idle-server.mjs <kind> <port> <origin>...` */
import { createServer } from 'node:http';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

const [, , kind, port, ...upstreams] = process.argv;
const address = { port: Number(port), host: '127.0.0.1' };
const keepAliveTimeoutMs = 600_000; // longer than the measurement takes
const upstreamIdleTimeoutMs = 500; // shorter than the wait before each reading

if (kind === 'node:http') {
  serve((request, response) => response.end('x'.repeat(100)));
} else {
  const { createBalancer } = await import('../../dist/src/index.js');
  const balancer = createBalancer({ upstreams, keepAliveTimeoutMs, upstreamIdleTimeoutMs });
  if (kind === 'equipoise-handle') serve(balancer.handle);
  else await balancer.listen(address);
}

function serve(handler) {
  createServer({ keepAliveTimeout: keepAliveTimeoutMs }, handler).listen(address);
}

process.on('message', async () => {
  // Finalizers, and V8's return of free pages, each take a turn after the collection that allows them.
  for (let turn = 0; turn < 5; turn++) {
    globalThis.gc();
    await sleep(200);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  process.send({ rss, heap: heapUsed + external });
});
