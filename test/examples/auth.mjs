/**
 * Authorisation before proxying. Without the token nothing reaches an upstream: no request, and no WebSocket handshake,
 * which hooks see like any other request. Upstreams get the name of the user instead of the token.
 *
 *   TOKEN=sesame node auth.mjs
 *   curl -i http://127.0.0.1:8080/
 *   curl -i -H 'Authorization: Bearer sesame' http://127.0.0.1:8080/
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createBalancer } from 'equipoise';

const { PORT = '8080', UPSTREAMS = 'http://127.0.0.1:3001 http://127.0.0.1:3002', TOKEN } = process.env;
if (!TOKEN) throw new Error('set TOKEN to the token that clients must send');

// Digests have the same length, and comparing them takes the same time wherever they differ.
const digest = (text) => createHash('sha256').update(text).digest();
const users = [{ name: 'alice', credentials: digest(`Bearer ${TOKEN}`) }];

function userOf(authorization) {
  const credentials = digest(authorization ?? '');
  return users.find((user) => timingSafeEqual(user.credentials, credentials));
}

const balancer = createBalancer({
  upstreams: UPSTREAMS.split(' '),
  onRequest({ request }) {
    const user = userOf(request.headers.get('authorization'));
    if (user === undefined) {
      return new Response('Who are you?\n', { status: 401, headers: { 'www-authenticate': 'Bearer' } });
    }
    request.headers.delete('authorization');
    // `set` replaces what the client may have sent under this name, `X_User` included.
    request.headers.set('x-user', user.name);
  },
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}`);
process.once('SIGTERM', () => balancer.close());
