/**
 * A pool as the balancer manages it: composes its parts, changes its upstreams, its strategy and its rules, and drains
 * it in the end. Exchanges get a {@link Pool}.
 */
import { BalancerError } from '../errors.ts';
import { Slices, type Work } from '../loop/slices.ts';
import type { CurrentPool } from '../options/pools.ts';
import type { FrontSettings } from '../options/front.ts';
import type { UpstreamOptions } from '../options/options.ts';
import type { Settings } from '../options/parse.ts';
import type { PoolSettings } from '../options/pool.ts';
import {
  type ParsedUpstream, parsedOrigin, parsedWeight, parseUpstream, parseUpstreams,
} from '../options/upstreams.ts';
import type { Strategy, Upstream } from '../strategy.ts';
import { type AdoptedStreams, Dialler } from '../upstreams/dial.ts';
import type { Difference } from '../upstreams/difference.ts';
import type { Names } from '../upstreams/names.ts';
import { Peers } from '../upstreams/peers.ts';
import { Probes } from '../upstreams/probes.ts';
import { UpstreamSet } from '../upstreams/upstream-set.ts';
import { runHook, type StrategyTraits, traitsOf } from './plugin.ts';
import { Pool, type PoolHome } from './pool.ts';
import { Queue } from './queue.ts';
import { RetryBudget } from './retry-budget.ts';
import type { Services } from './services.ts';
import { Shadow } from './shadow.ts';

/** What a pool gets from its balancer, besides the services. */
export interface PoolMeans {
  /** Lookups of host names: a name has the same addresses in every pool. */
  readonly names: Names;
  /** Streams in use that came from `connect`, which pools may share. */
  readonly adopted: AdoptedStreams;
  /** Numbers in [0, 1), for jitter. */
  readonly rng: () => number;
  /** How often {@link ManagedPool.parts} are swept at present, in ms. */
  readonly tickMs: () => number;
  /** Makes the strategy of a pool that was given none. */
  readonly strategy: () => Strategy;
  /** Completes a change of the pools that is in progress: changes happen in the order of their calls. */
  readonly finishChanges: () => void;
}

export class ManagedPool implements PoolHome, CurrentPool {
  readonly name: string;
  readonly upstreams: UpstreamSet;
  readonly queue: Queue;
  readonly budget: RetryBudget;
  strategy: Strategy;
  traits: StrategyTraits;
  shadow: Shadow | undefined;
  /** As later exchanges use it. */
  pool: Pool;
  #settings: PoolSettings;
  /** What the upstreams and their connections go by, also those that are in use. Changed in place. */
  readonly #live: { -readonly [N in keyof Settings]: Settings[N] };
  readonly #front: FrontSettings;
  readonly #services: Services;
  readonly #finishChanges: () => void;
  readonly #makeStrategy: () => Strategy;
  readonly #dialler: Dialler;
  readonly #probes: Probes;
  readonly #peers: Peers | undefined;
  /**
   * An update in progress: a long list takes several turns. Any other change, or reading the upstreams, finishes it at
   * once, so that changes happen in the order of their calls.
   */
  #updating: Pick<Slices<unknown>, 'finish'> | undefined;
  /** Exchanges that may still pick here. */
  #inside = 0;
  /** Whether the pool was removed. */
  #retired = false;
  /** When what is left in a removed pool is cut. */
  #cutAt = Infinity;
  /** Called when nothing can pick in a removed pool any more. */
  #onLeft: (() => void) | undefined;

