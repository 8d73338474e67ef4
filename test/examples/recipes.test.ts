/**
 * The examples that need only equipoise, run as programs with real sockets. Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { documentAt, rowsOf, spansOf } from '../support/documents.ts';
import { Binary } from '../support/process-binary.ts';
import { get } from '../support/process-client.ts';
import { atEnd } from '../support/scope.ts';
import { asked, echoed, pathOf, startEcho, startExample, startUpstream } from './example.ts';

test('README.md lists every example, and each says how to try it', () => {
  const listed = rowsOf(documentAt('test/examples/README.md').text).flatMap(([cell = '']) => spansOf(cell));
  const examples = readdirSync(pathOf('.')).filter((name) => name.endsWith('.mjs') && name !== 'upstreams.mjs');
  assert.deepEqual(listed.sort(), examples.sort());
  for (const name of examples) {
    const text = readFileSync(pathOf(name), 'utf8');
    assert.match(text, new RegExp(`^/\\*\\*\n( \\*.*\n)+ \\* .*node .*${name}`), name);
    if (name.endsWith('.test.mjs')) continue;
    assert.match(text, /^ \*.* (?:curl|http:\/\/127\.0\.0\.1:8080)/m, name);
    assert.ok(text.split('\n').length <= 62, `${name} is short`);
  }
});

test('upstreams.mjs: what the commands at the top of the examples are answered by', async (t) => {
  const upstreams = new Binary(['0', '0'], { program: pathOf('upstreams.mjs') });
  atEnd(t, () => upstreams.stop());
  await upstreams.printed(/(?:http:.*\n){2}/);
  const [, port = ''] = /:(\d+)\n/.exec(upstreams.stdout) ?? [];
  assert.match((await get(Number(port), '/page.html')).body, /<head><title>upstream \d+<\/title><\/head>/);
  assert.equal((await get(Number(port), '/fails')).status, 500);
  await assert.rejects(get(Number(port), '/hangs-up'), /socket hang up/);
  assert.equal(asked((await get(Number(port), '/x')).body).url, '/x');
});

describe('auth.mjs', () => {
  const right = { authorization: 'Bearer sesame' };

  test('lets in requests and handshakes with the token, by name, and nothing else', async (t) => {
    const upstream = await startEcho(t);
    const { port } = await startExample(t, 'auth.mjs', { UPSTREAMS: upstream.origin, TOKEN: 'sesame' });
    for (const headers of [{}, { authorization: 'Bearer sesam' }, { authorization: 'Basic sesame' }]) {
      const refused = await get(port, '/', { headers });
      assert.equal(refused.status, 401);
      assert.equal(refused.headers['www-authenticate'], 'Bearer');
      assert.equal(await echoed(port, '/chat', 'hello', headers), 401);
    }
    assert.equal(upstream.requests.length, 0);

    const { headers } = asked((await get(port, '/', { headers: { ...right, X_User: 'root', 'X-User': 'root' } })).body);
    assert.equal(headers['x-user'], 'alice');
    assert.equal(headers['x_user'], undefined);
    assert.equal(headers['authorization'], undefined);
    assert.equal(await echoed(port, '/chat', 'hello', right), 'hello');
    assert.equal(upstream.requests.at(-1)?.headers['x-user'], 'alice');
  });

  test('does not start without a token', () => {
    const { status, stderr } = spawnSync(process.execPath, [pathOf('auth.mjs')], {
      env: { ...process.env, TOKEN: '' }, encoding: 'utf8',
    });
    assert.equal(status, 1);
    assert.match(stderr, /set TOKEN/);
  });
});

test('api-gateway.mjs sends requests to their pool, and answers and redirects by itself', async (t) => {
  const [web, api] = [await startEcho(t, 'web'), await startEcho(t, 'api')];
  const busy = await startUpstream(t, (_, response) => response.writeHead(503).end());
  const { port } = await startExample(t, 'api-gateway.mjs', { WEB: web.origin, API: `${busy} ${api.origin}` },
    { logged: /^$|status 503/ });
  const page = await get(port, '/index.html?a=b');
  assert.deepEqual([asked(page.body).name, asked(page.body).url], ['web', '/index.html?a=b']);
  assert.equal(page.headers['x-request-id'], undefined);
  assert.equal(page.headers['server'], undefined);

  for (let i = 0; i < 5; i++) {
    const answer = await get(port, '/api/users?id=1');
    const { name, url, headers } = asked(answer.body);
    assert.deepEqual([name, url], ['api', '/users?id=1'], 'retried where the other one is busy');
    assert.match(headers['x-request-id'] ?? '', /^[\da-f-]{36}$/);
    assert.equal(answer.headers['x-request-id'], headers['x-request-id']);
    assert.equal(answer.headers['cache-control'], 'no-store');
  }
  const moved = await get(port, '/v1/users?id=1', { method: 'POST' });
  assert.deepEqual([moved.status, moved.headers.location], [308, '/api/users?id=1']);
  const health = await get(port, '/healthz');
  assert.deepEqual([health.status, health.body], [200, 'ok\n']);
  assert.equal(web.requests.length, 1);
});

describe('rewrite-responses.mjs', () => {
  const SCRIPT = '<script src="/banner.js" async></script>';
  const gzip = { 'accept-encoding': 'gzip, br' };
  const unzipped = (body: string): string => gunzipSync(Buffer.from(body, 'latin1')).toString('latin1');

  test('injects a script into HTML wherever its pieces are cut, and keeps every octet', async (t) => {
    const [start, end] = ['<html><HEAD><title>\xe4\xff</title>', '</HEAD><body></head></body>'];
    for (const cut of [0, 3, 7, 20]) {
      const origin = await startUpstream(t, (request, response) => {
        assert.equal(request.headers['accept-encoding'], undefined);
        response.setHeader('content-type', 'text/html; charset=iso-8859-1').setHeader('etag', '"1"');
        response.write(start + end.slice(0, cut), 'latin1');
        setImmediate(() => response.end(end.slice(cut), 'latin1'));
      });
      const { port } = await startExample(t, 'rewrite-responses.mjs', { UPSTREAMS: origin });
      const plain = await get(port, '/');
      assert.equal(plain.body, `${start}${SCRIPT}${end}`);
      assert.deepEqual([plain.headers.vary, plain.headers.etag], ['accept-encoding', '"1"']);
      const zipped = await get(port, '/', { headers: gzip });
      assert.equal(zipped.headers['content-encoding'], 'gzip');
      assert.equal(zipped.headers.etag, 'W/"1"');
      assert.equal(unzipped(zipped.body), plain.body);
    }
  });

  test('leaves alone what it cannot rewrite, and what should not be compressed', async (t) => {
    const origin = await startUpstream(t, ({ url = '' }, response) => {
      const [, type = '', coding = ''] = url.split('~');
      if (coding !== '') response.setHeader('content-encoding', coding);
      response.setHeader('content-type', type).end('<head></head>');
    });
    const { port } = await startExample(t, 'rewrite-responses.mjs', { UPSTREAMS: origin });
    for (const [path, options] of [
      ['/~image/png', { headers: gzip }],
      ['/~text/event-stream', { headers: gzip }],
      ['/~text/html~br', { headers: gzip }],
      ['/~text/css', {}],
      ['/~text/css', { headers: { 'accept-encoding': 'br, gzip;q=0' } }],
    ] as const) {
      const { headers, body } = await get(port, path, options);
      assert.equal(body, '<head></head>', path);
      assert.equal(headers['content-length'], '13');
      assert.equal(headers['content-encoding'], path.split('~')[2]);
    }
    const json = await get(port, '/~application/json', { headers: { 'accept-encoding': 'br, gzip;q=0.5' } });
    assert.equal(unzipped(json.body), '<head></head>');
    const head = await get(port, '/~text/html', { method: 'HEAD', headers: gzip });
    assert.deepEqual([head.status, head.body, head.headers['content-encoding']], [200, '', 'gzip']);
  });
});

describe('error-pages.mjs', () => {
  test('answers in place of the balancer, with HTML or JSON', async (t) => {
    const origin = await startUpstream(t, (request) => request.socket.destroy());
    const { port } = await startExample(t, 'error-pages.mjs', { UPSTREAMS: origin },
      { logged: /^[\da-f-]{36} 502 UPSTREAM_CLOSED /m });
    const json = await get(port, '/');
    assert.equal(json.status, 502);
    assert.equal(json.headers['content-type'], 'application/json');
    const { status, title, id } = JSON.parse(json.body) as Record<string, unknown>;
    assert.deepEqual([status, title], [502, 'Something is broken']);
    assert.match(String(id), /^[\da-f-]{36}$/);
    const page = await get(port, '/', { headers: { accept: 'text/html,*/*' } });
    assert.deepEqual([page.status, page.headers['content-type']], [502, 'text/html; charset=utf-8']);
    assert.match(page.body, /^<!doctype html><title>Something is broken<\/title>/);
    assert.equal((await get(port, '/', { method: 'HEAD' })).body, '');
  });

  test('answers in place of upstreams that fail', async (t) => {
    const origin = await startUpstream(t, ({ url = '' }, response) => {
      response.writeHead(Number(url.slice(1)), { 'retry-after': '7' }).end('a stack trace');
    });
    const { port } = await startExample(t, 'error-pages.mjs', { UPSTREAMS: origin });
    const busy = await get(port, '/503');
    assert.deepEqual([busy.status, busy.headers['retry-after']], [503, '7']);
    assert.match(busy.body, /"title":"We are busy"/);
    assert.equal((await get(port, '/404')).body, 'a stack trace');
  });
});

