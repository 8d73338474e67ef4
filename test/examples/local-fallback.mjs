/**
 * A local fallback: an application of this process that serves when all remote upstreams are down, from the first
 * request on. The strategy picks it only if there is no other candidate: remote upstreams come back as health allows.
 *
 *   node local-fallback.mjs
 *   curl -i http://127.0.0.1:8080/
 */
import { createBalancer, inProcess } from 'equipoise';
import { roundRobin } from 'equipoise/strategies/round-robin';

const { PORT = '8080', UPSTREAMS = 'http://127.0.0.1:3001 http://127.0.0.1:3002' } = process.env;

/** Picks by `inner` among remote upstreams as long as there is one. */
function fallbackLast(inner) {
  return {
    name: `${inner.name}, then the fallback`,
    pick(candidates, context) {
      const remote = candidates.filter(({ tags }) => tags.role !== 'fallback');
      return remote.length > 0 ? inner.pick(remote, context) : candidates[0];
    },
  };
}

const fallback = {
  fetch: (request) => Response.json({ stale: true, path: new URL(request.url).pathname }, {
    headers: { 'cache-control': 'no-store' },
  }),
};

const balancer = createBalancer({
  upstreams: [...UPSTREAMS.split(' '), { origin: 'http://fallback.local', tags: { role: 'fallback' } }],
  strategy: fallbackLast(roundRobin()),
  connect: inProcess({ 'http://fallback.local': fallback }),
  ejectAfter: 1,
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}`);
process.once('SIGTERM', () => balancer.close());
