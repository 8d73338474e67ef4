/**
 * The probes of all upstreams of one pool.
 */
import type { Clock } from '../loop/clock.ts';
import { BalancerError } from '../errors.ts';
import type { ManagedUpstream } from './managed-upstream.ts';
import type { UpstreamSet } from './upstream-set.ts';
import { Probe } from './probe.ts';

export class Probes {
  readonly #upstreams: UpstreamSet;
  readonly #report: (error: BalancerError, origin: string) => void;
  readonly #rng: () => number;
  readonly #clock: Clock;
  readonly #probes = new Map<ManagedUpstream, Probe>();
  readonly #tickMs: () => number;
  /** Those that need to be swept more often than the others, how often, and the function that stops it. */
  #fast: readonly [ManagedUpstream, Probe][] = [];
  #fastMs = Infinity;
  #stopFast: (() => void) | undefined;
  /** Whether this balancer is the one that probes. */
  #leading: boolean;

  /**
   * `rng`, numbers in [0, 1), spreads the probes. `tickMs` is how often `sweep` is called at present. `leading` is
   * whether to probe from the start. `report` receives the errors of probes that could not be made.
   */
  constructor(
    upstreams: UpstreamSet, rng: () => number, clock: Clock, tickMs: () => number, leading: boolean,
    report: (error: BalancerError, origin: string) => void,
  ) {
    this.#leading = leading;
    this.#upstreams = upstreams;
    this.#report = report;
    this.#rng = rng;
    this.#clock = clock;
    this.#tickMs = tickMs;
  }

  /** Begins probes that are due and ends late ones; follows changes of membership and options. */
  sweep(now: number): void {
    if (!this.#leading) return;
    for (const [upstream, probe] of this.#probes) {
      if (!upstream.draining && probe.follows(upstream.settings.healthCheck)) continue;
      probe.stop();
      this.#probes.delete(upstream);
      // Nothing else would readmit it.
      if (!probe.up) this.#upstreams.probed(upstream, true, now);
    }
    const tickMs = this.#tickMs();
    const fast: [ManagedUpstream, Probe][] = [];
    for (const upstream of this.#upstreams.active) {
      const probe = this.#probeOf(upstream, now);
      if (probe === undefined) continue;
      if (probe.tickMs < tickMs) fast.push([upstream, probe]);
      this.#sweepOne(upstream, probe, now);
    }
    this.#hurry(fast);
  }

  /** Sweeps these as often as the fastest of them needs. The others, which may be thousands, are not looked at. */
  #hurry(fast: readonly [ManagedUpstream, Probe][]): void {
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
      for (const [upstream, probe] of this.#fast) if (!upstream.draining) this.#sweepOne(upstream, probe, now);
    });
  }

  /** One that fails must not stop the sweep of those after it. */
  #sweepOne(upstream: ManagedUpstream, probe: Probe, now: number): void {
    try {
      probe.sweep(now);
    } catch (cause) {
      this.#report(new BalancerError('INTERNAL_ERROR', 'a probe failed unexpectedly', { cause }), upstream.origin);
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

  #probeOf(upstream: ManagedUpstream, now: number): Probe | undefined {
    const { healthCheck } = upstream.settings;
    if (healthCheck === undefined) return undefined;
    let probe = this.#probes.get(upstream);
    if (probe === undefined) {
      probe = new Probe(upstream, healthCheck, this.#rng, now, {
        verdict: (up) => {
          this.#upstreams.probed(upstream, up, this.#clock.source.now());
        },
        responded: (head) => {
          upstream.reported?.heard(head, this.#clock.source.now());
        },
        failed: (error) => {
          this.#report(error, upstream.origin);
        },
      });
      this.#probes.set(upstream, probe);
    }
    return probe;
  }
}
