/**
 * The development server of Next.js beside an API: one origin for the browser, as in production. Fast Refresh works
 * through the balancer, by a WebSocket. Next.js runs within this process here; for one of its own, write its origin
 * instead of `http://next.local`, and leave out `connect`.
 *
 *   node next.mjs path/to/project
 *   curl -i http://127.0.0.1:8080/
 *   curl -i http://127.0.0.1:8080/api/users
 */
import http from 'node:http';
import next from 'next';
import { createBalancer, inProcess } from 'equipoise';

const { PORT = '8080', API = 'http://127.0.0.1:3001 http://127.0.0.1:3002' } = process.env;
const [dir = '.'] = process.argv.slice(2);

// In development Next.js refuses browsers that come by another name (`allowedDevOrigins` in its configuration).
const app = next({ dir, dev: true, hostname: '127.0.0.1' });
await app.prepare();
const pages = http.createServer(app.getRequestHandler()); // Never listens: the balancer connects to it in memory.
pages.on('upgrade', app.getUpgradeHandler());

const balancer = createBalancer({
  pools: {
    pages: { upstreams: ['http://next.local'], connect: inProcess({ 'http://next.local': pages }) },
    api: { upstreams: API.split(' ') },
  },
  routes: [{ path: '/api/', stripPrefix: '/api', pool: 'api' }, { pool: 'pages' }],
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}`);
process.once('SIGTERM', async () => {
  await Promise.all([balancer.close(), app.close()]);
  process.exit(); // Next.js leaves watchers open.
});
