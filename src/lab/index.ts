/** The strategy lab: see README.md. */
export {
  type Arrivals, bursty, closedLoop, type ClosedLoop, constant, type OpenArrivals, poisson, recorded,
} from './arrivals.ts';
export type { Fault } from './faults.ts';
export type { SimulatedPoolOptions, ServerOptions, SimulateOptions, StrategyTools } from './options.ts';
export type { Mark, ServerResult, SimulationResult } from './result.ts';
export type { Sample } from './series.ts';
export {
  bimodal, deterministic, empirical, exponential, gaussian, lognormal, pareto, type Service,
} from './service.ts';
export { simulate } from './simulate.ts';
export type { Estimate } from './statistics.ts';
