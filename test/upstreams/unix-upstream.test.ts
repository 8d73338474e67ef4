/**
 * Upstreams on Unix sockets: requests, probes, retries, health, membership.
 */
import assert from 'node:assert/strict';
import dns from 'node:dns';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { atEnd } from '../support/scope.ts';
import { Signal } from '../support/wait.ts';

interface UnixUpstream {
  /** Host and path of each request. */
  readonly seen: string[];
  readonly signal: Signal;
  close(): Promise<void>;
}

async function listenOn(t: TestContext, path: string, name: string): Promise<UnixUpstream> {
  const seen: string[] = [];
  const signal = new Signal();
  const server = http.createServer((request, response) => {
    seen.push(`${request.headers.host ?? ''} ${request.url ?? ''}`);
    signal.raise();
    request.resume().on('end', () => response.end(name));
  });
  await new Promise<void>((resolve) => {
    server.listen({ path }, resolve);
  });
  const close = (): Promise<void> => new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    server.closeAllConnections();
  });
  atEnd(t, close);
  return { seen, signal, close };
}

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'equipoise-'));
  atEnd(t, () => {
    rmSync(path, { recursive: true });
  });
  return path;
}

for (const front of FRONTS) {
  describe(`an upstream on a Unix socket, through ${front.name},`, () => {
    test('gets requests with the Host of the downstream, and no name is looked up', async (t) => {
      const path = join(directory(t), 'a.sock');
      const upstream = await listenOn(t, path, 'A');
      const lookup = t.mock.method(dns, 'lookup');
      const entry = { origin: `unix:${path}`, weight: 2, tags: { a: 'b' } };
      const under = await startBalancer(t, { upstreams: [entry], front });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/x'))).text, 'A');
      assert.equal((await client.exchange(post('/y', 'body'))).text, 'A');
      assert.deepEqual(upstream.seen.map((line) => line.split(' ')[1]), ['/x', '/y']);
      assert.ok(upstream.seen.every((line) => !line.startsWith('localhost ')), upstream.seen.join());
      // Node passes the address that the front listens on through it.
      const names = lookup.mock.calls.map(({ arguments: [name] }) => name).filter((name) => name !== '127.0.0.1');
      assert.deepEqual(names, []);
      assert.deepEqual(under.outcomes.map(({ origin }) => origin), [`unix:${path}`, `unix:${path}`]);
    });

    test('gets localhost with changeOrigin', async (t) => {
      const path = join(directory(t), 'a.sock');
      const upstream = await listenOn(t, path, 'A');
      const under = await startBalancer(t, { upstreams: [`unix:${path}`], front, changeOrigin: true });
      await (await under.connect()).exchange(get('/'));
      assert.deepEqual(upstream.seen, ['localhost /']);
    });

    test('that is missing, dead or not a socket is refused, and another serves', async (t) => {
      const path = directory(t);
      await (await listenOn(t, join(path, 'gone.sock'), 'A')).close();
      writeFileSync(join(path, 'file'), '');
      await listenOn(t, join(path, 'b.sock'), 'B');
      const origins = ['missing.sock', 'gone.sock', 'file', 'b.sock'].map((name) => `unix:${join(path, name)}`);
      const under = await startBalancer(t, { upstreams: origins, front, ejectAfter: 0, maxAttempts: 4 });
      assert.equal((await (await under.connect()).exchange(post('/', 'body'))).text, 'B');
      assert.deepEqual(under.reports, origins.slice(0, 3).map((origin) => `CONNECT_REFUSED at ${origin}`));
    });
  });
}

test('a Unix socket is probed, ejected and readmitted', async (t) => {
  const path = join(directory(t), 'a.sock');
  const under = await startBalancer(t, {
    upstreams: [`unix:${path}`], maxEjectedPercent: 100, rng: () => 0.5,
    healthCheck: { path: '/health', intervalMs: 1_000, timeoutMs: 400, rise: 1, fall: 1 },
  });
  const changed = new Signal();
  const events: string[] = [];
  under.balancer
    .on('ejected', ({ upstream: { origin } }) => {
      events.push(`${origin} ejected`);
      changed.raise();
    })
    .on('readmitted', ({ upstream: { origin } }) => {
      events.push(`${origin} readmitted`);
      changed.raise();
    });
  await under.advance(1_000);
  await changed.until(() => events.length === 1, () => 'the ejection');
  const upstream = await listenOn(t, path, 'A');
  await under.advance(1_000);
  await changed.until(() => events.length === 2, () => 'the readmission');
  assert.deepEqual(events, [`unix:${path} ejected`, `unix:${path} readmitted`]);
  assert.deepEqual(upstream.seen, ['localhost /health']);
});

test('Unix sockets are added, updated and removed by their origins, however they are spelt', async (t) => {
  const path = directory(t);
  const under = await startBalancer(t, { upstreams: [`unix:${path}/a.sock`] });
  const { balancer } = under;
  balancer.add({ origin: `unix://${path}/b.sock`, weight: 3 });
  assert.throws(() => balancer.add(`UNIX:${path}/b.sock`), /already/);
  await balancer.remove(`unix://${path}/a.sock`);
  assert.deepEqual(balancer.upstreams.map(({ origin, weight }) => [origin, weight]), [[`unix:${path}/b.sock`, 3]]);
  await balancer.update([`unix:${path}/b.sock`, `unix:${path}/c.sock`]);
  assert.deepEqual(balancer.upstreams.map(({ origin, weight }) => [origin, weight]),
    [[`unix:${path}/b.sock`, 1], [`unix:${path}/c.sock`, 1]]);
});

test('connect gets the path', async (t) => {
  const path = join(directory(t), 'a.sock');
  await listenOn(t, path, 'A');
  const places: unknown[] = [];
  const under = await startBalancer(t, {
    upstreams: [`unix:${path}`], connect: (place) => {
      places.push(place);
      return undefined;
    },
  });
  assert.equal((await (await under.connect()).exchange(get())).text, 'A');
  assert.deepEqual(places, [{ origin: `unix:${path}`, host: 'localhost', port: 0, path }]);
});

const skip = process.platform !== 'linux' && 'abstract sockets exist on Linux alone';

test('an abstract socket is an upstream', { skip }, async (t) => {
  const name = `equipoise-test-${process.pid}`;
  await listenOn(t, `\0${name}`, 'A');
  const under = await startBalancer(t, { upstreams: [`unix:@${name}`] });
  assert.equal((await (await under.connect()).exchange(get())).text, 'A');
  assert.deepEqual(under.outcomes.map(({ origin }) => origin), [`unix:@${name}`]);
});
