/**
 * All pools of a balancer: made together, swept together, changed together, closed together.
 */
import { BalancerError } from '../errors.ts';
import type { Hooks } from '../hooks.ts';
import { Slices, type Work } from '../loop/slices.ts';
import { parseChanges, type Wanted } from '../options/changes.ts';
import type { FrontSettings } from '../options/front.ts';
import type { BalancerSettings } from '../options/parse.ts';
import type { ParsedRoute } from '../options/parsed-route.ts';
import type { PoolSettings } from '../options/pool.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import type { Difference } from '../upstreams/difference.ts';
import type { BalancerPool } from './balancer-pool.ts';
import { ManagedPool, type PoolMeans } from './managed-pool.ts';
import type { Pool } from './pool.ts';
import { PublicPool } from './public-pool.ts';
import type { Services } from './services.ts';

/** What all pools get, besides the services. */
export interface PoolsMeans extends Omit<PoolMeans, 'finishChanges'> {
  /** Throws CLOSING once nobody would look after an upstream that is added. */
  readonly stillOpen: () => void;
  /** Called before a change with the pools to come. What it throws, the change fails with. */
  readonly onPlan: (pools: Iterable<PoolSettings>) => void;
  /** Called in a change, and after the start: from now on, requests go by what the pools say. */
  readonly onSwap: () => void;
}

/** A change, complete but for doing it. */
interface Plan {
  readonly wanted: Wanted;
  readonly fresh: readonly ManagedPool[];
  readonly changed: readonly (readonly [ManagedPool, PoolSettings, Difference])[];
}

export class Pools {
  readonly #front: FrontSettings;
  readonly #services: Services;
  readonly #means: PoolsMeans & PoolMeans;
  #pools: ReadonlyMap<string, ManagedPool> = new Map();
  /** Removed ones that are not gone yet. */
  readonly #retired = new Set<ManagedPool>();
  #shown: Readonly<Record<string, PublicPool>> = Object.freeze({});
  #hasTop: boolean;
  #routes: readonly ParsedRoute[] | undefined;
  #hooks: Hooks | undefined;
  #parts: readonly { sweep(now: number): void }[] = [];
  /** A change in progress; see the updates of a pool. */
  #changing: Pick<Slices<unknown>, 'finish'> | undefined;
  /** Whether a slice of it is being done. */
  #within = false;

  /** Throws OPTIONS_INVALID where the channel in `peers` of a pool cannot be joined; then no pool is left on one. */
  constructor({ pools, front, routes, hasTop }: BalancerSettings, services: Services, means: PoolsMeans) {
    this.#front = front;
    this.#services = services;
    this.#means = { ...means, finishChanges: this.#finishChange };
    this.#hasTop = hasTop;
    this.#routes = routes;
    this.#hooks = front.hooks;
    const made = this.#make(pools);
    this.#take(new Map(made.map((pool) => [pool.name, pool])));
    if (made.length === 0) throw new BalancerError('INTERNAL_ERROR', 'there is no pool');
  }

  /** As users see them, by their names. No name is inherited: `constructor` may be a pool. */
  get shown(): Readonly<Record<string, BalancerPool>> {
    this.#finishChange();
    return this.#shown;
  }

