/**
 * What all exchanges of a balancer share.
 */
import type { Clock } from '../loop/clock.ts';
import type { BalancerError } from '../errors.ts';
import type { Events } from '../events.ts';
import type { Settings } from '../options/parse.ts';
import type { Strategy } from '../strategy.ts';
import type { Turn } from '../loop/turn.ts';
import type { Members } from '../upstreams/members.ts';
import type { Affinities } from './affinity.ts';
import type { Queue } from '../pools/queue.ts';
import type { RetryBudget } from '../pools/retry-budget.ts';

/** What of the settings an exchange goes by. */
export type ExchangeRules = Pick<Settings,
  | 'via' | 'forwarded' | 'xForwarded' | 'changeOrigin' | 'maxAttempts'
  | 'connectTimeoutMs' | 'responseTimeoutMs' | 'idleTimeoutMs' | 'tunnelIdleTimeoutMs'
  | 'maxBodyBytes' | 'minBodyBytesPerSecond' | 'totalTimeoutMs' | 'retryOn' | 'maxReplayBytes' | 'queueTimeoutMs'>;

/** The parts that an exchange works with; one set for each balancer. */
export interface Services {
  readonly members: Members;
  readonly strategy: Strategy;
  /** Whether the strategy may name an upstream at its limit, and whether it hears how attempts end. */
  readonly picksFull: boolean;
  readonly hearsSettled: boolean;
  readonly rules: ExchangeRules;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly events: Events;
  readonly queue: Queue;
  readonly affinities: Affinities;
  readonly budget: RetryBudget;
  /** Hears of each failed attempt and each fault of the strategy. `origin` names the upstream, where there is one. */
  readonly report: (error: BalancerError, origin: string | undefined) => void;
}
