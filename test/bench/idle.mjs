/**
 * What an idle keep-alive downstream connection costs a server in memory, beside node:http's own server.
 *
 *   node test/bench/idle.mjs [--connections 10000] [--node PATH]
 *
 * RSS is all that the process holds, and has some noise; heap is V8's exact account of JavaScript objects and buffers,
 * without what libuv and Node hold natively. The kernel's socket memory is in neither.
 */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { freePorts, startServer, version } from './processes.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const atOnce = 200; // below a listener's backlog of 511
const upstreamIdleMs = 8000; // by then the balancer (4 s) or node:http (5 s) has closed those upstream
// V8 grows its nursery by up to 48 MiB when it likes, before the baseline or after: held small, RSS tells connections.
const flags = ['--expose-gc', '--max-semi-space-size=1'];

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '10000' },
    node: { type: 'string', default: process.execPath },
  },
});
const connections = Number(options.connections);
// The hard limit counts: Node raises its soft one to that by itself.
const limit = Number(/^Max open files +\w+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? Infinity);
if (limit < connections + 2 * atOnce) {
  print(`only ${limit} open files are allowed: raise it (ulimit -n 30000, as root) or take fewer (--connections 1000)`);
  process.exit(2);
}

const body = 'x'.repeat(100);
const upstream = createServer((request, response) => response.end(body)).listen(0, '127.0.0.1');
await once(upstream, 'listening');

print(`memory for each of ${connections} idle connections, node ${version(options.node)}`);
for (const kind of ['node:http', 'equipoise-listen', 'equipoise-handle']) {
  const ready = kind === 'node:http' || existsSync(path.join(here, '../../dist/src/index.js'));
  print(`${kind.padEnd(18)} ${ready ? await measure(kind) : 'not found, skipped (run npm run build first)'}`);
}
process.exit(0); // the servers go with it

async function measure(kind) {
  const [port] = await freePorts(1);
  const origin = `http://127.0.0.1:${upstream.address().port}`;
  const script = path.join(here, 'idle-server.mjs');
  const command = [options.node, ...flags, script, kind, String(port), origin];
  const server = await startServer(undefined, command, port, { ipc: true });

  // Code is compiled and the heap has grown before the baseline is taken.
  const warm = await open(port, atOnce);
  for (let turn = 0; turn < 100; turn++) await Promise.all(warm.map(request));
  for (const socket of warm) socket.destroy();
  const before = await memory(server);

  const sockets = await open(port, connections);
  const after = await memory(server);
  const closed = sockets.filter((socket) => socket.closed).length;
  if (closed > 0) throw new Error(`${kind} closed ${closed} of its idle connections: they cannot be measured`);
  await Promise.all(sockets.map((socket) => once(socket.destroy(), 'close')));
  server.child.kill();

  const each = (bytes) => `${Math.round(bytes / connections)} bytes`.padStart(11);
  const mebibytes = [before, after].map(({ rss }) => (rss / 2 ** 20).toFixed(0)).join(' to ');
  return `RSS ${each(after.rss - before.rss)} (${mebibytes} MiB), heap ${each(after.heap - before.heap)}`;
}

/** Opens connections that have done one request each. */
async function open(port, count) {
  const sockets = [];
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(atOnce, count - sockets.length) }, () => connect(port, '127.0.0.1'));
    for (const socket of some) socket.on('error', () => {}); // one that fails later counts as closed
    await Promise.all(some.map(request));
    sockets.push(...some);
  }
  return sockets;
}

function request(socket) {
  return new Promise((resolve, reject) => {
    let received = '';
    const settle = (error) => {
      socket.off('data', read).off('error', settle).off('end', cut);
      if (error) reject(error);
      else resolve();
    };
    const cut = () => settle(new Error(`the connection ended after: ${received}`));
    const read = (data) => {
      received += data;
      if (!received.endsWith(body)) return;
      settle(received.startsWith('HTTP/1.1 200 ') ? undefined : new Error(received));
    };
    socket.on('data', read).on('error', settle).on('end', cut);
    socket.write('GET /small HTTP/1.1\r\nHost: bench\r\n\r\n');
  });
}

async function memory({ child }) {
  await sleep(upstreamIdleMs);
  child.send('memory');
  const [answer] = await once(child, 'message');
  return answer;
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
