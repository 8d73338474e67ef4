import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readPoolNames, readRoutes } from '../../src/options/routes.ts';

const POOLS = new Set(['web', 'api', 'default']);

/** The problems of one route. */
function problemsOf(route: unknown, pools: ReadonlySet<string> | 'unknown' = POOLS): string[] {
  const problems: string[] = [];
  readRoutes([route], pools === 'unknown' ? undefined : pools, problems);
  return problems;
}

describe('one mistake, one line', () => {
  const table: readonly [route: unknown, problem: string][] = [
    ['/api/', 'routes[0]: must be an object such as { path: \'/api/\', pool: \'api\' } (got "/api/")'],
    [{ pool: 'apj' }, 'routes[0].pool: there is no pool "apj"; did you mean api? (pools: web, api, default)'],
    [{ pool: 'zzz' }, 'routes[0].pool: there is no pool "zzz" (pools: web, api, default)'],
    [{ pool: 5 }, 'routes[0].pool: must be the name of a pool (got 5)'],
    [{ prefx: '/x' }, 'routes[0].prefx: unknown option; known here: answer, host, limits, methods, path, pool, '
      + 'redirect, requestHeaders, responseHeaders, rewrite, status, stripPrefix'],
    [{ stripPrefx: '/x' }, 'routes[0].stripPrefx: unknown option; did you mean stripPrefix? (known here: answer, host, '
      + 'limits, methods, path, pool, redirect, requestHeaders, responseHeaders, rewrite, status, stripPrefix)'],
    [{ pool: 'web', redirect: '/x' }, 'routes[0]: has pool and redirect; a route has one of them'],
    [{ pool: 'web', status: 301 }, 'routes[0].status: is that of a redirect; a pool answers with its own'],
    [{ answer: {}, status: 404 }, 'routes[0].status: is that of a redirect; write answer.status'],
    [{ answer: {}, rewrite: '/x' }, 'routes[0].rewrite: only a route with a pool has it; leave it out'],
    [{ redirect: '/', responseHeaders: {} }, 'routes[0].responseHeaders: only a route with a pool has it; leave it '
      + 'out'],

    [{ redirect: '/', limits: {} }, 'routes[0].limits: only a route with a pool has it; leave it out'],

    [{ limits: 5 }, 'routes[0].limits: must be an object such as { totalTimeoutMs: 2000, maxAttempts: 1 } (got 5)'],
    [{ limits: { maxAttempts: 0 } }, 'routes[0].limits.maxAttempts: must be an integer ≥ 1 (got 0); leave it out for '
      + 'that of the pool'],
    [{ limits: { maxAttempt: 1 } }, 'routes[0].limits.maxAttempt: unknown option; did you mean maxAttempts? (known '
      + 'here: connectTimeoutMs, idleTimeoutMs, maxAttempts, maxReplayBytes, queueTimeoutMs, responseTimeoutMs, '
      + 'retryOn, totalTimeoutMs, tunnelIdleTimeoutMs)'],
    [{ limits: { retryOn: [200] } }, 'routes[0].limits.retryOn: must be a list of statuses, each 429 or from 500 to '
      + '599, e.g. [502, 503, 504] (got [200])'],

    [{ host: 5 }, 'routes[0].host: must be a host such as \'api.example.com\' or \'*.example.com\' (got 5)'],
    [{ host: ['a', 'b'] }, 'routes[0].host: must be a host such as \'api.example.com\' or \'*.example.com\' '
      + '(got ["a","b"]); write a route for each host'],
    [{ host: '*' }, 'routes[0].host: must be a host such as \'api.example.com\' or \'*.example.com\' (got "*"); '
      + 'leave it out for every host'],
    [{ host: 'a.*' }, 'routes[0].host: must be a host such as \'api.example.com\' or \'*.example.com\' (got "a.*"); '
      + 'a * stands for the first labels only, e.g. \'*.example.com\''],
    [{ host: 'https://a.example/' }, 'routes[0].host: must be a host such as \'api.example.com\' or '
      + '\'*.example.com\' (got "https://a.example/"); write \'a.example\''],
    [{ host: 'a.example:80' }, 'routes[0].host: must be a host such as \'api.example.com\' or \'*.example.com\' '
      + '(got "a.example:80"); write \'a.example\''],
    [{ host: 'b\xfccher.example' }, 'routes[0].host: must be a host such as \'api.example.com\' or \'*.example.com\' '
      + '(got "b\xfccher.example"); write \'xn--bcher-kva.example\''],
    [{ host: '' }, 'routes[0].host: must be a host such as \'api.example.com\' or \'*.example.com\' (got "")'],

    [{ path: 'api' }, 'routes[0].path: must be a path such as \'/api/\' (got "api")'],
    [{ path: '/api/*' }, 'routes[0].path: matches what starts with it, so it needs no *; write \'/api/\' (got '
      + '"/api/*")'],
    [{ path: '/a?b' }, 'routes[0].path: must have no ? and no # (got "/a?b")'],
    [{ path: '/caf\xe9' }, 'routes[0].path: must be visible ASCII, as it is sent (got "/caf\xe9"); write '
      + '\'/caf%C3%A9\''],
    [{ path: '/\ud800' }, 'routes[0].path: must be visible ASCII, as it is sent (got "/\\ud800")'],
    [{ path: '/a/../b' }, 'routes[0].path: must have no dot segments: a target that has any gets 400 (got "/a/../b")'],

    [{ methods: [] }, 'routes[0].methods: must be a list such as [\'GET\', \'POST\'] (got []); '
      + 'leave it out for every method'],
    [{ methods: 'GET' }, 'routes[0].methods: must be a list such as [\'GET\', \'POST\'] (got "GET"); '
      + 'leave it out for every method'],
    [{ methods: ['get'] }, 'routes[0].methods: methods are in upper case; write \'GET\' (got "get")'],
    [{ methods: ['G T'] }, 'routes[0].methods: "G T" is not a method'],
    [{ methods: ['CONNECT'] }, 'routes[0].methods: CONNECT is answered 501 before any route; leave it out'],

    [{ path: '/a', stripPrefix: '/b' }, 'routes[0].stripPrefix: must be the start of path, "/a", by whole segments '
      + '(got "/b")'],
    [{ path: '/ab', stripPrefix: '/a' }, 'routes[0].stripPrefix: must be the start of path, "/ab", by whole segments '
      + '(got "/a")'],
    [{ stripPrefix: '/a' }, 'routes[0].stripPrefix: must be the start of path, which is missing, by whole segments '
      + '(got "/a")'],
    [{ path: '/a', stripPrefix: '/' }, 'routes[0].stripPrefix: strips nothing; leave it out'],
    [{ path: '/a', stripPrefix: '/a', rewrite: '/b' }, 'routes[0]: has stripPrefix and rewrite; to replace the prefix, '
      + 'write rewrite alone'],
    [{ rewrite: 'x' }, 'routes[0].rewrite: must be a path such as \'/api/\' (got "x")'],

    [{ redirect: 5 }, 'routes[0].redirect: must be a URL such as \'https://example.com/new/\', or a path such as '
      + '\'/new/\' (got 5)'],
    [{ redirect: '//evil.example' }, 'routes[0].redirect: must be a URL such as \'https://example.com/new/\', or a path '
      + 'such as \'/new/\' (got "//evil.example")'],
    [{ redirect: 'https://a/?b' }, 'routes[0].redirect: must have no ? and no #, since the rest of the target is '
      + 'appended (got "https://a/?b")'],
    [{ redirect: '/a\r\nb' }, 'routes[0].redirect: must be a URL such as \'https://example.com/new/\', or a path such as '
      + '\'/new/\', in visible ASCII (got "/a\\r\\nb")'],
    [{ redirect: '/', status: 300 }, 'routes[0].status: must be 301, 302, 303, 307 or 308 (got 300); the default '
      + 'is 308'],

    [{ answer: 'ok' }, 'routes[0].answer: must be an object such as { status: 200, body: \'ok\\n\' } (got "ok")'],
    [{ answer: { stat: 200 } }, 'routes[0].answer.stat: unknown option; '
      + 'known here: body, headers, status'],
    [{ answer: { status: 101 } }, 'routes[0].answer.status: must be an integer from 200 to 599 (got 101); '
      + 'the default is 200'],
    [{ answer: { status: 204, body: 'x' } }, 'routes[0].answer.body: a response of status 204 has no body; leave '
      + 'it out'],
    [{ answer: { body: 5 } }, 'routes[0].answer.body: must be a string (got 5)'],
    [{ answer: { headers: { 'Content-Length': '3' } } }, 'routes[0].answer.headers["Content-Length"]: frames the '
      + 'message, which the balancer does; change the body instead'],
    [{ answer: { headers: { 'x-a': null } } }, 'routes[0].answer.headers["x-a"]: must be a string (got null)'],

    [{ requestHeaders: 'x' }, 'routes[0].requestHeaders: must be an object of headers by their names (got "x")'],
    [{ requestHeaders: { 'a b': 'x' } }, 'routes[0].requestHeaders["a b"]: a header name must be a token such as '
      + '\'x-user\''],
    [{ requestHeaders: { 'x-a': 5 } }, 'routes[0].requestHeaders["x-a"]: must be a string, or null to remove it '
      + '(got 5)'],
    [{ requestHeaders: { 'x-a': 'a\nb' } }, 'routes[0].requestHeaders["x-a"]: must not hold line ends (got \\u000a '
      + 'at 1)'],
    [{ requestHeaders: { 'x-a': '1', 'X-A': '2' } }, 'routes[0].requestHeaders["X-A"]: is the same header as "x-a"; '
      + 'leave one out'],
    [{ requestHeaders: { host: null } }, 'routes[0].requestHeaders["host"]: must be there exactly once '
      + '(RFC 9112 §3.2); use set'],
    [{ responseHeaders: { connection: 'close' } }, 'routes[0].responseHeaders["connection"]: concerns one connection '
      + 'only (RFC 9110 §7.6.1), and the balancer writes its own; leave it out'],
  ];
  for (const [route, problem] of table) test(problem, () => { assert.deepEqual(problemsOf(route), [problem]); });
});

