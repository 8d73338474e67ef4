/** The contestants that live in a node:http server: `node node-proxies.mjs <name> <port> <origin>...` */
import { Agent, createServer } from 'node:http';
import process from 'node:process';

const [, , name, port, ...origins] = process.argv;
const handlers = {
  'equipoise-handle': equipoise,
  'fast-proxy': fastProxy,
  'fastify-http-proxy': fastifyHttpProxy,
  'http-proxy-3': httpProxy3,
  httpxy,
};

const handler = await handlers[name]();
createServer(handler).listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });

async function equipoise() {
  const { createBalancer } = await import('../../dist/src/index.js');
  return createBalancer({ upstreams: origins }).handle;
}

/** On undici, the fastest of its three ways; it takes one base for each instance, so there is one for each upstream. */
async function fastProxy() {
  const { default: create } = await import('fast-proxy');
  const next = inTurn(origins.map((base) => create({ base, undici: true }).proxy));
  const options = {
    rewriteRequestHeaders: (request, { connection, ...headers }) => ({
      ...headers,
      host: request.headers.host,
      'x-forwarded-for': request.socket.remoteAddress,
      'x-forwarded-proto': 'http',
    }),
  };
  return (request, response) => next()(request, response, request.url, options);
}

async function httpProxy3() {
  const { createProxyServer } = await import('http-proxy-3');
  const proxy = createProxyServer({ agent: new Agent({ keepAlive: true }), xfwd: true });
  proxy.on('error', (error, request, response) => response.destroy(error));
  const next = inTurn(origins.map((target) => ({ target })));
  return (request, response) => proxy.web(request, response, next());
}

/** Its own agent, by default, keeps connections. */
async function httpxy() {
  const { createProxyServer } = await import('httpxy');
  const proxy = createProxyServer({ xfwd: true });
  const next = inTurn(origins.map((target) => ({ target })));
  return (request, response) => {
    proxy.web(request, response, next()).catch((error) => response.destroy(error));
  };
}

async function fastifyHttpProxy() {
  const { default: fastify } = await import('fastify');
  const { default: httpProxy } = await import('@fastify/http-proxy');
  let handle;
  // Through this function all contestants of node:http listen alike.
  const app = fastify({ serverFactory: (handler) => createServer(handle = handler) });
  const next = inTurn(origins);
  app.register(httpProxy, {
    upstream: '',
    replyOptions: {
      getUpstream: next,
      rewriteRequestHeaders: (request, headers) => ({
        ...headers,
        'x-forwarded-for': request.socket.remoteAddress,
        'x-forwarded-proto': 'http',
      }),
    },
  });
  await app.ready();
  return handle;
}

/** None of the four picks an upstream itself. */
function inTurn(items) {
  let index = 0;
  return () => items[index++ % items.length];
}
