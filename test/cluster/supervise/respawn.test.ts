import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Respawn } from '../../../src/cluster/supervise/respawn.ts';
import { seededRandom } from '../../../src/testing/random.ts';
import { FakeLaunch } from './fake-workers.ts';

describe('a worker that dies', () => {
  test('is replaced at once', () => {
    const launch = FakeLaunch.ready();
    launch.advance(5_000);
    launch.worker(1).dies();
    assert.deepEqual(launch.states, ['2 ready', '3 starting']);
  });

  test('before it was ready, but after the launch, is also replaced', () => {
    const launch = FakeLaunch.ready();
    launch.worker(1).dies();
    launch.worker(3).ends(1);
    launch.advance(1_000);
    assert.deepEqual(launch.states, ['2 ready', '4 starting']);
  });

  test('every second for a minute: each is replaced at once', () => {
    const launch = FakeLaunch.ready();
    for (let second = 0; second < 60; second++) {
      launch.advance(1_000);
      launch.all.filter(({ alive }) => alive)[second % 2]?.dies();
      assert.equal(launch.supervisor.workers.length, 2, `after ${second} s`);
      launch.all.at(-1)?.says('ready');
    }
  });

  test('once a minute is replaced every time', () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    for (let minute = 0; minute < 1_000; minute++) {
      launch.time.advance(60_000);
      launch.all.at(-1)?.dies('SIGSEGV');
      assert.deepEqual(launch.states, [`${minute + 2} starting`]);
      launch.all.at(-1)?.says('ready');
    }
  });

  test('all at once: all are replaced at once', () => {
    const launch = FakeLaunch.ready({ workers: 16 });
    launch.advance(60_000);
    for (let id = 1; id <= 16; id++) launch.worker(id).dies();
    assert.equal(launch.supervisor.workers.length, 16);
  });

  for (const livedMs of [0, 100, 700, 1_000]) {
    test(`in a loop, ${livedMs} ms after it is ready: at a bounded rate`, () => {
      const launch = FakeLaunch.ready({ workers: 2 });
      const starts = new Set<number>();
      let readyAt = launch.time.now();
      for (let ms = 0; ms < 100_000; ms += 100) {
        const last = launch.all.at(-1);
        if (last?.alive === true && launch.time.now() - readyAt >= livedMs) last.dies('SIGABRT');
        launch.advance(100);
        const next = launch.all.at(-1);
        if (next !== undefined && !starts.has(next.id)) {
          starts.add(next.id);
          next.says('ready');
          readyAt = launch.time.now();
        }
      }
      assert.ok(starts.size <= 130, `${starts.size} starts in 100 s`);
      assert.ok(starts.size > 5, 'replacements keep starting');
      assert.ok(launch.states.includes('1 ready'), 'the other worker keeps serving');
    });
  }
});

describe('the delay', () => {
  const short = (respawn: Respawn, count: number): number[] => {
    let now = 0;
    return Array.from({ length: count }, () => {
      const delayMs = respawn.schedule(now, 0, 1);
      now += delayMs;
      return delayMs;
    });
  };

  test('is zero at first, and doubles up to a limit while workers are short-lived', () => {
    const delays = short(new Respawn(() => 0.5), 12);
    assert.deepEqual(delays, [0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000, 15_000]);
  });

  test('has a jitter of a quarter', () => {
    assert.deepEqual(short(new Respawn(() => 0), 4), [0, 75, 150, 300]);
    assert.deepEqual(short(new Respawn(() => 1 - 2 ** -53), 4).map(Math.round), [0, 125, 250, 500]);
  });

  test('starts over after a worker that lived longer', () => {
    const respawn = new Respawn(() => 0.5);
    short(respawn, 5);
    assert.equal(respawn.schedule(20_000, 5_000, 1), 0);
    assert.equal(respawn.schedule(20_000, 0, 1), 0);
    assert.equal(respawn.schedule(20_000, 0, 1), 100);
  });

  test('keeps every window within its budget, no matter how long workers live', () => {
    const rng = seededRandom(7);
    const respawn = new Respawn(rng);
    const starts: number[] = [];
    for (let now = 0; now < 60_000; now += rng() * 200) starts.push(now + respawn.schedule(now, 1_000, 4));
    starts.sort((a, b) => a - b);
    starts.forEach((start, i) => {
      assert.ok((starts[i + 14] ?? Infinity) - start >= 10_000 - 1e-6, `15 starts within 10 s, from ${start} ms`);
    });
  });
});

describe('the log says why a worker died', () => {
  const table: readonly [code: number | null, signal: string | null, line: string][] = [
    [1, null, 'worker 1 (process 1001) died: exit code 1'],
    [0, null, 'worker 1 (process 1001) died: exit code 0'],
    [null, 'SIGSEGV', 'worker 1 (process 1001) died: killed by SIGSEGV'],
    [null, 'SIGKILL', 'worker 1 (process 1001) died: killed by SIGKILL, perhaps out of memory'],
    [null, null, 'worker 1 (process 1001) died: its process could not be started'],
  ];
  for (const [code, signal, line] of table) {
    test(line, () => {
      const launch = FakeLaunch.ready();
      launch.worker(1).ends(code, signal);
      assert.ok(launch.lines.includes(line), launch.lines.join('\n'));
    });
  }

  test('and its own error', () => {
    const launch = FakeLaunch.ready();
    launch.worker(1).fails('no luck').ends(1);
    assert.ok(launch.lines.includes('worker 1 (process 1001) died: exit code 1: no luck'));
  });

  test('and when its replacement starts, if not at once', () => {
    const launch = FakeLaunch.ready();
    launch.worker(1).dies();
    launch.worker(3).dies();
    assert.ok(launch.lines.includes('a new worker starts in 100 ms'));
  });
});
