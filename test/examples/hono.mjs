/**
 * Hono on Node.js: the balancer serves what Hono has no route for, with Node's own request and response, which
 * @hono/node-server keeps in `context.env`. A Hono app can also be an upstream, within the process and without a port:
 * `greeter` is one.
 *
 *   node hono.mjs
 *   curl -i http://127.0.0.1:8080/health
 *   curl -i http://127.0.0.1:8080/users
 *   curl -i -H 'Authorization: Bearer sesame' http://127.0.0.1:8080/users
 *   curl -i -H 'Authorization: Bearer sesame' http://127.0.0.1:8080/hello
 */
import { serve } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { bearerAuth } from 'hono/bearer-auth';
import { createBalancer, inProcess } from 'equipoise';

const { PORT = '8080', UPSTREAMS = 'http://127.0.0.1:3001 http://127.0.0.1:3002' } = process.env;

const greeter = new Hono().get('/hello', (context) => context.text(`hello from ${context.req.header('host')}\n`));
const balancer = createBalancer({
  pools: {
    remote: { upstreams: UPSTREAMS.split(' ') },
    local: { upstreams: ['http://greeter.local'], connect: inProcess({ 'http://greeter.local': greeter }) },
  },
  routes: [{ path: '/hello', pool: 'local' }, { pool: 'remote' }],
});

const app = new Hono();
app.get('/health', (context) => context.json({ ready: balancer.ready }));
app.use(bearerAuth({ token: 'sesame' }));
app.all('*', ({ env: { incoming, outgoing } }) => {
  balancer.handle(incoming, outgoing);
  return RESPONSE_ALREADY_SENT;
});

const server = serve({ fetch: app.fetch, port: Number(PORT), hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`listening on http://127.0.0.1:${port}`);
});
process.once('SIGTERM', () => server.close(() => balancer.close()));
