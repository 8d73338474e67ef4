/**
 * An upstream belongs to one pool: two sets that name the same origin share nothing but names and adopted streams.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassThrough } from 'node:stream';
import { Events } from '../../src/events.ts';
import type { BalancerOptions } from '../../src/options/options.ts';
import { Dialler } from '../../src/upstreams/dial.ts';
import { UpstreamSet } from '../../src/upstreams/upstream-set.ts';
import { Names } from '../../src/upstreams/names.ts';
import { Peers } from '../../src/upstreams/peers.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { turns } from '../support/wait.ts';
import { settingsOf } from '../support/options.ts';

const ORIGIN = 'http://a.test';
/** A second upstream in each pool, so that the first one can be ejected. */
const OTHERS = ['http://b.test', 'http://c.test'];
const FAILED = { fault: 'upstream', stage: 'connect' } as const;

/** Two pools of one balancer, reduced to their upstreams. */
function twoPools(connect?: BalancerOptions['connect']): { events: Events; sets: readonly [UpstreamSet, UpstreamSet] } {
  const events = new Events((_event, what, cause) => assert.fail(`a listener ${what}: ${String(cause)}`));
  const names = new Names(() => assert.fail('nothing is looked up'), () => 0);
  const adopted = new WeakSet();
  const options = { upstreams: [ORIGIN, ...OTHERS], ejectAfter: 1, maxInFlight: 1 };
  const set = (): UpstreamSet => {
    const settings = settingsOf(connect === undefined ? options : { ...options, connect });
    const dialler = new Dialler(settings.connect, names, adopted, () => assert.fail('nothing is reported'));
    const upstreams = new UpstreamSet(settings, {
      pool: 'default', events, dialler, rng: () => 0.5, onChange: () => undefined, onRoom: () => undefined,
    });
    upstreams.start(settings.upstreams);
    return upstreams;
  };
  return { events, sets: [set(), set()] };
}

/** One failed attempt on the upstream of this origin. */
function fail(upstreams: UpstreamSet, origin = ORIGIN): void {
  const upstream = upstreams.all.find((each) => each.origin === origin);
  assert.ok(upstream !== undefined);
  upstreams.begin(upstream);
  upstreams.settle(upstream, FAILED, false, 1, 2, 'CONNECT_REFUSED');
}

const statesOf = (upstreams: UpstreamSet): string[] => upstreams.all.map(({ state }) => state);

test('health, counts and limits belong to one pool', () => {
  const { sets: [a, b] } = twoPools();
  fail(a);
  assert.deepEqual(statesOf(a), ['ejected', 'active', 'active']);
  assert.deepEqual(statesOf(b), ['active', 'active', 'active']);
  const [, inA] = a.all;
  assert.ok(inA !== undefined);
  a.begin(inA);
  assert.deepEqual([a, b].map(({ full }) => full), [true, false]);
  assert.deepEqual(b.all.map(({ shown }) => [shown.picks, shown.inFlight]), [[0, 0], [0, 0], [0, 0]]);
});

test('an upstream of one pool is not a candidate in another', () => {
  const { sets: [a, b] } = twoPools();
  const [shown] = a.candidates;
  assert.ok(shown !== undefined);
  assert.equal(a.candidate(shown)?.shown, shown);
  assert.equal(b.candidate(shown), undefined);
  assert.deepEqual([a, b].map((set) => set.owns(shown)), [true, false]);
});

test('peers do not get the ejections of another pool, although events are shared', async () => {
  const { events, sets: [a, b] } = twoPools();
  const sent: string[] = [];
  const peers = new Peers({ join: () => ({
    leave: () => undefined,
    send: (news) => {
      sent.push(...Object.keys((news as { ejected?: object }).ejected ?? {}));
    },
  }) }, {
    upstreams: a,
    events,
    time: new VirtualTime(),
    onLead: () => undefined,
    report: ({ message }) => assert.fail(message),
  });
  fail(b);
  await turns(1);
  assert.deepEqual(sent, []);
  fail(a, OTHERS[0]);
  await turns(1);
  assert.deepEqual(sent, [OTHERS[0]]);
  peers.stop();
});

test('a stream that connect returned for one pool is not accepted for another', () => {
  const stream = new PassThrough();
  const { sets: [a, b] } = twoPools(() => stream);
  const [connection] = [a.all[0]?.connections.dial(0)];
  const message = `connect returned the same stream twice, for ${ORIGIN}; return a new one for each call`;
  assert.throws(() => b.all[0]?.connections.dial(0), { code: 'CONNECT_UNUSABLE', message });
  connection?.destroy();
});
