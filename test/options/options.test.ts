import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemTime } from '../../src/loop/clock.ts';
import { BalancerError } from '../../src/errors.ts';
import { readOptions, type Settings } from '../../src/options/parse.ts';
import { parseUpstream, type ParsedUpstream, parseUpstreams } from '../../src/options/upstreams.ts';
import { atOnce } from '../../src/loop/slices.ts';
import type { Strategy } from '../../src/strategy.ts';
import { inspected, problemsWith, settingsOf } from '../support/options.ts';

const ONE = ['http://127.0.0.1:3001'];
const pick: Strategy['pick'] = (candidates) => candidates[0];
const strategy: Strategy = { name: 'first', pick };
/** Settings without `connect`, so without TLS. */
const PLAIN = settingsOf({ upstreams: [] });

/** The numeric options: default, minimum, and the maximum if that is not the limit of a timer. */
const NUMBERS = {
  maxAttempts: [3, 1],
  maxReplayBytes: [0, 0],
  retryBudgetPercent: [20, 0, 100],
  minRetriesPerSecond: [10, 0],
  ejectAfter: [5, 0],
  ejectMs: [1_000, 1],
  maxEjectMs: [30_000, 1],
  maxEjectedPercent: [67, 0, 100],
  slowStartMs: [10_000, 0],
  maxInFlight: [Infinity, 1],
  maxQueued: [0, 0],
  queueTimeoutMs: [1_000, 1],
  totalTimeoutMs: [Infinity, 1],
  connectTimeoutMs: [5_000, 1],
  responseTimeoutMs: [60_000, 1],
  idleTimeoutMs: [60_000, 1],
  tunnelIdleTimeoutMs: [3_600_000, 1],
  headTimeoutMs: [10_000, 1],
  keepAliveTimeoutMs: [60_000, 1],
  upstreamIdleTimeoutMs: [4_000, 0],
  maxIdlePerUpstream: [256, 0],
  maxUpstreamConnectionMs: [300_000, 1],
  maxRequestsPerUpstreamConnection: [Infinity, 1],
  maxHeadBytes: [16_384, 1_024],
  maxRequestLineBytes: [8_192, 64],
  maxFields: [100, 1],
  maxConnections: [16_384, 1],
  maxRequestsPerConnection: [Infinity, 1],
  maxBodyBytes: [Infinity, 0, Number.MAX_SAFE_INTEGER],
  maxChunkLineBytes: [1_024, 32, 16_384],
  maxChunkExtensionBytes: [16_384, 0],
  maxTrailerBytes: [16_384, 64],
  maxHeldBytes: [65_536, 1],
  minBodyBytesPerSecond: [100, 0],
  maxMirrored: [100, 0],
  maxMirroredBytes: [1_048_576, 0],
} as const satisfies Partial<Record<keyof Settings, readonly [fallback: number, min: number, max?: number]>>;

test('an omitted option has its default', () => {
  const settings = settingsOf({ upstreams: ONE });
  for (const [name, [fallback]] of Object.entries(NUMBERS)) {
    assert.equal(settings[name as keyof typeof NUMBERS], fallback, name);
  }
  const { via, forwarded, changeOrigin, connect, healthCheck, onReport, peers, retryOn, rng, time } = settings;
  assert.deepEqual(
    { via, forwarded, changeOrigin, strategy: settings.strategy, connect, healthCheck, onReport, peers, retryOn,
      rng, time },
    { via: 'equipoise', forwarded: false, changeOrigin: false, strategy: undefined, connect: undefined,
      healthCheck: undefined, onReport: undefined, peers: undefined, retryOn: new Set(), rng: undefined,
      time: undefined });
  const { xForwarded, serverTiming, upgradeProtocols, upgradeTarget } = settings;
  assert.deepEqual({ xForwarded, serverTiming, upgradeProtocols, upgradeTarget },
    { xForwarded: true, serverTiming: false, upgradeProtocols: new Set(), upgradeTarget: undefined });
  assert.equal(settings.trusts('127.0.0.1'), false);
});

