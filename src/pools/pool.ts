/**
 * A pool as exchanges use it: upstreams, the strategy that picks among them, and what requests may cost: queue,
 * retries, rules.
 *
 * An upstream belongs to one pool. Two pools that name one origin have an upstream each, with its own health, counts,
 * limits and idle connections (see src/upstreams/README.md).
 */
import type { Settings } from '../options/parse.ts';
import type { Strategy } from '../strategy.ts';
import type { UpstreamSet } from '../upstreams/upstream-set.ts';
import type { StrategyTraits } from './plugin.ts';
import type { Queue } from './queue.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { Shadow } from './shadow.ts';

/** The settings that the exchanges of a pool use. */
export type PoolRules = Pick<Settings,
  | 'changeOrigin' | 'maxAttempts' | 'connectTimeoutMs' | 'responseTimeoutMs' | 'idleTimeoutMs' | 'tunnelIdleTimeoutMs'
  | 'totalTimeoutMs' | 'proxyProtocol' | 'retryOn' | 'maxReplayBytes' | 'queueTimeoutMs'>;

/** What stays when the rules of a pool change: see {@link ManagedPool}. */
export interface PoolHome {
  readonly name: string;
  readonly upstreams: UpstreamSet;
  readonly queue: Queue;
  readonly budget: RetryBudget;
  /** The current strategy. */
  readonly strategy: Strategy;
  readonly traits: StrategyTraits;
  readonly shadow: Shadow | undefined;
  entered(): void;
  left(): void;
}

/** Never changes: when the rules do, later exchanges get another one, and those in flight keep theirs. */
export class Pool {
  readonly name: string;
  readonly rules: PoolRules;
  readonly upstreams: UpstreamSet;
  readonly queue: Queue;
  readonly budget: RetryBudget;
  readonly #home: PoolHome;

  constructor(home: PoolHome, rules: PoolRules) {
    this.name = home.name;
    this.rules = rules;
    this.upstreams = home.upstreams;
    this.queue = home.queue;
    this.budget = home.budget;
    this.#home = home;
  }

  /** The strategy that picks now. An attempt settles with the one that picked it. */
  get strategy(): Strategy {
    return this.#home.strategy;
  }

  get traits(): StrategyTraits {
    return this.#home.traits;
  }

  /** A strategy to ask beside the one that picks, if there is one. */
  get shadow(): Shadow | undefined {
    return this.#home.shadow;
  }

  /** An exchange may pick here, until it calls {@link Pool.left}. A pool that was removed waits for it. */
  entered(): void {
    this.#home.entered();
  }

  left(): void {
    this.#home.left();
  }
}
