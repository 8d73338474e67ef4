/**
 * One upstream: what is known of it, and its connections.
 */
import { alike } from '../options/checks.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import type { Upstream } from '../strategy.ts';
import type { Dialler } from './dial.ts';
import { Health, type HealthRules } from './health.ts';
import { IdleConnections, type IdleConnectionRules } from './idle-connections.ts';
import { PublicUpstream } from './public-upstream.ts';

/** What of the settings a member goes by. */
export type MemberRules = IdleConnectionRules & HealthRules;

/** An upstream as the balancer keeps it. Strategies and users get its {@link Member.shown public side}. */
export class Member {
  readonly origin: string;
  /** What everybody outside the core gets. */
  readonly shown: PublicUpstream;
  /** Whose member it is, from its beginning to its end. */
  readonly owner: object;
  readonly #connections: IdleConnections;
  readonly #health: Health;
  #settings: ParsedUpstream;
  /** What is shown as its weight; it changes with what strategies hear of. */
  #weight: number;
  /** From the settings, and what health says: at hand, so that a pick among thousands reads fewer objects. */
  #maxInFlight: number;
  #onTrial = false;
  #leaving: 'draining' | 'gone' | undefined;
  #inFlight = 0;
  #inFlightElsewhere = 0;
  #latencyMs = 0;
  #picks = 0;
  #failures = 0;
  #responses = 0;
  #retries = 0;
  #ejections = 0;
  #cutAt = Infinity;
  #listed = true;
  #panic = false;
  /** Whether the request is under way that is to show whether it is well. */
  #tried = false;

  /** `rng` is for the jitter of ejections, and of the greatest age of connections. */
  constructor(settings: ParsedUpstream, rules: MemberRules, dialler: Dialler, rng: () => number, owner: object) {
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
    const { standing } = this.#health;
    return standing === 'well' ? 'active' : standing;
  }

  get inFlightElsewhere(): number {
    return this.#inFlightElsewhere;
  }

  /** Those of this balancer: limits and draining go by them. */
  get inFlightHere(): number {
    return this.#inFlight;
  }

  /** Other balancers have this many in flight. */
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

  /** What it was made from, or changed to. */
  get settings(): ParsedUpstream {
    return this.#settings;
  }

  get connections(): IdleConnections {
    return this.#connections;
  }

  get health(): Health {
    return this.#health;
  }

  /** Whether it gets nothing new for good. */
  get draining(): boolean {
    return this.#leaving !== undefined;
  }

  /** When what it still has in flight is to be cut, in the clock's time. */
  get cutAt(): number {
    return this.#cutAt;
  }

  /**
   * Whether it has room for one more. On trial for one in all, unless it is needed all the same; what it has in flight
   * from before, such as tunnels, is no trial.
   */
  get hasRoom(): boolean {
    if (this.atLimit) return false;
    return !this.#tried || this.#panic || !this.#onTrial;
  }

  /** Whether it has as much in flight as it may have. */
  get atLimit(): boolean {
    return this.#inFlight >= this.#maxInFlight;
  }

  /** Whether it is well; `active` is its state unless it leaves. */
  get proven(): boolean {
    return this.#health.standing === 'well';
  }

  /** Whether it may be picked, but for its limit. */
  get listed(): boolean {
    return this.#listed;
  }

  /**
   * Finds its place and its weight among the others: in a `panic` all are needed. Returns whether it is listed.
   */
  list(panic: boolean): boolean {
    this.#panic = panic;
    this.#onTrial = this.#health.standing === 'trial';
    this.#weight = this.#settings.weight * (panic ? 1 : this.#health.ramp);
    this.#show();
    return this.#listed = this.#leaving === undefined && (panic || this.#health.standing !== 'ejected');
  }

  begin(): void {
    this.#inFlight++;
    this.#picks++;
    this.#show();
    if (this.#onTrial) this.#tried = true;
  }

  /** `began` is when the attempt did. */
  settle(ok: boolean, began: number): void {
    this.#inFlight--;
    this.#show();
    if (this.#tried && this.#health.concerns(began)) this.#tried = false;
    if (!ok) this.#failures++;
    if (this.#leaving === 'draining' && this.#inFlight === 0) this.#leaving = 'gone';
  }

  /** Whether it is needed whole: too many others are ejected. */
  get needed(): boolean {
    return this.#panic;
  }

  /** Notes the time to a response head, as a moving average over some ten responses. */
  answered(latencyMs: number): void {
    this.#responses++;
    this.#latencyMs += this.#latencyMs === 0 ? latencyMs : (latencyMs - this.#latencyMs) / LATENCY_WINDOW;
  }

  /** Another attempt makes up for one on this. */
  retried(): void {
    this.#retries++;
  }

  ejected(): void {
    this.#ejections++;
    this.#tried = false;
    // What idles there is of no use when it returns: whoever restarted knows nothing of it.
    this.#connections.clear();
  }

  /** Takes other options for the same origin. Returns whether strategies are to hear of it. */
  change(settings: ParsedUpstream): boolean {
    const { weight, tags } = this.#settings;
    this.#settings = settings;
    this.#maxInFlight = settings.maxInFlight;
    this.#weight = settings.weight * (this.#panic ? 1 : this.#health.ramp);
    this.#show();
    return weight !== settings.weight || !alike(tags, settings.tags);
  }

  /** Gets no new work, and is gone when what it has in flight has ended, or was cut at `cutAt`. */
  drain(cutAt: number): void {
    this.#cutAt = Math.min(this.#cutAt, cutAt);
    if (this.#leaving !== undefined) return;
    this.#connections.close();
    this.#listed = false;
    this.#leaving = this.#inFlight === 0 ? 'gone' : 'draining';
  }

  #show(): void {
    PublicUpstream.show(this.shown, this.#weight, this.#inFlight + this.#inFlightElsewhere);
  }
}

/** Weight of one new latency in the average: 1/10. */
const LATENCY_WINDOW = 10;
