/**
 * `--check`: prints what would be served, and starts nothing.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { run } from '../support/process-binary.ts';
import { listening, startUpstream } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const SECRET = 'hunter2';

/** The lines of the section with this title, without their indent. */
function section(stdout: string, title: string): readonly string[] {
  const found = stdout.split('\n\n').find((text) => text.startsWith(`${title}\n`));
  assert.ok(found !== undefined, `there is a section ${title} in\n${stdout}`);
  return found.trimEnd().split('\n').slice(1).map((line) => line.slice(2));
}

describe('--check prints what would be served', () => {
  test('listeners, pools, routes, hooks, options that are not the default', async (t) => {
    const cwd = directory(t, {
      'mine.mjs': 'export default { name: "mine", pick: ([first]) => first };',
      'c.mjs': `export default {
        listen: ['127.0.0.1:8080', 'unix:x.sock,mode=060', 'fd:3', 0, { host: '::1', port: 80 }],
        pools: {
          web: {
            upstreams: [
              'http://10.0.0.1:3000',
              { origin: 'http://10.0.0.2:3000', weight: 2, maxInFlight: 100, tags: { zone: 'b' }, healthCheck: false },
            ],
            strategy: './mine.mjs', healthCheck: { path: '/health', status: 200 }, retryOn: [502, 503],
            maxQueued: 0, maxInFlight: 500,
          },
          api: { upstreams: ['https://10.0.0.3'], connectTimeoutMs: 100 },
        },
        routes: [
          { host: 'API.example.com', pool: 'api' },
          { path: '/api/', stripPrefix: '/api', methods: ['GET'], pool: 'api' },
          { path: '/old/', redirect: 'https://example.com/new/', status: 301 },
          { host: '*.example.com', path: '/health', answer: { status: 200, headers: { 'x-a': 'b' }, body: 'ok\\n' } },
          { path: '/v1/', rewrite: '/v2/', pool: 'api', limits: { maxAttempts: 1, retryOn: [502, 503] } },
          { pool: 'web', requestHeaders: { 'x-edge': 'eu', cookie: null }, responseHeaders: { server: null } },
        ],
        onRequest() {}, onError() {},
        via: false, maxConnections: 100, maxBodyBytes: 1000, forwarded: false, idleTimeoutMs: 60000,
        workers: 'auto', drainTimeout: 0.5, pidFile: 'x.pid',
      };`,
    });
    const { code, stdout, stderr } = await run(['--check', '-c', 'c.mjs'], { cwd });
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
    assert.match(stdout, /^c\.mjs is valid\. This would be served:\n\n/);
    assert.deepEqual(section(stdout, 'Listen'), [
      'http://127.0.0.1:8080', `unix:${join(cwd, 'x.sock')}, mode 060`, 'file descriptor 3',
      'every interface, at a free port', 'http://[::1]:80',
    ]);
    assert.deepEqual(section(stdout, 'Pool web: mine'), [
      'http://10.0.0.1:3000, weight 1',
      'http://10.0.0.2:3000, weight 2, at most 100 in flight, zone=b, no probes',
      'probes: GET /health every 5000 ms, for 2000 ms at most; good is 200; 2 good to readmit, 3 bad to eject',
      'retryOn: 502, 503', 'maxInFlight: 500',
    ]);
    assert.deepEqual(section(stdout, 'Pool api: random'), [
      'https://10.0.0.3', 'probes: none', 'TLS: certificates are verified', 'connectTimeoutMs: 100',
    ]);
    assert.deepEqual(section(stdout, 'Routes'), [
      'the first that matches counts; no match is 404',
      '1. api.example.com       ->  pool api',
      '2. GET HEAD /api/        ->  pool api, without /api',
      '3. /old/                 ->  redirect 301 to https://example.com/new/ and the rest of the target',
      '4. *.example.com/health  ->  answer 200, 3 octets, x-a: b, content-type: text/plain; charset=utf-8',
      '5. /v1/                  ->  pool api, with /v2/ in place of /v1/',
      '     limits: maxAttempts 1, retryOn 502, 503',
      '6. everything            ->  pool web',
      '     set request header x-edge: eu',
      '     remove request header cookie',
      '     remove response header server',
    ]);
    assert.deepEqual(section(stdout, 'Hooks'), ['onRequest', 'onError']);
    assert.deepEqual(section(stdout, 'Options of the front'),
      ['via: false', 'maxConnections: 100', 'maxBodyBytes: 1000']);
    assert.deepEqual(section(stdout, 'Process'), [
      'workers: auto, one per core', 'drainTimeout: 0.5 s', 'stopDelay: 0 s', 'reloadTimeout: 3600 s',
      `pidFile: ${join(cwd, 'x.pid')}`,
    ]);
    assert.ok(!existsSync(join(cwd, 'x.pid')) && !existsSync(join(cwd, 'x.sock')));
  });

  test('of the command line alone', async () => {
    const args = ['http://127.0.0.1:3001', 'http://127.0.0.1:3002', '-s', 'least-connections', '-l', '[::1]:8080'];
    const { code, stdout } = await run(['--check', ...args]);
    assert.equal(code, 0);
    assert.match(stdout, /^The command line is valid\. /);
    assert.deepEqual(section(stdout, 'Listen'), ['http://[::1]:8080']);
    assert.deepEqual(section(stdout, 'Pool default: least-connections'),
      ['http://127.0.0.1:3001', 'http://127.0.0.1:3002', 'probes: none']);
    assert.deepEqual(section(stdout, 'Routes'), ['none: everything goes to pool default']);
    assert.deepEqual(section(stdout, 'Hooks'), ['none']);
    assert.equal(section(stdout, 'Process')[0], 'workers: 1, this process');
  });

  test('of --demo, whose upstreams are not started', async () => {
    const { code, stdout } = await run(['--demo', '--check']);
    assert.equal(code, 0);
    assert.deepEqual(section(stdout, 'Listen'), ['http://127.0.0.1:8080']);
    assert.deepEqual(section(stdout, 'Pool default: random'),
      ['three built-in upstreams, at free ports of the loopback interface', 'probes: none']);
  });
});

