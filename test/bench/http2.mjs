/**
 * HTTP/2 GETs through `tls:` listeners: CPU time of the balancer's process for each, relative to that of a server of
 * node:http2 which answers by itself, by its compatible API and by its streams. Rounds alternate.
 *
 *   node test/bench/http2.mjs [--rounds 5] [--requests 15000] [--connections 4] [--streams 25] [--node PATH]
 *
 * The measured process runs on CPU 0, h2load and the upstreams on CPU 1.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { smallBody } from './bodies.mjs';
import { certificateIn, makeCertificate } from './certificate.mjs';
import { cpuSeconds, directory, freePorts, start, startServer, version } from './processes.mjs';
import { median, spread } from './statistics.mjs';
import { fail, print } from './terminal.mjs';
import { startUpstreams } from './upstreams.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const script = fileURLToPath(import.meta.url);
const binary = path.join(here, '../../dist/src/cli/main.js');
const measuredCpu = 0;
const loadCpu = 1;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '15000' },
    connections: { type: 'string', default: '4' },
    streams: { type: 'string', default: '25' },
    node: { type: 'string', default: process.execPath },
    // Set by this program for the processes that answer by themselves.
    serve: { type: 'string' },
    port: { type: 'string' },
    pem: { type: 'string' },
  },
});

if (values.serve !== undefined) serve(values.serve, Number(values.port), values.pem);
else {
  await compare();
  process.exit(0); // the servers go with it
}

async function compare() {
  if (!existsSync(binary)) fail('run npm run build first');
  for (const [needed, hint] of [['nginx', 'nginx'], ['h2load', 'nghttp2-client']]) {
    if (version(needed) === undefined) fail(`${needed} is needed: apt-get install ${hint}`);
  }
  const { cert, key } = makeCertificate();
  const origins = await startUpstreams(loadCpu);
  const ports = await freePorts(3);
  const own = (api, port) => [values.node, script, '--serve', api, '--port', String(port), '--pem', directory];
  const commands = {
    compatible: own('compatible', ports[0]),
    streams: own('streams', ports[1]),
    equipoise: [
      values.node, binary, '-l', `tls:127.0.0.1:${ports[2]}`, '--tls-cert', cert, '--tls-key', key, ...origins,
    ],
  };
  const contestants = [];
  for (const [i, [name, command]] of Object.entries(commands).entries()) {
    contestants.push({ name, costs: [], ...await startServer(measuredCpu, command, ports[i]) });
  }
  print(`node ${version(values.node)}: ${values.rounds} rounds of ${values.requests} GETs, `
    + `${values.connections} connections, ${values.streams} streams each`);
  for (let round = -1; round < Number(values.rounds); round++) {
    for (const { pid, port, costs } of contestants) {
      const before = cpuSeconds(pid);
      await h2load(port);
      // The first round is for V8 to compile what is hot.
      if (round >= 0) costs.push((cpuSeconds(pid) - before) / Number(values.requests) * 1e6);
    }
  }
  const [{ costs: base }] = contestants;
  for (const { name, costs } of contestants) {
    print(`${name.padEnd(10)} ${median(costs).toFixed(1)} µs, `
      + `${spread(costs.map((cost, i) => cost / base[i]), 2)} times compatible`);
  }
}

/** Resolves when all requests were answered with 2xx; otherwise rejects. */
async function h2load(port) {
  const { requests, connections, streams } = values;
  const child = start(loadCpu, [
    'h2load', '-n', requests, '-c', connections, '-m', streams, `https://127.0.0.1:${port}/small`,
  ], ['ignore', 'pipe', 'pipe']);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { output += data; });
  const [code] = await once(child, 'close');
  const good = /^status codes: (\d+) 2xx/m.exec(output)?.[1];
  if (code !== 0 || good !== requests) throw new Error(`h2load: ${good ?? 'no'} of ${requests} answered:\n${output}`);
}

/** A server that answers by itself, as the upstreams do. */
function serve(api, port, pem) {
  const server = createSecureServer(certificateIn(pem));
  if (api === 'compatible') server.on('request', (request, response) => response.end(smallBody));
  else {
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200 });
      stream.end(smallBody);
    });
  }
  server.listen(port, '127.0.0.1');
}
