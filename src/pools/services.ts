/**
 * What all pools and exchanges of a balancer share.
 */
import type { BalancerError } from '../errors.ts';
import type { Events } from '../events.ts';
import type { Clock } from '../loop/clock.ts';
import type { Turn } from '../loop/turn.ts';

/** One set for each balancer. */
export interface Services {
  readonly clock: Clock;
  readonly turn: Turn;
  readonly events: Events;
  /** Takes each failed attempt and each fault of foreign code. `origin` names the upstream, where there is one. */
  readonly report: (error: BalancerError, origin: string | undefined) => void;
}
