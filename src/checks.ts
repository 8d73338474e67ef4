/**
 * Checks of single values. Each adds what is wrong to `problems`, with its path and the mend, and goes on without it.
 */
import type { TimeSource } from './clock.ts';

/** A numeric option: its default and its smallest value, and the largest where that is not {@link MAX_INTEGER}. */
export interface Range {
  readonly fallback: number;
  readonly min: number;
  readonly max?: number;
}

/** The largest value of a 32-bit timer, for times and counts alike. */
const MAX_INTEGER = 2 ** 31 - 1;
/** `sun_path` has 108 octets on Linux, 104 on macOS and the BSDs, with a NUL at the end. */
const MAX_SOCKET_PATH = process.platform === 'linux' ? 107 : 103;

/** All numbers of a table, each with its default where it is not given. */
export function integers<N extends string>(
  given: Readonly<Record<string, unknown>>, prefix: string, table: Readonly<Record<N, Range>>, problems: string[],
): Record<N, number> {
  const pairs = Object.entries<Range>(table).map(([name, range]) => {
    return [name, integer(given[name], prefix + name, range, problems)];
  });
  return Object.fromEntries(pairs) as Record<N, number>;
}

export function onlyKnown(given: object, prefix: string, known: ReadonlySet<string>, problems: string[]): void {
  for (const name of Object.keys(given)) {
    if (!known.has(name)) problems.push(`${prefix}${name}: unknown option; known are ${[...known].sort().join(', ')}`);
  }
}

export function integer(value: unknown, path: string, range: Range, problems: string[]): number {
  const { fallback, min, max = MAX_INTEGER } = range;
  if (value === undefined || value === fallback) return fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  const otherwise = fallback === Infinity ? 'leave it out for no limit' : `the default is ${fallback}`;
  const upTo = max === MAX_INTEGER || max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`;
  problems.push(`${path}: ${shown(value)} is no whole number from ${min}${upTo}; ${otherwise}`);
  return fallback;
}

export function flag(value: unknown, path: string, problems: string[]): boolean {
  if (value !== undefined && typeof value !== 'boolean') problems.push(`${path}: ${shown(value)} is no boolean`);
  return value === true;
}

export function optionalFunction(value: unknown, path: string, problems: string[]): unknown {
  if (value === undefined || typeof value === 'function') return value;
  problems.push(`${path}: ${shown(value)} is no function`);
  return undefined;
}

export function record(value: unknown, path: string, problems: string[]): Record<string, unknown> {
  if (isRecord(value)) return value;
  problems.push(`${path}: ${shown(value)} is no object`);
  return {};
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether they hold the same values by the same names. */
export function alike(one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}

/** Whether this is a strategy, as far as can be seen: of upstreams, workers or whatever. */
export function isStrategy(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'pick' in value && typeof value.pick === 'function' &&
    'name' in value && typeof value.name === 'string';
}

/**
 * Whether the system can take this as the path of a Unix socket: a longer one would be cut without a word, and the
 * socket stand elsewhere. Abstract names of Linux (with a NUL in front) are not supported.
 */
export function socketPath(path: string, at: string, problems: string[]): void {
  // Named pipes have no such limit.
  if (process.platform === 'win32') return;
  const octets = Buffer.byteLength(path);
  if (path.includes('\0')) {
    problems.push(`${at}: the path of a Unix socket must not contain a NUL (got ${shown(path)})`);
  } else if (octets > MAX_SOCKET_PATH) {
    problems.push(
      `${at}: the path of a Unix socket must have at most ${MAX_SOCKET_PATH} octets (got ${octets}: ${shown(path)})`);
  }
}

/** A source of time, or undefined where none is given. */
export function timeSource(value: unknown, problems: string[]): TimeSource | undefined {
  if (value === undefined || isTimeSource(value)) return value;
  problems.push(`time: ${shown(value)} is no source of time: an object with the methods now, epoch and every`);
  return undefined;
}

function isTimeSource(value: unknown): value is TimeSource {
  return isRecord(value) && [value['now'], value['epoch'], value['every']].every((each) => typeof each === 'function');
}

/** A value as messages show it: short, whatever it is. */
export function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'number' || typeof value === 'bigint' || value === undefined) return String(value);
  const text = typeof value === 'symbol' ? String(value) : json(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** As JSON, where it can be: a value may hold itself, or refuse. */
function json(value: unknown): string {
  try {
    const text: unknown = JSON.stringify(value);
    return typeof text === 'string' ? text : 'an object';
  } catch {
    return 'an object';
  }
}
