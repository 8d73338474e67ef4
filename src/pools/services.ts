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
  /**
   * Reports a failed attempt or a fault of foreign code. `origin` is that of the upstream, if one was involved, and
   * `requestId` names the request, if it has an id.
   */
  readonly report: (error: BalancerError, origin: string | undefined, requestId?: string) => void;
}
