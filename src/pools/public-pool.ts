/**
 * A pool as users see it.
 */
import { nameOf } from '../guard.ts';
import { type DrainOptions, parseDrainOptions } from '../options/calls.ts';
import type { UpstreamOptions } from '../options/options.ts';
import type { Upstream } from '../strategy.ts';
import type { Pool } from './pool.ts';

/** A named group of upstreams. Its methods do for this pool what those of the balancer do for the pool `default`. */
export interface BalancerPool {
  readonly name: string;
  /** The name of the strategy that picks. */
  readonly strategy: string;
  /** All upstreams as they stand now, draining ones last. */
  readonly upstreams: readonly Upstream[];
  /** Adds an upstream at once. Throws OPTIONS_INVALID, or CLOSING once a `close` is past its delay. */
  add(upstream: string | UpstreamOptions): Upstream;
  /**
   * Gives an upstream no new work. Resolves when what it has in flight has ended; what has not after `timeoutMs`
   * (default: no limit) is cut. Rejects with OPTIONS_INVALID.
   */
  remove(origin: string, options?: DrainOptions): Promise<void>;
  /** Makes these the upstreams, as one change: see `update` of the balancer. */
  update(upstreams: readonly (string | UpstreamOptions)[], options?: DrainOptions): Promise<void>;
}

export class PublicPool implements BalancerPool {
  readonly #pool: Pool;
  readonly #stillOpen: () => void;

  /** `stillOpen` throws CLOSING once nobody would look after what is added. */
  constructor(pool: Pool, stillOpen: () => void) {
    this.#pool = pool;
    this.#stillOpen = stillOpen;
    Object.freeze(this);
  }

  get name(): string {
    return this.#pool.name;
  }

  get strategy(): string {
    return nameOf(this.#pool.strategy);
  }

  get upstreams(): readonly Upstream[] {
    return this.#pool.shown;
  }

  add(upstream: string | UpstreamOptions): Upstream {
    this.#stillOpen();
    return this.#pool.add(upstream);
  }

  async remove(origin: string, options?: DrainOptions): Promise<void> {
    const { timeoutMs } = parseDrainOptions(options, 'remove');
    await this.#pool.remove(origin, timeoutMs);
  }

  async update(upstreams: readonly (string | UpstreamOptions)[], options?: DrainOptions): Promise<void> {
    const { timeoutMs } = parseDrainOptions(options, 'update');
    this.#stillOpen();
    await this.#pool.update(upstreams, timeoutMs);
  }
}
