import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RouteOptions } from '../../src/options/route-options.ts';
import type { ParsedRoute } from '../../src/options/parsed-route.ts';
import { readRoutes } from '../../src/options/routes.ts';
import { redirectTarget, Routes, sentTarget } from '../../src/pools/routes.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { oneOf } from '../http1/heads.ts';

function parsed(options: readonly RouteOptions[]): readonly ParsedRoute[] {
  const problems: string[] = [];
  const routes = readRoutes(options, undefined, problems);
  assert.deepEqual(problems, []);
  return routes;
}

/** Which route of `options` takes the request: its place, or why there is none. */
function taken(options: readonly RouteOptions[], method: string, host: string, target: string): number | string {
  const routes = parsed(options);
  const found = new Routes(routes).match(method, host, target);
  return typeof found === 'string' ? found : routes.indexOf(found);
}

describe('a host', () => {
  const table: readonly [route: string, host: string, matches: boolean][] = [
    ['a.example', 'a.example', true],
    ['a.example', 'A.Example', true],
    ['A.Example', 'a.example', true],
    ['a.example', 'a.example:8080', true],
    ['a.example', 'a.example.', true],
    ['a.example.', 'a.example', true],
    ['a.example', 'a.example.:80', true],
    ['a.example', 'b.a.example', false],
    ['a.example', 'aa.example', false],
    ['a.example', 'a.exampl', false],
    ['a.example', '', false],
    ['*.a.example', 'b.a.example', true],
    ['*.a.example', 'C.B.A.example:1', true],
    ['*.a.example', 'a.example', false],
    ['*.a.example', '.a.example', false],
    ['*.a.example', 'ba.example', false],
    ['*.A.example', 'b.a.example.', true],
    ['127.0.0.1', '127.0.0.1:80', true],
    ['[::1]', '[::1]:8080', true],
    ['[::1]', '[::1]', true],
    ['[::1]', '[::2]', false],
    ['localhost', 'LOCALHOST:', true],
  ];
  for (const [route, host, matches] of table) {
    test(`${route} ${matches ? 'takes' : 'leaves'} ${JSON.stringify(host)}`, () => {
      assert.equal(taken([{ host: route, pool: 'p' }], 'GET', host, '/'), matches ? 0 : 'NO_ROUTE');
    });
  }
});

describe('a path', () => {
  const table: readonly [path: string, target: string, matches: boolean][] = [
    ['/api/', '/api', true],
    ['/api/', '/api/', true],
    ['/api/', '/api/x', true],
    ['/api/', '/api?q=/x', true],
    ['/api/', '/apix', false],
    ['/api/', '/api%2fx', false],
    ['/api/', '/%61pi/', false],
    ['/api/', '/API/', false],
    ['/api/', '//api/', false],
    ['/api', '/api', true],
    ['/api', '/api/x/y', true],
    ['/api', '/api?', true],
    ['/api', '/apix', false],
    ['/api', '/ap', false],
    ['/api', '/?/api/', false],
    ['/a/b', '/a/b/c', true],
    ['/a/b', '/a/', false],
    ['/a//', '/a//x', true],
    ['/a//', '/a/', true],
    ['/a//', '/a/x', false],
    ['/', '/', true],
    ['/', '/anything?x', true],
    ['/', '*', true],
    ['/api', '*', false],
  ];
  for (const [path, target, matches] of table) {
    test(`${path} ${matches ? 'takes' : 'leaves'} ${target}`, () => {
      assert.equal(taken([{ path, pool: 'p' }], 'GET', 'h', target), matches ? 0 : 'NO_ROUTE');
    });
  }
});

describe('methods', () => {
  const table: readonly [methods: readonly string[] | undefined, method: string, matches: boolean][] = [
    [undefined, 'PURGE', true],
    [['GET'], 'GET', true],
    [['GET'], 'HEAD', true],
    [['GET'], 'POST', false],
    [['POST', 'PUT'], 'PUT', true],
    [['POST'], 'HEAD', false],
    [['HEAD'], 'GET', false],
    [['GET'], 'get', false],
  ];
  for (const [methods, method, matches] of table) {
    test(`${methods?.join() ?? 'all'} ${matches ? 'take' : 'leave'} ${method}`, () => {
      const route = methods === undefined ? { pool: 'p' } : { pool: 'p', methods };
      assert.equal(taken([route], method, 'h', '/'), matches ? 0 : 'NO_ROUTE');
    });
  }
});

describe('the first route that matches counts', () => {
  const routes: RouteOptions[] = [
    { host: 'api.example.com', path: '/v1/', methods: ['POST'], pool: 'a' },
    { path: '/v1/x/', pool: 'b' },
    { host: '*.example.com', pool: 'c' },
    { host: 'api.example.com', answer: { status: 404 } },
    { path: '/', pool: 'e' },
  ];
  const table: readonly [method: string, host: string, target: string, place: number][] = [
    ['POST', 'api.example.com', '/v1/x/y', 0],
    ['GET', 'api.example.com', '/v1/x/y', 1],
    ['POST', 'other', '/v1/x/y', 1],
    ['GET', 'api.example.com', '/v1/y', 2],
    ['GET', 'a.b.example.com', '/', 2],
    ['GET', 'example.com', '/v1', 4],
    ['OPTIONS', 'other', '*', 4],
  ];
  for (const [method, host, target, place] of table) {
    test(`${method} ${host} ${target}`, () => {
      const all = parsed(routes.map((route) => route.pool === 'c' ? { host: '*.example.com', answer: {} } : route));
      const found = new Routes(all).match(method, host, target);
      assert.equal(typeof found === 'string' ? found : all.indexOf(found), place);
    });
  }
});

