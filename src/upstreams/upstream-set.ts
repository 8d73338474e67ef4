/**
 * Which upstreams exist, how they fare, and the one count of what is in flight. It is long because each change of
 * membership or health, whatever causes it, ends here with the candidates computed anew.
 */
import { BalancerError, type Ending, type ErrorCode } from '../errors.ts';
import type { BalancerEvents, Events, Witness } from '../events.ts';
import type { Settings } from '../options/parse.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import type { Work } from '../loop/slices.ts';
import type { Upstream } from '../strategy.ts';
import { Candidates } from './candidates.ts';
import type { Dialler } from './dial.ts';
import { type Difference, difference } from './difference.ts';
import { ManagedUpstream, managedOf, type ManagedUpstreamRules } from './managed-upstream.ts';
import { OutOfService } from './out-of-service.ts';

/** The settings that membership uses. */
export type UpstreamSetRules = ManagedUpstreamRules & Pick<Settings, 'maxEjectedPercent' | 'maxInFlight'>;

/** What membership needs from the balancer. */
export interface UpstreamSetWorld {
  /** The name of the pool, for events. */
  readonly pool: string;
  readonly events: Events;
  /** Opens the connections to upstreams. */
  readonly dialler: Dialler;
  /** Numbers in [0, 1), for the jitter of ejections and of the maximum age of connections. */
  readonly rng: () => number;
  /** Called after every change of membership, weights, tags or health, with all that may be picked now. */
  readonly onChange: (candidates: readonly Upstream[]) => void;
  /** Called when there may be room again for another reason than a settled attempt. */
  readonly onRoom: () => void;
}

export class UpstreamSet {
  /** Read at each use: the balancer may change them. */
  readonly #rules: UpstreamSetRules;
  readonly #world: UpstreamSetWorld;
  readonly #active = new Map<string, ManagedUpstream>();
  /** Draining ones, each with the function to call when it is gone. */
  readonly #draining = new Map<ManagedUpstream, () => void>();
  readonly #outOfService = new OutOfService();
  readonly #candidates: Candidates;
  /** What other balancers have in flight on average, by origin, if it is not 0. */
  readonly #elsewhere = new Map<string, number>();
  #inFlight = 0;
  /** Events of the change in progress; told when it is complete. */
  readonly #toTell: ['added' | 'draining' | 'removed', BalancerEvents['added']][] = [];

