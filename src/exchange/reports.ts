/**
 * Passes failed attempts and faults to `onReport`; without one, emits process warnings.
 */
import type { BalancerError } from '../errors.ts';
import { guarded, messageOf } from '../guard.ts';
import { andMore, Throttle } from '../loop/throttle.ts';
import type { Settings } from '../options/parse.ts';
import { named } from './request-id.ts';

export class Reports {
  readonly #onReport: Settings['onReport'];
  readonly #throttle: Throttle;

  /** `now` gives monotonic milliseconds. */
  constructor(onReport: Settings['onReport'], now: () => number) {
    this.#onReport = onReport;
    this.#throttle = new Throttle(now);
  }

  /**
   * Reports an error. `upstream` is the origin of the upstream, if one was involved, and `id` that of the request, if
   * it has one. Never throws.
   */
  tell(error: BalancerError, upstream: string | undefined, id = ''): void {
    const onReport = this.#onReport;
    if (onReport !== undefined) {
      guarded(() => onReport({ error, upstream, ...named({ id }) }), (what, cause) => {
        // Not to onReport: it is what failed.
        this.#warn(`onReport ${what}`, 'HOOK_FAILED', cause, undefined);
      });
      return;
    }
    const { code, source, cause, message } = error;
    // For a fault in the embedder's code the stack helps; for an upstream the reason is enough.
    if (source === 'internal') this.#warn(message, code, cause, upstream);
    else {
      const why = cause instanceof Error ? `: ${messageOf(cause)}` : '';
      this.#warn(`${message.replace(/\.$/, '')}${why}`, code, undefined, upstream);
    }
  }

  #warn(what: string, code: string, cause: unknown, upstream: string | undefined): void {
    const untold = this.#throttle.pass(`${code} ${upstream ?? ''}`);
    if (untold === undefined) return;
    const where = upstream === undefined ? '' : `${upstream}: `;
    process.emitWarning(`${where}${what}${andMore(untold)}`, { code, detail: stackOf(cause) });
  }
}

function stackOf(cause: unknown): string {
  try {
    return cause instanceof Error ? (cause.stack ?? cause.message) : '';
  } catch {
    return '';
  }
}
