/**
 * The gate in the built-in scenarios that have queues: a bad strategy fails in each, two choices pass against random.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { powerOfTwo } from '../../strategies/power-of-two.ts';
import { random } from '../../strategies/random.ts';
import { gate, GateError, SCENARIOS, type StrategyTools } from '../../src/lab/index.ts';
import type { Strategy } from '../../src/strategy.ts';

const report = mkdtempSync(join(tmpdir(), 'equipoise-gate-test-'));
after(() => {
  rmSync(report, { recursive: true, force: true });
});

const mostInFlight = (): Strategy => ({
  name: 'most-in-flight',
  pick: (candidates) => candidates.reduce((one, other) => other.inFlight > one.inFlight ? other : one),
});

for (const scenario of SCENARIOS.keys()) {
  // There nothing queues.
  if (scenario === 'linkerd-2016') continue;
  // One server that gets the work of ten takes long to simulate.
  const fewer = scenario === 'stale-board' ? { requests: 20_000 } : {};
  const common = { against: ({ rng }: StrategyTools) => random({ rng }), scenario, report, ...fewer };
  test(`${scenario}: picking the most in flight fails`, async () => {
    await assert.rejects(gate({ ...common, strategy: mostInFlight }), (error) => (
      error instanceof GateError && error.actual === 'worse'));
  });
  test(`${scenario}: power of two passes`, async () => {
    // While all servers are down, it fails 4% more requests than random does.
    const tolerance = scenario === 'full-outage' ? 0.1 : 0;
    const strategy = ({ rng }: StrategyTools): Strategy => powerOfTwo({ rng });
    assert.equal((await gate({ ...common, strategy, tolerance })).verdict, 'no worse');
  });
}
