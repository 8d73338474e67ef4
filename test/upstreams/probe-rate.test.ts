/**
 * How often probes come, with timers that keep to their intervals.
 */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import type { TimeSource } from '../../src/loop/time-source.ts';
import type { BalancerOptions } from '../../src/options/options.ts';
import { neverConnects } from '../support/streams.ts';

/** Virtual time whose timers keep to their intervals. */
class Timetable implements TimeSource {
  readonly timers = new Set<{ at: number; readonly ms: number; readonly tick: () => void }>();
  #now = 0;

  now(): number {
    return this.#now;
  }

  epoch(): number {
    return this.#now;
  }

  every(ms: number, tick: () => void): () => void {
    const timer = { at: this.#now + ms, ms, tick };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  pass(ms: number): void {
    for (const end = this.#now + ms; this.#now < end;) {
      this.#now++;
      for (const timer of [...this.timers]) {
        if (timer.at > this.#now || !this.timers.has(timer)) continue;
        timer.at += timer.ms;
        timer.tick();
      }
    }
  }
}

/** A balancer whose probes are connects that succeed at once, and the number of probes per upstream. */
function made(
  options: Partial<BalancerOptions>, connect: (origin: string) => PassThrough | ReturnType<typeof neverConnects>,
): { balancer: Balancer; time: Timetable; probes: Map<string, number> } {
  const time = new Timetable();
  const probes = new Map<string, number>();
  const balancer = createBalancer({
    upstreams: [], time, rng: () => 0.5, ...options,
    connect: ({ origin }) => {
      probes.set(origin, (probes.get(origin) ?? 0) + 1);
      return connect(origin);
    },
  });
  return { balancer, time, probes };
}

const open = (): PassThrough => new PassThrough();
const A = 'http://a.test';
const B = 'http://b.test';

describe('probes come as often as intervalMs says', () => {
  for (const [intervalMs, count] of [[20, 500], [50, 200], [100, 100], [1_000, 10]] as const) {
    test(`every ${intervalMs} ms`, async () => {
      const { balancer, time, probes } = made({ upstreams: [A], healthCheck: { intervalMs } }, open);
      time.pass(250);
      probes.clear();
      time.pass(10_000);
      const got = probes.get(A) ?? 0;
      assert.ok(Math.abs(got - count) <= count / 50 + 1, `${got} in 10 s, not ${count}`);
      await balancer.close();
      assert.equal(time.timers.size, 0);
    });
  }

  for (const way of ['add', 'update'] as const) {
    test(`also for an upstream that ${way} has added, until it is removed`, async () => {
      const { balancer, time, probes } = made({ upstreams: [A] }, open);
      const b = { origin: B, healthCheck: { intervalMs: 20 } };
      time.pass(1_000);
      const idle = time.timers.size;
      if (way === 'add') balancer.add(b);
      else await balancer.update([A, b]);
      time.pass(250);
      probes.clear();
      time.pass(1_000);
      const got = probes.get(B) ?? 0;
      assert.ok(got >= 48 && got <= 52, `${got} in a second`);
      assert.equal(probes.get(A), undefined);
      await balancer.remove(B);
      time.pass(250);
      assert.equal(time.timers.size, idle, 'nothing ticks faster than it must');
      await balancer.close();
    });
  }

  test('and a short timeoutMs is kept', async () => {
    const { balancer, time, probes } = made({
      upstreams: [A, B], healthCheck: { intervalMs: 400, timeoutMs: 40, fall: 1 },
    }, (origin) => origin === A ? neverConnects() : open());
    const began: number[] = [];
    const ejected: number[] = [];
    balancer.on('ejected', () => ejected.push(time.now()));
    while (ejected.length === 0) {
      time.pass(1);
      if (began.length === 0 && probes.has(A)) began.push(time.now());
    }
    const took = (ejected[0] ?? 0) - (began[0] ?? 0);
    assert.ok(took >= 40 && took <= 50, `it took ${took} ms`);
    await balancer.close();
  });
});

test('a probe that throws does not stop those behind it, and is reported', async () => {
  const reports: string[] = [];
  const { balancer, time, probes } = made({
    upstreams: [A, B], healthCheck: { intervalMs: 20, timeoutMs: 40 },
    onReport: ({ error, upstream }) => reports.push(`${error.code} ${upstream ?? ''}`),
  }, (origin) => {
    const stream = open();
    // Called when a probe is over.
    if (origin === A) stream.destroy = () => {
      throw new Error('oh no');
    };
    return stream;
  });
  time.pass(1_000);
  assert.ok(reports.length > 0 && reports.every((report) => report === `INTERNAL_ERROR ${A}`), reports.join());
  const got = probes.get(B) ?? 0;
  assert.ok(got >= 30, `${got} probes of the one behind it`);
  await balancer.close();
});
