/**
 * Checks the options of the front and fills in the defaults. They are the same for all pools: what is accepted from
 * downstreams, and what is added to their requests.
 */
import { readAddresses } from './addresses.ts';
import { flag, integers, isRecord, onlyKnown, optionalFunction, type Range, shown, timeSource } from './checks.ts';
import { isToken, writeProblem } from './header-rules.ts';
import { isSecret } from './secret.ts';
import type { TimeSource } from '../loop/time-source.ts';
import type { FrontOptions } from './options.ts';
import type { Scheme } from './origin.ts';
import type { Hooks } from '../hooks.ts';

/** The options of the front with all defaults filled in. {@link FrontOptions} explains each. */
export interface FrontSettings extends Readonly<Record<keyof typeof FRONT_NUMBERS, number>> {
  /** The pseudonym; with `''`, no Via is sent. */
  readonly via: string;
  /** The header that carries the id of a request; with `''`, requests get none. */
  readonly requestId: string;
  /** The token that a request brings to see why it went where it went; with `''`, none may. */
  readonly why: string;
  readonly forwarded: boolean;
  readonly xForwarded: boolean;
  readonly serverTiming: boolean;
  /** Whether to trust what the hop at this address says about earlier hops. */
  readonly trusts: (address: string) => boolean;
  /** Lower-case names. */
  readonly upgradeProtocols: ReadonlySet<string>;
  readonly upgradeTarget: FrontOptions['upgradeTarget'];
  readonly onReport: FrontOptions['onReport'];
  /** Undefined without hooks. */
  readonly hooks: Hooks | undefined;
  readonly time: TimeSource | undefined;
  readonly rng: (() => number) | undefined;
  /** What is balanced. */
  readonly scheme: Scheme;
}

/** Reads the options of the front and ignores all others. Adds what is wrong to `problems`. */
export function parseFront(options: Readonly<Record<string, unknown>>, problems: string[]): FrontSettings {
  return {
    ...integers(options, '', FRONT_NUMBERS, problems),
    via: via(options['via'], problems),
    requestId: requestId(options['requestId'], problems),
    why: why(options['why'], problems),
    forwarded: flag(options['forwarded'], 'forwarded', problems),
    xForwarded: options['xForwarded'] === undefined || flag(options['xForwarded'], 'xForwarded', problems),
    serverTiming: flag(options['serverTiming'], 'serverTiming', problems),
    trusts: trusts(options['trustForwarded'], problems),
    upgradeProtocols: upgradeProtocols(options['upgradeProtocols'], problems),
    upgradeTarget:
      optionalFunction(options['upgradeTarget'], 'upgradeTarget', problems) as FrontSettings['upgradeTarget'],
    onReport: optionalFunction(options['onReport'], 'onReport', problems) as FrontSettings['onReport'],
    hooks: hooks(options, problems),
    time: timeSource(options['time'], problems),
    rng: optionalFunction(options['rng'], 'rng', problems) as FrontSettings['rng'],
    scheme: 'http',
  };
}

/** Defaults and limits. A default of Infinity means no limit. The sizes of heads and chunks apply to responses too. */
export const FRONT_NUMBERS = {
  idleTimeoutMs: { fallback: 60_000, min: 1 },
  headTimeoutMs: { fallback: 10_000, min: 1 },
  keepAliveTimeoutMs: { fallback: 60_000, min: 1 },
  maxConnections: { fallback: 16_384, min: 1 },
  maxRequestsPerConnection: { fallback: Infinity, min: 1 },
  maxHeadBytes: { fallback: 16_384, min: 1_024 },
  maxRequestLineBytes: { fallback: 8_192, min: 64 },
  maxFields: { fallback: 100, min: 1 },
  maxBodyBytes: { fallback: Infinity, min: 0, max: Number.MAX_SAFE_INTEGER },
  // Node's parser accepts 16 KiB of extensions per chunk, and we are never laxer.
  maxChunkLineBytes: { fallback: 1_024, min: 32, max: 16_384 },
  maxChunkExtensionBytes: { fallback: 16_384, min: 0 },
  maxTrailerBytes: { fallback: 16_384, min: 64 },
  maxHeldBytes: { fallback: 65_536, min: 1 },
  minBodyBytesPerSecond: { fallback: 100, min: 0 },
  hookTimeoutMs: { fallback: 30_000, min: 1 },
  maxMirrored: { fallback: 100, min: 0 },
  maxMirroredBytes: { fallback: 1_048_576, min: 0 },
} as const satisfies Readonly<Record<string, Range>>;

