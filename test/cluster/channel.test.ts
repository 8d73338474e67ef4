/**
 * What workers share, between real processes.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { refusingOrigin } from '../support/upstream.ts';
import { Program } from './program.ts';

const EQUIPOISE = new URL('../../dist/src/index.js', import.meta.url).href;
const LEAST = new URL('../../dist/strategies/least-connections.js', import.meta.url).href;

/** Two workers that balance, each on its own port. `/state` answers with what the worker knows about its upstreams. */
const balancing = (upstreams: readonly object[], peers: string): string => `
  import cluster from 'node:cluster';
  import { createBalancer } from ${JSON.stringify(EQUIPOISE)};
  import { leastConnections } from ${JSON.stringify(LEAST)};
  let messages = 0;
  cluster.on('message', (worker, { equipoise }) => {
    if (equipoise === 'said') process.stdout.write('said ' + ++messages + '\\n');
  });
  await launch(async ({ channel }) => {
    const balancer = createBalancer({
      upstreams: ${JSON.stringify(upstreams)}, strategy: leastConnections(), ejectAfter: 1, ejectMs: 60_000, ${peers}
    });
    const server = http.createServer((request, response) => {
      if (request.url !== '/state') return balancer.handle(request, response);
      response.end(JSON.stringify(balancer.upstreams.map(({ state, inFlight }) => [state, inFlight])));
    });
    await new Promise((resolve) => server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, resolve));
    process.stdout.write('serving on ' + server.address().port + '\\n');
    return async () => {
      server.closeAllConnections();
      server.close();
      await balancer.close({ timeoutMs: 0 });
    };
  }, { workers: 2 });
`;

async function portsOf(program: Program): Promise<[number, number]> {
  await program.logged(/all workers are ready/);
  await program.printed(/(serving on \d+\n[^]*){2}/);
  const [one, other] = [...program.stdout.matchAll(/serving on (\d+)/g)].map(([, port]) => Number(port));
  assert.ok(one !== undefined && other !== undefined);
  return [one, other];
}

async function get(port: number, path: string): Promise<{ status: number | undefined; body: string }> {
  const request = http.get({ port, path, host: '127.0.0.1', agent: false });
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject);
  });
  let body = '';
  for await (const part of response.setEncoding('utf8')) body += String(part);
  return { status: response.statusCode, body };
}

/** Asks a worker for its state until it is as expected. The pauses give the workers time to exchange messages. */
async function knows(port: number, state: readonly (readonly [string, number])[]): Promise<void> {
  const wanted = JSON.stringify(state);
  let last = '';
  for (const start = performance.now(); performance.now() - start < LIMIT_MS;) {
    last = (await get(port, '/state')).body;
    if (last === wanted) return;
    await pause(POLL_MS);
  }
  assert.fail(`port ${port} knows ${last}, not ${wanted}`);
}

/** A server that accepts connections and never answers. */
async function startSilent(t: TestContext): Promise<{ origin: string; came: (count: number) => Promise<void> }> {
  let count = 0;
  let wake: () => void = () => undefined;
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket.on('error', () => undefined).resume());
    count++;
    wake();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    origin: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    came: async (wanted) => {
      while (count < wanted) await new Promise<void>((resolve) => { wake = resolve; });
    },
  };
}

const LIMIT_MS = 60_000;
const POLL_MS = 20;

describe('workers with a channel', () => {
  test('know what the others eject, and have in flight', async (t) => {
    const silent = await startSilent(t);
    const gone = refusingOrigin();
    // Its weight makes it the first one tried.
    const upstreams = [{ origin: silent.origin }, { origin: gone, weight: 1e6 }];
    const program = new Program(t, balancing(upstreams, `peers: channel('upstreams')`));
    const [one, other] = await portsOf(program);
    const request = http.get({ port: one, path: '/', host: '127.0.0.1', agent: false }).on('error', () => undefined);
    await silent.came(1);
    await knows(one, [['active', 1], ['ejected', 0]]);
    await knows(other, [['active', 1], ['ejected', 0]]);
    const [first = 0] = program.workers;
    request.destroy();
    await knows(other, [['active', 0], ['ejected', 0]]);
    // Its replacement learns this from the other worker.
    process.kill(first, 'SIGKILL');
    await program.logged(/worker 3 .* is ready/);
    await program.printed(/(serving on \d+\n[^]*){3}/);
    await knows(Number([...program.stdout.matchAll(/serving on (\d+)/g)].at(-1)?.[1]), [['active', 0], ['ejected', 0]]);
    program.signal('SIGTERM');
    assert.deepEqual(await program.exit(), { code: 0, signal: null });
  });

  test('send nothing if no worker joins', async (t) => {
    const gone = refusingOrigin();
    const program = new Program(t, balancing([{ origin: gone }], ''));
    const [one, other] = await portsOf(program);
    assert.equal((await get(one, '/')).status, 502);
    // The only upstream is still a candidate, because too many are ejected.
    await knows(one, [['ejected', 0]]);
    await knows(other, [['active', 0]]);
    program.signal('SIGTERM');
    assert.deepEqual(await program.exit(), { code: 0, signal: null });
    assert.doesNotMatch(program.stdout, /said/);
  });
});