  /** As exchanges see them, by their names. */
  get byName(): ReadonlyMap<string, Pool> {
    return new Map([...this.#pools].map(([name, { pool }]) => [name, pool]));
  }

  /** Where requests go that no route sends elsewhere: the pool `default`, or the first one. */
  get first(): Pool {
    return this.#first.pool;
  }

  get routes(): readonly ParsedRoute[] | undefined {
    return this.#routes;
  }

  get hooks(): Hooks | undefined {
    return this.#hooks;
  }

  get #first(): ManagedPool {
    const first = this.#pools.get(DEFAULT_POOL) ?? this.#pools.values().next().value;
    if (first === undefined) throw new BalancerError('INTERNAL_ERROR', 'there is no pool');
    return first;
  }

  /** The pool that the balancer's own `what` is about. Throws OPTIONS_INVALID where there is none. */
  default(what: string): BalancerPool {
    const pool = this.shown[DEFAULT_POOL];
    if (pool !== undefined) return pool;
    const names = [...this.#pools.keys()];
    throw new BalancerError('OPTIONS_INVALID', `${what}: is about the pool default, and there is none; ` +
      `use pools.${this.#first.name}.${what} (pools: ${names.join(', ')})`);
  }

  /** Adds the upstreams of the options, and begins to probe them. */
  start(): void {
    for (const pool of this.#pools.values()) pool.start();
    for (const pool of this.#pools.values()) pool.tell();
  }

  /**
   * Changes pools, routes and hooks, as one change. Resolves when what it removes is gone. Rejects with
   * OPTIONS_INVALID, or CLOSING; then nothing has changed.
   */
  async configure(input: unknown, timeoutMs: number): Promise<void> {
    // A getter or a strategy, called by a change, asks for the next one.
    if (this.#within) await Promise.resolve();
    this.finishUpdates();
    this.#means.stillOpen();
    const change = new Slices(this.#inSlices(this.#change(input, this.#services.clock.source.now() + timeoutMs)));
    this.#changing = change;
    const { drained } = await change.done.finally(() => {
      if (this.#changing === change) this.#changing = undefined;
    });
    await drained;
  }

  *#inSlices<T>(work: Work<T>): Work<T> {
    for (;;) {
      this.#within = true;
      try {
        const { done, value } = work.next();
        if (done === true) return value;
      } finally {
        this.#within = false;
      }
      yield;
    }
  }

  *#change(input: unknown, cutAt: number): Work<{ drained: Promise<unknown> }> {
    const wanted = yield* parseChanges(input, {
      front: this.#front, pools: this.#pools, hasTop: this.#hasTop, routes: this.#routes, hooks: this.#hooks,
    });
    this.#means.stillOpen();
    const fresh = this.#make([...wanted.pools].filter(([name]) => !this.#pools.has(name)));
    const changed: Plan['changed'][number][] = [];
    try {
      this.#means.onPlan(wanted.pools.values());
      for (const [name, settings] of wanted.pools) {
        const pool = this.#pools.get(name);
        if (pool === undefined || pool.settings === settings) continue;
        changed.push([pool, settings, yield* pool.upstreams.compare(settings.upstreams)]);
      }
      this.#means.stillOpen();
    } catch (cause) {
      for (const pool of fresh) pool.stop();
      throw cause;
    }
    return { drained: this.#do({ wanted, fresh, changed }, cutAt) };
  }

  /** Does all of a change at once: no request sees a part of it. */
  #do({ wanted, fresh, changed }: Plan, cutAt: number): Promise<unknown> {
    const leaving = [...this.#pools.values()].filter(({ name }) => !wanted.pools.has(name));
    for (const pool of fresh) pool.start();
    const drained = changed.map(([pool, settings, difference]) => pool.change(settings, difference, cutAt));
    const made = new Map(fresh.map((pool) => [pool.name, pool]));
    const pools = new Map<string, ManagedPool>();
    for (const name of wanted.pools.keys()) {
      const pool = this.#pools.get(name) ?? made.get(name);
      if (pool !== undefined) pools.set(name, pool);
    }
    this.#hasTop = wanted.hasTop;
    this.#routes = wanted.routes;
    this.#hooks = wanted.hooks;
    for (const pool of leaving) this.#retired.add(pool);
    this.#take(pools);
    this.#means.onSwap();
    for (const pool of leaving) drained.push(this.#retire(pool, cutAt));
    for (const pool of pools.values()) pool.tell();
    return Promise.all(drained);
  }

  async #retire(pool: ManagedPool, cutAt: number): Promise<void> {
    await pool.retire(cutAt);
    this.#retired.delete(pool);
    this.#listParts();
  }

  /** Makes pools. Throws OPTIONS_INVALID where the channel in `peers` of one cannot be joined; then there are none. */
  #make(settings: Iterable<readonly [string, PoolSettings]>): readonly ManagedPool[] {
    const made: ManagedPool[] = [];
    try {
      for (const [name, each] of settings) {
        made.push(new ManagedPool(name, each, this.#front, this.#services, this.#means));
      }
    } catch (cause) {
      for (const pool of made) pool.stop();
      throw cause;
    }
    return made;
  }

  /** Makes these the pools. */
  #take(pools: ReadonlyMap<string, ManagedPool>): void {
    const shown = Object.create(null) as Record<string, PublicPool>;
    for (const [name, pool] of pools) {
      const before = this.#pools.get(name) === pool ? this.#shown[name] : undefined;
      shown[name] = before ?? new PublicPool(pool, this.#means.stillOpen);
    }
    this.#pools = pools;
    this.#shown = Object.freeze(shown);
    this.#listParts();
  }

  #listParts(): void {
    this.#parts = this.#all.flatMap(({ parts }) => parts);
  }

  get #all(): readonly ManagedPool[] {
    return [...this.#pools.values(), ...this.#retired];
  }

  /** The parts to be swept at each tick. One that fails must not keep the others from their sweep. */
  get parts(): readonly { sweep(now: number): void }[] {
    return this.#parts;
  }

  /** The process was paused for so long: no time counts against upstreams. */
  paused(ms: number): void {
    for (const { upstreams } of this.#all) upstreams.paused(ms);
  }

  /** Does the rest of all changes at once. */
  finishUpdates(): void {
    this.#finishChange();
    for (const pool of this.#pools.values()) pool.finishUpdate();
  }

  readonly #finishChange = (): void => {
    this.#changing?.finish();
  };

  /** Drains all upstreams. Resolves when they are gone. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((pool) => pool.close()));
  }

  /** Stops probing, and leaves the channels. */
  stop(): void {
    for (const pool of this.#pools.values()) pool.stop();
  }
}