test('canary.mjs keeps each user on one release, and a tenth of them on the new one', async (t) => {
  const [stable, canary] = [await startEcho(t, 'stable'), await startEcho(t, 'canary')];
  const settings = { STABLE: stable.origin, CANARY: canary.origin };
  const { port } = await startExample(t, 'canary.mjs', settings);
  const other = await startExample(t, 'canary.mjs', settings);
  const onCanary: string[] = [];
  // As many as make a share of a tenth certain to lie between these bounds; the hash is the same each time anyway.
  for (let i = 0; i < 200; i++) {
    const headers = { 'x-user': `user${i}` };
    const answer = await get(port, '/', { headers });
    const { name } = asked(answer.body);
    assert.equal(answer.headers['x-release'], name);
    if (name === 'canary') onCanary.push(headers['x-user']);
  }
  assert.ok(onCanary.length > 5 && onCanary.length < 40, `${onCanary.length} of 200`);
  for (const user of onCanary) {
    assert.equal(asked((await get(other.port, '/', { headers: { 'x-user': user } })).body).name, 'canary');
    const back = await get(port, '/', { headers: { 'x-user': user, 'x-release': 'stable' } });
    assert.equal(asked(back.body).name, 'stable');
  }
  assert.equal(asked((await get(port, '/', { headers: { 'x-release': 'canary' } })).body).name, 'canary');
  const none = await startExample(t, 'canary.mjs', { ...settings, CANARY_PERCENT: '0' });
  assert.equal(asked((await get(none.port, '/', { headers: { 'x-user': onCanary[0] ?? '' } })).body).name, 'stable');
});

