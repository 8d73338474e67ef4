/**
 * The public names of equipoise/testing: what authors of strategies test with.
 */
export {
  conformance, type ConformanceOptions, type Make, type Rule, rules, type StandIn, type Tested,
} from './conformance.ts';
export { seededRandom, testSeed } from './random.ts';
export { VirtualTime } from './time.ts';
