/**
 * Layer 4 against HAProxy in mode tcp: CPU time of the balancer's process for a round trip of a small message, and for
 * a MiB that streams to the client. Both relay to the same servers; rounds alternate.
 *
 *   node test/bench/layer4.mjs [--rounds 5] [--seconds 3] [--pings 64] [--streams 4] [--node PATH]
 *
 * The balancer runs on CPU 0, load and servers on CPU 1.
 */
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { aptHint } from './contestants.mjs';
import { cpuSeconds, directory, freePorts, start, startServer, version } from './processes.mjs';
import { median, spread } from './statistics.mjs';
import { fail, print } from './terminal.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const script = fileURLToPath(import.meta.url);
const binary = path.join(here, '../../dist/src/cli/main.js');
const balancerCpu = 0;
const loadCpu = 1;
const message = 'ping';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    pings: { type: 'string', default: '64' },
    streams: { type: 'string', default: '4' },
    node: { type: 'string', default: process.execPath },
    // Set by this program for the processes that serve and that load.
    serve: { type: 'string' },
    load: { type: 'string' },
    kind: { type: 'string' },
  },
});
const [rounds, seconds] = [values.rounds, values.seconds].map(Number);
/** What is measured: over how many connections, and what a unit of work is. */
const kinds = {
  ping: { connections: Number(values.pings), unit: 'round trip' },
  stream: { connections: Number(values.streams), unit: 'MiB' },
};

if (values.serve !== undefined) serve(values.serve.split(',').map(Number));
else if (values.load !== undefined) process.send(await load(Number(values.load), values.kind));
else {
  await compare();
  process.exit(0); // the servers go with it
}

async function compare() {
  if (!existsSync(binary)) fail('run npm run build first');
  const haproxyVersion = version('haproxy') ?? fail(`haproxy is needed: ${aptHint}`);
  const [haproxyPort, ownPort, ...ports] = await freePorts(5);
  await startServer(loadCpu, [values.node, script, '--serve', ports.join()], ports[0]);
  const contestants = [
    { name: 'haproxy', ...await startServer(balancerCpu, haproxy(haproxyPort, ports), haproxyPort) },
    {
      name: 'equipoise',
      ...await startServer(balancerCpu, [
        values.node, binary, '--tcp', '-l', `127.0.0.1:${ownPort}`, ...ports.map((port) => `tcp://127.0.0.1:${port}`),
      ], ownPort),
    },
  ];
  print(`node ${version(values.node)}, haproxy ${haproxyVersion}: ${rounds} rounds of ${seconds} s`);
  for (const [kind, { connections, unit }] of Object.entries(kinds)) {
    const costs = { haproxy: [], equipoise: [] };
    for (let round = -1; round < rounds; round++) {
      for (const { name, pid, port } of contestants) {
        const before = cpuSeconds(pid);
        const work = await loaded(port, kind);
        if (work === 0) throw new Error(`${name} relayed nothing`);
        // The first round is for V8 to compile what is hot.
        if (round >= 0) costs[name].push((cpuSeconds(pid) - before) / work * 1e6);
      }
    }
    const ratios = costs.equipoise.map((cost, i) => cost / costs.haproxy[i]);
    print(`${kind}, ${connections} connections: CPU per ${unit}: haproxy ${median(costs.haproxy).toFixed(1)} µs, `
      + `equipoise ${median(costs.equipoise).toFixed(1)} µs, ${spread(ratios, 2)} times`);
  }
}

/** Loads a balancer from a process of its own. Resolves with the work that it did. */
async function loaded(port, kind) {
  const flags = ['--pings', values.pings, '--streams', values.streams, '--seconds', values.seconds];
  const child = start(loadCpu, [values.node, script, '--load', String(port), '--kind', kind, ...flags],
    ['ignore', 'inherit', 'inherit', 'ipc']);
  const result = await Promise.race([once(child, 'message'), once(child, 'exit')]);
  if (typeof result[0]?.work !== 'number') throw new Error(`the load ended without a result: ${result}`);
  if (result[0].failed !== undefined) throw new Error(`the load failed: ${result[0].failed}`);
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return result[0].work;
}

/** Answers messages with themselves; to `stream`, sends without end. */
function serve(ports) {
  const block = Buffer.alloc(65_536);
  for (const port of ports) {
    createServer({ noDelay: true }, (socket) => {
      socket.on('error', () => undefined).once('data', (first) => {
        if (String(first) === 'stream') {
          const send = () => {
            while (socket.write(block));
          };
          socket.on('drain', send);
          send();
          return;
        }
        socket.write(first);
        socket.on('data', (data) => socket.write(data));
      });
    }).listen(port, '127.0.0.1');
  }
}

/** Keeps all connections of a kind busy. Resolves with the round trips, or the MiB, that they made. */
async function load(port, kind) {
  const end = performance.now() + seconds * 1000;
  let [octets, failed] = [0, undefined];
  await Promise.all(Array.from({ length: kinds[kind].connections }, () => new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('connect', () => socket.write(kind === 'ping' ? message : 'stream'));
    socket.on('data', (data) => {
      octets += data.length;
      if (performance.now() >= end) socket.destroy();
      else if (kind === 'ping') socket.write(message);
    });
    socket.on('error', (error) => { failed = error.message; }).on('end', () => { failed ??= 'a connection ended'; });
    socket.on('close', resolve);
  })));
  return { work: octets / (kind === 'ping' ? message.length : 2 ** 20), failed };
}

function haproxy(port, ports) {
  const file = path.join(directory, 'haproxy-tcp.cfg');
  writeFileSync(file, `
global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend all
  bind 127.0.0.1:${port}
  default_backend servers
backend servers
  balance random
${ports.map((each) => `  server s${each} 127.0.0.1:${each}`).join('\n')}
`);
  return ['haproxy', '-db', '-f', file];
}
