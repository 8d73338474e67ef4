import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeLaunch } from './fake-workers.ts';

describe('reload', () => {
  test('has a new worker ready before an old one drains, one at a time', async () => {
    const launch = FakeLaunch.ready();
    const reloaded = launch.supervisor.reload();
    assert.deepEqual(launch.states, ['1 ready', '2 ready', '3 starting']);
    launch.worker(3).says('ready');
    assert.deepEqual(launch.states, ['1 draining', '2 ready', '3 ready', '4 starting']);
    launch.worker(4).says('ready');
    assert.deepEqual(launch.states, ['1 draining', '2 draining', '3 ready', '4 ready']);
    assert.equal(await reloaded, true);
    launch.worker(1).ends();
    launch.worker(2).ends();
    assert.deepEqual(launch.states, ['3 ready', '4 ready']);
    assert.equal(launch.lines.at(-3), 'reload: complete');
  });

  test('that fails leaves the old workers serving and says so', async () => {
    const launch = FakeLaunch.ready();
    const reloaded = launch.supervisor.reload();
    launch.worker(3).fails('no luck').ends(1);
    assert.equal(await reloaded, false);
    launch.advance(60_000);
    assert.deepEqual(launch.states, ['1 ready', '2 ready']);
    assert.equal(launch.all.length, 3, 'no other worker is started');
    assert.equal(
      launch.lines.at(-1), 'reload failed, the old workers keep serving: exit code 1: no luck');
  });

  test('that fails halfway leaves all ready workers serving', async () => {
    const launch = FakeLaunch.ready();
    const reloaded = launch.supervisor.reload();
    launch.worker(3).says('ready');
    launch.worker(4).ends(1);
    assert.equal(await reloaded, false);
    launch.advance(60_000);
    assert.deepEqual(launch.states.slice(-2), ['2 ready', '3 ready']);
  });

  test('that never becomes ready fails', async () => {
    const launch = FakeLaunch.ready({ startTimeoutMs: 1_000 });
    const reloaded = launch.supervisor.reload();
    launch.advance(1_000);
    launch.worker(3).dies();
    assert.equal(await reloaded, false);
    assert.match(launch.lines.at(-1) ?? '', /it was not ready within 1000 ms$/);
  });

  test('can be repeated after a failure', async () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    const first = launch.supervisor.reload();
    launch.worker(2).ends(1);
    assert.equal(await first, false);
    const second = launch.supervisor.reload();
    launch.worker(3).says('ready');
    assert.equal(await second, true);
    assert.deepEqual(launch.states, ['1 draining', '3 ready']);
  });

  test('requested during a reload follows it, once', async () => {
    const launch = FakeLaunch.ready();
    const first = launch.supervisor.reload();
    const [second, third] = [launch.supervisor.reload(), launch.supervisor.reload()];
    launch.worker(3).says('ready');
    launch.worker(4).says('ready');
    assert.equal(await first, true);
    launch.worker(5).says('ready');
    launch.worker(6).says('ready');
    assert.deepEqual(await Promise.all([second, third]), [true, true]);
    const serving = launch.supervisor.workers.filter(({ state }) => state === 'ready');
    assert.deepEqual(serving.map(({ generation }) => generation), [2, 2]);
    assert.equal(launch.all.length, 6);
  });

  test('requested during a reload that fails is carried out', async () => {
    const launch = FakeLaunch.ready({ workers: 1 });
    const [first, second] = [launch.supervisor.reload(), launch.supervisor.reload()];
    launch.worker(2).ends(1);
    assert.equal(await first, false);
    launch.worker(3).says('ready');
    assert.equal(await second, true);
  });

  test('continues if an old worker dies during it', async () => {
    const launch = FakeLaunch.ready();
    const reloaded = launch.supervisor.reload();
    launch.worker(1).dies();
    launch.worker(3).says('ready');
    assert.deepEqual(launch.states, ['2 ready', '3 ready', '4 starting']);
    launch.worker(4).says('ready');
    assert.deepEqual(launch.states, ['2 draining', '3 ready', '4 ready']);
    assert.equal(await reloaded, true);
  });

  test('ten in a row leave as many workers as before', async () => {
    const launch = FakeLaunch.ready();
    for (let i = 0; i < 10; i++) {
      const reloaded = launch.supervisor.reload();
      launch.all.at(-1)?.says('ready');
      launch.all.at(-1)?.says('ready');
      assert.equal(await reloaded, true);
      for (const worker of launch.all.slice(-4, -2)) worker.says('drained').ends();
    }
    assert.deepEqual(launch.states, ['21 ready', '22 ready']);
  });

  test('does not begin if onEvent closes the launch', async () => {
    const launch = FakeLaunch.ready({ stopDelayMs: 5_000 });
    launch.onEvent = ({ type }) => {
      if (type === 'reloading') launch.supervisor.close('close()');
    };
    assert.equal(await launch.supervisor.reload(), false);
    assert.deepEqual(launch.states, ['1 ready', '2 ready']);
  });

  test('ends with the launch', async () => {
    const launch = FakeLaunch.ready();
    const [reloaded, next] = [launch.supervisor.reload(), launch.supervisor.reload()];
    launch.supervisor.close('SIGTERM');
    assert.deepEqual(await Promise.all([reloaded, next]), [false, false]);
    assert.deepEqual(launch.states, ['1 draining', '2 draining', '3 draining']);
  });
});

describe('resize', () => {
  test('to more starts them at once', () => {
    const launch = FakeLaunch.ready();
    launch.supervisor.resize(4);
    assert.deepEqual(launch.states, ['1 ready', '2 ready', '3 starting', '4 starting']);
  });

  test('to fewer drains the youngest', () => {
    const launch = FakeLaunch.ready({ workers: 3 });
    launch.supervisor.resize(1);
    assert.deepEqual(launch.states, ['1 ready', '2 draining', '3 draining']);
    launch.worker(2).ends();
    launch.worker(3).ends();
    launch.advance(10_000);
    assert.deepEqual(launch.states, ['1 ready']);
  });

  test('to fewer first drains those that are not ready yet', () => {
    const launch = FakeLaunch.ready();
    launch.supervisor.resize(3);
    launch.worker(1).dies();
    launch.worker(4).says('ready');
    launch.supervisor.resize(2);
    assert.deepEqual(launch.states, ['2 ready', '3 draining', '4 ready']);
  });

  test('during a reload: as many as wanted, all new in the end', async () => {
    for (const size of [1, 2, 3, 5]) {
      const launch = FakeLaunch.ready({ workers: 3 });
      const reloaded = launch.supervisor.reload();
      launch.supervisor.resize(size);
      for (let i = 0; i < 12; i++) {
        for (const worker of launch.all) if (worker.alive) worker.says('ready');
        const ready = launch.states.filter((state) => state.endsWith('ready')).length;
        assert.ok(ready >= Math.min(size, 3), `${ready} serve on the way from 3 to ${size}`);
      }
      assert.equal(await reloaded, true);
      const serving = launch.supervisor.workers.filter(({ state }) => state === 'ready');
      assert.deepEqual(serving.map(({ generation }) => generation), new Array(size).fill(1));
    }
  });

  test('to fewer while replacements wait starts none', () => {
    const launch = FakeLaunch.ready();
    launch.worker(1).dies();
    launch.worker(3).dies();
    launch.supervisor.resize(1);
    launch.advance(20_000);
    assert.deepEqual(launch.states, ['2 ready']);
  });
});
