import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeLaunch } from './fake-workers.ts';

describe('the start', () => {
  test('starts the wanted number of workers, and reports when all are ready', () => {
    const launch = new FakeLaunch({ workers: 3 });
    assert.deepEqual(launch.states, ['1 starting', '2 starting', '3 starting']);
    for (const id of [3, 1, 2]) launch.worker(id).says('ready');
    assert.deepEqual(launch.states, ['1 ready', '2 ready', '3 ready']);
    assert.equal(launch.lines.at(-1), 'all workers are ready: 3');
  });

  const failures: readonly [what: string, code: number | null, signal: string | null, exit: number][] = [
    ['with its exit code', 3, null, 3],
    ['with 1 if the worker exits with 0', 0, null, 1],
    ['with 1 if it was killed', null, 'SIGKILL', 1],
    ['with 1 if its process could not be started', null, null, 1],
  ];
  for (const [what, code, signal, exit] of failures) {
    test(`a worker that fails before it is ready ends the launch ${what}`, async () => {
      const launch = new FakeLaunch();
      launch.worker(2).ends(code, signal);
      assert.deepEqual(launch.worker(1).done, ['drain before it was ready']);
      assert.equal(await launch.ended(), undefined);
      launch.worker(1).dies('SIGTERM');
      assert.equal(await launch.ended(), exit);
      assert.equal(launch.all.length, 2, 'no worker is started again');
      assert.equal(launch.time.timers, 0, 'the ticks stop');
    });
  }

  test('workers that are already ready drain for at most 3 s', async () => {
    const launch = new FakeLaunch({ drainTimeoutMs: 60_000 });
    launch.worker(1).says('ready');
    launch.worker(2).fails('no luck').ends(1);
    assert.deepEqual(launch.worker(1).done, ['drain']);
    assert.deepEqual(launch.worker(1).limits, [3_000]);
    launch.advance(3_900);
    assert.deepEqual(launch.worker(1).done, ['drain']);
    launch.advance(200);
    assert.deepEqual(launch.worker(1).done, ['drain', 'kill']);
    launch.worker(1).dies();
    assert.equal(await launch.ended(), 1);
  });

  test('an error that several workers share is logged once', () => {
    const launch = new FakeLaunch({ workers: 3 });
    launch.worker(1).fails('the port is in use').ends(1);
    launch.worker(2).fails('the port is in use').ends(1);
    launch.worker(3).fails('no luck').ends(1);
    assert.equal(launch.lines.filter((line) => line.includes('the port is in use')).length, 1, launch.lines.join('\n'));
    assert.equal(launch.lines.filter((line) => line.includes('no luck')).length, 1, launch.lines.join('\n'));
  });

  test('a worker that never becomes ready also ends the launch', async () => {
    const launch = new FakeLaunch({ workers: 1, startTimeoutMs: 5_000 });
    launch.advance(4_900);
    assert.deepEqual(launch.worker(1).done, []);
    launch.advance(100);
    assert.deepEqual(launch.worker(1).done, ['kill']);
    launch.worker(1).dies();
    assert.equal(await launch.ended(), 1);
    assert.ok(launch.lines.includes('killing worker 1 (process 1001): it was not ready within 5000 ms'));
  });

  test('a worker that failed but does not exit is killed', () => {
    const launch = new FakeLaunch({ workers: 1 });
    launch.worker(1).fails('no luck');
    launch.advance(1_000);
    assert.deepEqual(launch.worker(1).done, ['kill']);
  });
});

