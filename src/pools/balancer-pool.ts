/**
 * A pool as users see it: types only.
 */
import type { DrainOptions } from '../options/calls.ts';
import type { ShadowFigures } from '../meter.ts';
import type { UpstreamOptions } from '../options/options.ts';
import type { Upstream } from '../strategy.ts';

/** A named group of upstreams. Its methods do for this pool what those of the balancer do for the pool `default`. */
export interface BalancerPool {
  readonly name: string;
  /** The name of the strategy that picks. */
  readonly strategy: string;
  /** What the strategy in the option `shadow` would have done; undefined without one. */
  readonly shadow: ShadowFigures | undefined;
  /** All upstreams as they stand now, draining ones last. */
  readonly upstreams: readonly Upstream[];
  /** Adds an upstream at once. Throws OPTIONS_INVALID, or CLOSING once a `close` is past its delay. */
  add(upstream: string | UpstreamOptions): Upstream;
  /**
   * Gives an upstream no new work. Resolves when what it has in flight has ended; what has not after `timeoutMs`
   * (default: no limit) is cut. Rejects with OPTIONS_INVALID.
   */
  remove(origin: string, options?: DrainOptions): Promise<void>;
  /**
   * Takes an upstream out of service: it stays listed, as `draining` and then `drained`, and gets no new work until it
   * is activated, whatever `update` and `configure` change. Resolves when it has nothing in flight, or is activated or
   * removed. Rejects with OPTIONS_INVALID.
   */
  drain(origin: string): Promise<void>;
  /** Takes a drained upstream back into service. Throws OPTIONS_INVALID. */
  activate(origin: string): void;
  /**
   * Sets the weight of an upstream. It holds until `update` or `configure` brings another weight for it than the one it
   * was configured with, or until `undefined` is set: the configured weight again. Throws OPTIONS_INVALID.
   */
  setWeight(origin: string, weight: number | undefined): void;
  /** Makes these the upstreams, as one change: see `update` of the balancer. */
  update(upstreams: readonly (string | UpstreamOptions)[], options?: DrainOptions): Promise<void>;
}
