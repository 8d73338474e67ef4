import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import type { Upstream } from '../../src/strategy.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { echo, refusingOrigin, startUpstream } from '../support/upstream.ts';

/** Everything that an upstream shows to plugins and operators. */
const PUBLIC = [
  'configuredWeight', 'ejections', 'failures', 'id', 'inFlight', 'inFlightElsewhere', 'latencyMs', 'load',
  'maxInFlight', 'origin', 'picks', 'responses', 'retries', 'state', 'tags', 'weight',
];

/** All property names of an object and of its prototypes, except those of Object. */
function reachable(object: object): string[] {
  const names = new Set<string>();
  for (let at = object; at !== Object.prototype; at = Object.getPrototypeOf(at) as object) {
    for (const key of Reflect.ownKeys(at)) names.add(typeof key === 'symbol' ? String(key.description) : key);
  }
  return [...names].sort();
}

describe('an upstream, as seen outside the core,', () => {
  test('has its public values, and gives access to nothing else', async (t) => {
    const [upstream, refusing] = [await startUpstream(t, echo), refusingOrigin()];
    const seen = new Map<string, Upstream>();
    const note = (where: string) => ({ upstream: one }: { readonly upstream: Upstream }): void => {
      seen.set(where, one);
    };
    const under = await startBalancer(t, {
      upstreams: [refusing, upstream],
      ejectAfter: 1,
      ejectMs: 10,
      strategy: {
        name: 'seeing',
        pick: ([one]) => {
          if (one !== undefined) seen.set('pick', one);
          return one;
        },
        settled: (one) => seen.set('settled', one),
        changed: ([one]) => one !== undefined && seen.set('changed', one),
      },
    });
    const { balancer } = under;
    for (const event of ['ejected', 'readmitted', 'retried', 'added', 'removed', 'settled'] as const) {
      balancer.on(event, note(`event ${event}`));
    }
    const client = await under.connect();
    assert.equal((await client.exchange(get('/x'))).text, '/x');
    seen.set('add', balancer.add('http://b.test'));
    await balancer.remove('http://b.test');
    const [listed] = balancer.upstreams;
    assert.ok(listed !== undefined);
    seen.set('upstreams', listed);
    assert.deepEqual([...seen.keys()].sort(), [
      'add', 'changed', 'event added', 'event ejected', 'event removed', 'event retried', 'event settled', 'pick',
      'settled', 'upstreams',
    ]);
    for (const [where, one] of seen) {
      const inspecting = 'nodejs.util.inspect.custom';
      assert.deepEqual(reachable(one), [...PUBLIC, 'constructor', inspecting, 'toJSON'].sort(), where);
      assert.equal(one.constructor, Object, where);
      assert.throws(() => {
        (one as { weight: number }).weight = 2;
      }, TypeError, where);
      assert.throws(() => Object.assign(one, { mine: 1 }), TypeError, where);
    }
  });

  test('is the same object everywhere', async (t) => {
    const upstream = await startUpstream(t, echo);
    const seen = new Set<unknown>();
    const under = await startBalancer(t, {
      upstreams: [upstream],
      strategy: {
        name: 'seeing',
        pick: ([one]) => {
          seen.add(one);
          return one;
        },
        settled: (one) => seen.add(one),
        changed: ([one]) => one !== undefined && seen.add(one),
      },
    });
    under.balancer.on('settled', ({ upstream: one }) => seen.add(one));
    await (await under.connect()).exchange(get());
    seen.add(under.balancer.upstreams[0]);
    assert.equal(seen.size, 1);
  });

  test('shows all of them as JSON and in the console', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [{ origin: upstream.origin, weight: 2, maxInFlight: 7, tags: { zone: 'a' } }],
    });
    await (await under.connect()).exchange(get());
    const [one] = under.balancer.upstreams;
    assert.ok(one !== undefined);
    const { latencyMs } = one;
    const values = {
      id: upstream.origin, origin: upstream.origin, state: 'active', weight: 2, configuredWeight: 2,
      maxInFlight: 7, inFlight: 0, inFlightElsewhere: 0, latencyMs, picks: 1, responses: 1,
      failures: 0, retries: 0, ejections: 0, tags: { zone: 'a' }, load: undefined,
    };
    const { load, ...sent } = values;
    assert.equal(load, undefined);
    assert.deepEqual(JSON.parse(JSON.stringify(one)), sent);
    assert.equal(inspect(one), inspect(values));
    assert.deepEqual(Object.keys(values).sort(), PUBLIC);
  });
});
