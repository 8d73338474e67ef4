/**
 * The option `shadow`: a second strategy that is asked at each pick, and never decides.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMetrics } from '../../src/observe/index.ts';
import type { Answered, Outcome, Strategy, Upstream } from '../../src/strategy.ts';
import { parseOptions } from '../../src/options/parse.ts';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { atEnd } from '../support/scope.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const last: Strategy = { name: 'last', pick: (candidates) => candidates.at(-1) };

/** What a strategy hears, in order. */
class Listening implements Strategy {
  readonly name = 'listening';
  readonly heard: string[] = [];
  readonly settledNotes: unknown[] = [];
  readonly outcomes: Outcome[] = [];
  readonly #turns: readonly number[];
  #asked = 0;

  /** Picks the candidates at these indexes in turn. */
  constructor(turns: readonly number[]) {
    this.#turns = turns;
  }

  pick(candidates: readonly Upstream[], context: { note: unknown; readonly attempt: number }): Upstream | undefined {
    const at = this.#turns[this.#asked % this.#turns.length] ?? 0;
    assert.equal(context.note, undefined, 'the note of the live strategy, and that of the last pick, are not seen');
    context.note = `note ${this.#asked++}`;
    const picked = candidates[at];
    this.heard.push(`pick ${at} of ${candidates.length}, ${candidates.map(({ inFlight }) => inFlight).join(',')}`);
    return picked;
  }

  answered(_: Upstream, { status, note }: Answered): void {
    this.heard.push(`answered ${status}, ${String(note)}`);
  }

  settled(_: Upstream, outcome: Outcome): void {
    const { ok, status, error, note } = outcome;
    this.outcomes.push(outcome);
    this.heard.push(`settled ${ok} ${String(status)} ${String(error)}, ${String(note)}`);
  }

  changed(candidates: readonly Upstream[], members: readonly Upstream[] = []): void {
    this.heard.push(`changed ${candidates.length} of ${members.length}`);
  }
}

async function ask(under: BalancerUnderTest, times: number): Promise<void> {
  const client = await under.connect();
  for (let i = 0; i < times; i++) {
    client.send(get());
    assert.equal((await client.response()).status, 200);
  }
}

const figuresOf = ({ balancer }: BalancerUnderTest): NonNullable<typeof balancer.pools['default']['shadow']> => {
  const shadow = balancer.pools['default']?.shadow;
  assert.ok(shadow);
  return shadow;
};

test('without the option there are no figures', async (t) => {
  const { balancer } = await startBalancer(t, { upstreams: [await startUpstream(t, echo)] });
  assert.equal(balancer.pools['default']?.shadow, undefined);
});

test('it never decides: the live strategy has every pick, the figures say where they differ', async (t) => {
  const upstreams = [await startUpstream(t, echo), await startUpstream(t, echo)];
  const under = await startBalancer(t, { upstreams, shadow: last });
  await ask(under, 5);
  assert.deepEqual(under.picks.map(({ origin }) => origin), Array(5).fill(upstreams[0]?.origin));
  const { strategy, picks, agreed, differed, declined, faults, upstreams: shares } = figuresOf(under);
  assert.deepEqual({ strategy, picks, agreed, differed, declined, faults },
    { strategy: 'last', picks: 5, agreed: 0, differed: 5, declined: 0, faults: 0 });
  assert.deepEqual(shares, [
    { origin: upstreams[0]?.origin, live: 5, shadow: 0 }, { origin: upstreams[1]?.origin, live: 0, shadow: 5 },
  ]);
});

test('it sees what the live one sees, and hears how the picks ended at which both agreed', async (t) => {
  const upstreams = [await startUpstream(t, echo), await startUpstream(t, echo)];
  const shadow = new Listening([0, 1]);
  const under = await startBalancer(t, { upstreams, shadow });
  await ask(under, 2);
  assert.deepEqual(shadow.heard, [
    'changed 2 of 2',
    'pick 0 of 2, 0,0', 'answered 200, note 0', 'settled true 200 undefined, note 0',
    // Nobody knows what would have become of it: as if the client had left.
    'pick 1 of 2, 0,0', 'settled true undefined DOWNSTREAM_GONE, note 1',
  ]);
});

test('each of its picks settles exactly once, with its own note', async (t) => {
  const shadow = new Listening([1, 0, 1, 1, 0]);
  const under = await startBalancer(t, {
    upstreams: [await startUpstream(t, echo), await startUpstream(t, echo)], shadow,
  });
  await ask(under, 10);
  assert.deepEqual(shadow.outcomes.map(({ note }) => note), Array.from({ length: 10 }, (_, i) => `note ${i}`));
});

