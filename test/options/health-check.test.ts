import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseUpstream, parseUpstreams } from '../../src/options/upstreams.ts';
import { atOnce } from '../../src/loop/slices.ts';
import { inspected, problemsWith, settingsOf } from '../support/options.ts';

const ONE = ['http://127.0.0.1:3001'];

describe('a health check', () => {
  const DEFAULTS = {
    path: undefined, host: undefined, minStatus: 200, maxStatus: 399, intervalMs: 5_000, timeoutMs: 2_000, rise: 2,
    fall: 3,
  };
  const table: readonly [given: object, parsed: object][] = [
    [{}, {}],
    [{ path: '/health' }, { path: '/health' }],
    [{ path: '/' }, { path: '/' }],
    [{ path: '/a/b?c="d"&e=%20' }, { path: '/a/b?c="d"&e=%20' }],
    [{ status: 204 }, { minStatus: 204, maxStatus: 204 }],
    [{ status: '204' }, { minStatus: 204, maxStatus: 204 }],
    [{ status: '200-299' }, { minStatus: 200, maxStatus: 299 }],
    [{ status: '100-599' }, { minStatus: 100, maxStatus: 599 }],
    [{ host: 'app.example' }, { host: 'app.example' }],
    [{ host: '[::1]:8080' }, { host: '[::1]:8080' }],
    [{ intervalMs: 10, timeoutMs: 1, rise: 1, fall: 1 }, { intervalMs: 10, timeoutMs: 1, rise: 1, fall: 1 }],
    [{ path: undefined, status: undefined, host: undefined, rise: undefined }, {}],
  ];
  for (const [given, parsed] of table) {
    test(inspected(given), () => {
      const { healthCheck, upstreams } = settingsOf({ upstreams: ONE, healthCheck: given });
      assert.deepEqual(healthCheck, { ...DEFAULTS, ...parsed });
      assert.deepEqual(upstreams[0]?.healthCheck, { ...DEFAULTS, ...parsed });
    });
  }

  test('of one upstream replaces that of the pool, with its own defaults', () => {
    const { upstreams } = settingsOf({
      upstreams: [
        'http://a.example',
        { origin: 'http://b.example', healthCheck: { path: '/b' } },
        { origin: 'http://c.example', healthCheck: false },
        { origin: 'http://d.example', healthCheck: undefined },
      ],
      healthCheck: { path: '/all', rise: 7 },
    });
    assert.deepEqual(upstreams.map(({ healthCheck }) => [healthCheck?.path, healthCheck?.rise]), [
      ['/all', 7], ['/b', 2], [undefined, undefined], ['/all', 7],
    ]);
    assert.equal(upstreams[2]?.healthCheck, undefined);
  });

  test('of one upstream works without one for the pool', () => {
    const upstreams = [{ origin: 'http://a.example', healthCheck: {} }, 'http://b.example'];
    const checks = settingsOf({ upstreams }).upstreams.map(({ healthCheck }) => healthCheck);
    assert.deepEqual(checks, [DEFAULTS, undefined]);
  });

  test('of the pool applies to upstreams added later', () => {
    const settings = settingsOf({ upstreams: [], healthCheck: { rise: 7 } });
    assert.equal(parseUpstream('http://a.example', settings).healthCheck?.rise, 7);
    const given = ['http://a.example', { origin: 'http://b.example', healthCheck: false }];
    assert.deepEqual(atOnce(parseUpstreams(given, settings))
      .map(({ healthCheck }) => healthCheck?.rise), [7, undefined]);
  });

  const problems: readonly [check: unknown, at: string, mend: RegExp][] = [
    ...[null, true, 5, []].map((check): [unknown, string, RegExp] => (
      [check, '', /: must be an object \(got .*\); write \{ path: '\/health' \}$/])),
    ['/ping', '', /: must be an object \(got "\/ping"\); write \{ path: '\/ping' \}$/],
    [{ url: '/health' }, '.url', /unknown option; did you mean path\? \(known here: fall, host, .*, timeoutMs\)$/],
    [{ interval: 5 }, '.interval', /unknown option; did you mean intervalMs\?/],
    ...['', 'health', 'http://a.example/health', '/a b', '/a#b', '/a\r\nX: y', '/caf\xe9', 5, null]
      .map((path): [unknown, string, RegExp] => (
        [{ path }, '.path', /must be a path such as '\/health' \(got .*\); leave it out to only connect$/])),
    ...[0, 99, 600, 20, '', '2xx', '200-', '-200', '300-200', '200-299-399', ' 200', null, [200], ['200-299'], true,
      { toString: null }].map((status): [unknown, string, RegExp] => (
      [{ status }, '.status', /must be a status or a range, e\.g\. 200 or '200-399' \(got .*\)$/])),
    ...['', 'a b', 'a/b', 'a\r\nX: y', 5, null].map((host): [unknown, string, RegExp] => (
      [{ host }, '.host', /must be a host such as 'app\.example' \(got .*\)$/])),
    ...[9, 1.5, -1, NaN, Infinity, '5', null].map((intervalMs): [unknown, string, RegExp] => (
      [{ intervalMs }, '.intervalMs', /must be an integer ≥ 10 \(got .*\); the default is 5000$/])),
    ...[0, null].map((timeoutMs): [unknown, string, RegExp] => (
      [{ timeoutMs }, '.timeoutMs', /must be an integer ≥ 1 \(got .*\); the default is 2000$/])),
    ...[0, null].map((rise): [unknown, string, RegExp] => [{ rise }, '.rise', /≥ 1 \(got .*\); the default is 2$/]),
    ...[0, null].map((fall): [unknown, string, RegExp] => [{ fall }, '.fall', /≥ 1 \(got .*\); the default is 3$/]),
  ];
  for (const [check, at, mend] of problems) {
    test(`that is wrong is reported with its path, and what to write instead: ${inspected(check)}`, () => {
      const places: readonly [path: string, options: unknown][] = [
        ['healthCheck', { upstreams: [], healthCheck: check }],
        ['upstreams[1].healthCheck', { upstreams: [...ONE, { origin: 'http://a.example', healthCheck: check }] }],
      ];
      for (const [path, options] of places) {
        const told = problemsWith(options);
        assert.equal(told.length, 1, told.join('\n'));
        const [problem = ''] = told;
        assert.ok(problem.startsWith(`${path}${at}: `), problem);
        assert.match(problem, mend);
      }
    });
  }
});
