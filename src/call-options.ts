/**
 * What the methods of a balancer are called with, checked as the options of `createBalancer` are.
 */
import { onlyKnown, record, shown } from './checks.ts';
import { BalancerError } from './errors.ts';

/** The options of `close`. */
export interface CloseOptions {
  /** What is not done so long after the balancer has stopped accepting is cut. `Infinity`: never. Default 10,000 ms. */
  readonly timeoutMs?: number;
  /**
   * How long the balancer goes on accepting and serving, while `ready` is false already: load balancers and
   * orchestrators need some time to send new requests elsewhere. Default 0.
   */
  readonly delayMs?: number;
}

/** The options of `close` checked and completed. Throws OPTIONS_INVALID. */
export function parseCloseOptions(input: unknown): Required<CloseOptions> {
  const problems: string[] = [];
  const options = input === undefined ? {} : record(input, 'close', problems);
  onlyKnown(options, 'close.', KNOWN_OF_CLOSE, problems);
  const { timeoutMs = CLOSE_TIMEOUT_MS, delayMs = 0 } = options;
  const parsed = {
    timeoutMs: milliseconds(timeoutMs, 'close.timeoutMs', Infinity, problems),
    delayMs: milliseconds(delayMs, 'close.delayMs', Number.MAX_SAFE_INTEGER, problems),
  };
  refuse(problems);
  return parsed;
}

/** A time from 0 to `max`; fractions will do, since such times are often what is left of another. */
function milliseconds(value: unknown, path: string, max: number, problems: string[]): number {
  if (typeof value === 'number' && value >= 0 && value <= max) return value;
  const orNone = max === Infinity ? ', or Infinity for no limit' : '';
  problems.push(`${path}: must be a number of milliseconds from 0${orNone} (got ${shown(value)})`);
  return 0;
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new BalancerError('OPTIONS_INVALID', `invalid options: ${problems.join('; ')}`);
}

const CLOSE_TIMEOUT_MS = 10_000;
const KNOWN_OF_CLOSE: ReadonlySet<string> = new Set(['timeoutMs', 'delayMs']);
