/**
 * Limits repeated log lines to one per second: an upstream that is down under load must not fill a disk.
 */

export class Throttle {
  readonly #now: () => number;
  /** When each key last passed, and how often it was held back since. */
  readonly #told = new Map<string, { at: number; untold: number }>();

  /** `now` gives monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Decides whether a line with this key may be logged now. Returns undefined if not, else how many with the same key
   * were held back since the last one that passed.
   */
  pass(key: string): number | undefined {
    const last = this.#told.get(key);
    const at = this.#now();
    if (last !== undefined && at - last.at < QUIET_MS) {
      last.untold++;
      return undefined;
    }
    // Keys are codes and upstreams: few, unless upstreams keep coming and going.
    if (this.#told.size >= MAX_KEYS) this.#told.clear();
    this.#told.set(key, { at, untold: 0 });
    return last?.untold ?? 0;
  }
}

/** The end of a line that mentions those held back; `''` if there were none. */
export function andMore(untold: number): string {
  return untold === 0 ? '' : ` (and ${untold} more like it)`;
}

const QUIET_MS = 1_000;
const MAX_KEYS = 10_000;
