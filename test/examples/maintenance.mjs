/**
 * Maintenance mode. SIGUSR2 turns it on and off. While it is on, new requests and WebSocket handshakes get 503, and
 * those in flight finish. Requests with the key get through, to check the new release before everybody else sees it.
 *
 *   KEY=sesame node maintenance.mjs
 *   kill -USR2 <the pid that it prints>
 *   curl -i http://127.0.0.1:8080/
 *   curl -i -H 'X-Maintenance-Key: sesame' http://127.0.0.1:8080/
 */
import { createBalancer } from 'equipoise';

const { PORT = '8080', UPSTREAMS = 'http://127.0.0.1:3001 http://127.0.0.1:3002', KEY } = process.env;
let maintenance = false;

const balancer = createBalancer({
  upstreams: UPSTREAMS.split(' '),
  onRequest({ request }) {
    const key = request.headers.get('x-maintenance-key');
    request.headers.delete('x-maintenance-key');
    if (!maintenance || (KEY && key === KEY)) return;
    return new Response('<!doctype html><title>Back soon</title><h1>We are back in a few minutes</h1>\n', {
      status: 503,
      headers: { 'content-type': 'text/html; charset=utf-8', 'retry-after': '120', 'cache-control': 'no-store' },
    });
  },
});
process.on('SIGUSR2', () => {
  maintenance = !maintenance;
  console.log(`maintenance is ${maintenance ? 'on' : 'off'}`);
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}, pid ${process.pid}`);
process.once('SIGTERM', () => balancer.close());
