/**
 * `tls:` listeners against HAProxy: CPU time of the balancer's process for a small GET and for one of a MiB, over
 * connections that stay open. Beside them, what TLS alone costs in Node: servers that answer by themselves, with TLS
 * and without, and `listen`. What `tls:` costs beyond `listen` is Node's as far as the two servers differ by it, too.
 *
 *   node test/bench/tls.mjs [--rounds 5] [--seconds 3] [--only haproxy,tls] [--node PATH]
 *
 * The balancer runs on CPU 0, load and servers on CPU 1.
 */
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import process from 'node:process';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { smallBody } from './bodies.mjs';
import { certificateIn, makeCertificate } from './certificate.mjs';
import { aptHint, haproxy } from './contestants.mjs';
import { cpuSeconds, directory, freePorts, startServer, version } from './processes.mjs';
import { median, spread } from './statistics.mjs';
import { fail, print } from './terminal.mjs';
import { startUpstreams } from './upstreams.mjs';
import { wrk } from './wrk.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const script = fileURLToPath(import.meta.url);
const binary = path.join(here, '../../dist/src/cli/main.js');
const measuredCpu = 0;
const loadCpu = 1;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    // Set by this program for the processes that answer by themselves.
    serve: { type: 'string' },
    port: { type: 'string' },
    pem: { type: 'string' },
  },
});
const loads = [
  { what: 'small GET', path: '/small', connections: 64, warm: 50_000 },
  { what: 'GET of 1 MiB', path: '/1m', connections: 16, warm: 2_000 },
];

if (values.serve !== undefined) serve(values.serve, Number(values.port), values.pem);
else {
  await compare();
  process.exit(0); // the servers go with it
}

async function compare() {
  if (!existsSync(binary)) fail('run npm run build first');
  for (const needed of ['nginx', 'haproxy', 'wrk']) {
    if (version(needed) === undefined) fail(`${needed} is needed: ${aptHint}`);
  }
  const { cert, key, both } = makeCertificate();
  const origins = await startUpstreams(loadCpu);
  const ports = await freePorts(5);
  const own = (kind, port) => [values.node, script, '--serve', kind, '--port', String(port), '--pem', directory];
  const commands = {
    haproxy: haproxy({ port: ports[0], origins, workers: 1, pem: both }),
    tls: [values.node, binary, '-l', `tls:127.0.0.1:${ports[1]}`, '--tls-cert', cert, '--tls-key', key, ...origins],
    listen: [values.node, binary, '-l', `127.0.0.1:${ports[2]}`, ...origins],
    'node:tls': own('tls', ports[3]),
    'node:net': own('net', ports[4]),
  };
  const contestants = [];
  for (const [i, [name, command]] of Object.entries(commands).entries()) {
    if (values.only !== undefined && !values.only.split(',').includes(name)) continue;
    const scheme = name === 'listen' || name === 'node:net' ? 'http' : 'https';
    contestants.push({ name, scheme, costs: [], ...await startServer(measuredCpu, command, ports[i]) });
  }
  const [{ costs: base, name: baseName }] = contestants;
  print(`node ${version(values.node)}, haproxy ${version('haproxy')}: ${values.rounds} rounds of ${values.seconds} s`);
  for (const load of loads) {
    // Those that answer by themselves know nothing but the small answer.
    const loaded = contestants.filter(({ name }) => load.path === '/small' || !name.startsWith('node:'));
    for (const { port, scheme, costs } of loaded) {
      costs.length = 0;
      // V8 compiles what is hot, in threads whose time counts, too.
      for (let requests = 0; requests < load.warm; requests += await answered(load, port, scheme));
    }
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const { pid, port, scheme, costs } of loaded) {
        const before = cpuSeconds(pid);
        const requests = await answered(load, port, scheme);
        costs.push((cpuSeconds(pid) - before) / requests * 1e6);
      }
    }
    for (const { name, costs } of loaded) {
      print(`${load.what}: ${name.padEnd(8)} ${median(costs).toFixed(1)} µs, `
        + `${spread(costs.map((cost, i) => cost / base[i]), 2)} times ${baseName}`);
    }
  }
}

/** Resolves with the number of requests that were answered. */
async function answered(load, port, scheme) {
  return (await wrk(port, { ...load, scheme }, Number(values.seconds), loadCpu)).requests;
}

/** A server that answers each read with the small answer, with as little as Node allows. */
function serve(kind, port, pem) {
  const answer = 'HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nCache-Control: public, max-age=60\r\n'
    + `ETag: "5f3c-19a2b"\r\nVary: Accept-Encoding\r\nContent-Length: ${smallBody.length}\r\n\r\n${smallBody}`;
  const onSocket = (socket) => {
    socket.on('data', () => { socket.write(answer, 'latin1'); }).on('error', () => undefined);
  };
  if (kind === 'net') net.createServer({ noDelay: true }, onSocket).listen(port, '127.0.0.1');
  else tls.createServer({ ...certificateIn(pem), noDelay: true }, onSocket).listen(port, '127.0.0.1');
}
