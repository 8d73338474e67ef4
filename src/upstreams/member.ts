/**
 * One upstream: what is known of it, and its connections.
 */
import type { Upstream } from '../strategy.ts';
import type { Dialer } from './connection.ts';
import { Pool, type PoolRules } from './pool.ts';

/** What an upstream is made from: the options of one entry, parsed. */
export interface UpstreamSettings extends Dialer {
  readonly origin: string;
  /** The Host value of this upstream, for `changeOrigin`. */
  readonly authority: string;
  readonly weight: number;
  readonly maxInFlight: number;
  readonly tags: Readonly<Record<string, string>>;
}

/** An upstream as the balancer keeps it. To strategies and users it shows as the read-only {@link Upstream}. */
export class Member implements Upstream {
  readonly id: string;
  readonly origin: string;
  readonly weight: number;
  readonly maxInFlight: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly #authority: string;
  readonly #pool: Pool;
  #state: Upstream['state'] = 'active';
  #inFlight = 0;
  #latencyMs = 0;
  #picks = 0;
  #failures = 0;

  constructor(settings: UpstreamSettings, rules: PoolRules) {
    this.id = this.origin = settings.origin;
    this.weight = settings.weight;
    this.maxInFlight = settings.maxInFlight;
    this.tags = settings.tags;
    this.#authority = settings.authority;
    this.#pool = new Pool(settings, rules);
  }

  get state(): Upstream['state'] {
    return this.#state;
  }

  get inFlight(): number {
    return this.#inFlight;
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

  /** @internal */
  get authority(): string {
    return this.#authority;
  }

  /** @internal */
  get pool(): Pool {
    return this.#pool;
  }

  /** Whether it may be picked now. @internal */
  get eligible(): boolean {
    return this.#state === 'active' && this.#inFlight < this.maxInFlight;
  }

  /** @internal */
  begin(): void {
    this.#inFlight++;
    this.#picks++;
  }

  /** @internal */
  settle(ok: boolean): void {
    this.#inFlight--;
    if (!ok) this.#failures++;
    if (this.#state === 'draining' && this.#inFlight === 0) this.#leave();
  }

  /** Notes the time to a response head, as a moving average over some ten responses. @internal */
  observe(latencyMs: number): void {
    this.#latencyMs += this.#latencyMs === 0 ? latencyMs : (latencyMs - this.#latencyMs) / LATENCY_WINDOW;
  }

  /** Gets no new work, and is gone when what it has in flight has ended. @internal */
  drain(): void {
    if (this.#state !== 'active') return;
    this.#state = 'draining';
    this.#pool.close();
    if (this.#inFlight === 0) this.#leave();
  }

  #leave(): void {
    this.#state = 'gone';
  }
}

/** Weight of one new latency in the average: 1/10. */
const LATENCY_WINDOW = 10;