describe('a target with dot segments', () => {
  const with_ = [
    '/.', '/..', '/a/../b', '/a/./b', '/a/..', '/a/.?x', '/%2e%2E/x', '/.%2e/', '/a/%2e', '/a/..%2fb', '/a%2F..%2fb',
    '/a/..\\b', '/a\\..\\b', '/a%5c..%5Cb', '/a/..;x=1/b', '/a/.;/b', '/..;',
  ];
  const without = [
    '/', '/a.b', '/.well-known/x', '/...', '/a/..b', '/a/b..', '/x?a=/../b', '/.%2ex', '/%2', '/%', '/a;..', '/a;/b',
    '/%252e%252e/', '/a%2eb', '/;.', '*', '/..a;/',
  ];
  for (const target of with_) {
    test(`${target} is refused where routes have paths`, () => {
      assert.equal(taken([{ path: '/x', pool: 'p' }, { pool: 'p' }], 'GET', 'h', target), 'DOT_SEGMENTS');
      assert.equal(taken([{ host: 'h', pool: 'p' }], 'GET', 'h', target), 0);
    });
  }
  for (const target of without) {
    test(`${target} has none`, () => {
      assert.equal(taken([{ path: '/xx', answer: {} }, { pool: 'p' }], 'GET', 'h', target), 1);
    });
  }
});

describe('what is sent', () => {
  const table: readonly [route: RouteOptions, target: string, sent: string][] = [
    [{ path: '/api/' }, '/api/x?q', '/api/x?q'],
    [{ path: '/api/', stripPrefix: '/api' }, '/api/x?q', '/x?q'],
    [{ path: '/api/', stripPrefix: '/api/' }, '/api/x', '/x'],
    [{ path: '/api/', stripPrefix: '/api' }, '/api', '/'],
    [{ path: '/api/', stripPrefix: '/api' }, '/api?q', '/?q'],
    [{ path: '/api/', stripPrefix: '/api' }, '/api/', '/'],
    [{ path: '/api/', stripPrefix: '/api' }, '/api//x', '//x'],
    [{ path: '/api/v1', stripPrefix: '/api' }, '/api/v1/x', '/v1/x'],
    [{ path: '/v1/', rewrite: '/v2/' }, '/v1/x?q', '/v2/x?q'],
    [{ path: '/v1', rewrite: '/v2' }, '/v1/x', '/v2/x'],
    [{ path: '/v1/', rewrite: '/v2' }, '/v1/', '/v2/'],
    [{ path: '/v1/', rewrite: '/v2' }, '/v1?q', '/v2?q'],
    [{ path: '/v1/', rewrite: '/v2/' }, '/v1', '/v2/'],
    [{ path: '/v1/', rewrite: '/' }, '/v1/x', '/x'],
    [{ path: '/v1/', rewrite: '/' }, '/v1', '/'],
    [{ rewrite: '/base/' }, '/x', '/base/x'],
    [{ rewrite: '/base' }, '/', '/base/'],
    [{ rewrite: '/base' }, '*', '*'],
  ];
  for (const [route, target, sent] of table) {
    test(`${JSON.stringify(route)}: ${target}`, () => {
      const [one] = parsed([{ pool: 'p', ...route }]);
      assert.ok(one !== undefined);
      assert.equal(sentTarget(one, target), sent);
      assert.equal(redirectTarget(one, target), '');
    });
  }
});

describe('a redirect', () => {
  const table: readonly [route: RouteOptions, target: string, location: string][] = [
    [{ path: '/old/', redirect: 'https://example.com/new/' }, '/old/x/y?q=1', 'https://example.com/new/x/y?q=1'],
    [{ path: '/old/', redirect: 'https://example.com/new/' }, '/old', 'https://example.com/new/'],
    [{ path: '/old/', redirect: 'https://example.com/new/' }, '/old/', 'https://example.com/new/'],
    [{ path: '/old/', redirect: 'https://example.com/new/' }, '/old?q', 'https://example.com/new/?q'],
    [{ path: '/old/', redirect: 'https://example.com/new' }, '/old/x', 'https://example.com/new/x'],
    [{ path: '/old/', redirect: 'https://example.com' }, '/old/x', 'https://example.com/x'],
    [{ redirect: 'https://example.com' }, '/old/x?q', 'https://example.com/old/x?q'],
    [{ redirect: 'https://example.com/' }, '/', 'https://example.com/'],
    [{ redirect: 'https://example.com/' }, '*', 'https://example.com/'],
    [{ path: '/old', redirect: '/' }, '/old/x', '/x'],
    // None of these may lead to another server.
    [{ path: '/old', redirect: '/' }, '/old//evil.example', '/evil.example'],
    [{ path: '/old', redirect: '/' }, '/old///evil.example', '/evil.example'],
    [{ path: '/old', redirect: '/' }, '/old/\\evil.example', '/evil.example'],
    [{ path: '/old', redirect: '/' }, '/old/\\/\\evil.example', '/evil.example'],
    [{ redirect: '/' }, '//evil.example', '/evil.example'],
    [{ redirect: '/' }, '/\\evil.example', '/evil.example'],
    [{ redirect: 'https://example.com' }, '//evil.example', 'https://example.com/evil.example'],
  ];
  for (const [route, target, location] of table) {
    test(`${JSON.stringify(route)}: ${target}`, () => {
      const [one] = parsed([route]);
      assert.ok(one !== undefined);
      assert.equal(redirectTarget(one, target), location);
      assert.equal(sentTarget(one, target), target);
    });
  }
});

