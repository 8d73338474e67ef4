/**
 * One upstream of one pool: its counts, its health and its connections.
 */
import { alike } from '../options/checks.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import type { LoadReport, Upstream } from '../strategy.ts';
import type { Dialler } from './dial.ts';
import { Health, type HealthRules } from './health.ts';
import { IdleConnections, type IdleConnectionRules } from './idle-connections.ts';
import { ReportedLoad } from './load-report.ts';
import { PublicUpstream } from './public-upstream.ts';

/** The settings that an upstream uses. */
export type ManagedUpstreamRules = IdleConnectionRules & HealthRules;

/** An upstream as the balancer manages it. Strategies and users get its {@link ManagedUpstream.shown public side}. */
export class ManagedUpstream {
  readonly origin: string;
  /** What everything outside the core gets. */
  readonly shown: PublicUpstream;
  /** The set that it belongs to, for its whole life. */
  readonly owner: object;
  readonly #connections: IdleConnections;
  readonly #health: Health;
  #settings: ParsedUpstream;
  /** The weight that it shows; it changes only when strategies are told. */
  #weight: number;
  /** Copies from the settings and the health, so that a pick among thousands reads fewer objects. */
  #maxInFlight: number;
  #onTrial = false;
  #leaving: 'draining' | 'gone' | undefined;
  /** Whether `drain` has taken it out of service: it stays a member, and gets no new work until `activate`. */
  #suspended = false;
  /** What `setWeight` set in place of the configured weight. */
  #givenWeight: number | undefined;
  #inFlight = 0;
  #inFlightElsewhere = 0;
  #latencyMs = 0;
  #picks = 0;
  #failures = 0;
  #responses = 0;
  #retries = 0;
  #ejections = 0;
  /** Its reports, once a strategy has asked for one. */
  #reported: ReportedLoad | undefined;
  #cutAt = Infinity;
  #listed = true;
  #panic = false;
  /** Whether the request that tests it is in flight. */
  #tried = false;

  /** `rng` is for the jitter of ejections and of the maximum age of connections. */
  constructor(
    settings: ParsedUpstream, rules: ManagedUpstreamRules, dialler: Dialler, rng: () => number, owner: object,
  ) {
    this.owner = owner;
    this.origin = settings.origin;
    this.#settings = settings;
    this.#weight = settings.weight;
    this.#maxInFlight = settings.maxInFlight;
    this.shown = new PublicUpstream(this, settings.weight);
    this.#connections = new IdleConnections(settings, rules, dialler, rng);
    this.#health = new Health(rules, rng);
  }

  get maxInFlight(): number {
    return this.#maxInFlight;
  }

