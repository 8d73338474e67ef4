/**
 * Fastify 5, in both ways. With `reply.hijack` a balancer is the handler of a route, behind Fastify's hooks such as
 * `preHandler`; no parser may read the body there. @fastify/middie mounts one as middleware, ahead of routes and
 * their hooks.
 *
 *   node fastify.mjs
 *   curl -i -H 'X-Key: sesame' --json '{"a":1}' http://127.0.0.1:8080/api/users
 *   curl -i http://127.0.0.1:8080/assets/logo.png
 */
import fastify from 'fastify';
import middie from '@fastify/middie';
import { createBalancer } from 'equipoise';

const {
  PORT = '8080', API = 'http://127.0.0.1:3001 http://127.0.0.1:3002', FILES = 'http://127.0.0.1:3003',
} = process.env;
const api = createBalancer({ upstreams: API.split(' ') });
const files = createBalancer({ upstreams: FILES.split(' ') });

const app = fastify({ forceCloseConnections: 'idle' });
app.get('/health', () => ({ ready: api.ready }));

await app.register(middie);
app.use('/assets', files.handle);

await app.register(async (scope) => {
  // Within this scope bodies stay unread, so that the balancer can stream them.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (request, payload, done) => done(null));
  scope.addHook('preHandler', async (request, reply) => {
    if (request.headers['x-key'] !== 'sesame') return reply.code(401).send({ error: 'the key is wrong' });
  });
  scope.all('/api/*', (request, reply) => {
    reply.hijack();
    api.handle(request.raw, reply.raw);
  });
});

const address = await app.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on ${address}`);
process.once('SIGTERM', async () => {
  await app.close();
  await Promise.all([api.close(), files.close()]);
});
