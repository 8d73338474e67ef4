/**
 * Upstreams that `drain` took out of service while they had work in flight: who waits for its end.
 */
import type { ManagedUpstream } from './managed-upstream.ts';

export class OutOfService {
  readonly #emptying = new Map<ManagedUpstream, Emptying>();

  /** Resolves when `upstream`, which was just taken out of service, has nothing in flight, or is told to be `over`. */
  wait(upstream: ManagedUpstream): Promise<void> {
    if (upstream.inFlightHere === 0) return Promise.resolve();
    const before = this.#emptying.get(upstream);
    if (before !== undefined) return before.emptied;
    let resolve = (): void => undefined;
    const emptied = new Promise<void>((done) => {
      resolve = done;
    });
    this.#emptying.set(upstream, { emptied, resolve });
    return emptied;
  }

  /** It has nothing in flight, or is in service again. Returns whether somebody waited. */
  over(upstream: ManagedUpstream): boolean {
    this.#emptying.get(upstream)?.resolve();
    return this.#emptying.delete(upstream);
  }
}

interface Emptying {
  readonly emptied: Promise<void>;
  readonly resolve: () => void;
}