  get state(): Upstream['state'] {
    if (this.#leaving !== undefined) return this.#leaving;
    if (this.#suspended) return this.#inFlight === 0 ? 'drained' : 'draining';
    const { standing } = this.#health;
    return standing === 'well' ? 'active' : standing;
  }

  get inFlightElsewhere(): number {
    return this.#inFlightElsewhere;
  }

  /** What this balancer has in flight: limits and draining depend on that alone. */
  get inFlightHere(): number {
    return this.#inFlight;
  }

  /** Other balancers have this much in flight. */
  countElsewhere(inFlight: number): void {
    this.#inFlightElsewhere = inFlight;
    this.#show();
  }

  get latencyMs(): number {
    return this.#latencyMs;
  }

  get picks(): number {
    return this.#picks;
  }

  get failures(): number {
    return this.#failures;
  }

  get responses(): number {
    return this.#responses;
  }

  get retries(): number {
    return this.#retries;
  }

  get ejections(): number {
    return this.#ejections;
  }

  /** What it last reported of its load. Reading it once has later reports kept. */
  get load(): LoadReport | undefined {
    this.#reported ??= new ReportedLoad();
    return this.#reported.current;
  }

  /** As `load`, but does not have reports kept. */
  get knownLoad(): LoadReport | undefined {
    return this.#reported?.current;
  }

  /** Where its response heads go; undefined as long as nobody reads its load. */
  get reported(): ReportedLoad | undefined {
    return this.#reported;
  }

  /** The weight that was configured or, since then, set. A slow start shows a part of it. */
  get nominalWeight(): number {
    return this.#givenWeight ?? this.#settings.weight;
  }

  /** The weight of its options. */
  get configuredWeight(): number {
    return this.#settings.weight;
  }

  /** Its current options. */
  get settings(): ParsedUpstream {
    return this.#settings;
  }

  get connections(): IdleConnections {
    return this.#connections;
  }

  get health(): Health {
    return this.#health;
  }

  /** Whether it is being removed, and gets no new work. */
  get draining(): boolean {
    return this.#leaving !== undefined;
  }

  /** Whether `drain` has taken it out of service. */
  get suspended(): boolean {
    return this.#suspended;
  }

  /** Whether it may be picked from `context.draining`, apart from its limit: out of service, but in good health. */
  get retained(): boolean {
    return this.#suspended && this.#leaving === undefined && this.#health.standing !== 'ejected';
  }

  /** When what is still in flight will be cut, in the clock's time. */
  get cutAt(): number {
    return this.#cutAt;
  }

  /**
   * Whether it has room for one more. On trial it takes one request at a time, unless a panic needs it; what it has in
   * flight from before, such as tunnels, does not count.
   */
  get hasRoom(): boolean {
    if (this.atLimit) return false;
    return !this.#tried || this.#panic || !this.#onTrial;
  }

  /** Whether it has reached its `maxInFlight`. */
  get atLimit(): boolean {
    return this.#inFlight >= this.#maxInFlight;
  }

  /** Whether it is well. Its state is then `active`, unless it is being removed. */
  get proven(): boolean {
    return this.#health.standing === 'well';
  }

  /** Whether it may be picked, apart from its limit. */
  get listed(): boolean {
    return this.#listed;
  }

  /** Updates its weight and whether it may be picked; in a `panic` all may. Returns {@link ManagedUpstream.listed}. */
  list(panic: boolean): boolean {
    this.#panic = panic;
    this.#onTrial = this.#health.standing === 'trial';
    this.#weigh();
    const isIn = this.#leaving === undefined && !this.#suspended;
    return this.#listed = isIn && (panic || this.#health.standing !== 'ejected');
  }

  begin(): void {
    this.#inFlight++;
    this.#picks++;
    this.#show();
    if (this.#onTrial) this.#tried = true;
  }

  /** `began` is when the attempt began. */
  settle(ok: boolean, began: number): void {
    this.#inFlight--;
    this.#show();
    if (this.#tried && this.#health.concerns(began)) this.#tried = false;
    if (!ok) this.#failures++;
    if (this.#leaving === 'draining' && this.#inFlight === 0) this.#leaving = 'gone';
  }

  /** Whether it is needed at full weight, since too many others are ejected. */
  get needed(): boolean {
    return this.#panic;
  }

  /** Adds the time to a response head to the moving average over some ten responses. */
  answered(latencyMs: number): void {
    this.#responses++;
    this.#latencyMs += this.#latencyMs === 0 ? latencyMs : (latencyMs - this.#latencyMs) / LATENCY_WINDOW;
  }

  /** Another attempt follows one on this upstream. */
  retried(): void {
    this.#retries++;
  }

  ejected(): void {
    this.#ejections++;
    this.#tried = false;
    // A restarted upstream does not know its idle connections any more.
    this.#connections.clear();
  }

  /** Takes new options for the same origin. Returns whether strategies must be told. */
  change(settings: ParsedUpstream): boolean {
    const { weight, tags } = this.#settings;
    this.#settings = settings;
    this.#maxInFlight = settings.maxInFlight;
    // What the configuration says anew counts; without a change, what was set at run time stays.
    if (weight !== settings.weight) this.#givenWeight = undefined;
    this.#weigh();
    return weight !== settings.weight || !alike(tags, settings.tags);
  }

  /** Sets its weight; undefined: the configured one again. */
  setWeight(weight: number | undefined): void {
    this.#givenWeight = weight;
    this.#weigh();
  }

  /** Takes it out of service at `now`. Idle connections are closed, others when they are given back. */
  suspend(now: number): void {
    this.#suspended = true;
    this.#listed = false;
    this.#connections.renew(now);
  }

  /** Takes it back into service. {@link ManagedUpstream.list} says whether it may be picked. */
  resume(): void {
    this.#suspended = false;
  }

  /** Ends new work. It is gone when what it has in flight has ended, or was cut at `cutAt`. */
  drain(cutAt: number): void {
    this.#cutAt = Math.min(this.#cutAt, cutAt);
    if (this.#leaving !== undefined) return;
    this.#connections.close();
    this.#listed = false;
    this.#leaving = this.#inFlight === 0 ? 'gone' : 'draining';
  }

  #weigh(): void {
    this.#weight = this.nominalWeight * (this.#panic ? 1 : this.#health.ramp);
    this.#show();
  }

  #show(): void {
    PublicUpstream.show(this.shown, this.#weight, this.#inFlight + this.#inFlightElsewhere);
  }
}

/** The managed upstream behind `upstream`, if that is a public side. Only managed upstreams have public sides. */
export function managedOf(upstream: unknown): ManagedUpstream | undefined {
  return PublicUpstream.factsOf(upstream) as ManagedUpstream | undefined;
}

/** The weight of a new latency in the average is 1/10. */
const LATENCY_WINDOW = 10;
