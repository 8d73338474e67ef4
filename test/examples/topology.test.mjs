/**
 * A whole topology in one test file, without a port: a gateway before two balancers before four applications. Requests
 * take the same way as over a network, so routes, retries, headers and failures are those of production.
 *
 *   node --test topology.test.mjs
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, test } from 'node:test';
import { text } from 'node:stream/consumers';
import { createBalancer, inProcess } from 'equipoise';

const app = (name) => (request, response) => response.end(`${name} ${request.url} via ${request.headers.via}`);
const dead = (request) => request.socket.destroy();
const apps = inProcess({
  'http://web1.local': app('web'), 'http://web2.local': app('web'),
  'http://api1.local': dead, 'http://api2.local': app('api'),
});
const web = createBalancer({
  upstreams: ['http://web1.local', 'http://web2.local'], connect: apps, via: 'web', trustForwarded: true,
});
const api = createBalancer({
  upstreams: ['http://api1.local', 'http://api2.local'], connect: apps, via: 'api', trustForwarded: true,
  strategy: { name: 'the first', pick: ([candidate]) => candidate },
  onReport: () => undefined, // It would report that api1 is dead.
});
const connect = inProcess({ 'http://web.local': web.handle, 'http://api.local': api.handle });
const gateway = createBalancer({
  pools: { web: { upstreams: ['http://web.local'], connect }, api: { upstreams: ['http://api.local'], connect } },
  routes: [{ path: '/api/', stripPrefix: '/api', pool: 'api' }, { pool: 'web' }],
  via: 'gateway',
});
after(() => Promise.all([gateway, web, api].map((balancer) => balancer.close())));

/** A client without a port either: `inProcess` connects it to the gateway. */
const toGateway = inProcess({ 'http://gateway.local': gateway.handle });
const createConnection = () => toGateway({ origin: 'http://gateway.local' });
const request = (path, options) => new Promise((resolve, reject) => {
  http.request({ host: 'gateway.local', path, createConnection, ...options }, (response) => {
    text(response).then((body) => resolve({ status: response.statusCode, body }), reject);
  }).on('error', reject).end();
});

test('requests go to the pool of their path', async () => {
  assert.equal((await request('/')).body, 'web / via 1.1 gateway, 1.1 web');
  assert.equal((await request('/api/users')).body, 'api /users via 1.1 gateway, 1.1 api');
});

test('nobody notices that an upstream is dead where a request may be repeated', async () => {
  assert.deepEqual(await request('/api/'), { status: 200, body: 'api / via 1.1 gateway, 1.1 api' });
  assert.equal((await request('/api/', { method: 'POST' })).status, 502);
});
