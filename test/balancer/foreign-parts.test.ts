/**
 * Clocks, random numbers and channels that are given as options and fail: refused where no balancer can be made,
 * reported where they fail later, and never fatal.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import type { Channel, ChannelMember } from '../../src/channel.ts';
import { guardedRng, GuardedTime } from '../../src/loop/guarded-time.ts';
import type { BalancerOptions } from '../../src/options/options.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { startBalancer } from '../support/balancer.ts';
import { connectTo, get } from '../support/client.ts';
import { quiet } from '../support/quiet.ts';
import { atEnd } from '../support/scope.ts';
import { refusingOrigin } from '../support/upstream.ts';
import { turns, within } from '../support/wait.ts';

const throwing = (): never => {
  throw new Error('oh no');
};
const rejecting = (): never => Promise.reject(new Error('too late')) as never;

/** Virtual time, one method of which can be replaced at any time. */
class FailingTime extends VirtualTime {
  instead: { now?: () => number; epoch?: () => number } = {};

  override now(): number {
    return (this.instead.now ?? super.now.bind(this))();
  }

  override epoch(): number {
    return (this.instead.epoch ?? super.epoch.bind(this))();
  }
}

interface Under {
  readonly balancer: Balancer;
  readonly reports: string[];
  readonly ask: () => Promise<number>;
}

async function start(t: TestContext, time: VirtualTime, options: Partial<BalancerOptions>): Promise<Under> {
  const reports: string[] = [];
  const balancer = createBalancer({
    upstreams: [refusingOrigin()], time, onReport: ({ error }) => reports.push(error.message), ...options,
  });
  const address = await balancer.listen({ port: 0, host: '127.0.0.1' });
  assert.ok(typeof address === 'object');
  atEnd(t, async () => {
    const closed = balancer.close({ timeoutMs: 0 });
    time.advance(1);
    await within(closed, () => 'the balancer to close');
    assert.equal(time.timers, 0);
  });
  const client = await connectTo(t, address.port);
  return { balancer, reports, ask: async () => (await client.exchange(get())).status };
}

const INVALID = { name: 'BalancerError', code: 'OPTIONS_INVALID' };

describe('time', () => {
  const bad: readonly (readonly [string, () => never])[] = [
    ['throws', throwing], ['rejects', rejecting],
    ['returns NaN', () => NaN as never], ['returns text', () => '1' as never],
  ];
  for (const method of ['now', 'epoch'] as const) {
    for (const [what, replacement] of bad) {
      test(`whose ${method} ${what} is refused`, async (t) => {
        quiet(t);
        const time = Object.assign(new VirtualTime(), { [method]: replacement });
        assert.throws(() => createBalancer({ upstreams: [], time }), new RegExp(`time\\.${method}: `));
        await turns(2);
      });

      test(`whose ${method} ${what} later is reported, and requests are served`, async (t) => {
        quiet(t);
        const time = new FailingTime();
        const { reports, ask } = await start(t, time, { ejectAfter: 0 });
        time.instead = { [method]: replacement };
        time.advance(250);
        assert.equal(await ask(), 502);
        time.instead = {};
        await turns(2);
        assert.ok(reports.some((message) => message.startsWith(`time.${method} `)), reports.join());
      });
    }
  }

  for (const [what, replacement] of [...bad, ['returns nothing', () => undefined as never]] as const) {
    test(`whose every ${what} is refused, and nothing of the balancer is left`, async (t) => {
      quiet(t);
      const time = Object.assign(new VirtualTime(), { every: replacement });
      assert.throws(() => createBalancer({ upstreams: [], time }), INVALID);
      await turns(2);
    });
  }

  test('whose ticks cannot be stopped is reported, and close resolves', async (t) => {
    quiet(t);
    const reports: string[] = [];
    const time = Object.assign(new VirtualTime(), { every: () => throwing });
    const balancer = createBalancer({ upstreams: [], time, onReport: ({ error }) => reports.push(error.message) });
    assert.deepEqual(await balancer.close(), { cut: 0 });
    assert.deepEqual(reports, ['what time.every returned threw']);
  });

  test('whose pauseMs is not a number is refused', () => {
    const time = Object.assign(new VirtualTime(), { pauseMs: NaN });
    assert.throws(() => createBalancer({ upstreams: [], time }), /time\.pauseMs: must be a number of milliseconds/);
  });

  test('stays at its last good value, and reports that without recursion', () => {
    const time = new FailingTime();
    const told: string[] = [];
    const guarded = new GuardedTime(time, (what) => {
      told.push(what);
      guarded.now();
    });
    const before = guarded.now();
    time.instead = { now: throwing };
    assert.equal(guarded.now(), before);
    assert.deepEqual(told, ['time.now threw']);
  });
});

describe('rng', () => {
  const bad: readonly (readonly [string, () => number])[] = [
    ['throws', throwing], ['rejects', rejecting], ...[NaN, Infinity, -0.1, 1, 2, '0.5', undefined].map((value) => {
      return [`returns ${String(value)}`, () => value as number] as const;
    }),
  ];
  for (const [what, rng] of bad) {
    test(`that ${what} is reported, and an ejection ends all the same`, async (t) => {
      quiet(t);
      const time = new VirtualTime();
      const { balancer, reports, ask } = await start(t, time, { rng, ejectAfter: 1, maxEjectedPercent: 100 });
      assert.equal(await ask(), 502);
      assert.equal(balancer.upstreams[0]?.state, 'ejected');
      // An ejection of a second, give or take a tenth.
      time.advance(1_101);
      assert.deepEqual(balancer.upstreams.map(({ state }) => state), ['trial']);
      await turns(2);
      assert.ok(reports.some((message) => message.startsWith('rng ')), reports.join());
    });
  }

  test('that works is called once per draw', () => {
    const draws = [0, 0.5, 1 - 2 ** -53];
    const rng = guardedRng(() => draws.shift() ?? assert.fail(), () => assert.fail());
    assert.deepEqual([rng(), rng(), rng()], [0, 0.5, 1 - 2 ** -53]);
  });
});

