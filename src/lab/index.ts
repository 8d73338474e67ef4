/** The strategy lab: see README.md. */
export {
  type Arrivals, bursty, closedLoop, type ClosedLoop, constant, type OpenArrivals, poisson, recorded,
} from './arrivals.ts';
export {
  compare, type ComparedRun, type ComparedVariant, type CompareOptions, type Comparison, type Contender,
  type Difference, type Measure, measured, MEASURES,
} from './compare.ts';
export type { Fault } from './faults.ts';
export { gate, GateError, type GateFinding, type GateOptions, type GateResult, type Verdict } from './gate.ts';
export type { SimulatedPoolOptions, ServerOptions, SimulateOptions, StrategyTools } from './options.ts';
export { reportHtml, type ReportOptions, reportSvg } from './report/report.ts';
export type { ReportedGroup, ReportedRun, TimeUnit } from './report/runs.ts';
export type { Mark, ServerResult, SimulationResult } from './result.ts';
export { readScenario, type Scenario, SCENARIOS, type ScenarioVariant } from './scenarios.ts';
export type { Sample } from './series.ts';
export {
  bimodal, deterministic, empirical, exponential, gaussian, lognormal, pareto, replayed, type Service,
} from './service.ts';
export { simulate } from './simulate.ts';
export type { Estimate } from './statistics.ts';
export { readTrace, type Trace, type TraceOptions } from './trace.ts';