test('maintenance.mjs answers 503 while it is on, but to those with the key', async (t) => {
  const upstream = await startEcho(t);
  const { port, program } = await startExample(t, 'maintenance.mjs', { UPSTREAMS: upstream.origin, KEY: 'sesame' });
  const key = { 'x-maintenance-key': 'sesame' };
  assert.equal((await get(port)).status, 200);

  program.signal('SIGUSR2');
  await program.printed(/maintenance is on/);
  const closed = await get(port);
  assert.deepEqual([closed.status, closed.headers['retry-after']], [503, '120']);
  assert.match(closed.body, /Back soon/);
  assert.equal((await get(port, '/', { headers: { 'x-maintenance-key': 'x' } })).status, 503);
  assert.equal(await echoed(port, '/chat', 'hello'), 503);
  assert.equal(upstream.requests.length, 1);
  const shown = await get(port, '/', { headers: key });
  assert.equal(asked(shown.body).headers['x-maintenance-key'], undefined);
  assert.equal(await echoed(port, '/chat', 'hello', key), 'hello');

  program.signal('SIGUSR2');
  await program.printed(/maintenance is off/);
  assert.equal((await get(port)).status, 200);
});

test('local-fallback.mjs serves when all remote upstreams are down, from the first request on', async (t) => {
  const upstream = await startEcho(t, 'remote');
  const up = await startExample(t, 'local-fallback.mjs', { UPSTREAMS: upstream.origin });
  for (let i = 0; i < 5; i++) assert.equal(asked((await get(up.port)).body).name, 'remote');
  const down = await startExample(t, 'local-fallback.mjs',
    { UPSTREAMS: 'http://127.0.0.1:1 http://127.0.0.1:2' }, { logged: /CONNECT_REFUSED/ });
  for (let i = 0; i < 3; i++) {
    const { status, body } = await get(down.port, '/news', { method: 'POST' });
    assert.deepEqual([status, body], [200, '{"stale":true,"path":"/news"}']);
  }
});

test('topology.test.mjs passes', () => {
  // NODE_TEST_CONTEXT would make the inner run report to the outer one.
  const env = { ...process.env };
  delete env['NODE_TEST_CONTEXT'];
  const args = ['--test', '--test-reporter=tap', pathOf('topology.test.mjs')];
  const { status, stdout } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  assert.equal(status, 0, stdout);
  assert.match(stdout, /^. pass 2$/m);
});