test('no routes, no route', () => {
  assert.equal(taken([], 'GET', 'h', '/'), 'NO_ROUTE');
  assert.equal(taken([], 'GET', 'h', '/..'), 'NO_ROUTE');
});

/** What a reader of the documentation would write. */
function naive(routes: readonly RouteOptions[], method: string, host: string, target: string): number | string {
  const name = host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  const [path = ''] = target.split('?');
  const found = routes.findIndex((route) => {
    const { host: wanted = '', path: start = '/', methods } = route;
    if (methods !== undefined && !methods.includes(method === 'HEAD' && methods.includes('GET') ? 'GET' : method)) {
      return false;
    }
    const suffix = wanted.slice(1);
    if (wanted.startsWith('*.')) {
      if (!name.endsWith(suffix) || name.length === suffix.length) return false;
    } else if (wanted !== '' && wanted !== name) return false;
    const bare = start.replace(/\/$/, '');
    return bare === '' || path === bare || path.startsWith(`${bare}/`);
  });
  return found < 0 ? 'NO_ROUTE' : found;
}

test('as a naive model has it, over drawn routes and requests', () => {
  const seed = testSeed();
  const rng = seededRandom(seed);
  const hosts = ['', 'a', 'a.b', 'b', '*.b', '*.a.b', 'c.a.b', '*.c.a.b', '[::1]'];
  const segments = ['a', 'b', 'aa', '', 'a%2fb'];
  const drawnPath = (): string => {
    return `/${Array.from({ length: Math.floor(rng() * 4) }, () => oneOf(segments, rng)).join('/')}`;
  };
  let matched = 0;
  for (let round = 0; round < 400; round++) {
    const routes: RouteOptions[] = Array.from({ length: 1 + Math.floor(rng() * 12) }, () => ({
      ...(rng() < 0.6 ? { host: oneOf(hosts.slice(1), rng) } : {}),
      ...(rng() < 0.7 ? { path: drawnPath() } : {}),
      ...(rng() < 0.3 ? { methods: [oneOf(['GET', 'POST', 'HEAD'], rng)] } : {}),
      answer: {},
    }));
    const all = parsed(routes);
    const compiled = new Routes(all);
    for (let i = 0; i < 40; i++) {
      const method = oneOf(['GET', 'HEAD', 'POST', 'PUT'], rng);
      const name = oneOf(['', 'a', 'A.b', 'B', 'x.b', 'c.A.b', 'd.c.a.b', '[::1]', 'b.', 'zz'], rng);
      const host = rng() < 0.3 && name !== '' ? `${name}:80` : name;
      const target = rng() < 0.05 ? '*' : drawnPath() + oneOf(['', '?', '?/a/b', '/'], rng);
      const found = compiled.match(method, host, target);
      const place = typeof found === 'string' ? found : all.indexOf(found);
      const expected = naive(routes, method, host, target);
      const at = `seed ${seed}, round ${round}: ${method} ${host} ${target} ${JSON.stringify(routes)}`;
      assert.equal(place, expected, at);
      if (typeof place === 'number') matched++;
    }
  }
  assert.ok(matched > 4_000, 'few requests matched');
});

test('every one of many routes is found', () => {
  const hostOf = (i: number): string | undefined => [undefined, `h${i}.example.com`, `*.w${i}.example.com`][i % 3];
  const routes: RouteOptions[] = Array.from({ length: 3_000 }, (_, i) => {
    const host = hostOf(i);
    return { ...(host === undefined ? {} : { host }), path: `/p${i}/q`, answer: {} };
  });
  const all = parsed(routes);
  const compiled = new Routes(all);
  for (let i = 0; i < routes.length; i++) {
    const host = hostOf(i)?.replace('*', 'a.b') ?? 'any';
    assert.equal(compiled.match('GET', host, `/p${i}/q/r/s`), all[i]);
    // That of another host.
    const next = (i + 1) % 3 === 0 ? all[i + 1] : undefined;
    assert.equal(compiled.match('GET', host, `/p${i + 1}/q`), next ?? 'NO_ROUTE');
  }
});
