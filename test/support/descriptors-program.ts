/**
 * Requests and probes in a process without free file descriptors. Started with a low limit, and with the port of an
 * upstream.
 */
import { closeSync, openSync } from 'node:fs';
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { createBalancer } from '../../src/balancer.ts';
import { turns } from './wait.ts';

const port = Number(process.argv[2]);

const codes: string[] = [];
const balancer = createBalancer({
  upstreams: [`http://127.0.0.1:${port}`, `http://localhost:${port}`],
  strategy: {
    name: 'by host', pick: (all, { request }) => all.find(({ origin }) => origin.includes(`//${request.host}`)),
  },
  ejectAfter: 1,
  // Each request needs a connection of its own.
  upstreamIdleTimeoutMs: 0,
  onReport: ({ error }) => codes.push(error.code),
});

/** Sends a request over a stream: a socket would need a descriptor. Returns the response. */
async function ask(host: string): Promise<string> {
  let got = '';
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _, done) => {
      got += chunk.toString();
      done();
    },
  });
  const socket = Object.assign(stream, { remoteAddress: '192.0.2.1', setNoDelay: () => stream });
  balancer.accept(socket as unknown as Socket);
  socket.push(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  while (!got.includes('\r\n\r\n')) await turns(1);
  socket.push(null);
  return got;
}

const status = (response: string): string => response.split(' ')[1] ?? '';

// The first lookup, for example, loads files, which also needs descriptors.
await ask('127.0.0.1');
await ask('localhost');
const taken: number[] = [];
/** Takes all free descriptors. */
function take(): void {
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    // All are taken.
  }
}
let lacking = true;
function keep(): void {
  if (!lacking) return;
  take();
  setImmediate(keep);
}
keep();
// Connections that have served a request close a few turns later.
await turns(50);
for (const [name, host] of [['an address', '127.0.0.1'], ['a name', 'localhost']] as const) {
  codes.length = 0;
  const answer = await ask(host);
  const type = /error=(\S+)/.exec(answer)?.[1] ?? '';
  process.stdout.write(`${name}: ${status(answer)} ${type}, ${[...new Set(codes)].join(' ')}\n`);
}
codes.length = 0;
const healthCheck = { intervalMs: 50, fall: 1 };
await balancer.update(balancer.upstreams.map(({ origin }) => ({ origin, healthCheck })));
while (codes.length < 4) await turns(1);
await balancer.update(balancer.upstreams.map(({ origin }) => origin));
process.stdout.write(`probes: ${[...new Set(codes)].join(' ')}\n`);
const states = balancer.upstreams.map(({ state }) => state);
const failures = balancer.upstreams.map((upstream) => upstream.failures);
process.stdout.write(`upstreams: ${states.join(' ')}, failures: ${failures.join(' ')}\n`);
lacking = false;
for (const fd of taken) closeSync(fd);

process.stdout.write(`afterwards: ${status(await ask('127.0.0.1'))} ${status(await ask('localhost'))}\n`);
await balancer.close({ timeoutMs: 0 });