export const HOOK_NAMES = ['onRequest', 'onResponse', 'onError'] as const satisfies readonly (keyof Hooks)[];

export const FRONT_OPTION_NAMES: readonly string[] = [
  ...Object.keys(FRONT_NUMBERS), 'via', 'requestId', 'why', 'forwarded', 'xForwarded', 'trustForwarded',
  'upgradeProtocols', 'upgradeTarget', 'serverTiming', 'onReport', 'time', 'rng', ...HOOK_NAMES,
];

function via(value: unknown, problems: string[]): string {
  if (value === undefined) return 'equipoise';
  if (value === false) return '';
  // RFC 9110 §7.6.3: received-by is a pseudonym (a token) or a host with its port.
  if (typeof value === 'string' && /^[\w!#$%&'*+.^`|~:-]+$/.test(value)) return value;
  problems.push(`via: must be false or a token such as 'edge-1' (got ${shown(value)})`);
  return '';
}

function requestId(value: unknown, problems: string[]): string {
  if (value === undefined || value === false) return '';
  if (value === true) return 'X-Request-Id';
  const name = typeof value === 'string' && isToken(value) ? value : '';
  const ours = /^(?:host|forwarded|x-forwarded-.*)$/i.test(name);
  if (name !== '' && !ours && writeProblem(name.toLowerCase(), 'request') === undefined) return name;
  const must = 'must be true, false or the name of a header of its own, e.g. \'X-Correlation-Id\'';
  problems.push(`requestId: ${must} (got ${shown(value)})`);
  return '';
}

function why(value: unknown, problems: string[]): string {
  if (value === undefined) return '';
  if (isRecord(value)) {
    onlyKnown(value, 'why.', WHY_KEYS, problems);
    const { token } = value;
    if (isSecret(token)) return token;
    problems.push('why.token: must be a string of visible ASCII characters, e.g. 32 random ones');
    return '';
  }
  problems.push(`why: must be an object such as { token: '...' } (got ${shown(value)})`);
  return '';
}

const WHY_KEYS: ReadonlySet<string> = new Set(['token']);

/** Undefined where there are no hooks. */
function hooks(options: Readonly<Record<string, unknown>>, problems: string[]): Hooks | undefined {
  const onRequest = optionalFunction(options['onRequest'], 'onRequest', problems) as Hooks['onRequest'];
  const onResponse = optionalFunction(options['onResponse'], 'onResponse', problems) as Hooks['onResponse'];
  const onError = optionalFunction(options['onError'], 'onError', problems) as Hooks['onError'];
  if (onRequest === undefined && onResponse === undefined && onError === undefined) return undefined;
  return { ...(onRequest && { onRequest }), ...(onResponse && { onResponse }), ...(onError && { onError }) };
}

function trusts(value: unknown, problems: string[]): FrontSettings['trusts'] {
  if (typeof value === 'function') return value as FrontSettings['trusts'];
  if (Array.isArray(value)) return readAddresses(value, 'trustForwarded', problems);
  if (value !== undefined && typeof value !== 'boolean') {
    const must = 'must be true, false, a list of addresses such as ["10.0.0.0/8"], or a function that takes an address';
    problems.push(`trustForwarded: ${must} (got ${shown(value)})`);
  }
  return value === true ? ALWAYS : NEVER;
}

const ALWAYS = (): boolean => true;
const NEVER = (): boolean => false;

function upgradeProtocols(value: unknown, problems: string[]): ReadonlySet<string> {
  const protocols: readonly unknown[] = Array.isArray(value) ? value : [];
  const isProtocol = (one: unknown): one is string => typeof one === 'string' && PROTOCOL.test(one);
  if ((value !== undefined && !Array.isArray(value)) || !protocols.every(isProtocol)) {
    problems.push(`upgradeProtocols: must be a list of protocols such as ['tcp'] (got ${shown(value)})`);
  } else if (protocols.some((protocol) => /^h2c/i.test(protocol))) {
    problems.push('upgradeProtocols: h2c cannot be tunnelled; leave it out: requests for it are served over HTTP/1.1');
  }
  return new Set(protocols.filter(isProtocol).map((protocol) => protocol.toLowerCase()));
}

/** protocol-name ["/" protocol-version] (RFC 9110 §7.8). */
const PROTOCOL = /^[\w!#$%&'*+.^`|~-]+(\/[\w!#$%&'*+.^`|~-]+)?$/;
