/**
 * The options of `configure`: every mistake is listed, and then nothing has changed.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Balancer } from '../../../src/balancer.ts';
import type { Channel } from '../../../src/channel.ts';
import { parseChanges } from '../../../src/options/changes.ts';
import type { BalancerOptions } from '../../../src/options/options.ts';
import { parseOptions } from '../../../src/options/parse.ts';
import { atOnce } from '../../../src/loop/slices.ts';
import { startPools } from '../../support/pools.ts';

const A = 'http://a.test';
const pick = (): undefined => undefined;
const strategy = { name: 'mine', pick };
const channel: Channel = { join: () => ({ send: () => undefined, leave: () => undefined }) };
const web = { upstreams: [A], strategy };
const api = { upstreams: [A], peers: channel };
const routes = [{ path: '/api', pool: 'api' }, { pool: 'web' }];
const NAMED: BalancerOptions = { pools: { web, api }, routes };
const TOP: BalancerOptions = { upstreams: [A], pools: { api }, maxHeadBytes: 4_096, trustForwarded: true };

/** What `configure` says about `options`, by lines. */
async function problems(balancer: Balancer, options: unknown): Promise<string[]> {
  let message = '';
  await assert.rejects(balancer.configure(options as object), (error: Error & { code: string }) => {
    assert.equal(error.code, 'OPTIONS_INVALID');
    ({ message } = error);
    return true;
  });
  return message.split('\n').slice(1).map((line) => line.trim());
}

type Row = readonly [what: string, from: BalancerOptions, options: unknown, expected: readonly string[]];
const TABLE: readonly Row[] = [
  ['nothing', NAMED, undefined, [
    'options: must be an object such as { pools: {...}, routes: [...] } (got undefined)',
  ]],
  ['a list', NAMED, [], ['options: must be an object such as { pools: {...}, routes: [...] } (got [])']],
  ['a promise', NAMED, Promise.resolve({}), [
    'options: must be an object such as { pools: {...}, routes: [...] } (got a promise; write await before it)',
  ]],
  ['an unknown option', NAMED, { route: [] }, ['route: unknown option; did you mean routes?']],
  ['an option of the front', TOP, { maxHeadBytes: 8_192 }, [
    'maxHeadBytes: belongs to the front and cannot change at run time; leave it out, or make a new balancer',
  ]],
  ['an option of the front that was given, taken away', TOP, { trustForwarded: null }, [
    'trustForwarded: belongs to the front and cannot change at run time; leave it out, or make a new balancer',
  ]],
  ['an option of the front that is wrong', TOP, { maxHeadBytes: 1 }, [
    'maxHeadBytes: must be an integer ≥ 1024 (got 1); the default is 16384',
  ]],
  ['several mistakes, in all parts', NAMED, {
    pools: { web: { upstreams: ['nonsense'], maxQueued: -1 }, api: 5 },
    routes: [{ pool: 'nowhere' }, { path: 'x' }],
    onRequest: 'no', via: 'other',
  }, [
    'via: belongs to the front and cannot change at run time; leave it out, or make a new balancer',
    'pools.web.maxQueued: must be an integer ≥ 0 (got -1); the default is 0',
    'pools.web.upstreams[0].origin: must start with http:// (got "nonsense"); did you mean http://nonsense?',
    'pools.api: must be an object with a list of upstreams (got 5)',
    'routes[0].pool: there is no pool "nowhere" (pools: web, api)',
    'routes[1].path: must be a path such as \'/api/\' (got "x")',
    'routes[1].pool: is missing, and there is no pool default; name one (web, api), or give redirect or answer',
    'onRequest: must be a function (got "no")',
  ]],
  ['no pool at all', NAMED, { pools: null, routes: null }, [
    'pools: none would be left; name at least one, or give upstreams',
  ]],
  ['an empty object of pools', NAMED, { pools: {} }, [
    'pools: must have a pool; for one without a name, give upstreams instead',
  ]],
  ['a pool less, to which a route still goes', NAMED, { pools: { web } }, [
    'routes: must be given as well: routes[0] goes to the pool api, which would be removed',
  ]],
  ['no routes, with pools that need them', NAMED, { routes: null }, [
    'routes: is missing: there are several pools (web, api), and none is named default; for a start, ' +
      'write [{ pool: "web" }]',
  ]],
  ['a pool option where there is no default', NAMED, { maxQueued: 3 }, [
    'maxQueued: belongs to a pool; write pools.web.maxQueued, and so for each pool that needs it',
  ]],
  ['default twice', TOP, { maxQueued: 3, pools: { default: { upstreams: [] }, api } }, [
    'pools.default: is the pool of the upstreams at the top level; put them here, or rename it',
  ]],
  ['a strategy of another pool', NAMED, { pools: { web, api: { ...api, strategy } } }, [
    'pools.api.strategy: is that of the pool web already; a strategy keeps state of one pool; make one for each',
  ]],
  ['other peers', NAMED, { pools: { web, api: { ...api, peers: { ...channel } } } }, [
    'pools.api.peers: cannot change while there is a pool api; leave it out to keep it',
  ]],
  ['the peers of a pool that goes', NAMED, { pools: { web, new: api }, routes: [{ pool: 'web' }] }, [
    'pools.new.peers: is that of the pool api; open a channel of its own for this pool',
  ]],
  ['an upstream that needs connect, which goes', {
    upstreams: ['https://a.test'], connect: () => undefined,
  }, { connect: null }, [
    'upstreams[0].origin: https://a.test needs TLS, which the core does not have; set the option connect',
  ]],
  ['a getter that throws', NAMED, { get pools() {
    throw new Error('no');
  } }, ['options: reading it threw: no']],
  ['a getter that throws in a pool', NAMED, { pools: { web, api: { get upstreams() {
    throw new Error('no');
  } } } }, ['pools.api: reading this threw: no']],
  ['a getter that throws in an upstream', NAMED, { pools: { api, web: { upstreams: [{ get origin() {
    throw new Error('no');
  } }] } } }, ['pools.web.upstreams[0]: reading it threw: no']],
  ['a promise of upstreams', TOP, { upstreams: Promise.resolve([]) }, [
    "upstreams: must be a list of origins, e.g. ['http://127.0.0.1:3001'] (got {})",
  ]],
  ['a promise of a strategy', TOP, { strategy: Promise.resolve(strategy) }, [
    'strategy: must be a strategy, not a promise of one; write await before it',
  ]],
];