describe('peers', () => {
  const seat = { send: (): void => undefined, leave: (): void => undefined };
  const joins: readonly (readonly [string, () => unknown])[] = [
    ['throws', throwing], ['rejects', rejecting], ['returns nothing', () => undefined], ['returns a number', () => 7],
    ['returns a seat without send', () => ({ leave: seat.leave })],
    ['returns a seat without leave', () => ({ send: seat.send })],
    ['returns what cannot be read', () => new Proxy({}, { get: throwing })],
  ];
  for (const [what, join] of joins) {
    test(`whose join ${what} are refused, and nothing of the balancer is left`, async (t) => {
      quiet(t);
      const time = new VirtualTime();
      assert.throws(() => createBalancer({ upstreams: [], time, peers: { join } as unknown as Channel }), INVALID);
      assert.equal(time.timers, 0);
      await turns(2);
    });
  }

  test('are left if the clock cannot be started', () => {
    let left = 0;
    let timers = 0;
    const time = Object.assign(new VirtualTime(), {
      every: () => {
        if (++timers === 2) throwing();
        return () => timers--;
      },
    });
    const peers = { join: () => ({ send: seat.send, leave: () => left++ }) } as unknown as Channel;
    assert.throws(() => createBalancer({ upstreams: [], time, peers }), INVALID);
    assert.deepEqual([left, timers], [1, 1]);
  });

  for (const [what, fails] of [['throws', throwing], ['rejects', rejecting]] as const) {
    test(`whose send ${what} are reported, and get counts again`, async (t) => {
      quiet(t);
      const sent: Record<string, unknown>[] = [];
      let member: ChannelMember | undefined;
      const peers = { join: (joined: ChannelMember) => {
        member = joined;
        return { ...seat, send: (news: Record<string, unknown>) => {
          sent.push(news);
          return fails();
        } };
      } } as unknown as Channel;
      const time = new VirtualTime();
      const { reports } = await start(t, time, { peers });
      for (let from = 2; from < 5; from++) {
        // There is always something to send to newcomers; a send never reports that it was accepted.
        member?.heard({ hello: true }, from);
        time.advance(100);
        await turns(2);
      }
      assert.deepEqual(sent.map((news) => Object.keys(news)), [['hello'], ...[1, 2, 3].map(() => ['inFlight', 'out'])]);
      const fault = `the channel in \`peers\` ${what === 'throws' ? 'threw' : 'rejected'} in send`;
      assert.deepEqual(reports, [fault, fault, fault, fault]);
    });

    test(`whose leave ${what} are reported, and close resolves`, async (t) => {
      quiet(t);
      const reports: string[] = [];
      const peers = { join: () => ({ ...seat, leave: fails }) } as unknown as Channel;
      const balancer = createBalancer({
        upstreams: [], time: new VirtualTime(), peers, onReport: ({ error }) => reports.push(error.message),
      });
      await within(balancer.close(), () => 'the balancer to close');
      await turns(2);
      assert.deepEqual(reports, [`the channel in \`peers\` ${what === 'throws' ? 'threw' : 'rejected'} in leave`]);
    });
  }
});

for (const [what, later] of [
  ['throws', throwing], ['is no string', () => Symbol('mine') as unknown as string],
] as const) {
  test(`a strategy whose name ${what} later still has its faults reported`, async (t) => {
    quiet(t);
    let reads = 0;
    const strategy = { get name(): string {
      return reads++ === 0 ? 'mine' : later();
    }, pick: throwing };
    const { balancer, reports, ask } = await start(t, new VirtualTime(), { strategy });
    assert.equal(await ask(), 500);
    assert.deepEqual(reports, ['strategy without a name threw in pick']);
    assert.equal(balancer.strategy, 'without a name');
  });
}

test('a pick that cannot be read is answered 500, and reported', async (t) => {
  quiet(t);
  const strategy = { name: 'mine', pick: () => new Proxy({}, { get: throwing }) as never };
  const { reports, ask } = await start(t, new VirtualTime(), { strategy });
  assert.equal(await ask(), 500);
  assert.deepEqual(reports, ['strategy mine picked something that is not a candidate']);
});

test('a listener that removes and adds others affects only the next event', async (t) => {
  const { balancer } = await startBalancer(t, { upstreams: [] });
  const heard: string[] = [];
  const second = (): void => {
    heard.push('second');
  };
  const third = (): void => {
    heard.push('third');
  };
  const first = (): void => {
    heard.push('first');
    balancer.off('added', first).off('added', second).on('added', third);
  };
  balancer.on('added', first).on('added', second);
  balancer.add('http://a.test');
  assert.deepEqual(heard.splice(0), ['first', 'second']);
  balancer.add('http://b.test');
  assert.deepEqual(heard, ['third']);
});
