/**
 * Calls into a strategy. What it throws or rejects with is a bug of the plugin: it is reported and goes no further.
 */
import { BalancerError } from '../errors.ts';
import { guarded, guardedValue, nameOf } from '../guard.ts';
import type { Strategy } from '../strategy.ts';
import type { Services } from './services.ts';

type Report = Services['report'];

/** How a strategy wants to be called. */
export interface StrategyTraits {
  /** Whether it may pick an upstream that is at its limit. */
  readonly picksFull: boolean;
  /** Whether it has these methods. */
  readonly hearsAnswered: boolean;
  readonly hearsSettled: boolean;
  readonly hearsChanged: boolean;
}

/** Reports a fault of `strategy`: `what` it did. */
export function reportFault(strategy: Strategy, what: string, cause: unknown, report: Report): void {
  report(new BalancerError('STRATEGY_FAILED', `strategy ${nameOf(strategy)} ${what}`, { cause }), undefined);
}

/** Reads the traits of a strategy: once, since each property may be a getter that throws. */
export function traitsOf(strategy: Strategy): StrategyTraits {
  const ignore = (): undefined => undefined;
  return {
    picksFull: guardedValue(() => strategy.picksFull, ignore) === true,
    hearsAnswered: guardedValue(() => typeof strategy.answered === 'function', ignore) === true,
    hearsSettled: guardedValue(() => typeof strategy.settled === 'function', ignore) === true,
    hearsChanged: guardedValue(() => typeof strategy.changed === 'function', ignore) === true,
  };
}

/** Calls an optional method of a strategy. A promise is not awaited, but its rejection is reported. */
export function runHook(strategy: Strategy, method: string, hook: () => unknown, report: Report): void {
  guarded(hook, (what, cause) => {
    reportFault(strategy, `${what} in ${method}`, cause, report);
  });
}
