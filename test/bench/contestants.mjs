/**
 * The load balancers under test, each set up for one core as its own documentation advises: upstream connections kept
 * alive, X-Forwarded-For, -Proto and -Host sent, no access log. How they choose an upstream is left at their defaults.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { directory, maxOpenFiles, version } from './processes.mjs';
import { nginx } from './upstreams.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const binary = path.join(root, 'dist/src/cli/main.js');
const library = path.join(root, 'dist/src/index.js');
export const aptHint = 'apt-get install nginx haproxy wrk';
const npmHint = 'npm install --prefix test/bench';
export const buildHint = 'run npm run build first';

/**
 * `found` is a version or undefined; `command` makes configuration files where needed and returns the command.
 * `scales` marks those with an option to share a port among several workers.
 */
export const contestants = [
  {
    name: 'equipoise-listen',
    found: () => existsSync(binary) ? packageVersion(root) : undefined,
    hint: buildHint,
    command: listener,
    scales: true,
  },
  {
    name: 'equipoise-handle',
    found: () => existsSync(library) ? packageVersion(root) : undefined,
    hint: buildHint,
    command: embedded,
  },
  { name: 'nginx', found: () => version('nginx'), hint: aptHint, command: nginxProxy, scales: true },
  { name: 'haproxy', found: () => version('haproxy'), hint: aptHint, command: haproxy, scales: true },
  peer('fast-proxy'),
  peer('httpxy'),
  peer('fastify-http-proxy', '@fastify/http-proxy'),
  peer('http-proxy-3'),
];

function peer(name, packageName = name) {
  return {
    name,
    found: () => packageVersion(path.join(here, 'node_modules', packageName)),
    hint: npmHint,
    command: embedded,
  };
}

function listener({ node, port, origins, workers }) {
  return [node, binary, '-l', `127.0.0.1:${port}`, '-w', String(workers), ...origins];
}

function embedded({ name, node, port, origins }) {
  return [node, path.join(here, 'node-proxies.mjs'), name, String(port), ...origins];
}

function nginxProxy({ name, port, origins, workers }) {
  return nginx(`${name}-${port}`, `
    # Bodies in memory: what a disk would take is not what is compared.
    client_body_buffer_size 128k;
    client_max_body_size 0;
    proxy_max_temp_file_size 0;
    upstream upstreams {
      ${hosts(origins).map((host) => `server ${host};`).join(' ')}
      keepalive 512; # as many as there are downstream connections at most
      keepalive_requests 1000000000;
      keepalive_timeout 1h;
    }
    server {
      listen 127.0.0.1:${port} backlog=4096${workers > 1 ? ' reuseport' : ''};
      location / {
        proxy_pass http://upstreams;
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
      }
    }`, workers);
}

/** With `pem`, a file of certificate and key, it ends TLS. */
export function haproxy({ port, origins, workers, pem }) {
  const file = path.join(directory, `haproxy-${port}.cfg`);
  writeFileSync(file, `
global
  nbthread ${workers}
  maxconn 12000
  no strict-limits # it asks for two files each, whether they are used or not
  ulimit-n ${Math.min(maxOpenFiles(), 24500)}
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  http-reuse always
  option forwardfor
frontend downstream
  bind 127.0.0.1:${port}${pem === undefined ? '' : ` ssl crt ${pem}`}
  http-request set-header X-Forwarded-Proto ${pem === undefined ? 'http' : 'https'}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend upstreams
backend upstreams
  balance roundrobin
${hosts(origins).map((host, index) => `  server s${index} ${host}`).join('\n')}
`);
  return ['haproxy', '-db', '-f', file];
}

function hosts(origins) {
  return origins.map((origin) => new URL(origin).host);
}

function packageVersion(folder) {
  const file = path.join(folder, 'package.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : undefined;
}
