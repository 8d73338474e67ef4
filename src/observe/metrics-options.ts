/**
 * What can be said about metrics, and its check.
 */
import type { Channel } from '../channel.ts';
import { BalancerError } from '../errors.ts';
import type { TimeSource } from '../loop/time-source.ts';
import type { Meter, Metering } from '../meter.ts';
import { isRecord, onlyKnown, shown } from '../options/checks.ts';
import type { Upstream } from '../strategy.ts';
import type { Observed } from './access-log-options.ts';

/** A balancer, as far as it is measured. One that has no `meter` is measured by its events. */
export interface Measured extends Observed {
  readonly pools: Readonly<Record<string, { readonly upstreams: readonly Upstream[] }>>;
  meter?(meter: Meter): Metering;
}

export interface MetricsOptions {
  /**
   * Connects the metrics of all workers: each then shows the sums of all, those of workers that are gone included.
   * Of `launch`: `channel('metrics')`.
   */
  readonly channel?: Channel;
  /** The label `worker` of this process. Default: the id of the worker in its cluster; 0 outside of one. */
  readonly worker?: string;
  /** For tests: where time comes from. */
  readonly time?: TimeSource;
}

/** Throws OPTIONS_INVALID, with every problem in one message. */
export function checkMetrics(balancer: unknown, options: unknown): void {
  const problems: string[] = [];
  const { on, off, pools } = (balancer ?? {}) as { on?: unknown; off?: unknown; pools?: unknown };
  if (typeof on !== 'function' || typeof off !== 'function' || !isRecord(pools)) {
    problems.push(`createMetrics: the first argument must be a balancer (got ${shown(balancer)})`);
  }
  if (isRecord(options)) {
    onlyKnown(options, '', KNOWN, problems);
    const { channel, worker, time } = options;
    if (channel !== undefined && (!isRecord(channel) || typeof channel['join'] !== 'function')) {
      problems.push(`channel: must be a channel, such as channel('metrics') of a launch (got ${shown(channel)})`);
    }
    if (worker !== undefined && typeof worker !== 'string') {
      problems.push(`worker: must be a string (got ${shown(worker)})`);
    }
    if (time !== undefined && !isRecord(time)) problems.push(`time: must be a source of time (got ${shown(time)})`);
  } else problems.push(`createMetrics: the options must be an object (got ${shown(options)})`);
  if (problems.length > 0) throw new BalancerError('OPTIONS_INVALID', problems.join('\n'));
}

const KNOWN: ReadonlySet<string> = new Set(['channel', 'worker', 'time']);