describe('what it does wrong is counted, reported once for each kind, and harms nothing', () => {
  const thrower = (): never => {
    throw new Error('oops');
  };
  const pickFirst = (candidates: readonly Upstream[]): Upstream | undefined => candidates[0];
  const table: readonly [what: string, shadow: object, faults: number, reported: RegExp][] = [
    ['throws', { pick: thrower }, 3, /^shadow strategy wrong of the pool default threw in pick: oops; /],
    ['a promise', { pick: () => Promise.reject(new Error('late')) }, 3, /is asynchronous: pick must return a cand/],
    ['no candidate', { pick: () => ({ id: 'other' }) }, 3, /picked something that is not a candidate; /],
    ['a header that cannot be sent', {
      pick: (c: readonly Upstream[], { respondWith }: { respondWith: (name: string, value: string) => void }) => {
        respondWith('Content-Length', '5');
        return c[0];
      },
    }, 3, /threw in pick: /],
    ['settled throws', { pick: pickFirst, settled: thrower }, 3, /threw in settled: oops/],
    ['answered rejects', { pick: pickFirst, answered: () => Promise.reject(new Error('late')) }, 3,
      /rejected in answered: late/],
  ];
  for (const [what, wrong, faults, reported] of table) {
    test(what, async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], shadow: { name: 'wrong', ...wrong } as Strategy });
      await ask(under, 3);
      assert.equal(figuresOf(under).faults, faults);
      assert.equal(figuresOf(under).picks, 3);
      assert.deepEqual(under.reports.splice(0), ['STRATEGY_FAILED']);
      assert.match(under.errors.splice(0)[0]?.message ?? '', reported);
    });
  }
});

test('a shadow that declines is counted', async (t) => {
  const under = await startBalancer(t, {
    upstreams: [await startUpstream(t, echo)], shadow: { name: 'none', pick: () => undefined },
  });
  await ask(under, 2);
  const { picks, declined, faults } = figuresOf(under);
  assert.deepEqual({ picks, declined, faults }, { picks: 2, declined: 2, faults: 0 });
});

test('the header of its respondWith is not sent', async (t) => {
  const shadow: Strategy = {
    name: 'cookie',
    pick(candidates, context) {
      context.respondWith('set-cookie', 'a=b');
      return candidates[0];
    },
  };
  const under = await startBalancer(t, { upstreams: [await startUpstream(t, echo)], shadow });
  const client = await under.connect();
  client.send(get());
  assert.doesNotMatch(JSON.stringify(await client.response()), /a=b/);
  assert.equal(figuresOf(under).agreed, 1);
});

test('the estimate compares the measured latency of live picks with that of the upstreams picked in the shadow',
  async (t) => {
    const upstreams = [await startUpstream(t, echo), await startUpstream(t, echo)];
    let turn = 0;
    const alternating: Strategy = { name: 'alternating', pick: (candidates) => candidates[turn++ % 2] };
    const under = await startBalancer(t, { upstreams, strategy: alternating, shadow: last });
    assert.deepEqual(figuresOf(under).estimate, { requests: 0, liveMs: 0, shadowMs: 0, shadowByLoadMs: 0 });
    await ask(under, 6);
    const { estimate: { requests, liveMs, shadowMs, shadowByLoadMs } } = figuresOf(under);
    // In virtual time nothing takes any: only where both agreed is anything known, and it is the same.
    assert.equal(requests, 3);
    assert.deepEqual([liveMs, shadowMs, shadowByLoadMs], [0, 0, 0]);
  });

test('configure replaces it, keeps it, and takes it away; the figures begin anew with another one', async (t) => {
  const under = await startBalancer(t, { upstreams: [await startUpstream(t, echo)], shadow: last });
  await ask(under, 2);
  await under.balancer.configure({ maxQueued: 5 });
  assert.equal(figuresOf(under).picks, 2);
  const next = new Listening([0]);
  await under.balancer.configure({ shadow: next });
  assert.deepEqual(next.heard, ['changed 1 of 1']);
  assert.equal(figuresOf(under).picks, 0);
  await ask(under, 1);
  assert.equal(figuresOf(under).picks, 1);
  await under.balancer.configure({ shadow: null });
  assert.equal(under.balancer.pools['default']?.shadow, undefined);
  await ask(under, 1);
});

test('one object cannot be both, nor in the shadow of two pools', () => {
  const upstreams = ['http://127.0.0.1:9'];
  assert.throws(() => parseOptions({ upstreams, strategy: last, shadow: last }),
    /^ *shadow: is that of the pool default already; a strategy keeps state of its own/m);
  assert.throws(() => parseOptions({
    pools: { a: { upstreams, shadow: last }, b: { upstreams, shadow: last } }, routes: [{ pool: 'a' }],
  }), /pools\.b\.shadow: is that of the pool a already/);
});

test('metrics count it, by pool and strategy, and by upstream', async (t) => {
  const upstreams = [await startUpstream(t, echo), await startUpstream(t, echo)];
  const under = await startBalancer(t, { upstreams, shadow: new Listening([0, 0, 1]) });
  const metrics = createMetrics(under.balancer, { time: under.time });
  atEnd(t, () => metrics.close());
  await ask(under, 3);
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('equipoise_shadow'));
  assert.deepEqual(lines.map((line) => line.replace(/http:[^"]*/, (origin) => (
    String(upstreams.findIndex((one) => one.origin === origin))))), [
    'equipoise_shadow_picks_total{pool="default",strategy="listening",agreed="true"} 2',
    'equipoise_shadow_picks_total{pool="default",strategy="listening",agreed="false"} 1',
    'equipoise_shadow_upstream_picks_total{pool="default",upstream="0",strategy="listening"} 2',
    'equipoise_shadow_upstream_picks_total{pool="default",upstream="1",strategy="listening"} 1',
    'equipoise_shadow_faults_total{pool="default",strategy="listening"} 0',
  ]);
});
