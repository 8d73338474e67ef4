/**
 * The candidates after any series of changes, compared with a model that checks every upstream each time.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Events } from '../../src/events.ts';
import { parseUpstream, parseUpstreams } from '../../src/options/upstreams.ts';
import { atOnce } from '../../src/loop/slices.ts';
import type { Upstream } from '../../src/strategy.ts';
import { Dialler } from '../../src/upstreams/dial.ts';
import { UpstreamSet } from '../../src/upstreams/upstream-set.ts';
import { Names, systemFind } from '../../src/upstreams/names.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { settingsOf } from '../support/options.ts';

const seed = testSeed();

for (const maxEjectedPercent of [0, 30, 50, 100]) {
  test(`with ${maxEjectedPercent} percent (EQUIPOISE_SEED=${seed})`, () => {
    const rng = seededRandom(seed);
    const settings = settingsOf({ upstreams: [], maxEjectedPercent });
    let told: readonly Upstream[] = [];
    const names = new Names(systemFind, () => 0);
    const upstreams = new UpstreamSet(settings, {
      pool: 'default',
      events: new Events(() => assert.fail('no listener throws')),
      dialler: new Dialler(undefined, names, new WeakSet(), () => assert.fail('nothing is connected')),
      rng,
      onChange: (candidates) => {
        told = candidates;
      },
      onRoom: () => undefined,
    });
    const there: string[] = [];
    const down = new Set<string>();
    let fresh = 0;
    const one = (): string => there[Math.floor(rng() * there.length)] ?? '';
    const changes: (() => void)[] = [
      () => {
        there.push(`http://n${fresh++}.test`);
        upstreams.add(parseUpstream(there.at(-1), settings));
      },
      () => {
        const origin = one();
        if (origin === '') return;
        there.splice(there.indexOf(origin), 1);
        down.delete(origin);
        void upstreams.remove(origin, Infinity);
      },
      () => {
        const origin = one();
        const upstream = upstreams.all.find((each) => each.origin === origin);
        if (upstream !== undefined) upstreams.probed(upstream, down.has(origin), 0);
        if (origin !== '' && !down.delete(origin)) down.add(origin);
      },
      () => {
        const kept = there.filter(() => rng() < 0.8);
        there.splice(0, Infinity, ...kept, `http://n${fresh++}.test`);
        for (const origin of down) if (!there.includes(origin)) down.delete(origin);
        const wanted = atOnce(parseUpstreams(there, settings, (origin) => upstreams.settingsOf(origin)));
        void upstreams.apply(atOnce(upstreams.compare(wanted)), Infinity);
        upstreams.tell();
      },
    ];
    let panics = 0;
    for (let i = 0; i < 2_000; i++) {
      changes[Math.floor(rng() * (there.length > 12 ? 4 : 3.3))]?.();
      const panic = down.size * 100 > maxEjectedPercent * there.length;
      if (panic) panics++;
      const expected = there.filter((origin) => panic || !down.has(origin));
      assert.deepEqual(told.map(({ origin }) => origin), expected, `after change ${i}`);
      assert.deepEqual(upstreams.candidates, told);
    }
    if (maxEjectedPercent < 100) assert.ok(panics > 0, 'there were panics');
    assert.ok(panics < 2_000, 'and times without');
  });
}
