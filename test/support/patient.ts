/**
 * One upstream's health, with its own virtual time.
 */
import assert from 'node:assert/strict';
import { Health, type HealthRules } from '../../src/upstreams/health.ts';

const RULES: HealthRules = { ejectAfter: 3, ejectMs: 1_000, maxEjectMs: 30_000, slowStartMs: 10_000 };
/** The middle of the range, so no jitter. */
const MIDDLE = (): number => 0.5;

export class Patient {
  readonly health: Health;
  now = 1_000;

  constructor(rules: Partial<HealthRules> = {}, rng = MIDDLE) {
    this.health = new Health({ ...RULES, ...rules }, rng);
  }

  /** Advances time by `ms`. Returns whether that changed anything. */
  wait(ms: number): boolean {
    this.now += ms;
    return this.health.sweep(this.now);
  }

  /** An attempt that takes no time fails. Returns whether that ejected. */
  fail(began = this.now): boolean {
    return this.health.failed(began, this.now, false);
  }

  /** A response breaks off. Returns whether that ejected. */
  breakOff(): boolean {
    this.succeed();
    return this.health.failed(this.now, this.now, true);
  }

  /** An attempt that takes no time is answered. Returns whether that readmitted. */
  succeed({ began = this.now, needed = false } = {}): boolean {
    return this.health.answered(began, this.now, needed);
  }

  probe(up: boolean, needed = false): boolean {
    return this.health.probed(up, this.now, needed);
  }

  /** Fails until it is ejected. */
  eject(): this {
    for (let i = 0; i < 100 && !this.fail(); i++);
    assert.equal(this.health.standing, 'ejected');
    return this;
  }

  /** Ejects it and waits until it is on trial. */
  toTrial(): this {
    this.eject().wait(this.health.ejectedMs);
    assert.equal(this.health.standing, 'trial');
    return this;
  }
}
