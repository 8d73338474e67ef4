/**
 * Drained upstreams in layer 4: no candidates, but a strategy may send there what belongs there (`context.draining`).
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { PickContext, Strategy, Upstream } from '../../src/strategy.ts';
import type { Client } from '../support/client.ts';
import { echo, type RawUpstream, rawUpstream, REFUSING, startTcp, type TcpUnderTest } from '../support/tcp.ts';
import { turns } from '../support/wait.ts';

/** Picks the upstream `own` wherever it is offered, else the first candidate. */
class Loyal implements Strategy {
  readonly name = 'loyal';
  readonly picksFull: boolean;
  /** What each pick got: how many candidates, draining and full ones, and the attempt. */
  readonly told: string[] = [];
  own = '';

  constructor(picksFull = true) {
    this.picksFull = picksFull;
  }

  pick(candidates: readonly Upstream[], { attempt, draining = [], full = [] }: PickContext): Upstream | undefined {
    this.told.push(`${candidates.length} ${draining.length} ${full.length} attempt ${attempt}`);
    return [...candidates, ...draining, ...full].find(({ origin }) => origin === this.own) ?? candidates[0];
  }
}

async function pair(t: TestContext): Promise<readonly [RawUpstream, RawUpstream]> {
  return [await rawUpstream(t, echo('own\n')), await rawUpstream(t, echo('other\n'))];
}

/** Who serves a new connection, which stays open. */
async function served(under: TcpUnderTest): Promise<readonly [name: string, client: Client]> {
  const client = await under.connect();
  return [await client.inbox.until('\n'), client];
}

describe('a drained upstream of layer 4', () => {
  test('serves what the strategy sends there, also if it is the only one, until it is removed', async (t) => {
    const [own, other] = await pair(t);
    const strategy = new Loyal();
    const under = await startTcp(t, { upstreams: [own, other], strategy });
    const { balancer } = under;
    await balancer.drain(own.origin);
    strategy.own = own.origin;
    const [first, client] = await served(under);
    strategy.own = '';
    const [second] = await served(under);
    assert.deepEqual([first, second], ['own\n', 'other\n']);
    // The connection that it got while it was drained counts, and is waited for.
    const [upstream] = balancer.upstreams;
    assert.equal(upstream?.state, 'draining');
    assert.equal(upstream.inFlight, 1);
    client.end();
    await under.done(1);
    assert.equal(upstream.state, 'drained');
    await balancer.remove(own.origin);
    strategy.own = own.origin;
    assert.equal((await served(under))[0], 'other\n');
    assert.deepEqual(strategy.told, ['1 1 0 attempt 1', '1 1 0 attempt 1', '1 0 0 attempt 1']);
  });

  test('alone is offered only to a strategy that picks full ones, and may be declined', async (t) => {
    for (const picksFull of [true, false]) {
      const [own] = await pair(t);
      const strategy = new Loyal(picksFull);
      const under = await startTcp(t, { upstreams: [own], strategy });
      await under.balancer.drain(own.origin);
      await under.refused();
      await under.done(1);
      assert.equal(under.finished[0]?.code, 'NO_CANDIDATE');
      strategy.own = own.origin;
      if (picksFull) assert.equal((await served(under))[0], 'own\n');
      else await under.refused();
      assert.deepEqual(strategy.told, picksFull ? ['0 1 0 attempt 1', '0 1 0 attempt 1'] : []);
    }
  });

  test('that refuses the connection is offered no more to it', async (t) => {
    const [, other] = await pair(t);
    const strategy = new Loyal();
    strategy.own = REFUSING;
    const under = await startTcp(t, { upstreams: [REFUSING, other], strategy });
    await under.balancer.drain(REFUSING);
    assert.equal((await served(under))[0], 'other\n');
    assert.deepEqual(strategy.told, ['1 1 0 attempt 1', '1 0 0 attempt 2']);
    assert.deepEqual(under.events, [
      `settled ${REFUSING} failed CONNECT_REFUSED`, `retried CONNECT_REFUSED after ${REFUSING}`,
    ]);
  });

  test('at its limit is waited for', async (t) => {
    const [own, other] = await pair(t);
    const strategy = new Loyal();
    strategy.own = own.origin;
    const under = await startTcp(t, {
      upstreams: [{ origin: own.origin, maxInFlight: 1 }, other], maxQueued: 1, strategy,
    });
    const [, first] = await served(under);
    const drained = under.balancer.drain(own.origin);
    const waiting = await under.connect();
    waiting.send('mine');
    await under.until(() => strategy.told.length > 1, 'the second pick');
    await turns(5);
    assert.equal(own.count, 1);
    first.end();
    assert.equal(await waiting.inbox.until('mine'), 'own\nmine');
    waiting.end();
    await drained;
    assert.equal(other.count, 0);
  });
});
