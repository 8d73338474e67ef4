/**
 * A balancer with named pools behind a front, for tests of pools and routes.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import type { BalancerOptions } from '../../src/options/options.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { type Client, connectTo } from './client.ts';
import { type FrontKind, SOCKET } from './fronts.ts';
import { atEnd } from './scope.ts';
import { turns, within } from './wait.ts';

export interface PoolsUnderTest {
  readonly balancer: Balancer;
  readonly time: VirtualTime;
  readonly port: number;
  /** The codes of what was reported. */
  readonly reports: string[];
  readonly connect: () => Promise<Client>;
}

/** Starts a balancer. It ends with the test, which fails if anything is left in flight or on the clock. */
export async function startPools(
  t: TestContext, options: BalancerOptions, front: FrontKind = SOCKET,
): Promise<PoolsUnderTest> {
  const time = new VirtualTime();
  const reports: string[] = [];
  const balancer = createBalancer({
    // The protocols that tests upgrade to; node:http needs to know them.
    upgradeProtocols: ['raw'],
    ...options,
    time,
    onReport: ({ error }) => reports.push(error.code),
  });
  const door = await front.open(balancer);
  atEnd(t, async () => {
    const inFlight = (): number[] => Object.values(balancer.pools).flatMap(({ upstreams }) => (
      upstreams.map((upstream) => upstream.inFlight - upstream.inFlightElsewhere)));
    for (let i = 0; i < 100 && inFlight().some((count) => count > 0); i++) await turns(1);
    const left = inFlight();
    const closed = balancer.close({ timeoutMs: 0 });
    time.advance(1);
    await within(closed, () => 'the balancer to close');
    await door.close();
    assert.equal(time.timers, 0, 'the clock runs on after the close');
    assert.ok(left.every((count) => count === 0), `in flight at the end: ${left.join(', ')}`);
  });
  return { balancer, time, reports, port: door.port, connect: () => connectTo(t, door.port) };
}
