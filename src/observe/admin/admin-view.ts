/**
 * What requests to the admin listener are answered from: types only.
 */
import type { AdminOptions } from './admin-options.ts';
import type { Filter, Recorded } from './decisions.ts';
import type { DoorRules } from './doors.ts';
import type { Wish } from './orders.ts';
import type { Pages } from './pages.ts';
import type { UpstreamStats } from './stats.ts';

/** What an order came to. */
export interface Fulfilled {
  readonly isThere: boolean;
  readonly workers: number;
  readonly confirmed: number;
}

/** What requests are answered from. */
export interface AdminView {
  readonly doors: DoorRules;
  readonly metrics: AdminOptions['metrics'];
  readonly pages: Pages;
  ready(): Promise<boolean>;
  upstreams(): Promise<readonly UpstreamStats[]>;
  order(pool: string, origin: string, wish: Wish): Promise<Fulfilled>;
  why(filter: Filter): Promise<{ readonly decisions: readonly Recorded[]; readonly recordingFor: number }>;
}
