/**
 * The limit of open files. Each connection takes one; when they run out, connections are dropped.
 */
import process from 'node:process';

/** What the configuration needs. */
export interface Demand {
  /** Downstream connections, as configured or by default. */
  readonly maxConnections: number;
  /** Whether the user configured it. */
  readonly configured: boolean;
  /** Requests in flight; no more upstream connections than that are busy. */
  readonly maxInFlight: number;
  readonly upstreams: number;
}

/** What to do about the limit. */
export interface Fit {
  /** A new value for `maxConnections`; undefined to leave it as it is. */
  readonly maxConnections: number | undefined;
  /** A line for the log, if the operator should know. */
  readonly warning: string | undefined;
}

/** How many files this process may open; Infinity if unknown. Node has raised the soft limit to the hard one. */
export function descriptorLimit(): number {
  const { report } = process as { readonly report?: NodeJS.ProcessReport & { excludeNetwork?: boolean } };
  if (report === undefined) return Infinity;
  const before = report.excludeNetwork;
  try {
    // Otherwise the report looks up the host names of all peers.
    report.excludeNetwork = true;
    const { userLimits } = report.getReport() as { readonly userLimits?: { readonly open_files?: { soft?: unknown } } };
    const soft = userLimits?.open_files?.soft;
    return typeof soft === 'number' ? soft : Infinity;
  } finally {
    if (before !== undefined) report.excludeNetwork = before;
  }
}

/** Fits `maxConnections` to `limit`: lowers the default, but only warns about a configured value. */
export function fit(limit: number, { maxConnections, configured, maxInFlight, upstreams }: Demand): Fit {
  // One more for each upstream: it may be being probed.
  const rest = RESERVED + upstreams;
  const needed = (connections: number): number => connections + Math.min(connections, maxInFlight) + rest;
  if (needed(maxConnections) <= limit) return { maxConnections: undefined, warning: undefined };
  const left = Math.max(0, limit - rest);
  const possible = Math.max(1, left - Math.min(maxInFlight, Math.floor(left / 2)));
  const raise = `raise it to ${needed(maxConnections)} (ulimit -n, or LimitNOFILE= of systemd)`;
  const limited = `this process may only open ${limit} files`;
  if (configured) {
    const warning = `maxConnections: ${maxConnections} connections need ${needed(maxConnections)} open files, and ` +
      `${limited}; ${raise}, or set it to at most ${possible}`;
    return { maxConnections: undefined, warning };
  }
  return {
    maxConnections: possible,
    warning: possible >= PLENTY
      ? undefined
      : `maxConnections: lowered from ${maxConnections} to ${possible}: ${limited}; ${raise}`,
  };
}

/** For standard streams, listeners, the event loop, the channel to a primary, files being read. */
const RESERVED = 64;
/** Enough for most uses: no warning. */
const PLENTY = 4_096;
