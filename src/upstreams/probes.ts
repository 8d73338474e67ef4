/**
 * Has each upstream probed as its options say.
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
  /** Those that are to be swept more often than all are, how often, and what ends that. */
  #fast: readonly [Member, Probe][] = [];
  #fastMs = Infinity;
  #stopFast: (() => void) | undefined;
  /** Whether it is for this balancer to probe. */
  #leading: boolean;

  /**
   * `rng` is for when probes come: numbers in [0, 1). `tickMs` is how often `sweep` is called. `leading` is
   * whether to begin with probes at once. `report` hears of those that could not be made.
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

  /** Begins probes that are due and ends late ones; follows what has changed of membership and options. */
  sweep(now: number): void {
    if (!this.#leading) return;
    for (const [member, probe] of this.#probes) {
      if (!member.draining && probe.follows(member.settings.healthCheck)) continue;
      probe.stop();
      this.#probes.delete(member);
      // Nobody else would let it back in.
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

  /** Has some swept as often as the fastest of them needs. All others, which may be thousands, are not looked at. */
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

  /** One that fails must not keep those behind it from theirs. */
  #sweepOne(member: Member, probe: Probe, now: number): void {
    try {
      probe.sweep(now);
    } catch (cause) {
      this.#report(new BalancerError('INTERNAL_ERROR', 'a probe failed where it should not', { cause }), member.origin);
    }
  }

  /** Leaves the probes to another balancer, or takes them over: what was found out stands. */
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
