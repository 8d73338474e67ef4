/**
 * The public names of equipoise/testing: tools to test strategies.
 */
export { conformance } from './conformance.ts';
export { pickContext, type PickContextParts } from './pick-context.ts';
export { seededRandom, testSeed } from './random.ts';
export type { Rule } from './rule.ts';
export { rules } from './rules.ts';
export type { StandIn } from './stand-in.ts';
export { VirtualTime } from './time.ts';
export type { ConformanceOptions, Make, Tested } from './trial.ts';
