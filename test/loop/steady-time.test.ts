import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Clock } from '../../src/loop/clock.ts';
import type { TimeSource } from '../../src/loop/time-source.ts';

/** The time of a process, moved by the test. */
class ProcessTime implements TimeSource {
  readonly pauseMs = 250;
  real = 1_000;
  readonly #ticks = new Set<() => void>();

  now(): number {
    return this.real;
  }

  epoch(): number {
    return this.real;
  }

  every(_ms: number, tick: () => void): () => void {
    this.#ticks.add(tick);
    return () => {
      this.#ticks.delete(tick);
    };
  }

  /** Moves time, with a tick at the end. */
  pass(ms: number): void {
    this.real += ms;
    for (const tick of this.#ticks) tick();
  }
}

function started(): { time: ProcessTime; clock: Clock; sweeps: [now: number, pausedMs: number][] } {
  const time = new ProcessTime();
  const clock = new Clock(time);
  const sweeps: [number, number][] = [];
  clock.start(100, (now, pausedMs) => sweeps.push([now, pausedMs]));
  return { time, clock, sweeps };
}

describe('the clock of a process', () => {
  test('follows time while ticks come, even a little late', () => {
    const { time, sweeps } = started();
    for (const ms of [100, 101, 200, 350]) time.pass(ms);
    assert.deepEqual(sweeps, [[1_100, 0], [1_201, 0], [1_401, 0], [1_751, 0]]);
  });

  test('leaves out the delay of a tick after a pause, and reports it once', () => {
    const { time, clock, sweeps } = started();
    time.pass(100);
    time.pass(60_100);
    assert.deepEqual(sweeps, [[1_100, 0], [1_200, 60_000]]);
    assert.equal(clock.now, 1_200);
    assert.equal(clock.source.now(), 1_200);
    time.pass(100);
    assert.deepEqual(sweeps[2], [1_300, 0]);
  });

  test('notices a pause at the first reading, before the tick', () => {
    const { time, clock, sweeps } = started();
    time.pass(100);
    time.real += 5_050;
    assert.equal(clock.source.now(), 1_200);
    time.real += 30;
    assert.equal(clock.source.now(), 1_230);
    time.pass(0);
    assert.deepEqual(sweeps[1], [1_230, 4_950]);
    time.pass(100);
    assert.deepEqual(sweeps[2], [1_330, 0]);
  });

  test('sees no pauses once ticks are not awaited any more', () => {
    const { time, clock } = started();
    clock.stop();
    clock.stop();
    time.real += 60_000;
    assert.equal(clock.source.now(), 61_000);
  });

  test('measures by the timer that is due last', () => {
    const { time, clock } = started();
    clock.source.every(2_000, () => undefined);
    time.real += 2_200;
    assert.equal(clock.source.now(), 3_200);
    time.real += 100;
    assert.equal(clock.source.now(), 3_000);
  });
});

describe('time that a test moves', () => {
  test('has no pauses, however far it is moved', () => {
    const time = new ProcessTime();
    const clock = new Clock({
      now: () => time.now(), epoch: () => time.epoch(), every: (ms, tick) => time.every(ms, tick),
    });
    const sweeps: unknown[] = [];
    clock.start(100, (now, pausedMs) => sweeps.push([now, pausedMs]));
    time.pass(60_000);
    assert.deepEqual(sweeps, [[61_000, 0]]);
  });
});
