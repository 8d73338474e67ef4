/**
 * What the metrics read from their balancer: counts of everything that passes, and values at the time of a scrape.
 */
import type { BalancerEvents, FinishedExchange, Listener } from '../events.ts';
import type { Metering, Traffic } from '../meter.ts';
import type { Upstream } from '../strategy.ts';
import type { Counters } from './counters.ts';
import type { Gauges, UpstreamGauges } from './families.ts';
import type { Measured } from './metrics-options.ts';
import { ProcessMetrics } from './process-metrics.ts';
import type { Owner, Row } from './totals.ts';

export class Observation {
  readonly #balancer: Measured;
  readonly #counters: Counters;
  readonly #worker: string;
  readonly #process = new ProcessMetrics();
  readonly #stops: (() => void)[] = [];
  readonly #metering: Metering | undefined;
  /** The upstreams there are, by pool; one origin may be there twice, as it drains and is added again. */
  readonly #upstreams = new Map<string, Set<Upstream>>();
  /** What was handed over of the traffic. */
  #carried: readonly number[] = [0, 0, 0];

  constructor(balancer: Measured, counters: Counters, worker: string) {
    this.#balancer = balancer;
    this.#counters = counters;
    this.#worker = worker;
    for (const [pool, { upstreams }] of Object.entries(balancer.pools)) {
      for (const upstream of upstreams) this.#added({ pool, upstream });
    }
    this.#on('added', (event) => {
      this.#added(event);
    });
    this.#on('removed', ({ pool, upstream }) => {
      const left = this.#upstreams.get(pool);
      left?.delete(upstream);
      if (left?.size === 0) this.#upstreams.delete(pool);
    });
    this.#on('ejected', ({ pool, upstream, by }) => {
      // A peer has counted its ejection.
      if (by !== 'peers') counters.ejected(pool, upstream);
    });
    this.#on('retried', ({ pool, upstream }) => {
      counters.retried(pool, upstream);
    });
    this.#on('refused', ({ code }) => {
      counters.refused(code);
    });
    this.#metering = balancer.meter?.(counters);
    if (this.#metering === undefined) this.#listen();
    this.#carried = carriedBy(this.#metering?.traffic());
  }

  /** Hands over what was counted since the last time. */
  take(): Row[] {
    const rows = this.#counters.take();
    const carried = carriedBy(this.#metering?.traffic());
    const values = carried.map((value, i) => value - (this.#carried[i] ?? 0));
    this.#carried = carried;
    if (values.some((value) => value > 0)) rows.push({ kind: 'carried', labels: [], values });
    return rows;
  }

  /** The values now. */
  async gauges(): Promise<Gauges> {
    const process = await this.#process.read();
    const { openConnections = 0, queued = {} } = this.#metering?.traffic() ?? {};
    return { worker: this.#worker, openConnections, queued, upstreams: this.#upstreamGauges(), process };
  }

  /** Whether this pool, or upstream, is still there. */
  exists({ pool, upstream }: Owner): boolean {
    const upstreams = this.#upstreams.get(pool);
    // What no route matched belongs to no pool.
    if (upstream === undefined) return pool === '' || upstreams !== undefined;
    for (const { origin } of upstreams ?? []) if (origin === upstream) return true;
    return false;
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#metering?.stop();
    this.#process.stop();
  }

  #upstreamGauges(): UpstreamGauges[] {
    const all: UpstreamGauges[] = [];
    for (const [pool, upstreams] of this.#upstreams) {
      for (const { origin, state, weight, inFlight, inFlightElsewhere } of upstreams) {
        const up = state !== 'ejected' && state !== 'trial';
        all.push({ pool, upstream: origin, up, weight, inFlight: Math.round(inFlight - inFlightElsewhere) });
      }
    }
    return all;
  }

  #added({ pool, upstream }: BalancerEvents['added']): void {
    const known = this.#upstreams.get(pool);
    if (known === undefined) this.#upstreams.set(pool, new Set([upstream]));
    else known.add(upstream);
  }

  /** Measures a balancer that has no meter, such as one of layer 4. */
  #listen(): void {
    this.#on('finished', ({ pool = '', method, status, code, durationMs }: Partial<FinishedExchange>) => {
      this.#counters.exchange(pool, method ?? '', status ?? code ?? '', durationMs ?? 0);
    });
    this.#on('settled', ({ pool, upstream, outcome: { status, error } }) => {
      this.#counters.attempt(pool, upstream, status, error);
    });
  }

  #on<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): void {
    this.#balancer.on(event, listener);
    this.#stops.push(() => this.#balancer.off(event, listener));
  }
}

/** Connections, octets received, octets sent. */
function carriedBy(traffic: Traffic | undefined): readonly number[] {
  return traffic === undefined ? [0, 0, 0] : [traffic.connections, traffic.receivedBytes, traffic.sentBytes];
}
