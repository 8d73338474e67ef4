/**
 * Time and randomness given as options. Deadlines, ejections and dates are computed from them, and a deadline that is
 * NaN never ends; so a call that fails, or gives something else than a number, is reported, and replaced by the last
 * good value.
 */
import { BalancerError } from '../errors.ts';
import { disowned, guarded, guardedValue, isThenable, messageOf, type OnFault } from '../guard.ts';
import { systemRng } from './clock.ts';
import type { TimeSource } from './time-source.ts';

/** Time from a source that may fail. */
export class GuardedTime implements TimeSource {
  readonly pauseMs?: number;
  readonly #source: TimeSource;
  readonly #onFault: OnFault;
  #now = 0;
  #epoch = 0;
  /** How many calls have failed, each of which was reported. */
  #faults = 0;
  /** Whether a fault is being reported: the report may read the time, and must not report again. */
  #telling = false;
  readonly #readNow = (): unknown => this.#source.now();
  readonly #readEpoch = (): unknown => this.#source.epoch();
  readonly #nowFault: OnFault = (what, cause) => {
    this.#tell(`time.now ${what}`, cause);
  };
  readonly #epochFault: OnFault = (what, cause) => {
    this.#tell(`time.epoch ${what}`, cause);
  };

  /** `onFault` receives the faults of the source. */
  constructor(source: TimeSource, onFault: OnFault) {
    this.#source = source;
    this.#onFault = onFault;
    const { pauseMs } = source;
    if (pauseMs !== undefined) this.pauseMs = pauseMs;
  }

  now(): number {
    const before = this.#faults;
    const now = guardedValue(this.#readNow, this.#nowFault);
    if (isMoment(now)) this.#now = now;
    else if (this.#faults === before) this.#nowFault(NO_TIME, undefined);
    return this.#now;
  }

  epoch(): number {
    const before = this.#faults;
    const epoch = guardedValue(this.#readEpoch, this.#epochFault);
    if (isMoment(epoch)) this.#epoch = epoch;
    else if (this.#faults === before) this.#epochFault(NO_TIME, undefined);
    return this.#epoch;
  }

  /** Throws OPTIONS_INVALID if the source fails: without ticks no deadline would ever be noticed. */
  every(ms: number, tick: () => void): () => void {
    let stop: unknown;
    try {
      stop = this.#source.every(ms, tick);
    } catch (cause) {
      throw new BalancerError('OPTIONS_INVALID', `invalid options: time.every: threw: ${messageOf(cause)}`, { cause });
    }
    if (typeof stop === 'function') {
      return () => {
        guarded(() => (stop as () => unknown)(), (what, cause) => {
          this.#tell(`what time.every returned ${what}`, cause);
        });
      };
    }
    if (isThenable(stop)) disowned(stop);
    throw new BalancerError('OPTIONS_INVALID', 'invalid options: time.every: must return a function that stops it');
  }

  #tell(what: string, cause: unknown): void {
    this.#faults++;
    if (this.#telling) return;
    this.#telling = true;
    try {
      this.#onFault(what, cause);
    } finally {
      this.#telling = false;
    }
  }
}

/** Whether this is a number of milliseconds that a Date can hold. */
export function isMoment(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= MAX_DATE_MS;
}

/** Random numbers from a function that may fail. Whatever is not a number in [0, 1) is replaced by one of ours. */
export function guardedRng(rng: () => number, onFault: OnFault): () => number {
  let faults = 0;
  const onFailed: OnFault = (what, cause) => {
    faults++;
    onFault(`rng ${what}`, cause);
  };
  return () => {
    const before = faults;
    const drawn: unknown = guardedValue(rng, onFailed);
    if (typeof drawn === 'number' && drawn >= 0 && drawn < 1) return drawn;
    if (faults === before) onFailed('must return a number >= 0 and < 1', undefined);
    return systemRng();
  };
}

const NO_TIME = 'must return a finite number of milliseconds';
/** ECMA-262 §21.4.1.1. */
const MAX_DATE_MS = 8.64e15;
