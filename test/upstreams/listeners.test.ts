/** Listeners may call back into the balancer: the change that they are called for is complete. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Balancer } from '../../src/balancer.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { Holding, Waits } from '../support/holding.ts';
import { answering } from '../support/replies.ts';
import { echo, refusingOrigin, request, startUpstream } from '../support/upstream.ts';

function origins(balancer: Balancer): string[] {
  return balancer.upstreams.map(({ origin }) => origin);
}

describe('a listener', () => {
  test('runs for an update once all of it is done', async (t) => {
    const { balancer } = await startBalancer(t, { upstreams: ['http://a.test', 'http://b.test'] });
    const heard: unknown[] = [];
    for (const event of ['added', 'removed'] as const) {
      balancer.on(event, ({ upstream }) => heard.push([event, upstream.origin, origins(balancer)]));
    }
    await balancer.update(['http://b.test', 'http://c.test', 'http://d.test']);
    const after = ['http://b.test', 'http://c.test', 'http://d.test'];
    assert.deepEqual(heard, [
      ['removed', 'http://a.test', after], ['added', 'http://c.test', after], ['added', 'http://d.test', after],
    ]);
  });

  test('runs for add and remove after the strategy was notified', async (t) => {
    let told: readonly string[] = [];
    const { balancer } = await startBalancer(t, {
      upstreams: ['http://a.test'],
      strategy: {
        name: 'told',
        pick: ([one]) => one,
        changed: (candidates) => {
          told = candidates.map(({ origin }) => origin);
        },
      },
    });
    const heard: unknown[] = [];
    balancer.on('added', () => heard.push(told)).on('removed', () => heard.push(told));
    balancer.add('http://b.test');
    await balancer.remove('http://a.test');
    assert.deepEqual(heard, [['http://a.test', 'http://b.test'], ['http://b.test']]);
  });

  test('cannot add an upstream twice that the same update adds', async (t) => {
    const under = await startBalancer(t, { upstreams: ['http://a.test'] });
    const { balancer } = under;
    balancer.on('removed', () => balancer.add('http://b.test'));
    await balancer.update(['http://b.test']);
    assert.deepEqual(origins(balancer), ['http://b.test']);
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
    assert.match(String(under.errors[0]?.cause), /http:\/\/b\.test already exists/);
  });

  test('can make the next update', async (t) => {
    const { balancer } = await startBalancer(t, { upstreams: ['http://a.test'] });
    const heard: string[] = [];
    let next: Promise<void> | undefined;
    balancer.on('added', ({ upstream }) => {
      heard.push(upstream.origin);
      next ??= balancer.update(['http://c.test']);
    });
    balancer.on('removed', ({ upstream }) => heard.push(`no ${upstream.origin}`));
    await balancer.update(['http://b.test']);
    await next;
    assert.deepEqual(origins(balancer), ['http://c.test']);
    assert.deepEqual(heard.sort(), ['http://b.test', 'http://c.test', 'no http://a.test', 'no http://b.test']);
  });

  test('can remove an upstream that was ejected: each event comes once', async (t) => {
    const [refusing, upstream] = [refusingOrigin(), await startUpstream(t, echo)];
    const under = await startBalancer(t, { upstreams: [refusing, upstream], ejectAfter: 1 });
    const { balancer } = under;
    const heard: string[] = [];
    balancer.on('ejected', ({ upstream: one }) => balancer.remove(one.origin));
    balancer.on('removed', ({ upstream: one }) => heard.push(one.origin));
    balancer.on('draining', ({ upstream: one }) => heard.push(`draining ${one.origin}`));
    const client = await under.connect();
    assert.equal((await client.exchange(get('/x'))).text, '/x');
    assert.deepEqual(heard, [refusing]);
    assert.deepEqual(origins(balancer), [upstream.origin]);
  });

  test('can give a refused request\'s successors an upstream: the refused one is answered once', async (t) => {
    const [holding, other] = [await Holding.start(t), await startUpstream(t, echo)];
    const under = await startBalancer(t, {
      upstreams: [{ origin: holding.origin, maxInFlight: 1 }], maxQueued: 1, queueTimeoutMs: 100,
    });
    const waits = new Waits(under);
    const { balancer } = under;
    balancer.on('refused', () => balancer.add(other.origin));
    const held = await under.connect();
    held.send(get('/held'));
    await holding.came(1);
    const queued = await waits.send(get('/queued'));
    await under.advance(100);
    assert.equal((await queued.response()).status, 503);
    assert.equal((await queued.exchange(get('/next'))).text, '/next');
    assert.equal(under.picks.length, 2);
    holding.release();
    assert.equal((await held.response()).text, '/held');
  });

  test('learns why an upstream was ejected', async (t) => {
    const [refusing, broken, busy] = [
      refusingOrigin(), await startUpstream(t, [[request, 'nonsense\r\n\r\n']]), await startUpstream(t, answering(503)),
    ];
    const upstreams = [refusing, broken.origin, busy.origin];
    const under = await startBalancer(t, { upstreams, ejectAfter: 1, maxAttempts: 1, maxEjectedPercent: 100 });
    const heard: unknown[] = [];
    under.balancer.on('ejected', ({ upstream, by, code, status }) => heard.push([upstream.origin, by, code, status]));
    for (let i = 0; i < 3; i++) await (await under.connect()).exchange(get());
    assert.deepEqual(heard, [
      [refusing, 'attempts', 'CONNECT_REFUSED', undefined],
      [broken.origin, 'attempts', 'RESPONSE_MALFORMED', undefined],
      [busy.origin, 'attempts', undefined, 503],
    ]);
  });
});