test('an undefined option counts as omitted', () => {
  const names = [...Object.keys(NUMBERS), 'strategy', 'shadow', 'via', 'forwarded', 'trustForwarded', 'changeOrigin', 'connect',
    'healthCheck', 'onReport', 'peers', 'retryOn', 'rng', 'time', 'xForwarded', 'serverTiming',
    'upgradeProtocols', 'upgradeTarget'];
  const options = Object.fromEntries(names.map((name) => [name, undefined]));
  const shownWith = (more: object): unknown => {
    const settings = settingsOf({ upstreams: ONE, ...more });
    return { ...settings, trusts: settings.trusts('') };
  };
  assert.deepEqual(shownWith(options), shownWith({}));
});

test('a given option is used', () => {
  const connect = (): undefined => undefined;
  const onReport = (): undefined => undefined;
  const rng = (): number => 0.5;
  const given = {
    strategy, forwarded: true, changeOrigin: true, via: 'edge-1', connect, onReport, rng, time: systemTime,
    xForwarded: false, serverTiming: true, upgradeTarget: () => '/',
  };
  const rows = Object.entries<readonly number[]>(NUMBERS);
  const numbers = Object.fromEntries(rows.map(([name, [, , max = Infinity]], i) => {
    return [name, max > 2_000 + i ? 2_000 + i : max - i];
  }));
  const settings = settingsOf({ upstreams: [], ...given, ...numbers });
  for (const [name, value] of Object.entries({ ...given, ...numbers })) {
    assert.equal(settings[name as keyof Settings], value, name);
  }
  assert.deepEqual(settings.upstreams, [], 'an empty list is allowed: upstreams may come later');
});

describe('trustForwarded', () => {
  const table: readonly [value: unknown, trusted: readonly string[]][] = [
    [true, ['10.0.0.1', '192.0.2.1', '']],
    [false, []],
    [(address: string) => address.startsWith('10.'), ['10.0.0.1']],
  ];
  for (const [value, trusted] of table) {
    test(String(value), () => {
      const { trusts } = settingsOf({ upstreams: ONE, trustForwarded: value });
      assert.deepEqual(['10.0.0.1', '192.0.2.1', ''].filter((address) => trusts(address)), trusted);
    });
  }
});

describe('requestId', () => {
  const table: readonly [value: unknown, header: string][] = [
    [undefined, ''], [false, ''], [true, 'X-Request-Id'], ['x-trace', 'x-trace'], ['X-Trace', 'X-Trace'],
  ];
  for (const [value, header] of table) {
    test(String(value), () => {
      assert.equal(settingsOf({ upstreams: ONE, requestId: value }).requestId, header);
    });
  }
  for (const value of ['', 'a b', null, [], 'Host', 'x-forwarded-for', 'Forwarded', 'Content-Length', 'te', 'Via']) {
    test(`not ${inspected(value)}`, () => {
      assert.deepEqual(problemsWith({ upstreams: ONE, requestId: value }), [
        'requestId: must be true, false or the name of a header of its own, e.g. \'X-Correlation-Id\' ' +
          `(got ${inspected(value)})`,
      ]);
    });
  }
});

describe('via', () => {
  const table: readonly [value: unknown, via: string][] = [
    [false, ''], ['edge-1', 'edge-1'], ['edge.example:80', 'edge.example:80'], ["a!#$%&'*+^_`|~", "a!#$%&'*+^_`|~"],
  ];
  for (const [value, via] of table) {
    test(String(value), () => {
      assert.equal(settingsOf({ upstreams: ONE, via: value }).via, via);
    });
  }
});

describe('retryOn', () => {
  for (const statuses of [[], [429], [500], [502, 503, 504], [599], [503, 503]]) {
    test(JSON.stringify(statuses), () => {
      assert.deepEqual(settingsOf({ upstreams: ONE, retryOn: statuses }).retryOn, new Set(statuses));
    });
  }
});

describe('a number', () => {
  // 2^31 ms is more than a timer supports.
  for (const [name, [fallback, min, max = 2 ** 31 - 1]] of Object.entries(NUMBERS)) {
    test(`${name} is whole, from ${min}`, () => {
      for (const value of [min, min + 1, fallback, max]) {
        assert.equal(settingsOf({ upstreams: ONE, [name]: value })[name as keyof typeof NUMBERS], value);
      }
      const unlimited = fallback === Infinity;
      const mend = unlimited ? 'leave it out for no limit' : `the default is ${fallback}`;
      const infinite = unlimited ? -Infinity : Infinity;
      for (const value of [min - 1, -1, 1.5 + min, NaN, infinite, max + 1, String(fallback), '', null, true, [5], 5n]) {
        const problems = problemsWith({ upstreams: ONE, [name]: value });
        assert.equal(problems.length, 1, String(value));
        const range = `(?:≥ ${min}|from ${min} to ${max})`;
        const told = new RegExp(`^${name}: must be an integer ${range} \\(got .*\\); ${mend}$`);
        assert.match(problems[0] ?? '', told);
      }
    });
  }
});

