/**
 * All pools of a balancer: made together, swept together, closed together.
 */
import { BalancerError } from '../errors.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import type { BalancerSettings } from '../options/parse.ts';
import type { Strategy } from '../strategy.ts';
import { Pool, type PoolMeans } from './pool.ts';
import type { BalancerPool } from './balancer-pool.ts';
import { PublicPool } from './public-pool.ts';
import type { Services } from './services.ts';

/** What all pools get, besides the services. */
export interface PoolsMeans extends PoolMeans {
  /** Makes the strategy of a pool that was given none. */
  readonly strategy: () => Strategy;
  /** Throws CLOSING once nobody would look after an upstream that is added. */
  readonly stillOpen: () => void;
}

export class Pools {
  readonly byName: ReadonlyMap<string, Pool>;
  /** Where requests go that no route sends elsewhere: the pool `default`, or the first one. */
  readonly first: Pool;
  /** As users see them, by their names. No name is inherited: `constructor` may be a pool. */
  readonly shown: Readonly<Record<string, BalancerPool>>;
  readonly #all: readonly Pool[];

  /** Throws OPTIONS_INVALID where the channel in `peers` of a pool cannot be joined; then no pool is left on one. */
  constructor({ pools, front }: BalancerSettings, services: Services, means: PoolsMeans) {
    const byName = new Map<string, Pool>();
    const shown = Object.create(null) as Record<string, BalancerPool>;
    try {
      for (const [name, settings] of pools) {
        const pool = new Pool(name, { ...settings, ...front }, settings.strategy ?? means.strategy(), services, means);
        byName.set(name, pool);
        shown[name] = new PublicPool(pool, means.stillOpen);
      }
    } catch (cause) {
      for (const pool of byName.values()) pool.stop();
      throw cause;
    }
    this.byName = byName;
    this.#all = [...byName.values()];
    this.shown = Object.freeze(shown);
    const first = byName.get(DEFAULT_POOL) ?? this.#all[0];
    if (first === undefined) throw new BalancerError('INTERNAL_ERROR', 'there is no pool');
    this.first = first;
  }

  /** The pool that the balancer's own `what` is about. Throws OPTIONS_INVALID where there is none. */
  default(what: string): BalancerPool {
    const pool = this.shown[DEFAULT_POOL];
    if (pool !== undefined) return pool;
    const names = Object.keys(this.shown);
    throw new BalancerError('OPTIONS_INVALID', `${what}: is about the pool default, and there is none; ` +
      `use pools.${this.first.name}.${what} (pools: ${names.join(', ')})`);
  }

  /** Adds the upstreams of the options, and begins to probe them. */
  start(): void {
    for (const pool of this.#all) pool.start();
  }

  /** The parts to be swept at each tick. One that fails must not keep the others from their sweep. */
  get parts(): readonly { sweep(now: number): void }[] {
    return this.#all.flatMap(({ parts }) => parts);
  }

  /** The process was paused for so long: no time counts against upstreams. */
  paused(ms: number): void {
    for (const { upstreams } of this.#all) upstreams.paused(ms);
  }

  /** Does the rest of all updates at once. */
  finishUpdates(): void {
    for (const pool of this.#all) pool.finishUpdate();
  }

  /** Drains all upstreams. Resolves when they are gone. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((pool) => pool.close()));
  }

  /** Stops probing, and leaves the channels. */
  stop(): void {
    for (const pool of this.#all) pool.stop();
  }
}
