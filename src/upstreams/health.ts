/**
 * How one upstream fares, judged by the traffic that it gets: ejected after failures in a row, tried again by one
 * request, then let back in by and by. Pure: time and chance come in.
 */
import type { Settings } from '../options/parse.ts';

/** What of the settings health goes by. */
export type HealthRules = Pick<Settings, 'ejectAfter' | 'ejectMs' | 'maxEjectMs' | 'slowStartMs'>;

/** Where an upstream stands. `trial`: its ejection is over, and one request at a time may show whether it is well. */
export type Standing = 'well' | 'trial' | 'ejected';

export class Health {
  readonly #rules: HealthRules;
  readonly #rng: () => number;
  #standing: Standing = 'well';
  /** Since when. */
  #since = -Infinity;
  #until = 0;
  /** Failures in a row, over when a response begins. */
  #failures = 0;
  /** Responses that broke off in a row, over when one comes to its end: those that go on for hours say neither. */
  #broken = 0;
  /** Ejections in a row: each lasts twice as long as the one before. */
  #ejections = 0;
  /** Whether probes have found it down: then only they let it back in. */
  #down = false;
  #ramp = 1;

  /** `rng` is for jitter: numbers in [0, 1). */
  constructor(rules: HealthRules, rng: () => number) {
    this.#rules = rules;
    this.#rng = rng;
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** The part of its weight that it gets: 1, or less while it starts slowly. */
  get ramp(): number {
    return this.#ramp;
  }

  /** How long the ejection at hand lasts, in milliseconds; Infinity if only probes end it. */
  get ejectedMs(): number {
    return this.#until - this.#since;
  }

  /** Whether probes have found it down. */
  get down(): boolean {
    return this.#down;
  }

  /** How much is left of the ejection at hand. */
  leftMs(now: number): number {
    return this.#until - now;
  }

  /** Whether what began at `began` says anything about how it stands now. */
  concerns(began: number): boolean {
    return began >= this.#since;
  }

  /**
   * An attempt that began at `began` was answered: its response has begun, and may go on for hours. Returns whether
   * that lets the upstream back in: slowly, unless it is `needed` whole, and at once, for want of a better one. For no
   * other reason was one tried that is still ejected.
   */
  answered(began: number, now: number, needed: boolean): boolean {
    if (!this.concerns(began) || this.#down) return false;
    this.#failures = 0;
    if (this.#standing === 'well') return false;
    this.#readmit(now, this.#standing === 'trial' && !needed);
    return true;
  }

  /** An attempt that began at `began` went well to its end. */
  succeeded(began: number): void {
    if (this.concerns(began)) this.#broken = 0;
  }

  /**
   * An attempt that began at `began` failed by the upstream's fault, before its response or in the middle of it.
   * Returns whether that ejects the upstream.
   */
  failed(began: number, now: number, inResponse: boolean): boolean {
    const { ejectAfter } = this.#rules;
    if (ejectAfter === 0 || !this.concerns(began) || this.#standing === 'ejected') return false;
    if (this.#standing === 'well' && (inResponse ? ++this.#broken : ++this.#failures) < ejectAfter) return false;
    this.#eject(now);
    return true;
  }

  /**
   * Probes have found the upstream down, or up again. Returns whether it is ejected, or let back in, by that: slowly,
   * unless it is `needed` whole.
   */
  probed(up: boolean, now: number, needed: boolean): boolean {
    if (this.#down !== up) return false;
    this.#down = !up;
    if (up) {
      this.#readmit(now, !needed);
      return true;
    }
    const ejects = this.#standing !== 'ejected';
    this.#standing = 'ejected';
    this.#since = now;
    this.#until = Infinity;
    this.#ramp = 1;
    return ejects;
  }

  /** Another balancer has ejected the upstream for `ms`. Returns whether that is news. */
  ejectedByPeer(ms: number, now: number): boolean {
    if (ms === Infinity) return this.probed(false, now, false);
    if (this.#rules.ejectAfter === 0 || this.#standing === 'ejected') return false;
    this.#ejectFor(ms, now);
    return true;
  }

  /** Another balancer has let the upstream back in. Returns whether that is news. */
  readmittedByPeer(now: number, needed: boolean): boolean {
    if (this.#down) return this.probed(true, now, needed);
    if (this.#standing === 'well') return false;
    this.#readmit(now, !needed);
    return true;
  }

  /**
   * Others that failed with it are back: its trial comes soon, however often it was ejected before. Not all trials come
   * at once, lest several balancers march in step. Where probes have found it down, it stays for them to end.
   */
  hasten(now: number): void {
    if (this.#standing !== 'ejected' || this.#down) return;
    this.#until = Math.min(this.#until, now + this.#rules.ejectMs * this.#rng());
  }

  /** Lets time pass. Returns whether the standing or the ramp is another than before. */
  sweep(now: number): boolean {
    if (this.#standing === 'ejected' && now >= this.#until) {
      this.#standing = 'trial';
      this.#since = now;
      return true;
    }
    if (this.#ramp === 1) return false;
    const { slowStartMs } = this.#rules;
    // In steps: at each, strategies build their tables anew.
    const ramp = Math.min(1, Math.floor((now - this.#since) * RAMP_STEPS / slowStartMs) / RAMP_STEPS);
    if (ramp <= this.#ramp) return false;
    this.#ramp = ramp;
    return true;
  }

  #eject(now: number): void {
    const { ejectMs, maxEjectMs } = this.#rules;
    // Who served well for as long as an ejection can last starts anew.
    if (this.#standing === 'well' && now - this.#since > maxEjectMs) this.#ejections = 0;
    const ms = Math.min(maxEjectMs, ejectMs * 2 ** this.#ejections);
    // Some longer, some shorter, so that balancers that saw the same failure do not come back in step.
    this.#ejectFor(ms * (1 - JITTER / 2 + JITTER * this.#rng()), now);
  }

  #ejectFor(ms: number, now: number): void {
    this.#ejections++;
    this.#standing = 'ejected';
    this.#since = now;
    this.#until = now + ms;
    this.#failures = this.#broken = 0;
    this.#ramp = 1;
  }

  #readmit(now: number, slowly: boolean): void {
    this.#standing = 'well';
    this.#since = now;
    this.#failures = this.#broken = 0;
    this.#ramp = slowly && this.#rules.slowStartMs > 0 ? 1 / RAMP_STEPS : 1;
  }
}

/** Steps from nothing to the whole weight. */
const RAMP_STEPS = 10;
/** The spread of ejection times, as a part of them. */
const JITTER = 0.2;
