import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import middie from '@fastify/middie';
import fastify, { type FastifyInstance } from 'fastify';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import type { FrontKind } from '../support/fronts.ts';
import { pattern } from '../support/message.ts';
import { echo, startUpstream } from '../support/upstream.ts';

/** A Fastify application with the balancer in it. */
function app(build: (application: FastifyInstance) => void, path?: string): FrontKind {
  return {
    name: 'Fastify',
    async open(balancer) {
      const application = fastify();
      await application.register(middie);
      build(application);
      if (path === undefined) application.use(balancer.handle);
      else application.use(path, balancer.handle);
      await application.listen({ port: 0, host: '127.0.0.1' });
      return {
        port: (application.server.address() as AddressInfo).port,
        close: () => {
          application.server.closeAllConnections();
          return application.close();
        },
      };
    },
  };
}

describe('balancer.handle in Fastify, by @fastify/middie', () => {
  test('serves requests with and without bodies', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: app(() => undefined) });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/a?b=c'))).text, '/a?b=c');
    const body = pattern(100_000);
    assert.equal((await client.exchange(post('/upload', body))).text, '/upload');
    assert.deepEqual(upstream.requests[1]?.body.bytes, body);
    const json = post('/json', '{"a":1}', 'Content-Type: application/json\r\n');
    assert.equal((await client.exchange(json)).text, '/json');
    assert.equal(upstream.requests[2]?.body.bytes.toString(), '{"a":1}', 'middleware runs before the parsers');
  });

  test('under a path, beside routes', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application) => {
        application.get('/health', () => ({ well: true }));
      }, '/api'),
    });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/health'))).text, '{"well":true}');
    assert.equal((await client.exchange(get('/api/users?id=1'))).text, '/users?id=1');
    assert.equal((await client.exchange(get('/other'))).status, 404);
    assert.equal(under.picks.length, 1);
  });
});