describe('an upstream', () => {
  type Row = readonly [given: string, host: string, port: number, origin: string, authority: string];
  const table: readonly Row[] = [
    ['http://127.0.0.1:3001', '127.0.0.1', 3001, 'http://127.0.0.1:3001', '127.0.0.1:3001'],
    ['http://127.0.0.1:3001/', '127.0.0.1', 3001, 'http://127.0.0.1:3001', '127.0.0.1:3001'],
    ['http://a.example', 'a.example', 80, 'http://a.example', 'a.example'],
    ['http://a.example:80', 'a.example', 80, 'http://a.example', 'a.example'],
    ['HTTP://A.Example:8080', 'a.example', 8080, 'http://a.example:8080', 'a.example:8080'],
    ['http://[::1]:3001', '::1', 3001, 'http://[::1]:3001', '[::1]:3001'],
    ['http://[2001:DB8::1]', '2001:db8::1', 80, 'http://[2001:db8::1]', '[2001:db8::1]'],
    ['http://my_app:3000', 'my_app', 3000, 'http://my_app:3000', 'my_app:3000'],
  ];
  for (const [given, host, port, origin, authority] of table) {
    test(given, () => {
      const expected = {
        origin, host, port, authority, weight: 1, maxInFlight: Infinity, tags: {}, healthCheck: undefined,
        hasOwnCheck: false, path: undefined,
      };
      assert.deepEqual(settingsOf({ upstreams: [given] }).upstreams, [expected]);
      assert.deepEqual(settingsOf({ upstreams: [{ origin: given }] }).upstreams, [expected]);
      assert.deepEqual(parseUpstream(given, PLAIN), expected);
      assert.deepEqual(parsedAll([given], PLAIN), [expected]);
    });
  }
  test('over TLS, given a way to connect to it', () => {
    const connect = (): undefined => undefined;
    const { upstreams } = settingsOf({ upstreams: ['https://a.example', 'https://b.example:8443'], connect });
    assert.deepEqual(upstreams.map(({ origin, port }) => [origin, port]),
      [['https://a.example', 443], ['https://b.example:8443', 8443]]);
    assert.equal(parseUpstream('https://a.example', settingsOf({ upstreams: [], connect })).port, 443);
  });
  test('with options', () => {
    const given = { origin: 'http://a.example', weight: 0.5, maxInFlight: 10, tags: { zone: 'a', version: '2' } };
    const [parsed] = settingsOf({ upstreams: [given] }).upstreams;
    assert.deepEqual(parsed, {
      ...given, host: 'a.example', port: 80, authority: 'a.example', healthCheck: undefined, hasOwnCheck: false,
      path: undefined,
    });
    assert.equal(settingsOf({ upstreams: [{ origin: 'http://a.example', maxInFlight: Infinity }] })
      .upstreams[0]?.maxInFlight, Infinity);
  });
});

