/**
 * Who exists, who may be picked, and the one count of what is in flight.
 */
import { BalancerError, type Ending, type ErrorCode } from '../errors.ts';
import type { BalancerEvents, Events, Witness } from '../events.ts';
import type { Settings } from '../options/parse.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import { SLICE, type Work } from '../loop/slices.ts';
import type { Upstream } from '../strategy.ts';
import type { Dialler } from './dial.ts';
import { Member, type MemberRules } from './member.ts';
import { PublicUpstream } from './public-upstream.ts';

/** What of the settings membership goes by. */
export type MembersRules = MemberRules & Pick<Settings, 'maxEjectedPercent' | 'maxInFlight'>;

/** What membership needs to know of the world. */
export interface MembersWorld {
  readonly events: Events;
  /** Opens the connections to upstreams. */
  readonly dialler: Dialler;
  /** Numbers in [0, 1), for the jitter of ejections and of the greatest age of connections. */
  readonly rng: () => number;
  /** Hears of every change of membership, weights, tags or health, with all that may be picked after it. */
  readonly onChange: (candidates: readonly Upstream[]) => void;
  /** Hears that there may be room where there was none, other than by a settled attempt. */
  readonly onRoom: () => void;
}

export class Members {
  readonly #rules: MembersRules;
  readonly #world: MembersWorld;
  readonly #active = new Map<string, Member>();
  /** Draining ones, each with what waits for its end. */
  readonly #draining = new Map<Member, () => void>();
  /** What other balancers have in flight on average, by origin; 0 is left out. */
  readonly #elsewhere = new Map<string, number>();
  /** Those that are well, or on trial: the candidates while none is at its limit. Strategies heard of this array. */
  #whole: readonly Upstream[] = [];
  #candidates: readonly Upstream[] | undefined;
  /** Those at their own limits, and which candidates that went with. */
  #atLimit: readonly Upstream[] = NOBODY;
  #atLimitBeside: readonly Upstream[] = NOBODY;
  /** How many were ejected or on trial when all were looked at last, and whether that was too many to go by. */
  #unproven = 0;
  #panic = false;
  #inFlight = 0;
  /** Who came and went by the change under way: told of when it is complete. */
  readonly #toTell: ['added' | 'draining' | 'removed', { readonly upstream: Upstream }][] = [];

  constructor(rules: MembersRules, world: MembersWorld) {
    this.#rules = rules;
    this.#world = world;
  }

