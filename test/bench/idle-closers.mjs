/**
 * Upstreams that close idle connections after 50 ms, unannounced, under bursts of GETs: how many are not answered 200.
 *
 *   npm run build && node test/bench/idle-closers.mjs [requests, default 100000]
 *
 * Three upstreams of node:http, the balancer and the load in separate processes; the pause between two bursts is
 * about as long as a connection may idle, so that requests and closes cross.
 */
import { once } from 'node:events';
import http from 'node:http';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePorts, startServer } from './processes.mjs';

const burst = 200;
const idleMs = 50;
const here = fileURLToPath(import.meta.url);
const [, , role = '100000', ...args] = process.argv;

if (role === 'upstream') upstream(Number(args[0]));
else if (role === 'balancer') await balancer(Number(args[0]), args.slice(1));
else {
  await load(Number(role));
  process.exit(0); // the servers go with it
}

function upstream(port) {
  http.createServer((request, response) => {
    // With our own Connection field, Node announces no Keep-Alive; its keepAliveTimeout adds a second.
    response.setHeader('Connection', 'keep-alive');
    response.once('finish', () => request.socket.setTimeout(idleMs));
    response.end('here');
  }).listen(port, '127.0.0.1');
}

async function balancer(port, upstreams) {
  const { createBalancer } = await import('../../dist/src/index.js');
  let [closed, ejected] = [0, 0];
  const made = createBalancer({ upstreams })
    .on('retried', ({ code }) => { closed += code === 'UPSTREAM_CLOSED'; })
    .on('ejected', () => { ejected++; });
  await made.listen({ port, host: '127.0.0.1' });
  process.on('message', () => process.send({ closed, ejected }));
}

async function load(requests) {
  const [port, ...ports] = await freePorts(4);
  for (const each of ports) await startServer(undefined, [process.execPath, here, 'upstream', String(each)], each);
  const origins = ports.map((each) => `http://127.0.0.1:${each}`);
  const command = [process.execPath, here, 'balancer', String(port), ...origins];
  const { child } = await startServer(undefined, command, port, { ipc: true });

  const agent = new http.Agent({ keepAlive: true, maxSockets: burst });
  const answers = new Map();
  for (let sent = 0; sent < requests; sent += burst) {
    const asked = Array.from({ length: burst }, () => ask(port, agent));
    for (const answer of await Promise.all(asked)) answers.set(answer, (answers.get(answer) ?? 0) + 1);
    await sleep(idleMs - 10 + Math.random() * 20);
  }
  child.send('counts');
  const [{ closed, ejected }] = await once(child, 'message');
  const all = [...answers].map(([answer, count]) => `${answer}: ${count}`).join(', ');
  process.stdout.write(`node ${process.version}: ${all}; ${closed} met a close, ${ejected} ejections\n`);
}

function ask(port, agent) {
  return new Promise((resolve) => {
    http.get({ port, host: '127.0.0.1', agent }, (response) => {
      response.resume().on('end', () => resolve(String(response.statusCode)));
      response.on('error', (error) => resolve(error.code));
    }).on('error', (error) => resolve(error.code));
  });
}