  constructor(rules: UpstreamSetRules, world: UpstreamSetWorld) {
    this.#rules = rules;
    this.#world = world;
    this.#candidates = new Candidates(this.#active, rules, (selectable) => {
      world.onChange(selectable);
      world.onRoom();
    });
  }

  /** All upstreams, draining ones last. */
  get all(): readonly ManagedUpstream[] {
    return [...this.#active.values(), ...this.#draining.keys()];
  }

  /** Those that are not draining. */
  get active(): Iterable<ManagedUpstream> {
    return this.#active.values();
  }

  /** Those that may be picked now. */
  get candidates(): readonly Upstream[] {
    return this.#candidates.now;
  }

  /** Those that would be candidates but for their own `maxInFlight`. */
  get atLimit(): readonly Upstream[] {
    return this.#candidates.atLimit;
  }

  /** Those that `drain` took out of service, unless they are ejected. */
  get retained(): readonly Upstream[] {
    return this.#candidates.retained;
  }

  /** Ejected upstreams that have room: tried by a request for which no candidate is left. */
  get lastResorts(): readonly Upstream[] {
    return [...this.#active.values()].filter(({ hasRoom, listed, suspended }) => hasRoom && !listed && !suspended)
      .map(({ shown }) => shown);
  }

  /** Whether any, besides `others`, would be a candidate if it had room. */
  crowded(others: readonly Upstream[]): boolean {
    return this.#candidates.crowded(others);
  }

  /** The current options of the upstream of this origin. */
  settingsOf(origin: string): ParsedUpstream | undefined {
    return this.#active.get(origin)?.settings;
  }

  /** Whether the limit on what all have in flight together is reached. */
  get full(): boolean {
    return this.#inFlight >= this.#rules.maxInFlight;
  }

  /** Whether this upstream, which may be draining or gone, belongs to this set: events tell of those of all pools. */
  owns(upstream: Upstream): boolean {
    return managedOf(upstream)?.owner === this;
  }

  /** The managed upstream behind `upstream` if it is a candidate, in constant time. */
  candidate(upstream: unknown): ManagedUpstream | undefined {
    const managed = managedOf(upstream);
    return managed?.owner === this && managed.listed && managed.hasRoom ? managed : undefined;
  }

  /** The managed upstream behind `upstream` if it is one of {@link UpstreamSet.atLimit}, in constant time. */
  fullOne(upstream: unknown): ManagedUpstream | undefined {
    const managed = managedOf(upstream);
    return managed?.owner === this && managed.listed && managed.atLimit ? managed : undefined;
  }

  /** The managed upstream behind `upstream` if it is one of {@link UpstreamSet.retained}, in constant time. */
  retainedOne(upstream: unknown): ManagedUpstream | undefined {
    const managed = managedOf(upstream);
    return managed?.owner === this && managed.retained ? managed : undefined;
  }

  /** Adds the initial upstreams, as one change. Their origins differ. {@link UpstreamSet.tell} tells the events. */
  start(upstreams: readonly ParsedUpstream[]): void {
    for (const settings of upstreams) this.#create(settings);
    this.#candidates.changed();
  }

  /** Adds an upstream at once. Throws OPTIONS_INVALID if there is one of this origin. */
  add(settings: ParsedUpstream): Upstream {
    if (this.#active.has(settings.origin)) {
      throw new BalancerError('OPTIONS_INVALID', `upstream ${settings.origin} already exists; remove it first`);
    }
    const { shown } = this.#create(settings);
    this.#candidates.added(shown);
    this.tell();
    return shown;
  }

  /**
   * Takes an upstream out of the candidates at once. Resolves when what it has in flight has ended, or was cut at
   * `cutAt`. Throws OPTIONS_INVALID if there is none of this origin.
   */
  remove(origin: string, cutAt: number): Promise<void> {
    const upstream = this.#member(origin);
    const drained = this.#drain(upstream, cutAt);
    if (upstream.suspended) this.#candidates.changed();
    else this.#candidates.removed(upstream.shown);
    this.tell();
    return drained;
  }

  /**
   * Takes an upstream out of service: it stays a member, and is no candidate until it is activated. Resolves when it
   * has nothing in flight here, or is in service again. Throws OPTIONS_INVALID if there is none of this origin.
   */
  suspend(origin: string, now: number): Promise<void> {
    const upstream = this.#member(origin);
    if (upstream.suspended) return this.#outOfService.wait(upstream);
    upstream.suspend(now);
    const emptied = this.#outOfService.wait(upstream);
    this.#candidates.changed();
    this.#tell(upstream.inFlightHere > 0 ? 'draining' : 'drained', this.#about(upstream));
    return emptied;
  }

  /** Takes an upstream into service again. Throws OPTIONS_INVALID if there is none of this origin. */
  activate(origin: string): void {
    const upstream = this.#member(origin);
    if (!upstream.suspended) return;
    upstream.resume();
    this.#outOfService.over(upstream);
    this.#candidates.changed();
    this.#tell('activated', this.#about(upstream));
  }

  /** Sets the weight of an upstream; undefined: that of its options. Throws OPTIONS_INVALID if there is none. */
  setWeight(origin: string, weight: number | undefined): void {
    const upstream = this.#member(origin);
    const before = upstream.nominalWeight;
    upstream.setWeight(weight);
    if (upstream.nominalWeight !== before) this.#candidates.changed();
  }

  /** Compares the upstreams with those that are wanted. Nothing else may change membership before `apply`. */
  compare(upstreams: readonly ParsedUpstream[]): Work<Difference> {
    return difference(this.#active, upstreams);
  }

  /**
   * Makes the wanted upstreams these, as one change: adds new ones, drains those that leave, and gives the others their
   * new options; they keep their counts and connections. Strategies are told if that concerns them, or if `anyway`. The
   * promise resolves when the drained ones are gone. {@link UpstreamSet.tell} tells the events.
   */
  apply({ leaving, changed, fresh }: Difference, cutAt: number, anyway = false): Promise<unknown> {
    const drained = leaving.map((upstream) => this.#drain(upstream, cutAt));
    let isTold = anyway || leaving.length + fresh.length > 0;
    for (const [upstream, settings] of changed) if (upstream.change(settings)) isTold = true;
    for (const settings of fresh) this.#create(settings);
    // Limits may have changed even where nothing has that strategies are told of.
    this.#candidates.roomChanged();
    if (isTold) this.#candidates.changed();
    else this.#world.onRoom();
    return Promise.all(drained);
  }

  /** Has all later requests use connections that are opened from `now` on. */
  renewConnections(now: number): void {
    for (const upstream of this.#active.values()) upstream.connections.renew(now);
  }

  /** Counts a pick, before any other code runs. */
  begin(upstream: ManagedUpstream): void {
    this.#inFlight++;
    upstream.begin();
    if (!upstream.hasRoom) this.#candidates.roomChanged();
  }

  /**
   * An attempt that began at `began` has its response head. The answer of a `broken` gateway still counts as a failure,
   * for its `status`.
   */
  answered(upstream: ManagedUpstream, began: number, now: number, broken: boolean, status?: number): void {
    upstream.answered(now - began);
    if (broken) this.#failed(upstream, began, now, false, undefined, status);
    else if (this.#has(upstream) && upstream.health.answered(began, now, upstream.needed)) {
      this.#readmitted(upstream, 'attempts', now);
    }
  }

  /**
   * Uncounts a pick: once for each `begin`, when the attempt settles. Only the upstream's own faults count against it,
   * except for an idle connection that it had closed. `well`: the response was good and complete. `code`: the error
   * that ended the attempt.
   */
  settle(
    upstream: ManagedUpstream, { fault, stage }: Ending, well: boolean, began: number, now: number, code?: ErrorCode,
  ): void {
    const full = !upstream.hasRoom;
    this.#inFlight--;
    upstream.settle(fault !== 'upstream', began);
    if (full) this.#candidates.roomChanged();
    if (well) upstream.health.succeeded(began);
    else if (fault === 'upstream' && stage !== 'idle') {
      this.#failed(upstream, began, now, stage === 'body', code, undefined);
    }
    const isEmpty = upstream.suspended && upstream.inFlightHere === 0;
    if (isEmpty && this.#outOfService.over(upstream) && !upstream.draining) {
      this.#tell('drained', this.#about(upstream));
    }
    const resolve = upstream.state === 'gone' ? this.#draining.get(upstream) : undefined;
    // Undefined if a listener to its ejection has just removed it: then that was told.
    if (resolve === undefined) return;
    this.#draining.delete(upstream);
    this.#tell('removed', this.#about(upstream));
    resolve();
  }

  /** Enough probes in a row have found an upstream `up`, or down. */
  probed(upstream: ManagedUpstream, up: boolean, now: number): void {
    if (!this.#has(upstream) || !upstream.health.probed(up, now, upstream.needed)) return;
    if (up) this.#readmitted(upstream, 'probes', now);
    else this.#ejected(upstream, 'probes');
  }

  /** Another balancer has ejected an upstream for `ms`; Infinity if its probes found it down. */
  ejectedByPeer(origin: string, ms: number, now: number): void {
    const upstream = this.#active.get(origin);
    if (upstream?.health.ejectedByPeer(ms, now) === true) this.#ejected(upstream, 'peers');
  }

  /** Another balancer has readmitted an upstream. */
  readmittedByPeer(origin: string, now: number): void {
    const upstream = this.#active.get(origin);
    if (upstream?.health.readmittedByPeer(now, upstream.needed) === true) this.#readmitted(upstream, 'peers', now);
  }

  /** Other balancers have this much in flight at an origin, which need not be an upstream here. */
  countElsewhere(origin: string, inFlight: number): void {
    if (inFlight === 0) this.#elsewhere.delete(origin);
    else this.#elsewhere.set(origin, inFlight);
    this.#active.get(origin)?.countElsewhere(inFlight);
  }

  countedElsewhere(origin: string): number {
    return this.#elsewhere.get(origin) ?? 0;
  }

  /** The process was paused for `ms`, which the clock leaves out. Idle connections have aged nevertheless. */
  paused(ms: number): void {
    for (const upstream of this.#active.values()) upstream.connections.age(ms);
  }

  /** Closes connections that were idle for too long, and ends ejections that are over. */
  sweep(now: number): void {
    let changed = false;
    for (const upstream of this.#active.values()) {
      upstream.connections.sweep(now);
      if (upstream.health.sweep(now)) changed = true;
    }
    if (changed) this.#candidates.changed();
  }

  /** Drains all. What they have in flight at `cutAt` is cut. */
  async close(cutAt = Infinity): Promise<void> {
    const drained = [...this.#active.values()].map((upstream) => this.#drain(upstream, cutAt));
    this.#candidates.changed();
    this.tell();
    await Promise.all(drained);
  }

  #create(settings: ParsedUpstream): ManagedUpstream {
    const upstream = new ManagedUpstream(settings, this.#rules, this.#world.dialler, this.#world.rng, this);
    upstream.countElsewhere(this.countedElsewhere(settings.origin));
    this.#active.set(settings.origin, upstream);
    this.#toTell.push(['added', this.#about(upstream)]);
    return upstream;
  }

  async #drain(upstream: ManagedUpstream, cutAt: number): Promise<void> {
    this.#active.delete(upstream.origin);
    upstream.drain(cutAt);
    this.#toTell.push([upstream.inFlightHere === 0 ? 'removed' : 'draining', this.#about(upstream)]);
    if (upstream.inFlightHere === 0) return;
    await new Promise<void>((resolve) => {
      this.#draining.set(upstream, resolve);
    });
  }

  /** The upstream of this origin that is not being removed. Throws OPTIONS_INVALID. */
  #member(origin: string): ManagedUpstream {
    const upstream = this.#active.get(origin);
    if (upstream !== undefined) return upstream;
    throw new BalancerError('OPTIONS_INVALID', `there is no upstream ${origin}; see balancer.upstreams`);
  }

  #failed(
    upstream: ManagedUpstream, began: number, now: number, inResponse: boolean, code: ErrorCode | undefined,
    status: number | undefined,
  ): void {
    if (!this.#has(upstream) || !upstream.health.failed(began, now, inResponse)) return;
    this.#ejected(upstream, 'attempts', code, status);
  }

  /** Whether it is in this set and stays: the health of one that is being removed no longer matters. */
  #has(upstream: ManagedUpstream): boolean {
    return upstream.owner === this && !upstream.draining;
  }

  #ejected(upstream: ManagedUpstream, by: Witness, code?: ErrorCode, status?: number): void {
    upstream.ejected();
    this.#candidates.changed();
    this.#tell('ejected', { ...this.#about(upstream), forMs: upstream.health.ejectedMs, by, code, status });
  }

  #readmitted(upstream: ManagedUpstream, by: Witness, now: number): void {
    const panicEnded = this.#candidates.changed();
    // In a panic all were candidates, and the first few to answer end it. Whatever failed all of them is over: the
    // others must not sit out ejections that grew meanwhile, while these few carry the whole load.
    if (panicEnded) for (const other of this.#active.values()) other.health.hasten(now);
    this.#tell('readmitted', { ...this.#about(upstream), by });
  }

  /** Tells the events of a change, once it is complete: a listener may make the next change. */
  tell(): void {
    for (const [name, event] of this.#toTell.splice(0)) this.#tell(name, event);
  }

  /** What every event of an upstream says. */
  #about(upstream: ManagedUpstream): BalancerEvents['added'] {
    return { pool: this.#world.pool, upstream: upstream.shown };
  }

  #tell<N extends keyof BalancerEvents>(name: N, event: BalancerEvents[N]): void {
    const { events } = this.#world;
    if (events.heard(name)) events.tell(name, event);
  }
}
