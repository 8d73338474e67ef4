/**
 * `balancer.serve` in the workers of a launch: each kind of server binds, answers, drains and closes without loss.
 * Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { startHolding } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { within } from '../support/wait.ts';
import { Program } from './program.ts';

const CORE = new URL('../../dist/src/index.js', import.meta.url);
const AGENT = { host: '127.0.0.1', agent: false, rejectUnauthorized: false } as const;

/** Of each kind: how a worker creates the server, and a request. It resolves with the whole body. */
const KINDS: Readonly<Record<string, readonly [create: string, ask: (port: number) => Promise<string>]>> = {
  net: ['net.createServer({ allowHalfOpen: true }, balancer.accept)', raw((port) => net.connect(port, '127.0.0.1'))],
  tls: [
    'tls.createServer(pem, balancer.accept)',
    raw((port) => tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })),
  ],
  http: ['http.createServer(balancer.handle)', (port) => asked(http.get({ ...AGENT, port }))],
  https: ['https.createServer(pem, balancer.handle)', (port) => asked(https.get({ ...AGENT, port }))],
  http2: ['http2.createServer(balancer.handle)', (port) => stream(`http://127.0.0.1:${port}`)],
  'http2 over TLS': [
    'http2.createSecureServer({ ...pem, allowHTTP1: true }, balancer.handle)',
    (port) => stream(`https://127.0.0.1:${port}`),
  ],
};

/** A program with a server of each kind in each of two workers. */
function launched(t: TestContext, origin: string, pem: { readonly key: Buffer; readonly cert: Buffer }): Program {
  const files = directory(t, { 'key.pem': String(pem.key), 'cert.pem': String(pem.cert) });
  return new Program(t, `
    import { readFileSync } from 'node:fs';
    import http2 from 'node:http2';
    import https from 'node:https';
    import net from 'node:net';
    import tls from 'node:tls';
    import { createBalancer } from ${JSON.stringify(CORE.href)};
    const pem = {
      key: readFileSync(${JSON.stringify(join(files, 'key.pem'))}),
      cert: readFileSync(${JSON.stringify(join(files, 'cert.pem'))}),
    };
    await launch(async () => {
      const balancer = createBalancer({ upstreams: [${JSON.stringify(origin)}] });
      const ports = [];
      for (const server of [${Object.values(KINDS).map(([create]) => create).join(', ')}]) {
        ports.push((await balancer.serve(server, { port: 0, host: '127.0.0.1' })).port);
      }
      console.log('ports ' + ports.join());
      return (limit) => balancer.close(limit);
    }, { workers: 2, drainTimeoutMs: 15_000 });`);
}

const pem = makeCertificate();

test('each kind of server binds, answers, drains and closes without loss', { skip: pem === undefined && NO_OPENSSL },
  async (t) => {
    assert.ok(pem !== undefined);
    const upstream = await startHolding(t, 'begun, ', 'answered');
    const program = launched(t, upstream.origin, pem);
    await program.printed(/^ports .*\nports .*\n/m);
    await program.logged(/all workers are ready: 2/);
    const [ports, others] = [...program.stdout.matchAll(/^ports (.*)$/gm)].map((found) => found[1]?.split(',') ?? []);
    assert.deepEqual(ports, others, 'workers share their ports');
    const kinds = Object.entries(KINDS);
    const answers = kinds.flatMap(([kind, [, ask]], i) => [1, 2].map(async () => {
      return `${kind}: ${await ask(Number(ports?.[i]))}`;
    }));
    await upstream.asked(2 * kinds.length);
    program.signal('SIGTERM');
    await program.logged(/all workers drain/);
    // The workers close their listeners while all requests are in flight.
    for (const port of ports ?? []) await refused(Number(port));
    upstream.release();
    const all = await within(Promise.all(answers), () => 'the answers');
    assert.deepEqual(all, kinds.flatMap(([kind]) => Array.from({ length: 2 }, () => `${kind}: begun, answered`)));
    assert.equal((await program.exit()).code, 0);
    assert.doesNotMatch(program.stderr, /cut|killing|failed/);
  });

/** Resolves when nobody listens on the port any more. */
async function refused(port: number): Promise<void> {
  const connects = (): Promise<boolean> => new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => {
      resolve(true);
      socket.destroy();
    }).on('error', () => {
      resolve(false);
    });
  });
  const closing = async (): Promise<void> => {
    while (await connects());
  };
  await within(closing(), () => `the end of the listeners on ${port}`);
}

/** Sends a request on a connection, and resolves with the body of the answer. */
function raw(connect: (port: number) => net.Socket): (port: number) => Promise<string> {
  return async (port) => {
    const socket = connect(port);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const part of socket.setEncoding('latin1')) text += String(part);
    return text.slice(text.indexOf('\r\n\r\n') + 4);
  };
}

function asked(request: http.ClientRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    request.on('error', reject).on('response', (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (part: string) => {
        body += part;
      }).on('error', reject).on('end', () => {
        resolve(body);
      });
    });
  });
}

function stream(origin: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(origin, { rejectUnauthorized: false }).on('error', reject);
    let body = '';
    session.request({ ':path': '/' }).setEncoding('latin1').on('data', (part: string) => {
      body += part;
    }).on('error', reject).on('end', () => {
      session.close();
      resolve(body);
    });
  });
}
