/**
 * A gateway to two pools with a strategy and limits each. `/api/` goes to the pool `api`, without that prefix and with
 * an id for each request; everything else goes to `web`. The gateway answers its own health check.
 *
 *   node api-gateway.mjs
 *   curl -i http://127.0.0.1:8080/api/users?id=1
 *   curl -i http://127.0.0.1:8080/index.html
 *   curl -i http://127.0.0.1:8080/v1/users
 *   curl -i http://127.0.0.1:8080/healthz
 */
import { createBalancer } from 'equipoise';
import { leastConnections } from 'equipoise/strategies/least-connections';
import { roundRobin } from 'equipoise/strategies/round-robin';

const {
  PORT = '8080', WEB = 'http://127.0.0.1:3001', API = 'http://127.0.0.1:3002 http://127.0.0.1:3003',
} = process.env;

const balancer = createBalancer({
  pools: {
    web: { upstreams: WEB.split(' '), strategy: roundRobin() },
    api: {
      upstreams: API.split(' '),
      strategy: leastConnections(),
      maxInFlight: 200,
      maxQueued: 1000,
      responseTimeoutMs: 5000,
      retryOn: [502, 503],
    },
  },
  routes: [
    { path: '/healthz', answer: { status: 200, body: 'ok\n' } },
    { path: '/v1/', redirect: '/api/' },
    { path: '/api/', stripPrefix: '/api', pool: 'api', responseHeaders: { 'cache-control': 'no-store' } },
    { pool: 'web', responseHeaders: { server: null } },
  ],
  onRequest({ request, pool }) {
    if (pool === 'api') request.headers.set('x-request-id', request.id);
  },
  onResponse({ request, response, pool }) {
    if (pool === 'api') response.headers.set('x-request-id', request.id);
  },
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}`);
process.once('SIGTERM', () => balancer.close());
