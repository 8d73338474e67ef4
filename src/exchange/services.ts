/**
 * What all exchanges of a balancer share.
 */
import type { Settings } from '../options/parse.ts';
import type { Services } from '../pools/services.ts';
import type { Affinities } from './affinity.ts';

/** The settings that exchanges go by, whatever their pool. */
export type ExchangeRules = Pick<Settings,
  'via' | 'forwarded' | 'xForwarded' | 'maxBodyBytes' | 'minBodyBytesPerSecond'>;

/** One set for each balancer. */
export interface ExchangeServices extends Services {
  readonly rules: ExchangeRules;
  readonly affinities: Affinities;
}
