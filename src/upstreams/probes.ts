/**
 * Has each upstream probed as its options say.
 */
import type { Clock } from '../loop/clock.ts';
import type { BalancerError } from '../errors.ts';
import type { Member } from './member.ts';
import type { Members } from './members.ts';
import { Probe } from './probe.ts';

export class Probes {
  readonly #members: Members;
  readonly #report: (error: BalancerError, origin: string) => void;
  readonly #rng: () => number;
  readonly #clock: Clock;
  readonly #probes = new Map<Member, Probe>();
  /** Whether it is for this balancer to probe. */
  #leading: boolean;

  /**
   * `rng` is for when probes come: numbers in [0, 1). `leading` is whether to begin with them at once. `report` hears
   * of probes that could not be made.
   */
  constructor(
    members: Members, rng: () => number, clock: Clock, leading: boolean,
    report: (error: BalancerError, origin: string) => void,
  ) {
    this.#leading = leading;
    this.#members = members;
    this.#report = report;
    this.#rng = rng;
    this.#clock = clock;
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
    for (const member of this.#members.active) this.#probeOf(member, now)?.sweep(now);
  }

  /** Leaves the probes to another balancer, or takes them over: what was found out stands. */
  lead(leading: boolean): void {
    this.#leading = leading;
    if (!leading) this.stop();
  }

  stop(): void {
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
