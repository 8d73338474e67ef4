/**
 * A pool: upstreams, the strategy that picks among them, and what its requests may cost: queue, retries, rules.
 *
 * An upstream belongs to one pool. Two pools that name one origin have an upstream each, with its own health, counts,
 * limits and idle connections (see src/upstreams/README.md).
 */
import { BalancerError } from '../errors.ts';
import { Slices, type Work } from '../loop/slices.ts';
import type { Settings } from '../options/parse.ts';
import { parsedOrigin, parseUpstream, parseUpstreams } from '../options/upstreams.ts';
import type { UpstreamOptions } from '../options/options.ts';
import type { Strategy, Upstream } from '../strategy.ts';
import { type AdoptedStreams, Dialler } from '../upstreams/dial.ts';
import { UpstreamSet } from '../upstreams/upstream-set.ts';
import type { Names } from '../upstreams/names.ts';
import { Peers } from '../upstreams/peers.ts';
import { Probes } from '../upstreams/probes.ts';
import { runHook, type StrategyTraits, traitsOf } from './plugin.ts';
import { Queue } from './queue.ts';
import { RetryBudget } from './retry-budget.ts';
import type { Services } from './services.ts';

/** The settings that the exchanges of a pool use. */
export type PoolRules = Pick<Settings,
  | 'changeOrigin' | 'maxAttempts' | 'connectTimeoutMs' | 'responseTimeoutMs' | 'idleTimeoutMs' | 'tunnelIdleTimeoutMs'
  | 'totalTimeoutMs' | 'retryOn' | 'maxReplayBytes' | 'queueTimeoutMs'>;

/** What a pool gets from its balancer, besides the services. */
export interface PoolMeans {
  /** Lookups of host names: a name has the same addresses in every pool. */
  readonly names: Names;
  /** Streams in use that came from `connect`, which pools may share. */
  readonly adopted: AdoptedStreams;
  /** Numbers in [0, 1), for jitter. */
  readonly rng: () => number;
  /** How often {@link Pool.parts} are swept, in ms. */
  readonly tickMs: number;
}

export class Pool {
  readonly name: string;
  readonly rules: PoolRules;
  readonly upstreams: UpstreamSet;
  readonly strategy: Strategy;
  readonly traits: StrategyTraits;
  readonly queue: Queue;
  readonly budget: RetryBudget;
  readonly #settings: Settings;
  readonly #services: Services;
  readonly #probes: Probes;
  readonly #peers: Peers | undefined;
  /**
   * An update in progress: a long list takes several turns. Any other change, or reading the upstreams, finishes it at
   * once, so that changes happen in the order of their calls.
   */
  #updating: Pick<Slices<unknown>, 'finish'> | undefined;

  /** Throws OPTIONS_INVALID if the channel in `peers` cannot be joined. */
  constructor(name: string, settings: Settings, strategy: Strategy, services: Services, means: PoolMeans) {
    const { clock, events, report } = services;
    const { names, adopted, rng, tickMs } = means;
    this.name = name;
    this.rules = this.#settings = settings;
    this.strategy = strategy;
    this.traits = traitsOf(strategy);
    this.#services = services;
    this.queue = new Queue(settings.maxQueued, (cause) => {
      report(new BalancerError('INTERNAL_ERROR', 'a queued request could not be resumed', { cause }), undefined);
    });
    this.budget = new RetryBudget(settings.retryBudgetPercent, settings.minRetriesPerSecond, clock.now);
    this.upstreams = new UpstreamSet(settings, {
      pool: name,
      events,
      dialler: new Dialler(settings.connect, names, adopted, report),
      rng,
      onChange: (candidates) => {
        runHook(strategy, 'changed', () => strategy.changed?.(candidates), report);
      },
      onRoom: () => {
        this.queue.wake();
      },
    });
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

  /** Adds the upstreams of the options, and begins to probe them. */
  start(): void {
    this.upstreams.start(this.#settings.upstreams);
    this.#probes.sweep(this.#services.clock.now);
  }

  /** All upstreams, draining ones last, as users see them. */
  get shown(): readonly Upstream[] {
    this.finishUpdate();
    return this.upstreams.all.map(({ shown }) => shown);
  }

  /** Adds an upstream at once. Throws OPTIONS_INVALID. */
  add(upstream: string | UpstreamOptions): Upstream {
    this.finishUpdate();
    return this.upstreams.add(parseUpstream(upstream, this.#settings));
  }

  /**
   * Drains an upstream. Resolves when it is gone; what it has in flight after `timeoutMs` is cut. Rejects with
   * OPTIONS_INVALID.
   */
  async remove(origin: string, timeoutMs: number): Promise<void> {
    this.finishUpdate();
    // Accepts every spelling that `add` accepts for this origin; an origin with a path is a mistake.
    await this.upstreams.remove(parsedOrigin(origin), this.#services.clock.source.now() + timeoutMs);
  }

  /** Makes these the upstreams. Resolves when those that were left out are gone. Rejects with OPTIONS_INVALID. */
  async update(upstreams: readonly (string | UpstreamOptions)[], timeoutMs: number): Promise<void> {
    this.finishUpdate();
    const update = new Slices(this.#update(upstreams, this.#services.clock.source.now() + timeoutMs));
    this.#updating = update;
    const { drained } = await update.done.finally(() => {
      if (this.#updating === update) this.#updating = undefined;
    });
    await drained;
  }

  *#update(list: unknown, cutAt: number): Work<{ drained: Promise<unknown> }> {
    const wanted = yield* parseUpstreams(list, this.#settings, (origin) => this.upstreams.settingsOf(origin));
    return { drained: yield* this.upstreams.update(wanted, cutAt) };
  }

  /** Completes an update in progress at once. */
  finishUpdate(): void {
    this.#updating?.finish();
  }

  /** The parts to sweep at each tick. If one fails, the others must still be swept. */
  get parts(): readonly { sweep(now: number): void }[] {
    return [this.upstreams, this.budget, this.#probes];
  }

  /** Drains all upstreams. Resolves when they are gone. */
  async close(): Promise<void> {
    await this.upstreams.close();
  }

  /** Stops probing, and leaves the channel. */
  stop(): void {
    this.#probes.stop();
    this.#peers?.stop();
  }
}
