/**
 * A balancer, as far as it is administered: types only.
 */
import type { ShadowFigures } from '../../meter.ts';
import type { Upstream } from '../../strategy.ts';
import type { Observed } from '../access-log-options.ts';

/** A pool, as far as it is administered. */
export interface AdministeredPool {
  readonly strategy: string;
  readonly shadow?: ShadowFigures | undefined;
  readonly upstreams: readonly Upstream[];
  drain(origin: string): Promise<void>;
  activate(origin: string): void;
  setWeight(origin: string, weight: number | undefined): void;
}

/** A balancer, as far as it is administered. */
export interface Administered extends Observed {
  readonly ready: boolean;
  readonly pools: Readonly<Record<string, AdministeredPool>>;
}