  /** Throws OPTIONS_INVALID if the channel in `peers` cannot be joined. */
  constructor(name: string, settings: PoolSettings, front: FrontSettings, services: Services, means: PoolMeans) {
    const { clock, events, report } = services;
    const { names, adopted, rng, tickMs } = means;
    this.name = name;
    this.#settings = settings;
    this.#front = front;
    this.#services = services;
    this.#finishChanges = means.finishChanges;
    this.#makeStrategy = means.strategy;
    this.strategy = settings.strategy ?? means.strategy();
    this.traits = traitsOf(this.strategy);
    this.shadow = settings.shadow && new Shadow(settings.shadow, name, services);
    this.queue = new Queue(settings.maxQueued, (cause) => {
      report(new BalancerError('INTERNAL_ERROR', 'a queued request could not be resumed', { cause }), undefined);
    });
    this.budget = new RetryBudget(settings.retryBudgetPercent, settings.minRetriesPerSecond, clock.now);
    this.#dialler = new Dialler(settings.connect, names, adopted, report);
    this.#live = { ...settings, ...front };
    this.upstreams = new UpstreamSet(this.#live, {
      pool: name,
      events,
      dialler: this.#dialler,
      rng,
      onChange: (candidates) => {
        this.#tellStrategy(candidates);
      },
      onRoom: () => {
        this.queue.wake();
      },
    });
    this.pool = new Pool(this, { ...settings, ...front });
    this.#probes = new Probes(this.upstreams, rng, clock, tickMs, settings.peers === undefined, report);
    this.#peers = settings.peers && new Peers(settings.peers, {
      upstreams: this.upstreams,
      events,
      time: clock.source,
      report: (error) => {
        report(error, undefined);
      },
      onLead: (leading) => {
        this.#probes.lead(leading);
      },
    });
  }

  /** Adds the upstreams of the options, and begins to probe them. {@link ManagedPool.tell} tells the events. */
  start(): void {
    this.upstreams.start(this.#settings.upstreams);
    this.#probes.sweep(this.#services.clock.now);
  }

  /** The current options. The upstreams are those that there are now. */
  get settings(): PoolSettings {
    return this.#settings;
  }

  /** The upstreams that are not draining, by their options. */
  get members(): readonly ParsedUpstream[] {
    return [...this.upstreams.active].map(({ settings }) => settings);
  }

  /** The current options of the upstream of this origin. */
  settingsOf(origin: string): ParsedUpstream | undefined {
    return this.upstreams.settingsOf(origin);
  }

  /** All upstreams, draining ones last, as users see them. */
  get shown(): readonly Upstream[] {
    this.#finish();
    return this.upstreams.all.map(({ shown }) => shown);
  }

  /** Adds an upstream at once. Throws OPTIONS_INVALID. */
  add(upstream: string | UpstreamOptions): Upstream {
    this.#finish();
    this.#stillThere();
    return this.upstreams.add(parseUpstream(upstream, this.#settings));
  }

  /**
   * Drains an upstream. Resolves when it is gone; what it has in flight after `timeoutMs` is cut. Rejects with
   * OPTIONS_INVALID.
   */
  async remove(origin: string, timeoutMs: number): Promise<void> {
    this.#finish();
    this.#stillThere();
    // Accepts every spelling that `add` accepts for this origin; an origin with a path is a mistake.
    await this.upstreams.remove(this.#origin(origin, 'remove'), this.#services.clock.source.now() + timeoutMs);
  }

  /** Takes an upstream out of service. Resolves when it has nothing in flight. Rejects with OPTIONS_INVALID. */
  async drain(origin: string): Promise<void> {
    this.#finish();
    this.#stillThere();
    await this.upstreams.suspend(this.#origin(origin, 'drain'), this.#services.clock.source.now());
  }

  /** Takes an upstream back into service. Throws OPTIONS_INVALID. */
  activate(origin: string): void {
    this.#finish();
    this.#stillThere();
    this.upstreams.activate(this.#origin(origin, 'activate'));
  }

  /** Sets the weight of an upstream; undefined: the configured one. Throws OPTIONS_INVALID. */
  setWeight(origin: string, weight: number | undefined): void {
    this.#finish();
    this.#stillThere();
    this.upstreams.setWeight(this.#origin(origin, 'setWeight'), parsedWeight(weight));
  }

  /** Makes these the upstreams. Resolves when those that were left out are gone. Rejects with OPTIONS_INVALID. */
  async update(upstreams: readonly (string | UpstreamOptions)[], timeoutMs: number): Promise<void> {
    this.#finish();
    this.#stillThere();
    const update = new Slices(this.#update(upstreams, this.#services.clock.source.now() + timeoutMs));
    this.#updating = update;
    const { drained } = await update.done.finally(() => {
      if (this.#updating === update) this.#updating = undefined;
    });
    await drained;
  }

  *#update(list: unknown, cutAt: number): Work<{ drained: Promise<unknown> }> {
    const wanted = yield* parseUpstreams(list, this.#settings, (origin) => this.upstreams.settingsOf(origin));
    const difference = yield* this.upstreams.compare(wanted);
    const drained = this.upstreams.apply(difference, cutAt);
    this.upstreams.tell();
    return { drained };
  }

  /** Completes an update in progress at once. */
  finishUpdate(): void {
    this.#updating?.finish();
  }

  /** The normal form of an origin: every spelling that `add` accepts. Throws OPTIONS_INVALID. */
  #origin(origin: string, method: string): string {
    return parsedOrigin(origin, this.#settings.scheme, method);
  }

  #finish(): void {
    this.#finishChanges();
    this.finishUpdate();
  }

  /** Takes new options; `difference` is that of their upstreams. Resolves when the upstreams left out are gone. */
  change(settings: PoolSettings, difference: Difference, cutAt: number): Promise<unknown> {
    const before = this.#settings;
    this.#settings = settings;
    Object.assign(this.#live, settings);
    this.pool = new Pool(this, { ...settings, ...this.#front });
    this.queue.max = settings.maxQueued;
    this.budget.change(settings.retryBudgetPercent, settings.minRetriesPerSecond);
    if (settings.connect !== before.connect || settings.proxyProtocol !== before.proxyProtocol) {
      this.#dialler.connect = settings.connect;
      this.upstreams.renewConnections(this.#services.clock.source.now());
    }
    const strategy = settings.strategy === before.strategy ? this.strategy : settings.strategy ?? this.#makeStrategy();
    const isNew = strategy !== this.strategy;
    if (isNew) {
      this.strategy = strategy;
      this.traits = traitsOf(strategy);
    }
    if (settings.shadow !== before.shadow) {
      this.shadow = settings.shadow && new Shadow(settings.shadow, this.name, this.#services);
    }
    // A new strategy has to hear what there is.
    const concernsAll = isNew || settings.shadow !== before.shadow ||
      settings.maxEjectedPercent !== before.maxEjectedPercent;
    return this.upstreams.apply(difference, cutAt, concernsAll);
  }

  /** Tells the events of a change. */
  tell(): void {
    this.upstreams.tell();
  }

  /** The parts to sweep at each tick. If one fails, the others must still be swept. */
  get parts(): readonly { sweep(now: number): void }[] {
    return [this.upstreams, this.budget, this.#probes, this];
  }

  /** Cuts what is left in a removed pool when its time is over. */
  sweep(now: number): void {
    if (now >= this.#cutAt) this.#onLeft?.();
  }

  /** An exchange may pick here. */
  entered(): void {
    this.#inside++;
  }

  /** It does not any more. */
  left(): void {
    if (--this.#inside > 0 || this.#onLeft === undefined) return;
    // Not in the middle of the exchange: listeners and strategies are told of it.
    queueMicrotask(() => {
      if (this.#inside === 0) this.#onLeft?.();
    });
  }

  /**
   * Ends the pool. The exchanges that it has been chosen for may still pick, wait and retry; then its upstreams are
   * drained. Resolves when they are gone. What is left at `cutAt` is cut.
   */
  async retire(cutAt: number): Promise<void> {
    this.#retired = true;
    this.#cutAt = cutAt;
    this.stop();
    if (this.#inside > 0) {
      await new Promise<void>((resolve) => {
        this.#onLeft = resolve;
      });
      this.#onLeft = undefined;
    }
    await this.upstreams.close(cutAt);
  }

  /** Drains all upstreams. Resolves when they are gone. */
  async close(): Promise<void> {
    await this.upstreams.close();
  }

  /** Stops probing, and leaves the channel. */
  stop(): void {
    this.#probes.lead(false);
    this.#peers?.stop();
  }

  #tellStrategy(candidates: readonly Upstream[]): void {
    const { strategy, shadow } = this;
    if (!this.traits.hearsChanged && shadow === undefined) return;
    const members = Object.freeze([...this.upstreams.active].map(({ shown }) => shown));
    if (this.traits.hearsChanged) {
      runHook(strategy, 'changed', () => strategy.changed?.(candidates, members), this.#services.report);
    }
    shadow?.changed(candidates, members);
  }

  /** Throws OPTIONS_INVALID once the pool was removed. */
  #stillThere(): void {
    if (!this.#retired) return;
    throw new BalancerError('OPTIONS_INVALID', `the pool ${this.name} was removed; see balancer.pools`);
  }
}
