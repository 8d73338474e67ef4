/**
 * The PROXY protocol in the configuration: whose header the listeners read, and what is sent to upstreams.
 */
import { readAddresses } from '../options/addresses.ts';
import { integer, isRecord, onlyKnown } from '../options/checks.ts';

/** What the listeners go by. */
export interface ProxyProtocol {
  readonly trusted: readonly string[];
  readonly timeoutMs: number;
}

/** What the command line and the file say. */
export interface GivenProxyProtocol {
  /** Undefined if no header is read. */
  readonly read: ProxyProtocol | undefined;
  /** The option of the pool `default`, unchecked. */
  readonly send: unknown;
}

/**
 * Reads the flag, a list with commas, and the key of the file: a list; an object with a list, a timeout and the version
 * to send; or that version alone. The flag takes the place of the list. Adds what is wrong to `problems`.
 */
export function readProxyProtocol(flag: string | undefined, value: unknown, problems: string[]): GivenProxyProtocol {
  const isList = Array.isArray(value);
  if (isRecord(value)) onlyKnown(value, `${KEY}.`, KNOWN, problems);
  const given = isRecord(value) ? value : isList ? { trusted: value } : { send: value };
  const timeoutMs = integer(given['timeoutMs'], `${KEY}.timeoutMs`, { fallback: DEFAULT_TIMEOUT_MS, min: 1 }, problems);
  const send = given['send'];
  if (flag !== undefined) {
    const trusted = flag.split(',').map((entry) => entry.trim());
    readAddresses(trusted, 'proxy-protocol', problems);
    return { read: { trusted, timeoutMs }, send };
  }
  if (!isList && !isRecord(value)) return { read: undefined, send };
  const { trusted } = given;
  readAddresses(trusted, isList ? KEY : `${KEY}.trusted`, problems);
  return { read: { trusted: Array.isArray(trusted) ? trusted as string[] : [], timeoutMs }, send };
}

const KEY = 'proxyProtocol';
const KNOWN: ReadonlySet<string> = new Set(['trusted', 'timeoutMs', 'send']);
/** That of `readProxy`. */
const DEFAULT_TIMEOUT_MS = 5_000;