describe('the end', () => {
  test('drains all workers, starts none, and resolves with 0 when the last one exits', async () => {
    const launch = FakeLaunch.ready();
    launch.supervisor.close('SIGTERM');
    assert.deepEqual(launch.states, ['1 draining', '2 draining']);
    launch.worker(1).says('drained').ends();
    launch.advance(1_000);
    assert.equal(await launch.ended(), undefined);
    launch.worker(2).says('drained').ends();
    assert.equal(await launch.ended(), 0);
    assert.equal(launch.all.length, 2);
    assert.equal(launch.time.timers, 0, 'the ticks stop');
  });

  test('during the start: workers that are not ready end at once', async () => {
    const launch = new FakeLaunch();
    launch.worker(1).says('ready');
    launch.supervisor.close('SIGTERM');
    assert.deepEqual(launch.worker(2).done, ['drain before it was ready']);
    launch.worker(2).dies('SIGTERM');
    launch.worker(1).ends();
    assert.equal(await launch.ended(), 0);
  });

  test('a worker that fails before it served, after it was told to drain, is not a failure', async () => {
    const launch = new FakeLaunch();
    launch.worker(1).says('ready');
    launch.supervisor.close('SIGTERM');
    launch.worker(2).fails('the port is gone').ends(1);
    launch.worker(1).says('drained').ends();
    assert.equal(await launch.ended(), 0);
    assert.ok(launch.lines.includes('worker 2 (process 1002) ended: exit code 1: the port is gone'));
  });

  test('a worker that had failed to start when it was told to drain is a failure', async () => {
    const launch = new FakeLaunch();
    launch.worker(1).says('ready');
    launch.worker(2).fails('no luck');
    launch.supervisor.close('SIGTERM');
    launch.worker(2).ends(3);
    launch.worker(1).says('drained').ends();
    assert.equal(await launch.ended(), 3);
  });

  test('a worker that served, and fails while it drains, is a failure', async () => {
    const launch = FakeLaunch.ready();
    launch.supervisor.close('SIGTERM');
    launch.worker(1).ends(3);
    launch.worker(2).says('drained').ends();
    assert.equal(await launch.ended(), 3);
  });

  test('a worker that becomes ready during the end keeps draining', () => {
    const launch = new FakeLaunch();
    launch.supervisor.close('SIGTERM');
    launch.worker(1).says('ready');
    assert.deepEqual(launch.states, ['1 draining', '2 draining']);
  });

  test('connections that workers cut are logged, and are not a failure', async () => {
    const launch = FakeLaunch.ready({ drainTimeoutMs: 5_000 });
    launch.supervisor.close('SIGTERM');
    assert.deepEqual(launch.all.map(({ limits }) => limits), [[5_000], [5_000]]);
    launch.advance(5_000);
    launch.worker(1).cuts(1).ends();
    launch.worker(2).cuts(3).ends();
    assert.equal(await launch.ended(), 0);
    assert.deepEqual(launch.lines.filter((line) => line.includes(' cut ')), [
      'worker 1 (process 1001) did not drain in time: cut 1 connection',
      'worker 2 (process 1002) did not drain in time: cut 3 connections',
    ]);
  });

  test('a worker that neither drains nor cuts in time is killed, and the exit code is 1', async () => {
    const launch = FakeLaunch.ready({ drainTimeoutMs: 5_000 });
    launch.supervisor.close('SIGTERM');
    launch.worker(1).says('drained').ends();
    launch.advance(5_900);
    assert.deepEqual(launch.worker(2).done, ['drain']);
    launch.advance(100);
    assert.deepEqual(launch.worker(2).done, ['drain', 'kill']);
    launch.worker(2).dies();
    assert.equal(await launch.ended(), 1);
    assert.ok(launch.lines.includes('killing worker 2 (process 1002): it did not drain within 5000 ms'));
  });

  test('a worker that has drained but does not exit is killed, and the exit code is 0', async () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    launch.supervisor.close('SIGTERM');
    launch.worker(1).says('drained');
    launch.advance(1_000);
    assert.deepEqual(launch.worker(1).done, ['drain', 'kill']);
    launch.worker(1).dies();
    assert.equal(await launch.ended(), 0);
  });

  test('a failed drain determines the exit code', async () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    launch.supervisor.close('SIGTERM');
    launch.worker(1).fails('no luck').ends(7);
    assert.equal(await launch.ended(), 7);
  });

  test('a worker that crashes while draining makes the exit code 1', async () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    launch.supervisor.close('SIGTERM');
    launch.worker(1).dies('SIGSEGV');
    assert.equal(await launch.ended(), 1);
  });

  test('by stop(): kills all workers', async () => {
    const launch = FakeLaunch.ready();
    launch.supervisor.close('SIGTERM');
    launch.supervisor.stop('a second signal');
    for (const worker of launch.all) {
      assert.deepEqual(worker.done, ['drain', 'kill']);
      worker.dies();
    }
    assert.equal(await launch.ended(), 1);
  });

  test('does not wait for due replacements', async () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    launch.worker(1).dies();
    launch.worker(2).dies();
    assert.deepEqual(launch.states, []);
    launch.supervisor.close('SIGTERM');
    assert.equal(await launch.ended(), 0);
  });

  test('after that, nothing can be requested', async () => {
    const launch = FakeLaunch.ready();
    launch.supervisor.close('SIGTERM');
    launch.supervisor.resize(5);
    launch.supervisor.close('SIGTERM');
    assert.equal(await launch.supervisor.reload(), false);
    assert.equal(launch.all.length, 2);
  });
});

