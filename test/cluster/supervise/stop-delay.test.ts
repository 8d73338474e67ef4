import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeLaunch } from './fake-workers.ts';

const DELAYED = { stopDelayMs: 5_000, drainTimeoutMs: 2_000 };

test('workers are notified at once, and drain when the delay is over, each with the full drain timeout', async () => {
  const launch = FakeLaunch.ready(DELAYED);
  launch.supervisor.close('SIGTERM');
  assert.equal(launch.lines.at(-1), 'SIGTERM: still accepting for 5 s, then all workers drain');
  launch.advance(4_900);
  assert.deepEqual(launch.states, ['1 ready', '2 ready']);
  assert.deepEqual(launch.worker(1).done, ['stop soon']);
  launch.advance(100);
  assert.deepEqual(launch.states, ['1 draining', '2 draining']);
  assert.deepEqual([launch.worker(1).done, launch.worker(1).limits], [['stop soon', 'drain'], [2_000]]);
  for (const id of [1, 2]) launch.worker(id).says('drained').ends();
  assert.equal(await launch.ended(), 0);
  assert.equal(launch.time.timers, 0);
});

test('a worker that dies during the delay is replaced, and the new one is notified when it is ready', async () => {
  const launch = FakeLaunch.ready(DELAYED);
  launch.supervisor.close('SIGTERM');
  launch.worker(1).dies();
  launch.advance(1_000);
  assert.deepEqual(launch.states, ['2 ready', '3 starting']);
  launch.worker(3).says('ready');
  assert.deepEqual(launch.worker(3).done, ['stop soon']);
  launch.advance(4_000);
  assert.deepEqual(launch.states, ['2 draining', '3 draining']);
  for (const id of [2, 3]) launch.worker(id).says('drained').ends();
  assert.equal(await launch.ended(), 0, 'a death before the drain does not count');
});

test('a running reload is abandoned, and no other begins', async () => {
  const launch = FakeLaunch.ready(DELAYED);
  const reloaded = launch.supervisor.reload();
  launch.worker(3).says('ready');
  launch.supervisor.close('SIGTERM');
  assert.equal(await reloaded, false);
  assert.equal(await launch.supervisor.reload(), false);
  launch.supervisor.resize(5);
  launch.advance(4_000);
  assert.equal(launch.supervisor.workers.filter(({ state }) => state === 'ready').length, 2);
  assert.ok(launch.all.length <= 4, `${launch.all.length} workers were started`);
  launch.advance(2_000);
  assert.ok(launch.states.every((state) => state.endsWith('draining')), launch.states.join(', '));
});

test('a second signal kills the workers', async () => {
  const launch = FakeLaunch.ready(DELAYED);
  launch.supervisor.close('SIGTERM');
  launch.supervisor.stop('a second signal');
  for (const id of [1, 2]) launch.worker(id).dies();
  assert.equal(await launch.ended(), 1);
});

test('until all workers are ready there is no delay', () => {
  const launch = new FakeLaunch(DELAYED);
  launch.supervisor.close('SIGTERM');
  assert.deepEqual(launch.states, ['1 draining', '2 draining']);
});
