/**
 * The balancer of pause.test.ts, in a process that can be stopped. Sends its port, and each report; blocks its loop for
 * as many milliseconds as it is sent.
 */
import type { AddressInfo } from 'node:net';
import { createBalancer } from '../../src/balancer.ts';

const [, , origin = ''] = process.argv;
const balancer = createBalancer({
  upstreams: [origin],
  responseTimeoutMs: 2_500,
  totalTimeoutMs: 3_000,
  ejectAfter: 1,
  onReport: ({ error }) => process.send?.({ report: error.code }),
});
const { port } = await balancer.listen({ port: 0, host: '127.0.0.1' }) as AddressInfo;
process.on('message', (ms: number) => {
  process.send?.({ blocked: true });
  // In a later turn, after that was sent.
  setTimeout(() => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  }, 20);
});
process.once('disconnect', () => process.exit());
process.send?.({ port });
