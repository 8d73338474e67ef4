/**
 * A balancer whose idle downstreams use up all file descriptors. Started with a low limit. Prints its port, then its
 * reports.
 */
import type { AddressInfo } from 'node:net';
import { createBalancer } from '../../src/balancer.ts';

const balancer = createBalancer({
  upstreams: ['http://127.0.0.1:9'],
  maxConnections: 100_000,
  keepAliveTimeoutMs: 600_000,
  onReport: ({ error }) => process.stdout.write(`${error.code}: ${error.message}\n`),
});
const { port } = await balancer.listen({ host: '127.0.0.1', port: 0 }) as AddressInfo;
process.stdout.write(`port ${port}\n`);
process.once('disconnect', () => {
  void balancer.close({ timeoutMs: 0 });
});
