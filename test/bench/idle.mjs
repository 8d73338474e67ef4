/**
 * What an idle keep-alive downstream connection costs a server in memory, beside node:http's own server.
 *
 * RSS is all memory of the process, and has some noise; heap is V8's exact count of JavaScript objects and buffers,
 * without native memory of libuv and Node. The kernel's socket memory is in neither. nginx allocates its table of
 * connections at the start, so its RSS growth leaves that out.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts, maxOpenFiles, rssMiB, startServer, tree } from './processes.mjs';
import { program } from './programs.mjs';
import { balancerCpu } from './stage.mjs';
import { sum } from './statistics.mjs';
import { fail, progress } from './terminal.mjs';
import { refuse } from './turns.mjs';

const atOnce = 200; // below a listener's backlog of 511
const upstreamIdleMs = 1500; // by then the balancers have closed those upstream
// V8 grows its nursery by up to 48 MiB when it likes, before the baseline or after: held small, RSS tells connections.
const flags = ['--expose-gc', '--max-semi-space-size=1'];
const bodyBytes = 100;

export const idle = {
  title: 'idle connections that have done one request each',
  play: async ({ stage, options: { connections, node } }) => {
    const limit = maxOpenFiles();
    if (limit < connections + 2 * atOnce) {
      fail(`only ${limit} open files are allowed: raise that (ulimit -n 30000, as root) or take --connections 1000`);
    }
    const startOf = {
      'node:http': () => startNode('node:http'), 'equipoise-listen': startNode, 'equipoise-handle': startNode,
      nginx: startOther, haproxy: startOther,
    };
    const names = ['node:http', ...stage.found.map(({ name }) => name)].filter((name) => name in startOf);
    const bytes = {};
    for (const name of names) {
      progress(`idle ${name}`);
      try {
        const server = await startOf[name](name);
        if (server === undefined) continue; // refused before
        bytes[name] = await measure(server, connections);
        server.child.kill();
      } catch (error) {
        refuse(name, error);
      }
    }
    return { connections, bytes };

    async function startNode(kind) {
      const [port] = await freePorts(1);
      const command = [node, ...flags, program('idle-server.mjs'), kind, String(port), ...await stage.origins()];
      return startServer(balancerCpu, command, port, { ipc: true });
    }

    async function startOther(name) {
      const [server] = await stage.start(stage.found.filter((contestant) => contestant.name === name), balancerCpu, 1);
      return server;
    }
  },
  tables: ({ connections, bytes }) => [{
    title: `for each of ${connections}`,
    rows: [
      ['', 'RSS bytes', 'heap bytes', 'RSS MiB before', 'after'],
      ...Object.entries(bytes).map(([name, { rss, heap, before, after }]) => [
        name, rss.toFixed(0), heap === undefined ? '-' : heap.toFixed(0),
        ...[before, after].map((memory) => (memory.rss / 2 ** 20).toFixed(0)),
      ]),
    ],
  }],
};

async function measure(server, connections) {
  // Code is compiled and the heap has grown before the baseline is taken.
  const warm = await open(server.port, atOnce);
  for (let turn = 0; turn < 100; turn++) await Promise.all(warm.map(request));
  await closeAll(warm);
  const before = await memory(server);

  const sockets = await open(server.port, connections);
  const after = await memory(server);
  const closed = sockets.filter((socket) => socket.closed).length;
  if (closed > 0) throw new Error(`it closed ${closed} of its idle connections: they cannot be measured`);
  await closeAll(sockets);
  const each = (figure) => before[figure] === undefined ? undefined : (after[figure] - before[figure]) / connections;
  return { rss: each('rss'), heap: each('heap'), before, after };
}

/** Opens connections, with one request on each. */
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

function closeAll(sockets) {
  return Promise.all(sockets.map((socket) => once(socket.destroy(), 'close')));
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
      const head = received.indexOf('\r\n\r\n');
      if (head < 0 || received.length < head + 4 + bodyBytes) return;
      settle(received.startsWith('HTTP/1.1 200 ') ? undefined : new Error(received));
    };
    socket.on('data', read).on('error', settle).on('end', cut);
    socket.write('GET /small HTTP/1.1\r\nHost: bench\r\n\r\n');
  });
}

async function memory({ child, pid }) {
  await sleep(upstreamIdleMs);
  if (child.channel === null || child.channel === undefined) {
    return { rss: sum(tree(pid).map(({ pid }) => rssMiB(pid))) * 2 ** 20 };
  }
  child.send('memory');
  const [answer] = await once(child, 'message');
  return answer;
}
