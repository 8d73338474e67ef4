/**
 * Simulates a strategy in virtual time.
 */
import { parseSimulation, type SimulateOptions } from './options.ts';
import type { SimulationResult } from './result.ts';
import { play } from './run.ts';

/**
 * Plays requests against simulated servers, by the balancer's own pool and the strategy itself. The same options give
 * the same result, to the last digit. Throws OPTIONS_INVALID, and STRATEGY_FAILED for a fault of the strategy.
 */
export function simulate(options: SimulateOptions): SimulationResult {
  return play(parseSimulation(options));
}