describe('inherited sockets that are lost', () => {
  const WHY = /^the launch failed: fd:3 was closed here with the last worker .* again; start this program again \(/;

  test('end the launch with 1 when a worker dies: none is started again', async () => {
    const launch = FakeLaunch.ready();
    launch.worker(1).dies();
    assert.deepEqual(launch.states, ['2 ready', '3 starting']);
    launch.lost = { 0: [3] };
    launch.worker(2).dies();
    assert.deepEqual(launch.states, ['3 draining']);
    assert.match(launch.lines.at(-1) ?? '', WHY);
    launch.worker(3).dies('SIGTERM');
    assert.equal(await launch.ended(), 1);
    assert.equal(launch.all.length, 3);
  });

  test('during the stop delay, too', async () => {
    const launch = FakeLaunch.ready({ workers: 1, stopDelayMs: 5_000 });
    launch.supervisor.close('SIGTERM');
    launch.lost = { 0: [3, 4] };
    launch.worker(1).dies();
    assert.equal(await launch.ended(), 1);
    assert.match(launch.lines.join('\n'), /^the launch failed: fd:3, fd:4 was closed/m);
  });

  test('when a worker cannot start: says what is wrong rather than how it failed', async () => {
    const launch = new FakeLaunch();
    launch.worker(1).says('ready').says('draining').says('drained').ends();
    launch.lost = { 0: [3] };
    launch.worker(2).fails('bind EINVAL').ends(1);
    launch.worker(3).dies('SIGTERM');
    assert.equal(await launch.ended(), 1);
    assert.match(launch.lines.join('\n'), new RegExp(WHY, 'm'));
  });

  test('are of no concern to workers of a later generation, which did not listen there', () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    void launch.supervisor.reload();
    launch.worker(2).says('ready');
    launch.worker(1).says('drained').ends();
    launch.lost = { 0: [3] };
    launch.worker(2).dies();
    assert.deepEqual(launch.states, ['3 starting']);
  });

  test('fail a reload whose workers listen there, and then the launch', async () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    const reloaded = launch.supervisor.reload();
    launch.worker(1).dies();
    launch.lost = { 0: [3] };
    launch.worker(2).fails('bind EINVAL').ends(1);
    assert.equal(await reloaded, false);
    for (const worker of launch.all) if (worker.alive) worker.dies('SIGTERM');
    assert.equal(await launch.ended(), 1);
    assert.match(launch.lines.join('\n'), new RegExp(WHY, 'm'));
  });
});

test('a worker that begins to drain by itself is replaced at once', () => {
  const launch = FakeLaunch.ready();
  launch.worker(1).says('draining');
  assert.deepEqual(launch.states, ['1 draining', '2 ready', '3 starting']);
  launch.worker(1).says('drained').ends();
  assert.deepEqual(launch.states, ['2 ready', '3 starting']);
  assert.ok(!launch.lines.some((line) => line.includes('died')));
});

describe('a hung worker', () => {
  test('is killed and replaced', () => {
    const launch = FakeLaunch.ready({ hungTimeoutMs: 2_000 });
    for (let i = 0; i < 20; i++) {
      launch.advance(500);
      launch.worker(1).says('alive');
      if (i < 10) launch.worker(2).says('alive');
    }
    assert.deepEqual(launch.worker(2).done, ['kill']);
    assert.deepEqual(launch.worker(1).done, []);
    launch.worker(2).dies();
    assert.deepEqual(launch.states, ['1 ready', '3 starting']);
    const line = 'killing worker 2 (process 1002): its event loop was blocked for more than 2000 ms';
    assert.equal(launch.lines.filter((other) => other === line).length, 1);
  });

  test('is left alone if there is no limit', () => {
    const launch = FakeLaunch.ready({ hungTimeoutMs: 0 });
    launch.advance(100_000);
    assert.deepEqual(launch.worker(1).done, []);
  });

  test('does not mean one that starts or drains: those have their own limits', () => {
    const launch = new FakeLaunch({ hungTimeoutMs: 1_000 });
    launch.advance(5_000);
    launch.worker(1).says('ready');
    launch.worker(2).says('ready');
    launch.supervisor.close('SIGTERM');
    launch.advance(5_000);
    assert.deepEqual(launch.all.map(({ done }) => done), [['drain'], ['drain']]);
  });

  test('does not mean one that was silent while the primary itself was paused', () => {
    const launch = FakeLaunch.ready({ hungTimeoutMs: 2_000 });
    launch.time.advance(3_600_000);
    assert.deepEqual(launch.worker(1).done, []);
    launch.advance(2_100);
    assert.deepEqual(launch.worker(1).done, ['kill']);
  });
});

test('a machine that stands still does not use up the time to drain', () => {
  const launch = FakeLaunch.ready({ workers: 1, drainTimeoutMs: 1_000 }, undefined, undefined, 250);
  launch.supervisor.close('SIGTERM');
  launch.advance(900);
  launch.time.advance(60_000);
  launch.advance(900);
  assert.deepEqual(launch.worker(1).done, ['drain']);
  launch.advance(300);
  assert.deepEqual(launch.worker(1).done, ['drain', 'kill']);
});
