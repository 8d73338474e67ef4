/**
 * A server of distribution.mjs and dispatch.mjs, answers with the number of its worker:
 *
 *   node launched.mjs <way> <port> <workers> [<ms that its first worker computes, as long as it then rests>]
 */
import cluster from 'node:cluster';
import http from 'node:http';
import process from 'node:process';
import { launch } from '../../dist/src/cluster/index.js';
import { leastBusy } from '../../dist/strategies/least-busy.js';
import { leastConnections } from '../../dist/strategies/least-connections.js';
import { roundRobin } from '../../dist/strategies/round-robin.js';

const [, , way, port, workers, computeMs = '0'] = process.argv;
const where = { port: Number(port), host: '127.0.0.1' };
const dispatches = { 'least-busy': leastBusy, 'least-connections': leastConnections, 'round-robin': roundRobin };

const server = http.createServer((request, response) => response.end(String(cluster.worker.id)));
// With reusePort, each worker has its own socket (node:cluster does not share exclusive ones).
const listen = way === 'reuse-port' ? { ...where, reusePort: true, exclusive: true } : where;
const dispatch = dispatches[way]?.();
await launch(() => {
  if (Number(computeMs) > 0 && cluster.worker.id === 1) setInterval(compute, 2 * computeMs).unref();
  return dispatch === undefined ? server.listen(listen) : server;
}, {
  workers: Number(workers),
  ...(dispatch === undefined ? { distribution: way === 'primary' ? 'primary' : 'shared' } : { dispatch, listen }),
});

function compute() {
  for (const end = performance.now() + Number(computeMs); performance.now() < end;);
}
