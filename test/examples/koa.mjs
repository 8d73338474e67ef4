/**
 * Koa: the balancer answers what no middleware has answered. `ctx.respond = false` leaves the response to it. Upgrades
 * bypass Koa, so they get the same check in the 'upgrade' listener.
 *
 *   node koa.mjs
 *   curl -i http://127.0.0.1:8080/health
 *   curl -i http://127.0.0.1:8080/users
 *   curl -i -H 'X-Key: sesame' http://127.0.0.1:8080/users
 */
import http from 'node:http';
import Koa from 'koa';
import { createBalancer } from 'equipoise';

const { PORT = '8080', UPSTREAMS = 'http://127.0.0.1:3001 http://127.0.0.1:3002' } = process.env;
const balancer = createBalancer({ upstreams: UPSTREAMS.split(' ') });
const allowed = ({ headers }) => headers['x-key'] === 'sesame';

const app = new Koa();
app.use((ctx, next) => {
  if (ctx.path !== '/health') return next();
  ctx.body = { ready: balancer.ready };
});
app.use((ctx, next) => {
  if (!allowed(ctx.req)) ctx.throw(401, 'The key is wrong');
  return next();
});
app.use((ctx) => {
  ctx.respond = false;
  balancer.handle(ctx.req, ctx.res);
});

const server = http.createServer(app.callback());
server.on('upgrade', (request, socket, head) => {
  if (allowed(request)) balancer.upgrade(request, socket, head);
  else socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
});
server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.once('SIGTERM', () => server.close(() => balancer.close()));