describe('a problem is reported with its path, and what to write instead', () => {
  const at = ONE[0];
  const table: readonly [options: unknown, path: string, mend: RegExp][] = [
    [{ upstreams: ONE, strategi: strategy }, 'strategi', /^strategi: unknown option; did you mean strategy\?$/],
    [{ upstreams: ONE, timeout: 5 }, 'timeout', /did you mean connectTimeoutMs, .* or upstreamIdleTimeoutMs\?$/],
    [{ upstreams: ONE, maxRetries: 5 }, 'maxRetries', /did you mean maxAttempts\?$/],
    [{ upstreams: ONE, frobnicate: 5 }, 'frobnicate', /unknown option; see src\/options\/README\.md$/],
    [{}, 'upstreams', /must be a list of origins, e\.g\. \['http:.*'\] \(got .*\)$/],
    [{ upstreams: 'http://127.0.0.1:3001' }, 'upstreams', /must be a list of origins, e\.g\. \['http:.*'\] \(got .*\)$/],
    [{ upstreams: { 0: at } }, 'upstreams', /must be a list of origins, e\.g\. \['http:.*'\] \(got .*\)$/],
    [{ upstreams: null }, 'upstreams', /must be a list of origins, e\.g\. \['http:.*'\] \(got .*\)$/],
    ...([
      ['127.0.0.1:3001',
        /must start with http:\/\/ \(got "127\.0\.0\.1:3001"\); did you mean http:\/\/127\.0\.0\.1:3001\?$/],
      ['localhost', /did you mean http:\/\/localhost\?$/],
      ['localhost:3001', /did you mean http:\/\/localhost:3001\?$/],
      ['a.example/path', /did you mean http:\/\/a\.example\?$/],
      ['3001', /did you mean http:\/\/127\.0\.0\.1:3001\?$/],
      [':3001', /did you mean http:\/\/127\.0\.0\.1:3001\?$/],
      ['ws://a.example', /must start with http:\/\/ or https:\/\/ \(got .*\); did you mean http:\/\/a\.example\?$/],
      ['wss://a.example', /did you mean https:\/\/a\.example\?$/],
      ['ftp://a.example', /must start with http:\/\/ or https:\/\/ /],
      ['http://a.example/path', /must not have a path, but has "\/path" \(got .*\); write http:\/\/a\.example$/],
      ['http://a.example?q', /must not have a query, but has "\?q" \(got .*\); write http:\/\/a\.example$/],
      ['http://a.example/?', /must not have a path, but has "\/\?" /],
      ['http://a.example#f', /must not have a fragment, but has "#f" /],
      ['http://u@a.example', /must not contain a user or password \(got .*\); write http:\/\/a\.example$/],
      ['http://u:p@a.example', /\(got "http:\/\/\*\*\*@a\.example"\)/],
      ['http://:p@a.example', /must not contain a user or password /],
      ['http://a.example:99999', /must have a port ≤ 65535 \(got .*\)$/],
      ['::1', /must have brackets around an IPv6 address, e\.g\. http:\/\/\[::1\]:3001 \(got "::1"\)$/],
      ...['', ' ', 'http://', 'http://a b'].map((text): [unknown, RegExp] => (
        [text, /must be http:\/\/host\[:port\].*\(got .*\)$/])),
      ...[{}, { origin: 5 }].map((entry): [unknown, RegExp] => (
        [entry, /must be an origin such as 'http:.*' \(got .*\)$/])),
    ] as [unknown, RegExp][]).map(([entry, problem]): [unknown, string, RegExp] => (
      [{ upstreams: [at, entry] }, 'upstreams[1].origin', problem])),
    [{ upstreams: ['https://a.example'] }, 'upstreams[0].origin', /set the option connect/],
    [{ upstreams: [at, at] }, 'upstreams[1]', /give it a weight instead$/],
    [{ upstreams: ['http://a.example', 'HTTP://A.EXAMPLE:80/'] }, 'upstreams[1]', /give it a weight instead$/],
    [{ upstreams: [{ origin: at, wait: 1 }] }, 'upstreams[0].wait', /known here: healthCheck, .*weight$/],
    [{ upstreams: [{ origin: at, wieght: 1 }] }, 'upstreams[0].wieght', /did you mean weight\? \(known here: .*\)$/],
    [{ upstreams: [{ origin: at, url: at }] }, 'upstreams[0].url', /did you mean origin\?/],
    ...[0, -1, NaN, Infinity, '2', null, 0.000_9, 1e-320, 1_000_001, 1e308].map((weight): [unknown, string, RegExp] => (
      [{ upstreams: [{ origin: at, weight }] }, 'upstreams[0].weight',
        /must be a number from 0\.001 to 1000000 \(got .*\); leave it out for 1$/])),
    ...[0, -1, 1.5, NaN, -Infinity, '2', null].map((maxInFlight): [unknown, string, RegExp] => (
      [{ upstreams: [{ origin: at, maxInFlight }] }, 'upstreams[0].maxInFlight',
        /must be an integer ≥ 1 \(got .*\); leave it out for no limit$/])),
    ...[null, 'a', 5, ['a'], { a: 1 }, { a: null }].map((tags): [unknown, string, RegExp] => (
      [{ upstreams: [{ origin: at, tags }] }, 'upstreams[0].tags',
        /must be an object of strings, e\.g\. \{ zone: 'a' \} \(got .*\)$/])),
    ...[null, 5, true].map((value): [unknown, string, RegExp] => (
      [{ upstreams: ONE, strategy: value }, 'strategy',
        /: must be an object with a name and a pick method \(got .*\)$/])),
    [{ upstreams: ONE, strategy: {} }, 'strategy', /; name is missing, pick is missing \(got \{\}\)$/],
    [{ upstreams: ONE, strategy: { pick } }, 'strategy', /; name is missing \(got \{\}\)$/],
    [{ upstreams: ONE, strategy: { name: 'x' } }, 'strategy', /; pick is missing \(got \{"name":"x"\}\)$/],
    [{ upstreams: ONE, strategy: { name: 5, pick } }, 'strategy', /; name must be a string \(got 5\)$/],
    [{ upstreams: ONE, strategy: { name: 'x', pick: 'y' } }, 'strategy', /; pick must be a function \(got "y"\)$/],
    ...['round-robin', 'roundRobin', 'round_robin', 'round-robbin'].map((value): [unknown, string, RegExp] => (
      [{ upstreams: ONE, strategy: value }, 'strategy',
        /; write import \{ roundRobin \} from 'equipoise\/strategies\/round-robin', and here roundRobin\(\)$/])),
    [{ upstreams: ONE, strategy: 'x' }, 'strategy',
      /must be a strategy, not its name \(got "x"\); write e\.g\. import /],
    [{ upstreams: ONE, strategy: class Last { readonly name = 'last'; } }, 'strategy',
      /must be a strategy, not a class; write new Last\(\)$/],
    [{ upstreams: ONE, strategy: Promise.resolve(strategy) }, 'strategy',
      /not a promise of one; write await before it$/],
    ...[5, {}, { join: true }, () => ({ join: () => undefined })].map((value): [unknown, string, RegExp] => (
      [{ upstreams: ONE, peers: value }, 'peers', /must be an object with a method join.* \(got .*\)$/])),
    [{ upstreams: ONE, strategy: () => strategy }, 'strategy', /not its factory; call it, e\.g\. roundRobin\(\)$/],
    ...['', 'a b', 'a,b', 'a(b)', 'caf\xe9', 'a\r\nX: y', true, 5, null].map((via): [unknown, string, RegExp] => (
      [{ upstreams: ONE, via }, 'via', /must be false or a token such as 'edge-1' \(got .*\)$/])),
    ...['forwarded', 'xForwarded', 'serverTiming', 'changeOrigin'].flatMap((name) => (
      ['true', 1, null, {}].map((value): [unknown, string, RegExp] => (
        [{ upstreams: ONE, [name]: value }, name, /must be true or false \(got .*\)$/])))),
    ...['tcp', null, {}, [1], [''], ['a b'], ['tcp,x'], ['tcp', null]].map((value): [unknown, string, RegExp] => (
      [{ upstreams: ONE, upgradeProtocols: value }, 'upgradeProtocols', /must be a list of protocols such as/])),
    [{ upstreams: ONE, upgradeProtocols: ['H2C'] }, 'upgradeProtocols', /h2c cannot be tunnelled; leave it out/],
    ...['true', 1, null, {}].map((value): [unknown, string, RegExp] => (
      [{ upstreams: ONE, trustForwarded: value }, 'trustForwarded',
        /must be true, false, a list of addresses .*, or a function that takes an address \(got .*\)$/])),
    [{ upstreams: ONE, trustForwarded: ['10.0.0.0/8', 'edge'] }, 'trustForwarded[1]', /must be an address, a subnet/],
    ...[0, 3, '1', true, null].map((value): [unknown, string, RegExp] => (
      [{ upstreams: ONE, proxyProtocol: value }, 'proxyProtocol', /must be 1 or 2, the version to send to upstreams/])),
    [{ upstreams: ONE, proxyProtocol: ['10.0.0.0/8'] }, 'proxyProtocol', /see equipoise\/proxy-protocol\)$/],
    ...['503', 503, null, {}, [200], [404], [503, '504'], [600], [502.5], [NaN], [null], [[503]]]
      .map((statuses): [unknown, string, RegExp] => (
        [{ upstreams: ONE, retryOn: statuses }, 'retryOn',
          /429 or from 500 to 599, e\.g\. \[502, 503, 504\] \(got .*\)$/])),
    ...['connect', 'onReport', 'rng', 'upgradeTarget'].flatMap((name) => (
      ['x', true, null, {}].map((value): [unknown, string, RegExp] => (
        [{ upstreams: ONE, [name]: value }, name, /must be a function \(got .*\)$/])))),
    ...[null, 'now', 5, {}, Date, { now: () => 0 }].map((time): [unknown, string, RegExp] => (
      [{ upstreams: ONE, time }, 'time', /\bnow\b/])),
  ];
  for (const [options, path, mend] of table) {
    test(`${path}: ${inspected(options)}`, () => {
      const problems = problemsWith(options);
      assert.equal(problems.length, 1, problems.join('\n'));
      const [problem = ''] = problems;
      assert.ok(problem.startsWith(`${path}: `), problem);
      assert.match(problem, mend);
    });
  }
  for (const options of [undefined, null, 5, 'http://127.0.0.1:3001', ONE, pick]) {
    test(`values that are not options: ${inspected(options)}`, () => {
      const problems = problemsWith(options);
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', /^options: must be an object with a list of upstreams \(got .*\)$/);
    });
  }
  test('a value that is not an upstream', () => {
    for (const value of [5, null, undefined, [], true]) {
      const problems = problemsWith({ upstreams: [value] });
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', /^upstreams\[0\]: must be an origin such as 'http:.*', or an object \(got .*\)$/);
    }
  });
});

