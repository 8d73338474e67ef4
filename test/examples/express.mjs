/**
 * Express 5: the balancer below `/api`, beside routes of the application. Express checks sessions, hooks get
 * them as `state`, and a body that a parser has read is sent on. Upgrades bypass Express, so they get the same check in
 * the 'upgrade' listener.
 *
 *   node express.mjs
 *   curl -i http://127.0.0.1:8080/api/users
 *   curl -i -H 'Cookie: session=alice' http://127.0.0.1:8080/api/users
 *   curl -i -H 'Cookie: session=alice' --json '{"name":"x"}' http://127.0.0.1:8080/orders
 */
import express from 'express';
import { createBalancer } from 'equipoise';

const { PORT = '8080', UPSTREAMS = 'http://127.0.0.1:3001 http://127.0.0.1:3002' } = process.env;
const SESSIONS = new Map([['alice', { user: 'alice' }]]);
const sessionOf = ({ headers }) => SESSIONS.get(/(?:^|;\s*)session=(\w+)/.exec(headers.cookie ?? '')?.[1]);

const balancer = createBalancer({
  upstreams: UPSTREAMS.split(' '),
  // Upgrades arrive with the whole path, requests without that of the mount point.
  upgradeTarget: ({ url }) => url.replace(/^\/api(?=[/?]|$)/, '').replace(/^(?!\/)/, '/'),
  onRequest({ request, state }) {
    if (state) request.headers.set('x-user', state.user);
    else request.headers.delete('x-user');
  },
});

const app = express();
app.get('/health', (request, response) => response.status(balancer.ready ? 200 : 503).send('ok\n'));
app.use((request, response, next) => {
  if (sessionOf(request)) next();
  else response.status(401).send('Log in first\n');
});
app.use('/api', (request, response) => balancer.handle(request, response, { state: sessionOf(request) }));
app.post('/orders', express.json(), (request, response) => {
  if (!request.body?.name) return response.status(422).send('An order needs a name\n');
  delete request.headers['content-encoding']; // express.json() has inflated it
  balancer.handle(request, response, { body: JSON.stringify(request.body), state: sessionOf(request) });
});

const server = app.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
server.on('upgrade', (request, socket, head) => {
  if (sessionOf(request) && /^\/api(?=[/?]|$)/.test(request.url)) balancer.upgrade(request, socket, head);
  else socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
});
process.once('SIGTERM', () => server.close(() => balancer.close()));
