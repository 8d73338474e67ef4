/**
 * The probes of all upstreams of one pool.
 */
import type { Clock } from '../loop/clock.ts';
import { BalancerError } from '../errors.ts';
import type { Member } from './member.ts';
import type { Members } from './members.ts';
import { Probe } from './probe.ts';

export class Probes {
  readonly #members: Members;
  readonly #report: (error: BalancerError, origin: string) => void;
  readonly #rng: () => number;
  readonly #clock: Clock;
  readonly #probes = new Map<Member, Probe>();
  readonly #tickMs: number;
  /** Those that need to be swept more often than the others, how often, and the function that stops it. */
  #fast: readonly [Member, Probe][] = [];
  #fastMs = Infinity;
  #stopFast: (() => void) | undefined;
  /** Whether this balancer is the one that probes. */
  #leading: boolean;

  /**
   * `rng`, numbers in [0, 1), spreads the probes. `tickMs` is how often `sweep` is called. `leading` is whether to
   * probe from the start. `report` receives the errors of probes that could not be made.
   */
  constructor(
    members: Members, rng: () => number, clock: Clock, tickMs: number, leading: boolean,
    report: (error: BalancerError, origin: string) => void,
  ) {
    this.#leading = leading;
    this.#members = members;
    this.#report = report;
    this.#rng = rng;
    this.#clock = clock;
    this.#tickMs = tickMs;
  }

  /** Begins probes that are due and ends late ones; follows changes of membership and options. */
  sweep(now: number): void {
    if (!this.#leading) return;
    for (const [member, probe] of this.#probes) {
      if (!member.draining && probe.follows(member.settings.healthCheck)) continue;
      probe.stop();
      this.#probes.delete(member);
      // Nothing else would readmit it.
      if (!probe.up) this.#members.probed(member, true, now);
    }
    const fast: [Member, Probe][] = [];
    for (const member of this.#members.active) {
      const probe = this.#probeOf(member, now);
      if (probe === undefined) continue;
      if (probe.tickMs < this.#tickMs) fast.push([member, probe]);
      this.#sweepOne(member, probe, now);
    }
    this.#hurry(fast);
  }

  /** Sweeps these as often as the fastest of them needs. The others, which may be thousands, are not looked at. */
  #hurry(fast: readonly [Member, Probe][]): void {
    this.#fast = fast;
    let ms = Infinity;
    for (const [, probe] of fast) ms = Math.min(ms, probe.tickMs);
    if (ms === this.#fastMs) return;
    this.#stopFast?.();
    this.#stopFast = undefined;
    this.#fastMs = ms;
    if (ms === Infinity) return;
    this.#stopFast = this.#clock.source.every(ms, () => {
      const now = this.#clock.source.now();
      for (const [member, probe] of this.#fast) if (!member.draining) this.#sweepOne(member, probe, now);
    });
  }

  /** One that fails must not stop the sweep of those after it. */
  #sweepOne(member: Member, probe: Probe, now: number): void {
    try {
      probe.sweep(now);
    } catch (cause) {
      this.#report(new BalancerError('INTERNAL_ERROR', 'a probe failed unexpectedly', { cause }), member.origin);
    }
  }

  /** Takes the probes over from another balancer, or leaves them to it. What was found out stays. */
  lead(leading: boolean): void {
    this.#leading = leading;
    if (!leading) this.stop();
  }

  stop(): void {
    this.#hurry([]);
    for (const probe of this.#probes.values()) probe.stop();
    this.#probes.clear();
  }

  #probeOf(member: Member, now: number): Probe | undefined {
    const { healthCheck } = member.settings;
    if (healthCheck === undefined) return undefined;
    let probe = this.#probes.get(member);
    if (probe === undefined) {
      probe = new Probe(member, healthCheck, this.#rng, now, {
        verdict: (up) => {
          this.#members.probed(member, up, this.#clock.source.now());
        },
        failed: (error) => {
          this.#report(error, member.origin);
        },
      });
      this.#probes.set(member, probe);
    }
    return probe;
  }
}
