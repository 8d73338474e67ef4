import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BalancerEvents, Events } from '../src/events.ts';
import { startBalancer } from './support/balancer.ts';
import { get } from './support/client.ts';
import { FRONTS } from './support/fronts.ts';
import { echo, refusingOrigin, startUpstream } from './support/upstream.ts';
import { turns } from './support/wait.ts';

/** Events, and the errors of their listeners. */
function made(): { events: Events; faults: [string, unknown][] } {
  const faults: [string, unknown][] = [];
  return { events: new Events((event, _what, cause) => faults.push([event, cause])), faults };
}

describe('listeners', () => {
  test('get only their event, in the order of registration, each with its details', () => {
    const { events, faults } = made();
    const heard: string[] = [];
    events.on('queued', ({ waiting }) => heard.push(`one ${waiting}`));
    events.on('queued', ({ waiting }) => heard.push(`two ${waiting}`));
    events.on('refused', ({ status, code }) => heard.push(`${status} ${code}`));
    events.tell('queued', { pool: 'default', waiting: 7 });
    events.tell('refused', { status: 503, code: 'OVERLOADED' });
    assert.deepEqual(heard, ['one 7', 'two 7', '503 OVERLOADED']);
    assert.deepEqual(faults, []);
  });

  test('get nothing once removed as often as they were added', () => {
    const { events } = made();
    let heard = 0;
    const listener = (): void => {
      heard++;
    };
    events.on('queued', listener);
    events.on('queued', listener);
    events.tell('queued', { pool: 'default', waiting: 1 });
    assert.equal(heard, 2);
    events.off('queued', listener);
    events.tell('queued', { pool: 'default', waiting: 1 });
    assert.equal(heard, 2);
  });

  test('that were never added can be removed', () => {
    const { events } = made();
    let heard = 0;
    events.off('queued', () => undefined);
    events.on('queued', () => heard++);
    events.off('queued', () => undefined);
    events.off('refused', () => undefined);
    events.tell('queued', { pool: 'default', waiting: 1 });
    assert.equal(heard, 1);
  });

  test('can be queried by event', () => {
    const { events } = made();
    const listener = (): void => undefined;
    assert.equal(events.heard('queued'), false);
    events.on('queued', listener);
    assert.deepEqual([events.heard('queued'), events.heard('refused')], [true, false]);
    events.off('queued', listener);
    assert.equal(events.heard('queued'), false);
  });

  test('added or removed during an event take effect from the next one', () => {
    const { events } = made();
    const heard: string[] = [];
    const late = (): void => {
      heard.push('late');
    };
    const second = (): void => {
      heard.push('second');
    };
    const once = (): void => {
      heard.push('once');
      events.off('queued', once);
      events.off('queued', second);
      events.on('queued', late);
    };
    events.on('queued', once);
    events.on('queued', second);
    events.tell('queued', { pool: 'default', waiting: 1 });
    assert.deepEqual(heard.splice(0), ['once', 'second']);
    events.tell('queued', { pool: 'default', waiting: 1 });
    assert.deepEqual(heard, ['late']);
  });

  test('may cause events of the same kind', () => {
    const { events } = made();
    const heard: number[] = [];
    events.on('queued', ({ waiting }) => {
      heard.push(waiting);
      if (waiting < 3) events.tell('queued', { pool: 'default', waiting: waiting + 1 });
    });
    events.tell('queued', { pool: 'default', waiting: 1 });
    assert.deepEqual(heard, [1, 2, 3]);
  });

  test('that throw are reported, and the others still run', () => {
    const { events, faults } = made();
    const cause = new Error('mine');
    let heard = 0;
    events.on('queued', () => {
      throw cause;
    });
    events.on('queued', () => heard++);
    events.tell('queued', { pool: 'default', waiting: 1 });
    assert.equal(heard, 1);
    assert.deepEqual(faults, [['queued', cause]]);
  });

  test('that are asynchronous are not awaited, but their rejection is reported', async () => {
    const { events, faults } = made();
    const cause = new Error('mine');
    events.on('queued', async () => {
      await turns(1);
      throw cause;
    });
    events.tell('queued', { pool: 'default', waiting: 1 });
    assert.deepEqual(faults, []);
    await turns(2);
    assert.deepEqual(faults, [['queued', cause]]);
  });
});

