/**
 * Vite's development server beside an API: one origin for the browser, as in production, without CORS and without a
 * proxy in Vite's configuration. Hot reload works through the balancer, since Vite's client opens its WebSocket to
 * where the page is from. Vite runs within this process here; for one of its own, write its origin instead of
 * `http://vite.local`, and leave out `connect`.
 *
 *   node vite.mjs path/to/project
 *   curl -i http://127.0.0.1:8080/
 *   curl -i http://127.0.0.1:8080/api/users
 */
import http from 'node:http';
import { createServer } from 'vite';
import { createBalancer, inProcess } from 'equipoise';

const { PORT = '8080', API = 'http://127.0.0.1:3001 http://127.0.0.1:3002' } = process.env;
const [root = '.'] = process.argv.slice(2);

const pages = http.createServer(); // Never listens: the balancer connects to it in memory.
const vite = await createServer({ root, server: { middlewareMode: true, hmr: { server: pages } } });
pages.on('request', vite.middlewares);

const balancer = createBalancer({
  pools: {
    pages: { upstreams: ['http://vite.local'], connect: inProcess({ 'http://vite.local': pages }) },
    api: { upstreams: API.split(' ') },
  },
  routes: [{ path: '/api/', stripPrefix: '/api', pool: 'api' }, { pool: 'pages' }],
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}`);
process.once('SIGTERM', () => Promise.all([balancer.close(), vite.close()]));