  /** All upstreams, draining ones last. */
  get all(): readonly Member[] {
    return [...this.#active.values(), ...this.#draining.keys()];
  }

  /** Those that are not draining. */
  get active(): Iterable<Member> {
    return this.#active.values();
  }

  /** Those that may be picked now. Computed when something changed, not for each request. */
  get candidates(): readonly Upstream[] {
    if (this.#candidates === undefined) {
      const withRoom = this.#whole.filter(hasRoom);
      this.#candidates = withRoom.length === this.#whole.length ? this.#whole : Object.freeze(withRoom);
    }
    return this.#candidates;
  }

  /** Those that would be candidates but for their own `maxInFlight`. Computed when it is asked for after a change. */
  get atLimit(): readonly Upstream[] {
    const { candidates } = this;
    if (candidates === this.#whole) return NOBODY;
    if (candidates !== this.#atLimitBeside) {
      this.#atLimitBeside = candidates;
      this.#atLimit = Object.freeze(this.#whole.filter(isAtLimit));
    }
    return this.#atLimit;
  }

  /** What the upstream of this origin was made from, or changed to. */
  settingsOf(origin: string): ParsedUpstream | undefined {
    return this.#active.get(origin)?.settings;
  }

  /** Those that are ejected and have room: to be tried by a request for which nobody else is left. */
  get lastResorts(): readonly Upstream[] {
    return [...this.#active.values()].filter((member) => member.hasRoom && !member.listed).map(({ shown }) => shown);
  }

  /** Whether there is one, besides `others`, that lacks but room. */
  crowded(others: readonly Upstream[]): boolean {
    return this.#whole.some((upstream) => !hasRoom(upstream) && !others.includes(upstream));
  }

  /** Whether as much is in flight as may be in all. */
  get full(): boolean {
    return this.#inFlight >= this.#rules.maxInFlight;
  }

  /** The member that this is the public side of, if it is one of the candidates. In constant time. */
  candidate(upstream: unknown): Member | undefined {
    const member = PublicUpstream.memberOf(upstream);
    return member?.owner === this && member.listed && member.hasRoom ? member : undefined;
  }

  /** The member that this is the public side of, if it is one of those {@link Members.atLimit}. In constant time. */
  fullOne(upstream: unknown): Member | undefined {
    const member = PublicUpstream.memberOf(upstream);
    return member?.owner === this && member.listed && member.atLimit ? member : undefined;
  }

  /** Adds the upstreams to begin with, as one change. Their origins differ. */
  start(upstreams: readonly ParsedUpstream[]): void {
    for (const settings of upstreams) this.#create(settings);
    this.#changed();
    this.#tellAll();
  }

  /** Adds an upstream at once. Throws OPTIONS_INVALID for an origin that is there already. */
  add(settings: ParsedUpstream): Upstream {
    if (this.#active.has(settings.origin)) {
      throw new BalancerError('OPTIONS_INVALID', `upstream ${settings.origin} is there already: remove it first`);
    }
    const { shown } = this.#create(settings);
    this.#moved([...this.#whole, shown]);
    this.#tellAll();
    return shown;
  }

  /**
   * Takes an upstream out of the candidates at once. Resolves when what it has in flight has ended, or was cut at
   * `cutAt`. Throws OPTIONS_INVALID for an origin that is not there.
   */
  remove(origin: string, cutAt: number): Promise<void> {
    const member = this.#active.get(origin);
    if (member === undefined) {
      throw new BalancerError('OPTIONS_INVALID', `upstream ${origin} is not there: see balancer.upstreams`);
    }
    const drained = this.#drain(member, cutAt);
    const left: Upstream[] = [];
    // What V8 has for this is slow on frozen lists.
    for (const other of this.#whole) if (other !== member.shown) left.push(other);
    this.#moved(left);
    this.#tellAll();
    return drained;
  }

  /**
   * Makes these the upstreams, as one change: new ones are added, those that are not named are drained, the others keep
   * their counts and connections, and take the new options. What is to change is found in slices, during which nothing
   * else may change membership; then it changes at once. Returns what resolves when the drained ones are gone.
   */
  *update(upstreams: readonly ParsedUpstream[], cutAt: number): Work<Promise<unknown>> {
    const kept = new Set<Member>();
    const other: [Member, ParsedUpstream][] = [];
    const fresh: ParsedUpstream[] = [];
    for (let at = 0; at < upstreams.length; at += SLICE) {
      if (at > 0) yield;
      for (const settings of upstreams.slice(at, at + SLICE)) {
        const member = this.#active.get(settings.origin);
        if (member === undefined) fresh.push(settings);
        else {
          kept.add(member);
          if (member.settings !== settings) other.push([member, settings]);
        }
      }
    }
    const leaving: Member[] = [];
    let looked = 0;
    for (const member of this.#active.values()) {
      if (++looked % SLICE === 0) yield;
      if (!kept.has(member)) leaving.push(member);
    }
    const drained = leaving.map((member) => this.#drain(member, cutAt));
    let changed = leaving.length + fresh.length > 0;
    for (const [member, settings] of other) if (member.change(settings)) changed = true;
    for (const settings of fresh) this.#create(settings);
    // Limits may be others, whatever strategies are to hear of.
    this.#candidates = undefined;
    if (changed) this.#changed();
    else this.#world.onRoom();
    this.#tellAll();
    return Promise.all(drained);
  }

  /** Counts a pick, before any other code runs. */
  begin(member: Member): void {
    this.#inFlight++;
    member.begin();
    if (!member.hasRoom) this.#candidates = undefined;
  }

  /**
   * The answer to an attempt that began at `began` is there; by a `broken` gateway that is a failure all the same, by
   * its `status`.
   */
  answered(member: Member, began: number, now: number, broken: boolean, status?: number): void {
    member.answered(now - began);
    if (broken) this.#failed(member, began, now, false, undefined, status);
    else if (this.#has(member) && member.health.answered(began, now, member.needed)) {
      this.#readmitted(member, 'attempts', now);
    }
  }

  /**
   * Uncounts a pick: once for each `begin`, when the attempt has settled. Only the upstream's own faults count against
   * it, and of those not that it had closed an idle connection. `well`: it gave a good response, to the end. `code`:
   * the error that ended it.
   */
  settle(
    member: Member, { fault, stage }: Ending, well: boolean, began: number, now: number, code?: ErrorCode,
  ): void {
    const full = !member.hasRoom;
    this.#inFlight--;
    member.settle(fault !== 'upstream', began);
    if (full) this.#candidates = undefined;
    if (well) member.health.succeeded(began);
    else if (fault === 'upstream' && stage !== 'idle') {
      this.#failed(member, began, now, stage === 'body', code, undefined);
    }
    const resolve = member.state === 'gone' ? this.#draining.get(member) : undefined;
    // Not there if a listener that has just heard of its ejection removed it: then it was told of.
    if (resolve === undefined) return;
    this.#draining.delete(member);
    this.#tell('removed', { upstream: member.shown });
    resolve();
  }

  /** A probe has found an upstream `up`, or down, once too often. */
  probed(member: Member, up: boolean, now: number): void {
    if (!this.#has(member) || !member.health.probed(up, now, member.needed)) return;
    if (up) this.#readmitted(member, 'probes', now);
    else this.#ejected(member, 'probes');
  }

  /** Another balancer has ejected an upstream for `ms`, Infinity where its probes have found it down. */
  ejectedByPeer(origin: string, ms: number, now: number): void {
    const member = this.#active.get(origin);
    if (member?.health.ejectedByPeer(ms, now) === true) this.#ejected(member, 'peers');
  }

  /** Another balancer has let an upstream back in. */
  readmittedByPeer(origin: string, now: number): void {
    const member = this.#active.get(origin);
    if (member?.health.readmittedByPeer(now, member.needed) === true) this.#readmitted(member, 'peers', now);
  }

  /** Other balancers have this much in flight at an origin, whether it is an upstream here or not. */
  countElsewhere(origin: string, inFlight: number): void {
    if (inFlight === 0) this.#elsewhere.delete(origin);
    else this.#elsewhere.set(origin, inFlight);
    this.#active.get(origin)?.countElsewhere(inFlight);
  }

  countedElsewhere(origin: string): number {
    return this.#elsewhere.get(origin) ?? 0;
  }

  /** This process was paused for `ms`, which the clock has left out. Idle connections have aged all the same. */
  paused(ms: number): void {
    for (const member of this.#active.values()) member.connections.age(ms);
  }

  /** Closes connections that have idled long enough, and lets ejections end. */
  sweep(now: number): void {
    let changed = false;
    for (const member of this.#active.values()) {
      member.connections.sweep(now);
      if (member.health.sweep(now)) changed = true;
    }
    if (changed) this.#changed();
  }

  /** Drains all. */
  async close(): Promise<void> {
    const drained = [...this.#active.values()].map((member) => this.#drain(member, Infinity));
    this.#changed();
    this.#tellAll();
    await Promise.all(drained);
  }

  #create(settings: ParsedUpstream): Member {
    const member = new Member(settings, this.#rules, this.#world.dialler, this.#world.rng, this);
    member.countElsewhere(this.countedElsewhere(settings.origin));
    this.#active.set(settings.origin, member);
    this.#toTell.push(['added', { upstream: member.shown }]);
    return member;
  }

  async #drain(member: Member, cutAt: number): Promise<void> {
    this.#active.delete(member.origin);
    member.drain(cutAt);
    this.#toTell.push([member.inFlightHere === 0 ? 'removed' : 'draining', { upstream: member.shown }]);
    if (member.inFlightHere === 0) return;
    await new Promise<void>((resolve) => {
      this.#draining.set(member, resolve);
    });
  }

  #failed(
    member: Member, began: number, now: number, inResponse: boolean, code: ErrorCode | undefined,
    status: number | undefined,
  ): void {
    if (!this.#has(member) || !member.health.failed(began, now, inResponse)) return;
    this.#ejected(member, 'attempts', code, status);
  }

  /** Whether it is one of ours, and stays: one that is being removed has no health to speak of. */
  #has(member: Member): boolean {
    return member.owner === this && !member.draining;
  }

  #ejected(member: Member, by: Witness, code?: ErrorCode, status?: number): void {
    member.ejected();
    this.#changed();
    this.#tell('ejected', { upstream: member.shown, forMs: member.health.ejectedMs, by, code, status });
  }

  #readmitted(member: Member, by: Witness, now: number): void {
    const panicked = this.#panic;
    this.#changed();
    // As in a panic all were candidates, the first few to answer end it. What failed all of them is over, so the
    // others, whose ejections grew meanwhile, are not to sit them out while these few carry everything.
    if (panicked && !this.#panic) for (const other of this.#active.values()) other.health.hasten(now);
    this.#tell('readmitted', { upstream: member.shown, by });
  }

  /** Tells of what a change of membership did, now that it is complete: listeners may make the next one. */
  #tellAll(): void {
    for (const [name, event] of this.#toTell.splice(0)) this.#tell(name, event);
  }

  #tell<N extends keyof BalancerEvents>(name: N, event: BalancerEvents[N]): void {
    const { events } = this.#world;
    if (events.heard(name)) events.tell(name, event);
  }

  /**
   * One came or went, and those that may be picked are `whole` now. None of the others, which may be thousands, is
   * looked at, unless that may change how they stand.
   */
  #moved(whole: readonly Upstream[]): void {
    if (this.#panic || this.#tooManyUnproven) this.#changed();
    else this.#announce(whole);
  }

  #changed(): void {
    this.#unproven = 0;
    for (const member of this.#active.values()) if (!member.proven) this.#unproven++;
    // Where too many have failed, all are candidates: better a try than none.
    this.#panic = this.#tooManyUnproven;
    const whole: Upstream[] = [];
    for (const member of this.#active.values()) if (member.list(this.#panic)) whole.push(member.shown);
    this.#announce(whole);
  }

  get #tooManyUnproven(): boolean {
    return this.#unproven * 100 > this.#rules.maxEjectedPercent * this.#active.size;
  }

  #announce(whole: readonly Upstream[]): void {
    this.#whole = Object.freeze(whole);
    this.#candidates = undefined;
    this.#world.onChange(this.#whole);
    this.#world.onRoom();
  }
}

function hasRoom(upstream: Upstream): boolean {
  return PublicUpstream.memberOf(upstream)?.hasRoom === true;
}

function isAtLimit(upstream: Upstream): boolean {
  return PublicUpstream.memberOf(upstream)?.atLimit === true;
}

const NOBODY: readonly Upstream[] = Object.freeze([]);
