/**
 * The effect of a slow-loris attack on other clients: thousands of connections, an octet a second each, and traffic at
 * a fixed rate. Prints the latencies with and without the attack, what it costs in memory, and when it is over.
 *
 *   node test/bench/attack.mjs [--kind head|body] [--connections 5000] [--rate 500] [--seconds 8] [--node PATH]
 *
 * The balancer, with its defaults, runs on CPU 0, all else on CPU 1. Latencies count from when a request was due, not
 * from when it was sent, so that a stall is counted against all requests that it kept waiting.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openLoop } from './open-loop.mjs';
import { cpuSeconds, freePorts, rssMiB, start, startServer, version } from './processes.mjs';
import { quantile } from './statistics.mjs';
import { print } from './terminal.mjs';
import { startUpstreams } from './upstreams.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const binary = path.join(here, '../../dist/src/cli/main.js');
const balancerCpu = 0;
const loadCpu = 1;
const normalConnections = 16;
const turnsPerSecond = 50;
const atOnce = 200; // below a listener's backlog of 511
/** The start of a message that never ends, an octet at a time. */
const beginnings = {
  head: '',
  body: 'POST /small HTTP/1.1\r\nHost: bench\r\nContent-Length: 1000000\r\n\r\n',
};

const { values } = parseArgs({
  options: {
    kind: { type: 'string', default: 'head' },
    connections: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '8' },
    node: { type: 'string', default: process.execPath },
    // Set by this program for the process that attacks.
    attack: { type: 'string' },
  },
});
const [connections, rate, seconds] = [values.connections, values.rate, values.seconds].map(Number);

if (values.attack !== undefined) await attack(Number(values.attack));
else await compare();
process.exit(0); // the servers go with it

async function compare() {
  if (!existsSync(binary)) throw new Error('run npm run build first');
  const origins = await startUpstreams(loadCpu);
  const [port] = await freePorts(1);
  const server = await startServer(balancerCpu, [values.node, binary, '-l', `127.0.0.1:${port}`, ...origins], port);
  print(`node ${version(values.node)}: ${rate} requests a second, `
    + `and ${connections} connections that each send an octet of a ${values.kind} a second`);
  await openLoop({ port, rate, seconds: 3, connections: normalConnections }); // for V8 to compile what is hot
  await phase('without', server);

  const script = fileURLToPath(import.meta.url);
  const attacker = start(loadCpu, [values.node, script, ...process.argv.slice(2), '--attack', String(port)],
    ['ignore', 'inherit', 'inherit', 'ipc']);
  await once(attacker, 'message'); // all are connected
  await phase('under attack', server);
  const [{ first, last, cut }] = await once(attacker, 'message');
  print(`${cut} of ${connections} attackers gone, the first after ${first} s, the last after ${last} s`);
  await phase('afterwards', server);
}

async function opened(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** Attacks until all its connections are closed by the other side. */
async function attack(port) {
  const open = new Map();
  const lifetimes = [];
  while (open.size < connections) {
    const length = Math.min(atOnce, connections - open.size);
    const some = await Promise.all(Array.from({ length }, () => opened(port)));
    for (const socket of some) {
      open.set(socket, performance.now());
      const gone = () => {
        if (open.has(socket)) lifetimes.push((performance.now() - open.get(socket)) / 1000);
        open.delete(socket);
        socket.destroy();
      };
      socket.on('error', gone).on('close', gone).resume();
      socket.write(beginnings[values.kind]);
    }
  }
  process.send('connected');
  const all = [...open.keys()];
  for (let turn = 0; open.size > 0; turn++) {
    // An endless field in a head, octets in a body, spread over each second so that they do not come in step.
    const octet = 'GET / HTTP/1.1\r\nX: '[Math.floor(turn / turnsPerSecond)] ?? 'a';
    for (let i = turn % turnsPerSecond; i < all.length; i += turnsPerSecond) {
      if (open.has(all[i])) all[i].write(octet);
    }
    await sleep(1000 / turnsPerSecond);
  }
  lifetimes.sort((a, b) => a - b);
  const [first, last] = [lifetimes[0], lifetimes.at(-1)].map((time) => Number(time.toFixed(1)));
  await new Promise((resolve) => process.send({ first, last, cut: lifetimes.length }, resolve));
}

async function phase(name, server) {
  const { pid, port } = server;
  const [cpuBefore, startedAt] = [cpuSeconds(pid), performance.now()];
  const { latencies } = await openLoop({ port, rate, seconds, connections: normalConnections });
  const busy = (cpuSeconds(pid) - cpuBefore) / (performance.now() - startedAt) * 1e5;
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map((part) => quantile(latencies, part).toFixed(2));
  print(`${name.padEnd(13)} p50 ${p50} ms, p99 ${p99} ms, p99.9 ${p999} ms; CPU ${busy.toFixed(0)}%, `
    + `RSS ${rssMiB(pid).toFixed(0)} MiB`);
}
