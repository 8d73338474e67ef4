/** The workers of peers.mjs: `node peers-server.mjs <workers> <shared | alone> <port> <origin>...` */
import process from 'node:process';
import { createBalancer } from '../../dist/src/index.js';
import { launch } from '../../dist/src/cluster/index.js';
import { leastConnections } from '../../dist/strategies/least-connections.js';

const [, , workers, knowledge, port, ...upstreams] = process.argv;

await launch(async ({ channel }) => {
  const peers = knowledge === 'shared' ? { peers: channel('upstreams') } : {};
  const balancer = createBalancer({ upstreams, strategy: leastConnections(), ...peers });
  await balancer.listen({ port: Number(port), host: '127.0.0.1' });
  return () => balancer.close();
}, { workers: Number(workers), log: () => undefined });
