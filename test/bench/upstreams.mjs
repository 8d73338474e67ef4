/** Three upstreams to balance over: one nginx, three ports, answers that cost it next to nothing. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { directory, freePorts, startServer } from './processes.mjs';

export const smallBody = 'A small answer, about as long as the JSON of one record.'.padEnd(100, '.');
const mebibyte = randomBytes(2 ** 20);
export const mebibyteSha256 = createHash('sha256').update(mebibyte).digest('hex');

export async function startUpstreams(cpu) {
  const ports = await freePorts(3);
  const files = path.join(directory, 'files');
  mkdirSync(files);
  writeFileSync(path.join(files, '1m'), mebibyte);
  const command = nginx('upstreams', `
    sendfile on;
    tcp_nopush on;
    server {
      ${ports.map((port) => `listen 127.0.0.1:${port};`).join(' ')}
      root ${files};
      location = /small {
        add_header Cache-Control 'public, max-age=60';
        add_header ETag '"5f3c-19a2b"';
        add_header Vary Accept-Encoding;
        return 200 '${smallBody}';
      }
      # What arrived: the address forwarded, the upstream chosen, the how-manieth request on its connection.
      location = /seen { return 200 '$http_x_forwarded_for $server_port $connection_requests'; }
    }`);
  await startServer(cpu, command, ports[0]);
  return ports.map((port) => `http://127.0.0.1:${port}`);
}

/** The command for an nginx of one worker with its own directory. Used for the upstreams, and as a contestant. */
export function nginx(name, http) {
  const prefix = path.join(directory, name);
  mkdirSync(prefix);
  writeFileSync(path.join(prefix, 'nginx.conf'), `
  ${process.getuid() === 0 ? 'user root root;' : ''} # the temporary directory is closed to www-data
  daemon off;
  worker_processes 1;
  pid nginx.pid;
  error_log stderr error;
  events { worker_connections 4096; }
  http {
    access_log off;
    default_type text/plain;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    # The default of 1000 requests a connection would add reconnects to some contestants' figures and not to others'.
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    ${http}
  }`);
  return ['nginx', '-p', prefix, '-c', 'nginx.conf', '-e', 'stderr'];
}