describe('any value is shown as a short text', () => {
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  const table: readonly [what: string, value: unknown][] = [
    ['long text', 'x '.repeat(10_000)],
    ['a large object', { a: Array.from({ length: 10_000 }, (_, i) => i) }],
    ['a symbol', Symbol('s')],
    ['a bigint', 5n],
    ['an object with a bigint', { n: 5n }],
    ['an object that holds itself', circular],
    ['an object with a toJSON of nothing', { toJSON: () => undefined }],
    ['an object with a toJSON that throws', { toJSON: () => assert.fail('toJSON') }],
    ['an object without a prototype', Object.create(null)],
  ];
  for (const [what, value] of table) {
    test(what, () => {
      const places: readonly [path: string, options: unknown][] = [
        ['upstreams', { upstreams: value }],
        ['upstreams[0].origin', { upstreams: [{ origin: value }] }],
        ['via', { upstreams: ONE, via: value }],
        ['maxFields', { upstreams: ONE, maxFields: value }],
      ];
      for (const [path, options] of places) {
        const [problem = ''] = problemsWith(options);
        assert.ok(problem.startsWith(`${path}: `) && problem.length < 250, problem);
      }
    });
  }
});

test('all problems are reported in one error', () => {
  const options = {
    upstreams: ['http://127.0.0.1:3001', { origin: 'nonsense', weight: 0, wait: 1 }, 'http://127.0.0.1:3001'],
    strategy: 'round-robin',
    via: 'a b',
    forwarded: 1,
    trustForwarded: 'yes',
    changeOrigin: 'no',
    maxAttempts: 0,
    headTimeoutMs: '5s',
    connect: 1,
    onReport: {},
    retryOn: 503,
    healthCheck: { rise: 0 },
    timeOut: 5,
  };
  const paths = problemsWith(options).map((line) => line.split(': ')[0]);
  assert.deepEqual(paths.sort(), [
    'changeOrigin', 'connect', 'forwarded', 'headTimeoutMs', 'healthCheck.rise', 'maxAttempts', 'onReport', 'retryOn',
    'strategy', 'timeOut', 'trustForwarded', 'upstreams[1].origin', 'upstreams[1].wait', 'upstreams[1].weight',
    'upstreams[2]', 'via',
  ]);
});

