/**
 * Open files: each connection takes one, and where they run out, connections are dropped.
 */
import process from 'node:process';

/** What is asked of a limit. */
export interface Demand {
  /** Downstream connections: what is configured, or the default. */
  readonly maxConnections: number;
  /** Whether that is configured. */
  readonly configured: boolean;
  /** Attempts in flight in all: no more upstream connections than that are busy. */
  readonly maxInFlight: number;
  readonly upstreams: number;
}

/** What becomes of it. */
export interface Fit {
  /** What `maxConnections` is to be, if not what it is. */
  readonly maxConnections: number | undefined;
  /** What whoever starts the binary should know. */
  readonly warning: string | undefined;
}

/** How many files this process may have open: Node has raised the soft limit to the hard one. Infinity if not known. */
export function descriptorLimit(): number {
  const { report } = process as { readonly report?: NodeJS.ProcessReport & { excludeNetwork?: boolean } };
  if (report === undefined) return Infinity;
  const before = report.excludeNetwork;
  try {
    // Otherwise the names of all peers are looked up.
    report.excludeNetwork = true;
    const { userLimits } = report.getReport() as { readonly userLimits?: { readonly open_files?: { soft?: unknown } } };
    const soft = userLimits?.open_files?.soft;
    return typeof soft === 'number' ? soft : Infinity;
  } finally {
    if (before !== undefined) report.excludeNetwork = before;
  }
}

/** Fits `maxConnections` to `limit`: its default follows it, a value of the user's stays. */
export function fit(limit: number, { maxConnections, configured, maxInFlight, upstreams }: Demand): Fit {
  // A probe may be under way at each upstream, besides.
  const rest = RESERVED + upstreams;
  const needed = (connections: number): number => connections + Math.min(connections, maxInFlight) + rest;
  if (needed(maxConnections) <= limit) return { maxConnections: undefined, warning: undefined };
  const left = Math.max(0, limit - rest);
  const possible = Math.max(1, left - Math.min(maxInFlight, Math.floor(left / 2)));
  const raise = `raise it to ${needed(maxConnections)} (ulimit -n, or LimitNOFILE= of systemd)`;
  const limited = `this process may open ${limit} files only`;
  if (configured) {
    const warning = `maxConnections: ${maxConnections} connections need ${needed(maxConnections)} open files, and ` +
      `${limited}; ${raise}, or set it to ${possible} at most`;
    return { maxConnections: undefined, warning };
  }
  return {
    maxConnections: possible,
    warning: possible >= PLENTY
      ? undefined
      : `maxConnections: is ${possible}, not ${maxConnections}: ${limited}; ${raise}`,
  };
}

/** Standard streams, listeners, the event loop's own, the channel to a primary, a file that is being read. */
const RESERVED = 64;
/** Enough for most: nobody needs to be told. */
const PLENTY = 4_096;
