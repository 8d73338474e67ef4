/** Three upstreams to balance over: one nginx, three ports, answers that cost it next to nothing. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import process from 'node:process';
import { chunkedBody, smallBody } from './bodies.mjs';
import { directory, freePorts, startServer } from './processes.mjs';

const mebibyte = randomBytes(2 ** 20);
export const mebibyteSha256 = sha256([mebibyte]);
const hundred = Array(100).fill(mebibyte);
export const hundredMebibytesSha256 = sha256(hundred);

/** The requests to them, see the locations below. */
export async function startUpstreams(cpu) {
  const ports = await freePorts(3);
  const files = path.join(directory, 'files');
  mkdirSync(files);
  writeFileSync(path.join(files, '1m'), mebibyte);
  for (const part of hundred) appendFileSync(path.join(files, '100m'), part);
  writeFileSync(path.join(files, 'chunked'), chunkedBody);
  const command = nginx('upstreams', `
    sendfile on;
    tcp_nopush on;
    client_max_body_size 0;
    client_body_buffer_size 128k;
    server {
      ${ports.map((port) => `listen 127.0.0.1:${port} backlog=4096;`).join(' ')}
      root ${files};
      location = /small {
        add_header Cache-Control 'public, max-age=60';
        add_header ETag '"5f3c-19a2b"';
        add_header Vary Accept-Encoding;
        return 200 '${smallBody}';
      }
      # A file that server-side includes might change has no length beforehand; what is read at a time is a chunk.
      location = /chunked { ssi on; ssi_types *; sendfile off; output_buffers 1 1k; }
      # Reads the whole body, for its mirror, before a plain file refuses the method.
      location = /post { mirror /nowhere; error_page 405 =200 @posted; try_files /chunked =404; }
      location = /nowhere { internal; return 204; }
      location @posted { return 200 '${smallBody}'; }
      # What arrived: the address forwarded, the upstream chosen, the how-manieth request on its connection.
      location = /seen { return 200 '$http_x_forwarded_for $server_port $connection_requests'; }
      # For checks alone: what arrived, whole.
      location = /echo { proxy_pass http://127.0.0.1:${await startEcho()}; }
    }`);
  await startServer(cpu, command, ports[0]);
  return ports.map((port) => `http://127.0.0.1:${port}`);
}

/** Answers with what it got: the fields as JSON in one field, the body as the body. */
async function startEcho() {
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    response.setHeader('X-Fields', JSON.stringify(request.rawHeaders));
    response.setHeader('Content-Length', body.length).end(body);
  }).listen(0, '127.0.0.1');
  server.unref();
  await once(server, 'listening');
  return server.address().port;
}

/** The command for an nginx with its own directory. Used for the upstreams, and as a contestant. */
export function nginx(name, http, workers = 1) {
  const prefix = path.join(directory, name);
  mkdirSync(prefix);
  writeFileSync(path.join(prefix, 'nginx.conf'), `
  ${process.getuid() === 0 ? 'user root root;' : ''} # the temporary directory is closed to www-data
  daemon off;
  worker_processes ${workers};
  pid nginx.pid;
  error_log stderr error;
  events { worker_connections 16384; }
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

function sha256(parts) {
  return parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');
}
