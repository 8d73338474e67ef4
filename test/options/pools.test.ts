/**
 * Pools and routes among the options: each problem with its path, and what becomes of what is left out.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseOptions } from '../../src/options/parse.ts';
import { inspected, problemsWith } from '../support/options.ts';

const at = 'http://127.0.0.1:3001';
const POOL = { upstreams: [at] };
const strategy = { name: 'mine', pick: () => undefined };
const peers = { join: () => undefined };

describe('one mistake, one line', () => {
  const table: readonly [options: unknown, problem: string][] = [
    [{ pools: [] }, 'pools: must be an object of pools by their names, e.g. { web: { upstreams: [...] } } (got [])'],
    [{ pools: {} }, 'pools: must have a pool; for one without a name, give upstreams instead'],
    [{ pools: { 'a b': POOL } }, 'pools: the name "a b" must be 1 to 63 letters, digits, dots, hyphens or underscores, '
      + 'and start with a letter or a digit'],
    [JSON.parse('{"pools":{"__proto__":{"upstreams":[]}}}'), 'pools: the name "__proto__" must be 1 to 63 letters, '
      + 'digits, dots, hyphens or underscores, and start with a letter or a digit'],
    [{ pools: { api: at } }, `pools.api: must be an object with a list of upstreams (got "${at}")`],
    [{ pools: { api: {} } },
      'pools.api.upstreams: must be a list of origins, e.g. [\'http://127.0.0.1:3001\'] (got undefined)'],
    [{ pools: { api: { upstreams: [at, at] } } },
      `pools.api.upstreams[1]: ${at} is already pools.api.upstreams[0]; give it a weight instead`],
    [{ pools: { api: { upstreams: [{ origin: at, weight: 0 }] } } },
      'pools.api.upstreams[0].weight: must be a number from 0.001 to 1000000 (got 0); leave it out for 1'],
    [{ pools: { api: { ...POOL, maxInFlight: 0 } } },
      'pools.api.maxInFlight: must be an integer ≥ 1 (got 0); leave it out for no limit'],
    [{ pools: { api: { ...POOL, maxInflight: 5 } } },
      'pools.api.maxInflight: unknown option; did you mean maxInFlight?'],
    [{ pools: { api: { ...POOL, maxConnections: 5 } } },
      'pools.api.maxConnections: belongs to the balancer, not to a pool; write maxConnections at the top level'],
    [{ pools: { api: { ...POOL, onRequest() { /* nothing */ } } } },
      'pools.api.onRequest: belongs to the balancer, not to a pool; write onRequest at the top level'],
    [{ pools: { api: { ...POOL, routes: [] } } },
      'pools.api.routes: belongs to the balancer, not to a pool; write routes at the top level'],
    [{ pools: { api: { ...POOL, changeOrigin: 1 } } }, 'pools.api.changeOrigin: must be true or false (got 1)'],
    [{ pools: { api: { ...POOL, connect: 1 } } }, 'pools.api.connect: must be a function (got 1)'],
    [{ pools: { api: { ...POOL, retryOn: 1 } } },
      'pools.api.retryOn: must be a list of statuses, each 429 or from 500 to 599, e.g. [502, 503, 504] (got 1)'],
    [{ pools: { api: { ...POOL, peers: 1 } } }, 'pools.api.peers: must be an object with a method join, such as '
      + 'channel(\'upstreams\') of launch (got 1)'],
    [{ pools: { api: POOL }, maxInFlight: 5 },
      'maxInFlight: belongs to a pool; write pools.api.maxInFlight, and so for each pool that needs it'],
    [{ pools: { api: POOL }, strategy },
      'strategy: belongs to a pool; write pools.api.strategy, and so for each pool that needs it'],
    [{ upstreams: [], pools: { default: POOL } },
      'pools.default: is the pool of the upstreams at the top level; put them here, or rename it'],
    [{ pools: { web: POOL, api: POOL } }, 'routes: is missing: there are several pools (web, api), and none is named '
      + 'default; for a start, write [{ pool: "web" }]'],
    [{ pools: { a: { ...POOL, strategy }, b: { ...POOL, strategy } }, routes: [] },
      'pools.b.strategy: is that of the pool a already; a strategy keeps state of one pool; make one for each'],
    [{ upstreams: [], strategy, pools: { b: { ...POOL, strategy } } },
      'pools.b.strategy: is that of the pool default already; a strategy keeps state of one pool; make one for each'],
    [{ pools: { a: { ...POOL, peers }, b: { ...POOL, peers } }, routes: [] },
      'pools.b.peers: is that of the pool a already; a channel takes one member; open one for each pool'],
    [{ pools: { get api() {
      throw new Error('mine');
    } } }, 'pools.api: reading this threw: mine'],
    [{ upstreams: [], routes: [{ pool: 'api' }] }, 'routes[0].pool: there is no pool "api" (pools: default)'],
    [{ pools: { web: POOL }, routes: [{}] },
      'routes[0].pool: is missing, and there is no pool default; name one (web), or give redirect or answer'],
    [{ upstreams: [], routes: [{ requestHeaders: { host: 'a b' } }] },
      'routes[0].requestHeaders["host"]: must be a host such as \'api.example.com\' or \'api.example.com:8080\' '
      + '(got "a b")'],
    [{ upstreams: [], routes: {} }, 'routes: must be a list of routes, e.g. [{ path: \'/api/\', pool: \'api\' }] '
      + '(got {})'],
  ];
  for (const [options, problem] of table) {
    test(problem.slice(0, 80), () => {
      assert.deepEqual(problemsWith(options), [problem]);
    });
  }
});

test('all problems of all pools are listed', () => {
  assert.deepEqual(problemsWith({
    pools: { web: { ...POOL, ejectMs: 0 }, api: { upstreams: 5, maxQueued: -1 } }, via: 5, routes: [{ pool: 'wep' }],
  }).map((line) => line.split(': ')[0]), ['pools.web.ejectMs', 'pools.api.maxQueued', 'pools.api.upstreams',
    'routes[0].pool', 'via']);
});

describe('what is left out', () => {
  const table: readonly [options: unknown, pools: readonly string[]][] = [
    [{ upstreams: [] }, ['default']],
    [{ pools: { api: POOL } }, ['api']],
    [{ pools: { default: POOL, api: POOL } }, ['default', 'api']],
    [{ pools: { api: POOL, default: POOL } }, ['default', 'api']],
    [{ upstreams: [], pools: { api: POOL } }, ['default', 'api']],
    [{ pools: { web: POOL, api: POOL }, routes: [] }, ['web', 'api']],
  ];
  for (const [options, names] of table) {
    test(inspected(options), () => {
      const { pools, routes } = parseOptions(options);
      assert.deepEqual([...pools.keys()], names);
      assert.equal(routes === undefined, !('routes' in (options as object)));
      for (const { maxAttempts } of pools.values()) assert.equal(maxAttempts, 3);
    });
  }

  test('a pool has its own options, and the defaults for the rest', () => {
    const { pools } = parseOptions({ upstreams: [], maxInFlight: 5, pools: { api: { ...POOL, maxQueued: 7 } } });
    assert.deepEqual([...pools.values()].map(({ maxInFlight, maxQueued }) => [maxInFlight, maxQueued]),
      [[5, 0], [Infinity, 7]]);
  });
});
