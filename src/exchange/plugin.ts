/**
 * Calls into a strategy. What it throws, now or later, is the plugin's bug: reported, and let go no further.
 */
import { BalancerError } from '../errors.ts';
import { guarded, guardedValue, nameOf } from '../guard.ts';
import type { Strategy } from '../strategy.ts';
import type { Services } from './services.ts';

type Report = Services['report'];

/** Tells of a fault of `strategy`: `what` it did. */
export function reportFault(strategy: Strategy, what: string, cause: unknown, report: Report): void {
  report(new BalancerError('STRATEGY_FAILED', `strategy ${nameOf(strategy)} ${what}`, { cause }), undefined);
}

/** What of a strategy says how it is to be called; read once, since each read may be a getter that throws. */
export function traitsOf(strategy: Strategy): Pick<Services, 'picksFull' | 'hearsSettled'> {
  const ignore = (): undefined => undefined;
  return {
    picksFull: guardedValue(() => strategy.picksFull, ignore) === true,
    hearsSettled: guardedValue(() => typeof strategy.settled === 'function', ignore) === true,
  };
}

/** Runs one of the optional methods of a strategy. A promise is not awaited, but its rejection is heard of. */
export function runHook(strategy: Strategy, method: string, hook: () => unknown, report: Report): void {
  guarded(hook, (what, cause) => {
    reportFault(strategy, `${what} in ${method}`, cause, report);
  });
}