test('no secret is printed', async (t) => {
  const config = {
    upstreams: [{ origin: 'http://127.0.0.1:1', tags: { apiKey: SECRET } }],
    healthCheck: { path: `/health?token=${SECRET}` },
    routes: [
      { path: '/a/', requestHeaders: Object.fromEntries([
        'Authorization', 'proxy-authorization', 'cookie', 'x-api-key', 'X-Auth', 'x-access-token', 'x-client-secret',
        'x-password',
      ].map((name) => [name, SECRET])) },
      { path: '/b/', responseHeaders: { 'Set-Cookie': SECRET } },
      { path: '/c/', redirect: `https://user:${SECRET}@example.com/` },
      { path: '/d/', answer: { headers: { 'set-cookie': SECRET }, body: SECRET } },
    ],
  };
  const cwd = directory(t, { 'c.json': JSON.stringify(config) });
  const { code, stdout, stderr } = await run(['--check', '-c', 'c.json'], { cwd });
  assert.equal(code, 0, stderr);
  assert.ok(!`${stdout}${stderr}`.includes(SECRET), stdout);
  for (const text of [
    'set request header Authorization: (hidden)', 'set response header Set-Cookie: (hidden)', 'apiKey=(hidden)',
    'GET /health?... every', 'https://***@example.com/', 'answer 200, 7 octets, set-cookie: (hidden)',
  ]) assert.ok(stdout.includes(text), `${text} in ${stdout}`);
});

test('it opens no port, connects to nothing, and starts no worker', async (t) => {
  let connections = 0;
  const origin = await startUpstream(t, (_, response) => response.end());
  // A port that is in use: listening there would fail.
  const port = await listening(t, http.createServer().on('connection', () => { connections++; }));
  const config = {
    listen: port, workers: 2, upstreams: [`http://127.0.0.1:${port}`, origin], healthCheck: { intervalMs: 10 },
  };
  const cwd = directory(t, { 'c.json': JSON.stringify(config) });
  const { code, stdout, stderr } = await run(['--check', '-c', 'c.json'], { cwd });
  assert.deepEqual([code, stderr, connections], [0, '', 0]);
  assert.equal(section(stdout, 'Process')[0], 'workers: 2');
});

test('the problems are those of a start, and the exit code is 2', async (t) => {
  const config = {
    upstreams: ['x'], listen: 'y', strategy: 'z', routes: [{ pool: 'wep' }], onRequest: 1, maxQueued: -1, frobnicate: 1,
  };
  const cwd = directory(t, { 'c.json': JSON.stringify(config), 'd.mjs': 'throw new Error("no luck");' });
  for (const file of ['c.json', 'd.mjs', 'nowhere.json']) {
    const args = ['-c', file, '--drain-timeout', 'never'];
    const [atStart, checked] = [await run(args, { cwd }), await run([...args, '--check'], { cwd })];
    assert.equal(checked.code, 2);
    assert.deepEqual(checked, atStart);
  }
});

test('a long list arrives in full', async (t) => {
  const upstreams = Array.from({ length: 10_000 }, (_, i) => `http://upstream-${i}.example:3000`);
  const cwd = directory(t, { 'c.json': JSON.stringify({ upstreams, maxConnections: 1 }) });
  const { code, stdout } = await run(['--check', '-c', 'c.json'], { cwd });
  assert.equal(code, 0);
  assert.equal(section(stdout, 'Pool default: random').length, upstreams.length + 1);
  assert.match(stdout, /\n {2}reloadTimeout: 3600 s\n$/);
});
