/**
 * A balancer in the simulation: a real pool, with its health, queue and budget, in virtual time.
 */
import type { BalancerError } from '../errors.ts';
import { Events } from '../events.ts';
import { Affinities } from '../exchange/affinity.ts';
import type { AttemptServices } from '../exchange/attempt.ts';
import { Clock, tickFor } from '../loop/clock.ts';
import { Roster } from '../loop/roster.ts';
import { Turn } from '../loop/turn.ts';
import type { BalancerSettings } from '../options/parse.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import { ManagedPool } from '../pools/managed-pool.ts';
import type { Pool } from '../pools/pool.ts';
import type { Strategy } from '../strategy.ts';
import { type ManagedUpstream, managedOf } from '../upstreams/managed-upstream.ts';
import { Names } from '../upstreams/names.ts';
import { type Asker, type Home, SimulatedExchange } from './simulated-exchange.ts';
import type { SimulatedServer } from './simulated-server.ts';
import type { Timeline } from './timeline.ts';

/** What a balancer needs. */
export interface BalancerWorld {
  readonly timeline: Timeline;
  readonly servers: ReadonlyMap<string, SimulatedServer>;
  /** Numbers in [0, 1), for jitter. */
  readonly rng: () => number;
  readonly strategy: Strategy;
  /** Hears how requests end. */
  readonly asker: Asker;
  /** A fault of the strategy, or of the balancer: it ends the simulation. */
  readonly onFault: (error: BalancerError) => void;
}

export class SimulatedBalancer implements Home {
  readonly pool: Pool;
  readonly services: AttemptServices;
  readonly events: Events;
  readonly #timeline: Timeline;
  readonly #servers: ReadonlyMap<string, SimulatedServer>;
  readonly #managed: ManagedPool;
  readonly #clock: Clock;
  readonly #busy = new Roster<SimulatedExchange>();
  readonly #resting: SimulatedExchange[] = [];
  readonly #asker: Asker;
  /** Those in the pool, by origin. */
  readonly #upstreams = new Map<string, ManagedUpstream>();
  /** Removed ones that may still have something in flight. */
  #leaving: ManagedUpstream[] = [];
  /** How often removed ones were picked, by origin. */
  readonly #formerPicks = new Map<string, number>();
  /** The server of each upstream. */
  readonly #found = new WeakMap<ManagedUpstream, SimulatedServer>();

  constructor({ front, pools }: BalancerSettings, world: BalancerWorld) {
    const { timeline, rng, strategy, asker, onFault } = world;
    const settings = pools.get(DEFAULT_POOL);
    if (settings === undefined) throw new RangeError('a simulated balancer has one pool, default');
    this.#timeline = timeline;
    this.#asker = asker;
    this.#servers = world.servers;
    this.#clock = new Clock(timeline);
    this.events = new Events((_event, _what, cause) => {
      throw cause;
    });
    this.services = {
      clock: this.#clock,
      turn: new Turn(),
      events: this.events,
      report: (error) => {
        if (error.source === 'internal') onFault(error);
      },
      affinities: new Affinities(),
    };
    const tickMs = tickFor(Math.min(settings.ejectMs, settings.responseTimeoutMs, settings.queueTimeoutMs));
    this.#managed = new ManagedPool('default', settings, front, this.services, {
      names: new Names(() => undefined, () => timeline.now()),
      adopted: new WeakSet(),
      rng,
      tickMs: () => tickMs,
      strategy: () => strategy,
      finishChanges: () => undefined,
    });
    this.#managed.start();
    this.pool = this.#managed.pool;
    for (const upstream of this.pool.upstreams.all) this.#upstreams.set(upstream.origin, upstream);
    this.#clock.start(tickMs, (now) => {
      for (const part of this.#managed.parts) part.sweep(now);
      // Those that end leave the list.
      for (const exchange of [...this.#busy.entries]) exchange.sweep(now);
    });
  }

  get now(): number {
    return this.#timeline.now();
  }

  /** Starts a request of a client. */
  request(number: number, client: number, work: number, now: number): void {
    const exchange = this.#resting.pop() ?? new SimulatedExchange(this, this.#asker);
    this.#busy.add(exchange);
    exchange.start(number, client, work, now);
  }

  /** A request has ended. */
  rest(exchange: SimulatedExchange): void {
    this.#busy.remove(exchange);
    this.#resting.push(exchange);
  }

  serverOf(upstream: ManagedUpstream): SimulatedServer {
    const server = this.#found.get(upstream) ?? this.#servers.get(upstream.origin);
    if (server === undefined) throw new RangeError(`there is no server ${upstream.origin}`);
    this.#found.set(upstream, server);
    return server;
  }

  /** Removes a server from the pool, adds it, drains or activates it: whatever its faults ask for. */
  follow(server: SimulatedServer): void {
    const { settings: { origin }, membership: { removed, drained } } = server;
    const upstream = this.#upstreams.get(origin);
    if (removed && upstream !== undefined) {
      this.#upstreams.delete(origin);
      this.#leaving = [...this.#leaving.filter(({ inFlightHere }) => inFlightHere > 0), upstream];
      this.#formerPicks.set(origin, upstream.picks + (this.#formerPicks.get(origin) ?? 0));
      void this.#managed.remove(origin, Infinity);
    } else if (!removed && upstream === undefined) {
      const { weight, tags } = server.settings;
      const added = managedOf(this.#managed.add({ origin, weight, tags }));
      if (added !== undefined) this.#upstreams.set(origin, added);
    }
    if (removed) return;
    if (drained) void this.#managed.drain(origin);
    else this.#managed.activate(origin);
  }

  /** How often an upstream of this origin was picked. */
  picksOf(origin: string): number {
    return (this.#formerPicks.get(origin) ?? 0) + (this.#upstreams.get(origin)?.picks ?? 0);
  }

  get inFlight(): number {
    let all = 0;
    for (const { inFlightHere } of [...this.#upstreams.values(), ...this.#leaving]) all += inFlightHere;
    return all;
  }

  stop(): void {
    this.#clock.stop();
    this.#managed.stop();
  }
}