describe('configure refuses', () => {
  for (const [what, from, options, expected] of TABLE) {
    test(what, async (t) => {
      const { balancer, time } = await startPools(t, from);
      const before = balancer.pools;
      const events: string[] = [];
      balancer.on('added', () => events.push('added')).on('draining', () => events.push('draining'));
      const { timers } = time;
      assert.deepEqual(await problems(balancer, options), expected);
      assert.equal(balancer.pools, before);
      assert.deepEqual([events, time.timers], [[], timers]);
      await balancer.configure({});
    });
  }

  test('cycles, by their fault alone', async (t) => {
    const { balancer } = await startPools(t, TOP);
    const cycle: Record<string, unknown> = {};
    cycle['pools'] = cycle;
    cycle['strategy'] = cycle;
    cycle['upstreams'] = [cycle];
    const lines = await problems(balancer, cycle);
    for (const line of [
      'strategy: must be an object with a name and a pick method; name is missing, pick is missing (got an object)',
      "upstreams[0].origin: must be an origin such as 'http://127.0.0.1:3001' (got undefined)",
      'pools.pools.pools: belongs to the balancer, not to a pool; write pools at the top level',
      'pools.upstreams: must be an object with a list of upstreams (got an object)',
    ]) assert.ok(lines.includes(line), line);
  });

  test('a channel that cannot be joined; pools that were made for it leave theirs', async (t) => {
    const { balancer, time } = await startPools(t, TOP);
    let seats = 0;
    const good: Channel = { join: () => {
      seats++;
      return { send: () => undefined, leave: () => {
        seats--;
      } };
    } };
    const { timers } = time;
    const pools = {
      api, one: { upstreams: [], peers: good }, two: { upstreams: [], peers: { join: () => assert.fail('full') } },
    };
    await assert.rejects(balancer.configure({ pools, maxQueued: 9 }), {
      code: 'OPTIONS_INVALID', message: 'invalid options: peers.join: threw: full',
    });
    assert.deepEqual([seats, time.timers, Object.keys(balancer.pools)], [0, timers, ['default', 'api']]);
  });

  test('to drain in no time that there is', async (t: TestContext) => {
    const { balancer } = await startPools(t, TOP);
    await assert.rejects(balancer.configure({}, { timeoutMs: -1 }), {
      message: 'invalid options: configure.timeoutMs: must be a number of milliseconds ≥ 0, or Infinity for no limit ' +
        '(got -1)',
    });
  });
});

describe('configure takes', () => {
  test('the options that the balancer was created with, those of the front included', async (t) => {
    const { balancer } = await startPools(t, TOP);
    const { pools } = balancer;
    await balancer.configure(TOP);
    assert.equal(balancer.pools['default'], pools['default']);
  });

  test('its copy of a list, which may change meanwhile', async (t) => {
    const { balancer } = await startPools(t, TOP);
    const list = Array.from({ length: 1_200 }, (_, i) => `http://n${i}.test`);
    const pools = { api, long: { upstreams: list } };
    const changed = balancer.configure({ pools });
    list.length = 0;
    pools.long = { upstreams: ['nonsense'] };
    await changed;
    assert.equal(balancer.pools['long']?.upstreams.length, 1_200);
  });

  test('what is left out as it is, and null as if it had never been given', () => {
    const { front, pools, routes: parsed, hasTop } = parseOptions({
      upstreams: [{ origin: A, weight: 2 }], retryOn: [502], maxQueued: 7, healthCheck: { path: '/up' }, routes: [{}],
      strategy, changeOrigin: true,
    });
    const settings = pools.get('default');
    assert.ok(settings !== undefined);
    const now = { settings, members: settings.upstreams, settingsOf: () => settings.upstreams[0] };
    const changes = (options: unknown) => atOnce(parseChanges(options, {
      front, pools: new Map([['default', now]]), routes: parsed, hasTop, hooks: undefined,
    }));
    assert.equal(changes({}).pools.get('default'), settings);
    assert.equal(changes({ maxQueued: 7, retryOn: [502] }).pools.get('default'), settings);
    assert.deepEqual(changes({ maxInFlight: 3 }).pools.get('default'), { ...settings, maxInFlight: 3 });
    assert.deepEqual(changes({ maxQueued: null, retryOn: null, strategy: null }).pools.get('default'), {
      ...settings, maxQueued: 0, retryOn: new Set(), strategy: undefined,
    });
    const unprobed = changes({ healthCheck: null }).pools.get('default');
    assert.deepEqual([unprobed?.healthCheck, unprobed?.upstreams[0]?.healthCheck], [undefined, undefined]);
    assert.deepEqual(changes({ routes: null }).routes, undefined);
    assert.equal(changes({ maxQueued: 1 }).routes, parsed);
  });
});