test('readOptions adds its problems to earlier ones', () => {
  const problems = ['--listen: wrong'];
  readOptions({ upstreams: ONE, via: 5 }, problems);
  assert.equal(problems.length, 2);
  assert.equal(problems[0], '--listen: wrong');
  assert.match(problems[1] ?? '', /^via: .*\(got 5\)$/);
});

describe('one upstream, for add', () => {
  const table: readonly [value: unknown, settings: Settings, problem: RegExp][] = [
    ['nonsense', PLAIN, /^ {2}upstream\.origin: must start with http:.* did you mean http:\/\/nonsense\?$/m],
    ['https://a.example', PLAIN, /^ {2}upstream\.origin: https:\/\/a\.example needs TLS/m],
    [{ origin: 'http://a.example', weight: 0 }, PLAIN, /^ {2}upstream\.weight: must be .* \(got 0\)/m],
    [5, PLAIN, /^ {2}upstream: must be .* \(got 5\)$/m],
    [undefined, PLAIN, /^ {2}upstream: must be .* \(got undefined\)$/m],
  ];
  for (const [value, settings, problem] of table) {
    test(inspected(value), () => {
      assert.throws(() => parseUpstream(value, settings), (error) => {
        assert.ok(error instanceof BalancerError);
        assert.equal(error.code, 'OPTIONS_INVALID');
        assert.match(error.message, problem);
        return true;
      });
    });
  }
});

