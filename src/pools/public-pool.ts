/**
 * A pool as users see it.
 */
import { nameOf } from '../guard.ts';
import type { ShadowFigures } from '../meter.ts';
import { type DrainOptions, parseDrainOptions } from '../options/calls.ts';
import type { UpstreamOptions } from '../options/options.ts';
import type { Upstream } from '../strategy.ts';
import type { BalancerPool } from './balancer-pool.ts';
import type { ManagedPool } from './managed-pool.ts';

export class PublicPool implements BalancerPool {
  readonly #pool: ManagedPool;
  readonly #stillOpen: () => void;

  /** `stillOpen` throws CLOSING once nobody would look after what is added. */
  constructor(pool: ManagedPool, stillOpen: () => void) {
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

  get shadow(): ShadowFigures | undefined {
    return this.#pool.shadow?.figures;
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

  async drain(origin: string): Promise<void> {
    await this.#pool.drain(origin);
  }

  activate(origin: string): void {
    this.#pool.activate(origin);
  }

  setWeight(origin: string, weight: number | undefined): void {
    this.#pool.setWeight(origin, weight);
  }

  async update(upstreams: readonly (string | UpstreamOptions)[], options?: DrainOptions): Promise<void> {
    const { timeoutMs } = parseDrainOptions(options, 'update');
    this.#stillOpen();
    await this.#pool.update(upstreams, timeoutMs);
  }
}
