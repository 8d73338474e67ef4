/**
 * What all exchanges of a balancer share.
 */
import type { Settings } from '../options/parse.ts';
import type { Services } from '../pools/services.ts';
import type { Pool } from '../pools/pool.ts';
import type { Affinities } from './affinity.ts';
import type { Sampler } from './decision.ts';
import type { HookCalls } from './hooks/hook-calls.ts';
import type { Mirrors } from './mirrors.ts';
import type { Routing } from './routing.ts';

/** The settings that exchanges go by, whatever their pool. */
export type ExchangeRules = Pick<Settings,
  'via' | 'forwarded' | 'xForwarded' | 'maxBodyBytes' | 'minBodyBytesPerSecond' | 'hookTimeoutMs' | 'maxMirroredBytes'
  | 'requestId' | 'serverTiming' | 'why'>;

/** Where requests may go. Never changes: `configure` replaces it, and exchanges in flight keep theirs. */
export interface Topology {
  /** Where requests go without routes. */
  readonly first: Pool;
  /** The pools by their names. */
  readonly pools: ReadonlyMap<string, Pool>;
  /** Undefined without routes. */
  readonly routing: Routing | undefined;
  /** Undefined without hooks. */
  readonly hooks: HookCalls | undefined;
}

/** One set for each balancer. */
export interface ExchangeServices extends Services {
  /** The balancer itself, for tracers. */
  readonly balancer: object;
  readonly rules: ExchangeRules;
  /** For requests that begin now. */
  topology: Topology;
  readonly affinities: Affinities;
  /** Chooses the exchanges that `decided` tells of. */
  readonly sampler: Sampler;
  /** The copies of requests under way. */
  readonly mirrors: Mirrors;
}
