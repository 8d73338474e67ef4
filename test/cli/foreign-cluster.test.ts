import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { preparePm2 } from '../support/pm2.ts';
import { BINARY, type Binary, start } from '../support/process-binary.ts';
import { freePort, get, startHolding, startUpstream } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { Signal, turns, within } from '../support/wait.ts';

/** A node:cluster primary that knows nothing about us: it runs the binary in two workers and prints how they end. */
const PRIMARY = `
  import cluster from 'node:cluster';
  const [exec, ...args] = process.argv.slice(2);
  cluster.setupPrimary({ exec, args });
  for (const worker of [cluster.fork(), cluster.fork()]) {
    worker.on('exit', (code, signal) => console.error('a worker ended:', code, signal));
  }
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM');
  });
`;

describe('in the workers of a cluster that is not ours', () => {
  test('the binary serves on its own: it says so, probes, and drains on SIGTERM', async (t) => {
    const probed = new Signal();
    let probes = 0;
    const origin = await startUpstream(t, (request, response) => {
      if (request.url === '/health') {
        probes++;
        probed.raise();
      }
      response.end('A');
    });
    const config = { upstreams: [origin], healthCheck: { path: '/health' }, listen: '127.0.0.1:0' };
    const binary = foreign(t, ['-c', join(directory(t, { 'c.json': JSON.stringify(config) }), 'c.json')]);
    const ports = await portsOfTwo(binary);
    for (const port of ports) assert.equal((await get(port)).body, 'A');
    await probed.until(() => probes >= 2, () => `probes of both; there were ${probes}`);
    binary.signal('SIGTERM');
    const { stderr } = await binary.exit();
    assert.equal(stderr.match(/SIGTERM: finishing what is in flight/g)?.length, 2, stderr);
    assert.equal(stderr.match(/a worker ended: 0 null/g)?.length, 2, stderr);
  });

  test('a request in flight is answered, and --workers is ignored with a note', async (t) => {
    const upstream = await startHolding(t, 'start ', 'end');
    const binary = foreign(t, ['-l', '127.0.0.1:0', '-w', '4', upstream.origin]);
    const [port] = await portsOfTwo(binary);
    const answer = get(port ?? 0);
    await upstream.asked();
    binary.signal('SIGTERM');
    await binary.logged(/SIGTERM/);
    upstream.release();
    assert.equal((await answer).body, 'start end');
    const { stderr } = await binary.exit();
    assert.match(stderr, /^equipoise: workers: ignored, since .*$/m);
    assert.equal(stderr.match(/a worker ended: 0 null/g)?.length, 2, stderr);
  });

  test('a failure to start ends them with its exit code', async (t) => {
    const binary = foreign(t, ['-l', '192.0.2.1:80', 'http://127.0.0.1:9']);
    const { stderr } = await binary.exit();
    assert.equal(stderr.match(/a worker ended: 1 null/g)?.length, 2, stderr);
  });
});

test('under PM2, in its cluster mode', async (t) => {
  const pm2 = preparePm2(t);
  const upstream = await startHolding(t, '', 'A');
  upstream.release();
  const port = await freePort();
  await pm2.run('start', BINARY, '-i', '2', '--name', 'edge', '--kill-timeout', '60000',
    '--', '-l', `127.0.0.1:${port}`, upstream.origin);
  const serves = (): Promise<boolean> => get(port).then(({ body }) => body === 'A', () => false);
  const answered = async (): Promise<void> => {
    while (!await serves()) await turns(1);
  };
  await within(answered(), () => 'an answer');
  const workers = JSON.parse(await pm2.run('jlist')) as { readonly pm2_env: { readonly status: string } }[];
  assert.deepEqual(workers.map(({ pm2_env: { status } }) => status), ['online', 'online']);
  // PM2 calls them online when they have started. One that is stopped before it listens says something else.
  await pm2.logged('edge', 'out', /listening on http:/, 2);
  await pm2.run('stop', 'edge');
  await pm2.logged('edge', 'error', /SIGINT: finishing what is in flight/, 2);
});

function foreign(t: TestContext, args: readonly string[]): Binary {
  const program = join(directory(t, { 'primary.mjs': PRIMARY }), 'primary.mjs');
  return start(t, [BINARY, ...args], { program });
}

/** The ports that two workers print; their cluster makes them share one. */
async function portsOfTwo(binary: Binary): Promise<number[]> {
  await binary.printed(/(listening on http:.*\n[^]*){2}/);
  return [...binary.stdout.matchAll(/http:\/\/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
}
