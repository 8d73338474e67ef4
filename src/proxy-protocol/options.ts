/**
 * The options of `readProxy`, and their check.
 */
import { type AddressMatcher, readAddresses } from '../options/addresses.ts';
import { integers, isRecord, onlyKnown, optionalFunction, type Range, shown } from '../options/checks.ts';

/** The options of `readProxy`. */
export interface ReadProxyOptions {
  /**
   * Whose PROXY header is read: addresses, subnets such as `10.0.0.0/8`, and `unix` for all peers on Unix sockets. The
   * connections of all others are passed on as they are.
   */
  readonly trusted: readonly string[];
  /** How long a trusted peer may take to send its header. Default 5,000 ms. */
  readonly timeoutMs?: number;
  /** Maximum number of connections whose header has not come yet; one more is closed. Default 16,384. */
  readonly maxWaiting?: number;
  /**
   * Called for each connection that is closed because of its header. Default: process warnings, at most one per second
   * for each reason; a warning says how many were left out since the last one.
   */
  readonly onRefused?: (refusal: ProxyRefusal) => unknown;
}

/** Why a connection was closed. */
export interface ProxyRefusal {
  readonly reason: ProxyRefusalReason;
  /** One line for a log. */
  readonly message: string;
  /** The address of the peer; undefined if it has none (a Unix socket). */
  readonly remoteAddress: string | undefined;
}

/**
 * `untrusted`: a header from a peer that is not trusted. From one that is, `missing`: something else came; `malformed`;
 * `late`: no whole header came within `timeoutMs`; `incomplete`: the connection ended within it; `exhausted`:
 * `maxWaiting` is reached.
 */
export type ProxyRefusalReason = 'untrusted' | 'missing' | 'malformed' | 'late' | 'incomplete' | 'exhausted';

/** The options with all defaults filled in. */
export interface ProxySettings {
  readonly trusts: AddressMatcher;
  readonly timeoutMs: number;
  readonly maxWaiting: number;
  readonly onRefused: ReadProxyOptions['onRefused'];
}

/** Reads the options. Adds what is wrong to `problems`; `prefix` comes before each name. */
export function readProxyOptions(value: unknown, prefix: string, problems: string[]): ProxySettings {
  if (!isRecord(value)) {
    const path = prefix === '' ? 'options' : prefix.slice(0, -1);
    problems.push(`${path}: must be an object, e.g. { "trusted": ["10.0.0.0/8"] } (got ${shown(value)})`);
  }
  const given = isRecord(value) ? value : { trusted: [] };
  onlyKnown(given, prefix, KNOWN, problems);
  return {
    ...integers(given, prefix, NUMBERS, problems),
    trusts: readAddresses(given['trusted'], `${prefix}trusted`, problems),
    onRefused:
      optionalFunction(given['onRefused'], `${prefix}onRefused`, problems) as ProxySettings['onRefused'],
  };
}

const NUMBERS = {
  timeoutMs: { fallback: 5_000, min: 1 },
  maxWaiting: { fallback: 16_384, min: 1 },
} as const satisfies Readonly<Record<string, Range>>;
const KNOWN: ReadonlySet<string> = new Set(['trusted', ...Object.keys(NUMBERS), 'onRefused']);
