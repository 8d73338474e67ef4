/**
 * Socket.IO over two upstreams. All requests of a session must reach the upstream that began it; without that, neither
 * polling nor its upgrade to WebSocket works. Here upstreams put their names into the ids of sessions, and the strategy
 * reads them there. That needs no cookie and no table, works in every worker, and survives a restart.
 *
 *   node socket-io.mjs
 *   curl 'http://127.0.0.1:8080/socket.io/?EIO=4&transport=polling'
 */
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { Server } from 'socket.io';
import { createBalancer } from 'equipoise';
import { leastConnections } from 'equipoise/strategies/least-connections';

const { PORT = '8080' } = process.env;

/** A Socket.IO server; yours would be another process. To reach the clients of all servers, give each an adapter. */
async function startServer(name) {
  const server = http.createServer();
  const io = new Server(server);
  io.engine.generateId = () => `${name}.${randomUUID()}`;
  io.on('connection', (socket) => {
    socket.on('whoami', (reply) => reply(name, socket.conn.transport.name));
    socket.on('say', (text) => io.emit('said', text));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { io, upstream: { origin: `http://127.0.0.1:${server.address().port}`, tags: { name } } };
}

/** Sends a session to the upstream in its id, and new ones where `inner` says. */
function bySession(inner) {
  return {
    name: 'by session',
    pick(candidates, context) {
      const name = /[?&]sid=(\w+)\./.exec(context.request.target)?.[1];
      // If that upstream is gone, another one refuses the session, and the client begins a new one.
      return candidates.find(({ tags }) => tags.name === name) ?? inner.pick(candidates, context);
    },
  };
}

const servers = await Promise.all(['a', 'b'].map(startServer));
const balancer = createBalancer({
  upstreams: servers.map(({ upstream }) => upstream),
  strategy: bySession(leastConnections()),
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}`);
process.once('SIGTERM', () => Promise.all([balancer.close(), ...servers.map(({ io }) => io.close())]));
