/**
 * What a slow-loris attack does to everybody else: thousands of connections, each an octet a second, beside traffic of
 * a fixed rate. Prints the latencies with and without the attack, what it costs in memory, and when it is over.
 *
 *   node test/bench/attack.mjs [--kind head|body] [--connections 5000] [--rate 500] [--seconds 8] [--node PATH]
 *
 * The balancer, with its defaults, runs on CPU 0, all else on CPU 1. Latencies count from when a request was due, not
 * from when it was sent, so that a stall is counted against all requests that it kept waiting.
 */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuSeconds, freePorts, start, startServer, version } from './processes.mjs';
import { smallBody, startUpstreams } from './upstreams.mjs';

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
  print(`node ${version(values.node)}: ${rate} requests a second, and ${connections} connections that each send an octet `
    + `of a ${values.kind} a second`);
  await normal(port, 3); // for V8 to compile what is hot
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

/** Requests at a fixed rate, over a few connections. Resolves with their latencies in milliseconds, sorted. */
async function normal(port, duration) {
  const idle = await Promise.all(Array.from({ length: normalConnections }, () => opened(port)));
  const due = [];
  const latencies = [];
  const count = rate * duration;
  const startedAt = performance.now();
  await new Promise((resolve, reject) => {
    const next = () => {
      while (due.length > 0 && idle.length > 0) {
        const socket = idle.pop();
        const at = due.shift();
        request(socket).then(() => {
          latencies.push(performance.now() - at);
          idle.push(socket);
          if (latencies.length === count) resolve();
          else next();
        }, reject);
      }
    };
    let made = 0;
    const timer = setInterval(() => {
      for (const now = performance.now(); made < count && startedAt + made * 1000 / rate <= now; made++) {
        due.push(startedAt + made * 1000 / rate);
      }
      if (made === count) clearInterval(timer);
      next();
    }, 1);
  });
  for (const socket of idle) socket.destroy();
  return latencies.sort((a, b) => a - b);
}

async function opened(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

function request(socket) {
  return new Promise((resolve, reject) => {
    let received = '';
    const fail = (error) => reject(error ?? new Error(`the connection ended after: ${received}`));
    const read = (data) => {
      received += data;
      if (!received.endsWith(smallBody)) return;
      socket.off('data', read).off('error', fail).off('end', fail);
      if (received.startsWith('HTTP/1.1 200 ')) resolve();
      else reject(new Error(received));
    };
    socket.on('data', read).on('error', fail).on('end', fail);
    socket.write('GET /small HTTP/1.1\r\nHost: bench\r\n\r\n');
  });
}

/** Attacks until all its connections are closed by the other side. */
async function attack(port) {
  const open = new Map();
  const lifetimes = [];
  while (open.size < connections) {
    const some = await Promise.all(Array.from({ length: Math.min(atOnce, connections - open.size) }, () => opened(port)));
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
    // An endless field in a head, octets in a body. Each second they take their turns: nobody attacks in step.
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
  const before = cpuSeconds(pid);
  const latencies = await normal(port, seconds);
  const busy = (cpuSeconds(pid) - before) / seconds * 100;
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map((part) => latencies[Math.floor(part * latencies.length)].toFixed(2));
  print(`${name.padEnd(13)} p50 ${p50} ms, p99 ${p99} ms, p99.9 ${p999} ms; CPU ${busy.toFixed(0)}%, `
    + `RSS ${rssMiB(pid).toFixed(0)} MiB`);
}

function rssMiB(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024;
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
