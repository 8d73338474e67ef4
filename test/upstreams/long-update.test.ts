/**
 * Updates with lists so long that they are applied in slices: the only visible difference is that requests are served
 * in between.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import type { Upstream } from '../../src/strategy.ts';
import { type BalancerUnderTest, first, startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { Pipe } from '../support/pipes.ts';

const LONG = 3_000;
const INVALID = { name: 'BalancerError', code: 'OPTIONS_INVALID' };

function names(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `http://n${from + i}.test`);
}

/** A balancer with LONG upstreams; `told` are the numbers of candidates passed to its strategy. */
async function start(t: TestContext): Promise<{ under: BalancerUnderTest; told: number[] }> {
  const told: number[] = [];
  const changed = (candidates: readonly Upstream[]): void => {
    told.push(candidates.length);
  };
  const under = await startBalancer(t, { upstreams: names(0, LONG), strategy: { ...first, changed } });
  told.length = 0;
  return { under, told };
}

function origins({ balancer }: BalancerUnderTest): string[] {
  return balancer.upstreams.map(({ origin }) => origin);
}

describe('a long update', () => {
  test('spans several turns, and is one change at the end', async (t) => {
    const { under, told } = await start(t);
    const updated = under.balancer.update(names(100, LONG + 100));
    assert.deepEqual(told, [], 'still under way');
    await updated;
    assert.deepEqual(told, [LONG]);
    assert.deepEqual(origins(under), names(100, LONG + 100));
  });

  test('does not block requests: the previous upstreams serve them', async (t) => {
    const { under, told } = await start(t);
    const downstream = new Pipe();
    under.balancer.accept(downstream as unknown as Socket);
    const updated = under.balancer.update(names(1, LONG + 1));
    downstream.comes(get('/x'));
    await under.picked(1);
    assert.deepEqual(under.picks[0]?.origin, 'http://n0.test');
    assert.deepEqual(told, [], 'still under way');
    downstream.destroy();
    await updated;
    assert.deepEqual(told, [LONG]);
  });

  test('is completed when the upstreams are read', async (t) => {
    const { under, told } = await start(t);
    const updated = under.balancer.update(names(100, LONG + 100));
    assert.deepEqual(origins(under), names(100, LONG + 100));
    assert.deepEqual(told, [LONG]);
    await updated;
    assert.deepEqual(told, [LONG], 'once');
  });

  test('is applied before later changes', async (t) => {
    const { under, told } = await start(t);
    const { balancer } = under;
    const first = balancer.update(names(100, LONG + 100));
    balancer.add('http://new.test');
    const second = balancer.update(names(50, LONG));
    const removed = balancer.remove('http://n50.test');
    assert.deepEqual(new Set(origins(under)), new Set(names(51, LONG)));
    await Promise.all([first, second, removed]);
    assert.deepEqual(told, [LONG, LONG + 1, LONG - 50, LONG - 51]);
  });

  test('is completed before a close', async (t) => {
    const { under, told } = await start(t);
    const updated = under.balancer.update(names(0, 2_000));
    const closed = under.balancer.close({ timeoutMs: 0 });
    under.time.advance(1);
    await Promise.all([updated, closed]);
    assert.deepEqual(told, [2_000, 0]);
  });

  test('uses the list as it was at the call', async (t) => {
    const { under } = await start(t);
    const list = names(100, LONG + 100);
    const updated = under.balancer.update(list);
    list.length = 0;
    list.push('nonsense');
    await updated;
    assert.deepEqual(origins(under), names(100, LONG + 100));
  });

  test('with an invalid last entry changes nothing, and reports everything that is wrong', async (t) => {
    const { under, told } = await start(t);
    const wrong = ['nonsense', ...names(0, LONG), 'http://n7.test'];
    await assert.rejects(under.balancer.update(wrong), {
      ...INVALID, message: /upstreams\[0\].origin: .*"nonsense"[^]*s\[3001\]: http:\S+ is already upstreams\[8\]/,
    });
    assert.deepEqual(told, []);
    assert.deepEqual(origins(under), names(0, LONG));
  });

  test('may be read by a listener while it is under way', async (t) => {
    const { under } = await start(t);
    const seen: number[] = [];
    under.balancer.on('added', () => seen.push(under.balancer.upstreams.length));
    await under.balancer.update(names(1, LONG + 1));
    assert.deepEqual(seen, [LONG]);
  });
});
