/**
 * The health of one upstream, judged by its traffic and its probes: ejected after failures in a row, tried again with
 * one request, then readmitted gradually. Pure: time and randomness are parameters.
 */
import type { Settings } from '../options/parse.ts';

/** The settings that health uses. */
export type HealthRules = Pick<Settings, 'ejectAfter' | 'ejectMs' | 'maxEjectMs' | 'slowStartMs'>;

/** The standing of an upstream. `trial`: its ejection is over, and one request at a time tests whether it is well. */
export type Standing = 'well' | 'trial' | 'ejected';

export class Health {
  readonly #rules: HealthRules;
  readonly #rng: () => number;
  #standing: Standing = 'well';
  /** Since when. */
  #since = -Infinity;
  #until = 0;
  /** Failures in a row; reset when a response begins. */
  #failures = 0;
  /** Broken responses in a row; reset when one is complete. Those that last for hours count neither way. */
  #broken = 0;
  /** Ejections in a row: each lasts twice as long as the previous one. */
  #ejections = 0;
  /** Whether probes found it down: then only they readmit it. */
  #down = false;
  /** When those that failed with it came back, if its ejection was shortened for that. */
  #hastened: number | undefined;
  #ramp = 1;
  /** When its slow start began. */
  #rampFrom = 0;

  /** `rng` is for jitter: numbers in [0, 1). */
  constructor(rules: HealthRules, rng: () => number) {
    this.#rules = rules;
    this.#rng = rng;
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** The part of its weight that it gets: 1, or less during slow start. */
  get ramp(): number {
    return this.#ramp;
  }

  /** How long the current ejection lasts, in milliseconds; Infinity if only probes end it. */
  get ejectedMs(): number {
    return this.#until - this.#since;
  }

  /** Whether probes found it down. */
  get down(): boolean {
    return this.#down;
  }

  /** How much is left of the current ejection. */
  leftMs(now: number): number {
    return this.#until - now;
  }

  /** Whether an attempt that began at `began` says anything about the current standing. */
  concerns(began: number): boolean {
    return began >= this.#since;
  }

  /**
   * An attempt that began at `began` was answered: its response has begun, and may last for hours. Returns whether that
   * readmits the upstream: with a slow start after a trial, unless it is `needed` at full weight. One that is still
   * ejected was tried only because there was no better one, so it is readmitted at full weight.
   */
  answered(began: number, now: number, needed: boolean): boolean {
    if (!this.concerns(began) || this.#down) return false;
    this.#failures = 0;
    if (this.#standing === 'well') return false;
    this.#readmit(now, this.#standing === 'trial' && !needed);
    return true;
  }

  /** An attempt that began at `began` was completed successfully. */
  succeeded(began: number): void {
    if (this.concerns(began)) this.#broken = 0;
  }

  /**
   * An attempt that began at `began` failed by the upstream's fault, before its response or during it. Returns whether
   * that ejects the upstream.
   */
  failed(began: number, now: number, inResponse: boolean): boolean {
    const { ejectAfter } = this.#rules;
    if (ejectAfter === 0 || !this.concerns(began) || this.#standing === 'ejected') return false;
    if (this.#standing === 'well' && (inResponse ? ++this.#broken : ++this.#failures) < ejectAfter) return false;
    this.#eject(now);
    return true;
  }

  /**
   * Probes found the upstream down, or up again. Returns whether that ejects or readmits it. Readmission has a slow
   * start, unless the upstream is `needed` at full weight.
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
    this.#hastened = undefined;
    this.#ramp = 1;
    return ejects;
  }

  /** Another balancer has ejected the upstream for `ms`. Returns whether that changes anything here. */
  ejectedByPeer(ms: number, now: number): boolean {
    if (ms === Infinity) return this.probed(false, now, false);
    if (this.#rules.ejectAfter === 0 || this.#standing === 'ejected') return false;
    this.#ejectFor(ms, now);
    return true;
  }

  /** Another balancer has readmitted the upstream. Returns whether that changes anything here. */
  readmittedByPeer(now: number, needed: boolean): boolean {
    if (this.#down) return this.probed(true, now, needed);
    if (this.#standing === 'well') return false;
    this.#readmit(now, !needed);
    return true;
  }

  /**
   * Others that failed with it are back: its trial comes soon, however often it was ejected before. The times are
   * spread, so that several balancers do not act in step; a slow start counts from now, so that those that return
   * together get their shares together. If probes found it down, only they end the ejection.
   */
  hasten(now: number): void {
    if (this.#standing !== 'ejected' || this.#down) return;
    this.#hastened = now;
    this.#until = Math.min(this.#until, now + this.#rules.ejectMs * this.#rng());
  }

  /** Lets time pass. Returns whether the standing or the ramp has changed. */
  sweep(now: number): boolean {
    if (this.#standing === 'ejected' && now >= this.#until) {
      this.#standing = 'trial';
      this.#since = now;
      return true;
    }
    if (this.#ramp === 1) return false;
    // It may have been set to 0 meanwhile.
    const slowStartMs = Math.max(1, this.#rules.slowStartMs);
    // In steps, since strategies rebuild their tables at each.
    const ramp = Math.min(1, Math.floor((now - this.#rampFrom) * RAMP_STEPS / slowStartMs) / RAMP_STEPS);
    if (ramp <= this.#ramp) return false;
    this.#ramp = ramp;
    return true;
  }

  #eject(now: number): void {
    const { ejectMs, maxEjectMs } = this.#rules;
    // After serving well for as long as an ejection can last, the count starts again.
    if (this.#standing === 'well' && now - this.#since > maxEjectMs) this.#ejections = 0;
    const ms = Math.min(maxEjectMs, ejectMs * 2 ** this.#ejections);
    // Some last longer, some shorter, so that balancers that saw the same failure do not return in step.
    this.#ejectFor(ms * (1 - JITTER / 2 + JITTER * this.#rng()), now);
  }

  #ejectFor(ms: number, now: number): void {
    this.#ejections++;
    this.#standing = 'ejected';
    this.#since = now;
    this.#until = now + ms;
    this.#failures = this.#broken = 0;
    this.#hastened = undefined;
    this.#ramp = 1;
  }

  #readmit(now: number, slowly: boolean): void {
    this.#standing = 'well';
    this.#since = now;
    this.#failures = this.#broken = 0;
    this.#rampFrom = this.#hastened ?? now;
    this.#hastened = undefined;
    this.#ramp = slowly && this.#rules.slowStartMs > 0 ? 1 / RAMP_STEPS : 1;
  }
}

/** Steps from nothing to full weight. */
const RAMP_STEPS = 10;
/** The spread of ejection times, as a fraction. */
const JITTER = 0.2;