test('without a pool named default, a route must say where it leads', () => {
  assert.deepEqual(problemsOf({ path: '/x' }, new Set(['web', 'api'])), [
    'routes[0].pool: is missing, and there is no pool default; name one (web, api), or give redirect or answer',
  ]);
});

test('where pools have problems of their own, their names are not missed', () => {
  assert.deepEqual(problemsOf({ pool: 'any' }, 'unknown'), []);
});

test('routes that are no list', () => {
  const problems: string[] = [];
  assert.deepEqual(readRoutes({ '/api': 'x' }, POOLS, problems), []);
  assert.deepEqual(problems, [
    'routes: must be a list of routes, e.g. [{ path: \'/api/\', pool: \'api\' }] (got {"/api":"x"})',
  ]);
});

test('all problems of all routes are told, and a route that cannot be read', () => {
  const problems: string[] = [];
  const unreadable = { get pool(): string { throw new Error('boom'); } };
  readRoutes([{ host: '*', path: 'x' }, unreadable, { pool: 'web' }], POOLS, problems);
  const starts = problems.map((line) => line.slice(0, 16));
  assert.deepEqual(starts, ['routes[0].host: ', 'routes[0].path: ', 'routes[1]: readi']);
});

test('routes as they are completed', () => {
  const problems: string[] = [];
  const routes = readRoutes([
    { host: 'API.Example.com.', path: '/api/', stripPrefix: '/api', methods: ['GET'], pool: 'api' },
    { path: '/old/', redirect: 'https://example.com/new/' },
    { path: '/health', answer: { status: 200, headers: {}, body: 'ok\n' } },
    { path: '/json', answer: { status: 503, headers: { 'Content-Type': 'text/json', 'x-a': ' 1 ' }, body: '{}' } },
    { path: '/empty', answer: {} },
    { path: '/v1/', rewrite: '/v2/', pool: 'api' },
    { path: '/slow', pool: 'web', limits: { totalTimeoutMs: Infinity, retryOn: [503], maxAttempts: 1 } },
    { pool: 'web', requestHeaders: { 'x-edge': 'eu', host: 'b' }, responseHeaders: { server: null } },
  ], POOLS, problems);
  assert.deepEqual(problems, []);
  const none = { limits: undefined, requestHeaders: [], responseHeaders: [] };
  const every = { ...none, host: '', methods: undefined };
  assert.deepEqual(routes, [
    {
      ...none, host: 'api.example.com', path: '/api', methods: ['GET', 'HEAD'],
      action: { kind: 'pool', pool: 'api', rewrite: { cut: 4, put: '' } },
    },
    { ...every, path: '/old', action: { kind: 'redirect', status: 308, location: 'https://example.com/new/' } },
    {
      ...every, path: '/health',
      action: { kind: 'answer', status: 200, fields: 'content-type: text/plain; charset=utf-8\r\n', body: 'ok\n' },
    },
    {
      ...every, path: '/json',
      action: { kind: 'answer', status: 503, fields: 'Content-Type: text/json\r\nx-a: 1\r\n', body: '{}' },
    },
    { ...every, path: '/empty', action: { kind: 'answer', status: 200, fields: '', body: '' } },
    { ...every, path: '/v1', action: { kind: 'pool', pool: 'api', rewrite: { cut: 3, put: '/v2/' } } },
    {
      ...every, path: '/slow', action: { kind: 'pool', pool: 'web', rewrite: undefined },
      limits: { totalTimeoutMs: Infinity, retryOn: new Set([503]), maxAttempts: 1 },
    },
    {
      ...every, path: '', action: { kind: 'pool', pool: 'web', rewrite: undefined },
      requestHeaders: [{ name: 'x-edge', value: 'eu' }, { name: 'host', value: 'b' }],
      responseHeaders: [{ name: 'server', value: null }],
    },
  ]);
});