test('events are typed by their names', () => {
  const { events } = made();
  // @ts-expect-error -- no such event
  events.on('ejectd', () => undefined);
  // @ts-expect-error -- no such field
  events.on('queued', ({ status }) => status as unknown);
  // @ts-expect-error -- a field is missing
  events.tell('refused', { status: 503 });
  const names: (keyof BalancerEvents)[] = ['queued', 'refused'];
  assert.deepEqual(names.map((name) => events.heard(name)), [true, false]);
});

for (const front of FRONTS) {
  describe(`the events of a balancer, through ${front.name}`, () => {
    test('report each settled attempt, each retry and each refusal', async (t) => {
      const refusing = refusingOrigin();
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [refusing, upstream], front });
      const heard: unknown[] = [];
      const { balancer } = under;
      balancer
        .on('retried', ({ upstream: { origin }, ...rest }) => heard.push(['retried', origin, rest]))
        .on('settled', ({ upstream: { origin }, outcome }) => heard.push(['settled', origin, outcome.error]))
        .on('refused', (event) => heard.push(['refused', event]));
      const client = await under.connect();
      await client.exchange(get());
      await under.settled(2);
      assert.deepEqual(heard.splice(0), [
        ['settled', refusing, 'CONNECT_REFUSED'],
        ['retried', refusing, { pool: 'default', attempt: 1, code: 'CONNECT_REFUSED', status: undefined }],
        ['settled', upstream.origin, undefined],
      ]);
      await balancer.update([]);
      assert.equal((await client.exchange(get())).status, 503);
      assert.deepEqual(heard, [['refused', { status: 503, code: 'NO_CANDIDATE' }]]);
    });

    test('report what was refused before there was an exchange', async (t) => {
      const upstream = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const heard: unknown[] = [];
      under.balancer.on('refused', (event) => heard.push(event));
      const answer = await (await under.connect()).exchange(get('/', 'X-A: b\r\n'.repeat(101)));
      assert.equal(answer.status, 431);
      assert.deepEqual(heard, [{ status: 431, code: 'REQUEST_HEAD_TOO_LARGE' }]);
    });

    test('survive a listener that throws: it is reported, and the exchange goes on', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const cause = new Error('mine');
      const broken = (): never => {
        throw cause;
      };
      under.balancer.on('settled', broken);
      const client = await under.connect();
      assert.equal((await client.exchange(get('/a'))).text, '/a');
      await under.settled(1);
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
      assert.match(under.errors[0]?.message ?? '', /a listener for 'settled' threw/);
      assert.equal(under.errors[0]?.cause, cause);
      under.balancer.off('settled', broken);
      assert.equal((await client.exchange(get('/b'))).text, '/b');
      await under.settled(2);
      assert.equal(under.reports.length, 1);
    });
  });
}

describe('on and off', () => {
  test('refuse events that do not exist, and suggest the right one', async (t) => {
    const { balancer } = await startBalancer(t, { upstreams: [] });
    const listener = (): void => undefined;
    const table: [event: unknown, message: RegExp][] = [
      ['setled', /unknown event "setled"; did you mean settled\?$/],
      ['Ejected', /unknown event "Ejected"; did you mean ejected\?$/],
      ['error', /unknown event "error"; use ejected, readmitted, retried, settled, added, draining, removed/],
      ['toString', /unknown event "toString"; use /],
      [undefined, /unknown event undefined; use /],
    ];
    for (const [event, message] of table) {
      const expected = { name: 'BalancerError', code: 'OPTIONS_INVALID', message };
      assert.throws(() => balancer.on(event as 'settled', listener), expected);
      assert.throws(() => balancer.off(event as 'settled', listener), expected);
    }
  });

  test('refuse a listener that is not a function', async (t) => {
    const { balancer } = await startBalancer(t, { upstreams: [] });
    for (const listener of [undefined, null, 'settled', {}]) {
      const expected = { code: 'OPTIONS_INVALID', message: /the listener must be a function \(got / };
      assert.throws(() => balancer.on('settled', listener as () => void), expected);
      assert.throws(() => balancer.off('settled', listener as () => void), expected);
    }
  });
});
