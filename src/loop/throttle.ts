/**
 * Says the same thing once a second at most: an upstream that is down under load must not fill a disk.
 */

export class Throttle {
  readonly #now: () => number;
  /** When each key was told last, and how often it was not told since. */
  readonly #told = new Map<string, { at: number; untold: number }>();

  /** `now` gives monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Whether something with this key may be told now: returns how many with the same key were not told since the last
   * one that was; undefined if this one is not to be told either.
   */
  pass(key: string): number | undefined {
    const last = this.#told.get(key);
    const at = this.#now();
    if (last !== undefined && at - last.at < QUIET_MS) {
      last.untold++;
      return undefined;
    }
    // Keys are codes and upstreams: few, unless upstreams come and go for ever.
    if (this.#told.size >= MAX_KEYS) this.#told.clear();
    this.#told.set(key, { at, untold: 0 });
    return last?.untold ?? 0;
  }
}

/** What is said of those that were not told, at the end of a line; `''` where there were none. */
export function andMore(untold: number): string {
  return untold === 0 ? '' : ` (and ${untold} more like it)`;
}

const QUIET_MS = 1_000;
const MAX_KEYS = 10_000;