describe('a list of upstreams, for update', () => {
  test('reuses the earlier result of unchanged entries', () => {
    const origin = 'http://a.test';
    const given = { origin, weight: 2, maxInFlight: 3, tags: { zone: 'a' } };
    const [full] = parsedAll([given], PLAIN);
    const [bare] = parsedAll([origin], PLAIN);
    const check = { path: '/health' };
    const checking = settingsOf({ upstreams: [], healthCheck: check });
    const table: readonly [before: typeof full, entry: unknown, same: boolean, settings?: Settings][] = [
      [bare, origin, true],
      [bare, { origin }, true],
      [bare, { origin, tags: {} }, true],
      [full, { ...given, tags: { ...given.tags } }, true],
      [full, origin, false],
      [full, { ...given, weight: 1 }, false],
      [full, { ...given, maxInFlight: 4 }, false],
      [full, { ...given, tags: { zone: 'b' } }, false],
      [full, { ...given, tags: { zone: 'a', version: '1' } }, false],
      [full, { ...given, healthCheck: check }, false],
      [bare, { origin, healthCheck: false }, false],
      [bare, origin, false, checking],
    ];
    for (const [before, entry, same, settings = PLAIN] of table) {
      const known = (asked: string): typeof before => asked === origin ? before : undefined;
      const [parsed] = parsedAll([entry], settings, known);
      assert.equal(parsed === before, same, inspected(entry));
      assert.deepEqual(parsed, parsedAll([entry], settings)[0], inspected(entry));
    }
  });

  test('is checked again even if it was parsed before', () => {
    const [before] = parsedAll(['http://a.test'], PLAIN);
    const origin = 'http://a.test';
    for (const wrong of [
      [origin, origin], [{ origin, wait: 1 }], [{ origin, tags: null }], [{ origin, tags: { zone: 1 } }], [[origin]],
      [{ origin, weight: NaN }], [{ origin, maxInFlight: '1' }], [{ origin, healthCheck: 1 }], [null], [undefined], [5],
    ]) {
      const messages = [undefined, () => before].map((known) => {
        try {
          return parsedAll(wrong, PLAIN, known);
        } catch (error) {
          assert.ok(error instanceof BalancerError);
          return error.message;
        }
      });
      assert.equal(typeof messages[0], 'string', inspected(wrong));
      assert.equal(messages[1], messages[0]);
    }
  });

  test('is checked as a whole', () => {
    assert.throws(() => parsedAll(['a', 'http://a.test', 'http://a.test/', { origin: 'https://b.test' }], PLAIN), {
      code: 'OPTIONS_INVALID',
      message: /^ {2}upstreams\[0\]\.origin: [^]*^ {2}upstreams\[2\]: [^]*^ {2}upstreams\[3\]\.origin: .*needs TLS/m,
    });
  });
  for (const value of [undefined, null, 'http://a.test', {}]) {
    test(`is a list: ${inspected(value)}`, () => {
      const expected = { code: 'OPTIONS_INVALID', message: /upstreams: must be a list/ };
      assert.throws(() => parsedAll(value, PLAIN), expected);
    });
  }
  test('may be empty', () => {
    assert.deepEqual(parsedAll([], PLAIN), []);
  });
});

function parsedAll(...given: Parameters<typeof parseUpstreams>): readonly ParsedUpstream[] {
  return atOnce(parseUpstreams(...given));
}