describe('a route that no request can reach is an error', () => {
  const never = (at: number, by: number): string =>
    `routes[${at}]: is never reached, since routes[${by}] takes all of its requests; move it before routes[${by}]`;
  const same = (at: number, by: number): string =>
    `routes[${at}]: takes the same requests as routes[${by}], which comes first; remove one`;
  const table: readonly [name: string, routes: readonly unknown[], problems: string[]][] = [
    ['behind one for all', [{ pool: 'web' }, { path: '/api/', pool: 'api' }, { host: 'h', answer: {} }],
      [never(1, 0), never(2, 0)]],
    ['behind a shorter path', [{ path: '/a/', pool: 'web' }, { path: '/a/b', pool: 'api' }], [never(1, 0)]],
    ['behind a wildcard', [{ host: '*.b', pool: 'web' }, { host: 'x.a.b', pool: 'api' }], [never(1, 0)]],
    ['behind a wider wildcard', [{ host: '*.b', pool: 'web' }, { host: '*.a.b', pool: 'api' }], [never(1, 0)]],
    ['behind more methods', [{ methods: ['GET', 'PUT'], pool: 'web' }, { methods: ['HEAD'], pool: 'api' }],
      [never(1, 0)]],
    ['twice', [{ host: 'A', path: '/x/', pool: 'web' }, { host: 'a.', path: '/x', pool: 'api' }], [same(1, 0)]],
    ['behind the second of three',
      [{ path: '/x', pool: 'web' }, { path: '/y', pool: 'web' }, { path: '/y/z', pool: 'api' }], [never(2, 1)]],
    ['not: by segments', [{ path: '/a', pool: 'web' }, { path: '/ab', pool: 'api' }], []],
    ['not: the host beside its wildcard', [{ host: '*.b', pool: 'web' }, { host: 'b', pool: 'api' }], []],
    ['not: other methods', [{ methods: ['GET'], pool: 'web' }, { pool: 'api' }], []],
    ['not: another host', [{ host: 'a', pool: 'web' }, { path: '/x', pool: 'api' }], []],
    ['not: behind an answer, which closes a part for a while', [{ answer: { status: 503 } }, { pool: 'web' }], []],
    ['not: behind a redirect', [{ path: '/a', redirect: '/b' }, { path: '/a/x', pool: 'web' }], []],
  ];
  for (const [name, routes, expected] of table) {
    test(name, () => {
      const problems: string[] = [];
      readRoutes(routes, POOLS, problems);
      assert.deepEqual(problems, expected);
    });
  }
  test('but not as a consequence of another problem', () => {
    const problems: string[] = [];
    readRoutes([{ host: '*', pool: 'web' }, { path: '/x', pool: 'api' }], POOLS, problems);
    assert.equal(problems.length, 1);
  });
});

describe('pools', () => {
  test('are known by their names', () => {
    const problems: string[] = [];
    assert.deepEqual(readPoolNames({ web: {}, 'api-2.eu_1': {} }, problems), new Set(['web', 'api-2.eu_1']));
    assert.deepEqual(problems, []);
  });
  const table: readonly [pools: unknown, problem: string][] = [
    [[], 'pools: must be an object of pools by their names, e.g. { web: { upstreams: [...] } } (got [])'],
    [{}, 'pools: must have a pool; for one without a name, give upstreams instead'],
    [{ 'a/b': {} }, 'pools: the name "a/b" must be 1 to 63 letters, digits, dots, hyphens or underscores, '
      + 'and start with a letter or a digit'],
    [{ ['__proto__']: {} }, 'pools: the name "__proto__" must be 1 to 63 letters, digits, dots, hyphens or '
      + 'underscores, and start with a letter or a digit'],
  ];
  for (const [pools, problem] of table) {
    test(problem, () => {
      const problems: string[] = [];
      readPoolNames(pools, problems);
      assert.deepEqual(problems, [problem]);
    });
  }
});
