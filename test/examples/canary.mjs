/**
 * A canary: a tenth of the users get the new release. The header `x-user` decides, by its hash, so a user stays on one
 * release on every connection, in every worker, and after a restart. `x-release` of a request asks for a release, and
 * that of a response says which one it was.
 *
 *   CANARY_PERCENT=10 node canary.mjs
 *   curl -i -H 'X-User: alice' http://127.0.0.1:8080/
 *   curl -i -H 'X-Release: canary' http://127.0.0.1:8080/
 */
import { createHash } from 'node:crypto';
import { createBalancer } from 'equipoise';

const {
  PORT = '8080', STABLE = 'http://127.0.0.1:3001 http://127.0.0.1:3002', CANARY = 'http://127.0.0.1:3003',
  CANARY_PERCENT = '10',
} = process.env;

/** Spreads texts evenly over 0 to 100. */
const percentile = (text) => createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32 * 100;

const balancer = createBalancer({
  pools: {
    stable: { upstreams: STABLE.split(' ') },
    canary: { upstreams: CANARY.split(' ') },
  },
  routes: [{ pool: 'stable' }],
  onRequest(exchange) {
    const { headers } = exchange.request;
    const wanted = headers.get('x-release');
    const user = headers.get('x-user') ?? exchange.remoteAddress;
    if (wanted === 'canary' || (wanted !== 'stable' && percentile(user) < Number(CANARY_PERCENT))) {
      exchange.pool = 'canary';
    }
  },
  onResponse({ response, pool }) {
    response.headers.set('x-release', pool);
    response.headers.append('vary', 'x-user, x-release');
  },
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}`);
process.once('SIGTERM', () => balancer.close());
