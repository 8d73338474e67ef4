/**
 * What one exchange allocates. Nothing is timed: the octets are the same on a slow machine and a fast one, so an
 * addition to each request shows here before it shows in a benchmark.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, startUpstream } from './exchanges.ts';
import { startMeasured } from './process.ts';

/** Until V8 has compiled the hot code. */
const WARM_UP = 5_000;
/** The smallest group counts: V8 allocates for itself now and then. */
const GROUPS = 5;
const GROUP = 1_000;
const FLAGS = [
  '--expose-gc',
  // A nursery so large that nothing is collected: a group takes about 14 MB.
  '--min-semi-space-size=64', '--max-semi-space-size=64',
  // Code is compiled when V8 finds it hot, not when another thread gets to it, which is later on a busy machine.
  '--single-threaded',
];

/**
 * A fifth more than the most that was measured, with Node 20.20, 22.23, 24.21 and 26.10: 3,890, 3,660, 4,060 and 3,530
 * by listen; 13,700, 14,110, 13,500 and 12,680 by handle. Runs differ by one percent.
 */
const BOUNDS = { listen: 4_200, handle: 17_000 };

describe('an exchange allocates no more than before', () => {
  for (const [front, bound] of Object.entries(BOUNDS)) {
    test(`by ${front}: ${bound} octets`, async (t) => {
      const balancer = await startMeasured(t, FLAGS, front, await startUpstream(t));
      const client = new Client(t, balancer.port);
      await client.exchange(WARM_UP);
      await balancer.memory();
      const each: number[] = [];
      for (let group = 0; group < GROUPS; group++) {
        await client.exchange(GROUP);
        const { allocatedBytes, collections } = await balancer.memory();
        assert.equal(collections, 0, 'nothing was collected meanwhile');
        each.push(allocatedBytes / GROUP);
      }
      const shown = `an exchange by ${front} allocates ${each.map(Math.round).join(', ')} octets`;
      t.diagnostic(shown);
      assert.ok(Math.min(...each) <= bound, shown);
      // A bound far above the measured value guards nothing.
      assert.ok(Math.min(...each) > bound / 2, `${shown}: lower the bound`);
    });
  }
});
